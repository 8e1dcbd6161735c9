"""The recipe of the bundled planner: `python -m strata.llm.backends.bundled.train --out runs/planner`.

A tokenizer, then a small Llama, trained on questions drawn afresh for every step (`lessons.py`); an interrupted run
goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from strata.llm.backends.bundled.backend import BundledBackend
from strata.llm.backends.bundled.lessons import exercises, random_lesson
from strata.llm.backends.bundled.model import encode, new_model, new_tokenizer, save_planner
from strata.llm.backends.bundled.report import flaws
from strata.miniature.training.loop import LearningRate, Trainer, muon, train, write_whole_folder

logger = logging.getLogger(__name__)

BATCH = 64
"""Questions a step, in `PARTS` parts of like length."""
PARTS = 2


def compile_layers(model: LlamaForCausalLM) -> None:
    """Compile the layers, one graph for all of them; attention is written out, which is faster on a CPU here."""
    model.set_attn_implementation("eager")
    for layer in model.model.layers:
        layer.forward = torch.compile(layer.forward, dynamic=True)


def backward(model: LlamaForCausalLM, encoded: Sequence[tuple[list[int], int]], pad: int) -> float:
    """Back-propagate the mean loss of the answers' tokens, in `PARTS` parts; returns it.

    Args:
        model: the planner in training.
        encoded: tokens of question and answer, and how many are the question's.
        pad: the token that fills up shorter ones.
    """
    ordered = sorted(encoded, key=lambda pair: len(pair[0]))
    size = -(-len(ordered) // PARTS)
    total = sum(len(tokens) - start for tokens, start in ordered)
    device = model.device
    loss_sum = 0.0
    for first in range(0, len(ordered), size):
        part = ordered[first : first + size]
        length = len(part[-1][0])
        ids = torch.tensor([tokens + [pad] * (length - len(tokens)) for tokens, _ in part], device=device)
        place = torch.arange(1, length, device=device)
        starts = torch.tensor([start for _, start in part], device=device)[:, None]
        ends = torch.tensor([len(tokens) for tokens, _ in part], device=device)[:, None]
        answered = (place >= starts) & (place < ends)
        hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[answered]).float()
        loss = nn.functional.cross_entropy(logits, ids[:, 1:][answered], reduction="sum") / total
        loss.backward()
        loss_sum += float(loss.detach())
    return loss_sum


def train_planner(
    out: Path, samples: int, score_every: int, device: torch.device, held_out: int = 100, compiled: bool = True
) -> None:
    """Train until the planner has seen `samples` questions, counting earlier runs in `out`.

    Losses every 25 steps and, every `score_every` samples and at the end, the share of `held_out` prompts whose plans
    are exactly right go to `log.csv`; the averaged weights go to `planner/`.
    """
    if not (out / "tokenizer").exists():
        write_whole_folder(out / "tokenizer", new_tokenizer().save_pretrained)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "tokenizer")
    pad = int(tokenizer.pad_token_id)
    model = new_model(tokenizer).to(device).train()
    trainer = Trainer(
        model, lambda named: muon(named, lambda name: "layers." in name, 4e-3, 0.01), half=True, ema=0.998
    )
    if compiled:
        compile_layers(model)
    todo = exercises("any", held_out, seed=1)

    def learn(progress: float) -> tuple[int, dict[str, Tensor | float]]:
        rng = random.Random(f"planner {trainer.step}")
        encoded = encode(tokenizer, [random_lesson(rng) for _ in range(BATCH)])
        return BATCH, {"loss": backward(model, encoded, pad)}

    def export(weights: dict[str, Tensor]) -> None:
        write_whole_folder(out / "planner", lambda folder: save_planner(weights, tokenizer, Path(folder)))

    def score(weights: dict[str, Tensor]) -> dict[str, float]:
        export(weights)
        found = flaws(BundledBackend(out / "planner"), todo)
        for exercise, wrong in [pair for pair in zip(todo, found, strict=True) if pair[1]][:5]:
            logger.info("wrong: %s: %s", exercise.prompt, "; ".join(wrong))
        return {"exact": sum(not wrong for wrong in found) / len(found)}

    train(
        trainer,
        learn,
        out,
        "planner",
        LearningRate(warm_up=100, decay=0.35),
        samples=samples,
        log_every=25,
        score=score,
        score_every=score_every,
    )
    export(trainer.weights)
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
    train_planner(args.out, args.samples, args.score_every, torch.device(args.device))


if __name__ == "__main__":
    main()
