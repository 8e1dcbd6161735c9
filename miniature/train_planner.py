"""The recipe of the bundled planner: `python -m strata.miniature.train_planner --out runs/planner`.

A tokenizer, then a small Llama, taught on questions drawn afresh for every step (`planning_tasks.py`); each step's
questions depend on its number alone, so an interrupted run goes on exactly where its last checkpoint was.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from strata.hierarchy.errors import StrataError
from strata.llm.bundled import BundledBackend
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request
from strata.miniature.flow import Log, learning_rate
from strata.miniature.planning_tasks import Exercise, Lesson, exercises, random_lesson, truth_matches

logger = logging.getLogger(__name__)

PIECES = 1024
"""Size of the vocabulary."""
BATCH = 64
"""Questions a step, in `PARTS` parts of like length."""
PARTS = 2
SAVE_EVERY = 120.0
"""Seconds of training between checkpoints."""
SPECIAL = ("<|pad|>", "<|begin|>", "<|end|>")
CHAT = r"""
{#- Of the whole chat, the last question alone, in the few words that the model needs: system text, worked examples and
    later complaints are left out; the canvas becomes its form, a box its place; all is in lower case. The prompt comes
    first, so that each region's line can look up its object in it. -#}
{%- set last = namespace(text='', prompt='', task='', regions='') -%}
{%- for message in messages -%}
  {%- if message['role'] == 'user' and message['content'].startswith('Task:') -%}
    {%- set last.text = message['content'] -%}
  {%- endif -%}
{%- endfor -%}
{%- for line in last.text.split('\n') -%}
  {%- if line.startswith('Task: ') -%}
    {%- set last.task = line[6:] -%}
  {%- elif line.startswith('Canvas: ') -%}
    {%- set width = line[8:].split('x')[0] | int -%}
    {%- set height = line[8:].split('x')[1] | int -%}
    {%- set form = ' tall' if height > width else ' wide' if 5 * width >= 7 * height else ' even' -%}
    {%- set last.task = last.task + form -%}
  {%- elif line.startswith('Region ') -%}
    {%- set known = line[7:].split(' [')[0] + line[7:].split(']')[1:] | join(']') -%}
    {%- set last.regions = last.regions + known + '\n' -%}
  {%- elif line.startswith('Prompt: ') -%}
    {%- set last.prompt = line[9:-1] -%}
  {%- endif -%}
{%- endfor -%}
{{- bos_token + (last.prompt + '\n' + last.regions + last.task + '\n') | lower -}}
""".strip()
_PIECE = r""" ?[a-zA-Z]+|[0-9]+(?:,[0-9]+)*|\]?[\[{",:]+(?:[a-z_]+":[\[{",:]*)*[\]}]*|[\]}]+|\s|."""
"""Words with the space before them; boxes; the keys and brackets between two values of an answer, up to where an object
ends; single characters."""


def compact(answer: dict[str, Any]) -> str:
    """An answer as the model writes it."""
    return json.dumps(answer, separators=(",", ":"))


def chats(lessons: Sequence[Lesson]) -> list[list[dict[str, str]]]:
    """Each lesson's question as a chat."""
    return [[{"role": "user", "content": lesson.brief.text()}] for lesson in lessons]


def new_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the planner's questions and answers; any text can be encoded."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    pad, begin, end = SPECIAL
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=pad, bos_token=begin, eos_token=end, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT
    rng = random.Random("tokenizer")
    lessons = [random_lesson(rng) for _ in range(6000)]
    texts = tokenizer.apply_chat_template(chats(lessons), tokenize=False)
    texts = [text.removeprefix(begin) for text in texts] + [compact(lesson.answer) for lesson in lessons]
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=pad,
        bos_token=begin,
        eos_token=end,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained planner."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=3,
        num_key_value_heads=3,
        head_dim=64,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def encode(tokenizer: PreTrainedTokenizerFast, lessons: Sequence[Lesson]) -> list[tuple[list[int], int]]:
    """Each lesson's tokens, question and answer, and how many are the question's."""
    asked = tokenizer.apply_chat_template(chats(lessons), tokenize=False)
    questions = tokenizer(asked, add_special_tokens=False).input_ids
    answers = tokenizer([compact(lesson.answer) for lesson in lessons], add_special_tokens=False).input_ids
    end = [tokenizer.eos_token_id]
    return [(question + answer + end, len(question)) for question, answer in zip(questions, answers, strict=True)]


class Trainer:
    """bfloat16 compute over float32 master weights; Muon for the layers' matrices, AdamW for the rest; EMA."""

    def __init__(self, model: LlamaForCausalLM, device: torch.device, lr: float = 4e-3, ema: float = 0.998) -> None:
        model = model.to(device)
        self.master = {name: p.detach().clone().float() for name, p in model.named_parameters()}
        self.ema = {name: p.clone() for name, p in self.master.items()}
        self.model, self.device = model.to(torch.bfloat16).train(), device
        self.rates, self.decay = (lr, lr / 2), ema
        matrices = [name for name, p in self.master.items() if p.ndim == 2 and "layers." in name]
        rest = [name for name in self.master if name not in set(matrices)]
        self.optimizers = [
            torch.optim.Muon(
                [self.master[n] for n in matrices], lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW([self.master[n] for n in rest], lr=lr / 2, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.step, self.samples, self.seconds = 0, 0, 0.0

    def compile(self) -> None:
        """Compile the layers, one graph for all of them; attention is written out, which is faster on a CPU here."""
        self.model.set_attn_implementation("eager")
        for layer in self.model.model.layers:
            layer.forward = torch.compile(layer.forward, dynamic=True)

    def learn(self, encoded: Sequence[tuple[list[int], int]], pad: int, rate: float) -> tuple[float, float]:
        """One step on some lessons at `rate` × the learning rates; returns the loss an answer token, and the gradient's
        norm."""
        ordered = sorted(encoded, key=lambda pair: len(pair[0]))
        size = -(-len(ordered) // PARTS)
        total = sum(len(tokens) - start for tokens, start in ordered)
        loss_sum = 0.0
        for first in range(0, len(ordered), size):
            part = ordered[first : first + size]
            length = len(part[-1][0])
            ids = torch.tensor([tokens + [pad] * (length - len(tokens)) for tokens, _ in part], device=self.device)
            place = torch.arange(1, length, device=self.device)
            starts = torch.tensor([start for _, start in part], device=self.device)[:, None]
            ends = torch.tensor([len(tokens) for tokens, _ in part], device=self.device)[:, None]
            asked = (place >= starts) & (place < ends)
            hidden = self.model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
            logits = self.model.lm_head(hidden[asked]).float()
            loss = nn.functional.cross_entropy(logits, ids[:, 1:][asked], reduction="sum") / total
            loss.backward()
            loss_sum += float(loss.detach())
        return loss_sum, self._update(rate)

    def _update(self, rate: float) -> float:
        grads = []
        for name, p in self.model.named_parameters():
            assert p.grad is not None
            self.master[name].grad = p.grad.float()
            grads.append(self.master[name])
            p.grad = None
        norm = float(nn.utils.clip_grad_norm_(grads, 1.0))
        if math.isfinite(norm):
            for optimizer, base in zip(self.optimizers, self.rates, strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = base * rate
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(self.master[name])
                self.ema[name].lerp_(self.master[name], 1 - decay)
        self.step += 1
        return norm

    def save(self, path: Path) -> None:
        """Write the whole state, atomically."""
        state = {
            "master": self.master,
            "ema": self.ema,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "counts": (self.step, self.samples, self.seconds),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        for name, p in self.model.named_parameters():
            self.master[name].copy_(state["master"][name])
            self.ema[name].copy_(state["ema"][name])
            p.data.copy_(state["master"][name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.samples, self.seconds = state["counts"]


def save_planner(weights: dict[str, Tensor], tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The planner in half precision, as transformers and vLLM read it."""
    model = new_model(tokenizer)
    model.load_state_dict({name: x.cpu() for name, x in weights.items()}, strict=False)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that older releases of transformers know too
    path.write_text(json.dumps(settings, indent=2) + "\n")


def flaws(backend: BundledBackend, todo: Sequence[Exercise], one_call: bool = False) -> list[list[str]]:
    """What is wrong with the plan of each exercise (see `truth_matches`); the error's words where there is none."""
    found: list[list[str]] = [[] for _ in todo]
    requests = [Request(e.prompt, e.width, e.height, e.draft, e.regions) for e in todo]

    def failed(index: int, error: StrataError) -> None:
        found[index] = [f"no plan: {error}"]

    plan_many(
        Planner(backend, one_call=one_call),
        requests,
        on_plan=lambda index, plan: found.__setitem__(index, truth_matches(plan, todo[index].truth)),
        on_failure=failed,
        give_up_after=len(todo) + 1,
    )
    return found


def teach(out: Path, samples: int, score_every: int, device: torch.device) -> None:
    """Train until the planner has seen `samples` questions, counting earlier runs in `out`.

    Losses every 25 steps and, every `score_every` samples, the share of 100 held-out prompts whose plans are exactly
    right go to `log.csv`; the averaged weights go to `planner/`.
    """
    if not (out / "tokenizer").exists():
        new_tokenizer().save_pretrained(out / "tokenizer")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "tokenizer")
    trainer = Trainer(new_model(tokenizer), device)
    checkpoint = out / "planner.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        logger.info("going on from step %d, %d samples", trainer.step, trainer.samples)
    trainer.compile()
    log = Log(out / "log.csv", "planner", trainer.step)
    held_out = exercises("any", 100, seed=1)
    last_save, losses, norms = trainer.seconds, 0.0, 0.0
    pad = int(tokenizer.pad_token_id)
    while trainer.samples < samples:
        begin = time.monotonic()
        rng = random.Random(f"planner {trainer.step}")
        encoded = encode(tokenizer, [random_lesson(rng) for _ in range(BATCH)])
        rate = learning_rate(trainer.samples / samples, trainer.step, warm_up=100)
        loss, norm = trainer.learn(encoded, pad, rate)
        losses, norms = losses + loss / 25, norms + norm / 25
        before, trainer.samples = trainer.samples, trainer.samples + BATCH
        trainer.seconds += time.monotonic() - begin
        if trainer.step % 25 == 0:
            log.add(trainer, {"loss": losses, "gradient": norms})
            losses, norms = 0.0, 0.0
        if before // score_every < trainer.samples // score_every or trainer.samples >= samples:
            trainer.save(checkpoint)
            save_planner(trainer.ema, tokenizer, out / "planner")
            found = flaws(BundledBackend(out / "planner"), held_out)
            log.add(trainer, {"exact": sum(not wrong for wrong in found) / len(found)})
            for exercise, wrong in [pair for pair in zip(held_out, found, strict=True) if pair[1]][:5]:
                logger.info("wrong: %s: %s", exercise.prompt, "; ".join(wrong))
        if trainer.seconds - last_save > SAVE_EVERY:
            trainer.save(checkpoint)
            last_save = trainer.seconds
    logger.info("done: %s", out / "planner")


def main(argv: list[str] | None = None) -> None:
    """Run the recipe; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; goes on where it was")
    parser.add_argument("--samples", type=int, default=220_000, help="questions, all resumes together")
    parser.add_argument("--score-every", type=int, default=20_000, help="samples between scores")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    teach(args.out, args.samples, args.score_every, torch.device(args.device))


if __name__ == "__main__":
    main()
