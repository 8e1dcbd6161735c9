"""The recipe of the bundled planner: `python -m strata.llm.backends.bundled.train --out runs/planner`.

A tokenizer, then a small Llama, trained on questions drawn afresh for every step (`lessons.py`) by a process of its
own; an interrupted run goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from strata.llm.backends.bundled.backend import BundledBackend
from strata.llm.backends.bundled.model import encode, new_model, new_tokenizer, save_planner
from strata.llm.backends.bundled.report import flaws
from strata.llm.backends.bundled.teaching.lessons import exercises, random_lesson
from strata.miniature.training.loop import LearningRate, Trainer, muon, train, write_whole_folder

logger = logging.getLogger(__name__)

BATCH = 96
"""Questions a step, in `PARTS` parts of like length."""
PARTS = 3
AHEAD = 6
"""Steps whose questions are drawn while others are learnt."""
Encoded = list[tuple[list[int], int]]
"""Tokens of question and answer, and how many are the question's."""


def compile_layers(model: LlamaForCausalLM) -> None:
    """Compile the layers, one graph for all of them; attention is written out, which is faster on a CPU here."""
    model.set_attn_implementation("eager")
    for layer in model.model.layers:
        layer.forward = torch.compile(layer.forward, dynamic=True)


def backward(model: LlamaForCausalLM, encoded: Encoded, pad: int) -> float:
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


_tokenizer: PreTrainedTokenizerFast | None = None
_batch = BATCH


def _start(folder: str, batch: int) -> None:
    """In the process that draws questions."""
    global _tokenizer, _batch
    _batch = batch
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    _tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)


def _draw(step: int) -> Encoded:
    """The questions of a step; the same for the same step, always."""
    assert _tokenizer is not None
    rng = random.Random(f"planner {step}")
    return encode(_tokenizer, [random_lesson(rng) for _ in range(_batch)])


class Questions:
    """The questions of each step, in order, drawn ahead by a process of its own."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool
        self.ahead: deque[tuple[int, Future[Encoded]]] = deque()

    def of(self, step: int) -> Encoded:
        """The questions of a step."""
        if not self.ahead or self.ahead[0][0] != step:
            self.ahead = deque((s, self.pool.submit(_draw, s)) for s in range(step, step + AHEAD))
        last = self.ahead[-1][0]
        self.ahead.append((last + 1, self.pool.submit(_draw, last + 1)))
        return self.ahead.popleft()[1].result()


@contextmanager
def drawing(tokenizer: Path) -> Iterator[Questions]:
    """The questions of a run, for as long as the context lasts."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _start, (str(tokenizer), BATCH)) as pool:
        try:
            yield Questions(pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def train_planner(
    out: Path, samples: int, score_every: int, device: torch.device, held_out: int = 100, compiled: bool = True
) -> None:
    """Train until the planner has seen `samples` questions, counting earlier runs in `out`.

    Losses every 25 steps and, every `score_every` samples and at the end, the share of `held_out` prompts whose plans
    are exactly right, and of those that are wrong and not refused, go to `log.csv`; the averaged weights go to
    `planner/`.
    """
    if not (out / "tokenizer").exists():
        write_whole_folder(out / "tokenizer", new_tokenizer().save_pretrained)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "tokenizer")
    pad = int(tokenizer.pad_token_id)
    model = new_model(tokenizer).to(device).train()
    half = device.type == "cuda"  # float32 is faster on a CPU
    trainer = Trainer(
        model, lambda named: muon(named, lambda name: "layers." in name, 4e-3, 0.01), half=half, ema=0.998
    )
    if compiled:
        compile_layers(model)
    todo = exercises("any", held_out, seed=1)

    def export(weights: dict[str, Tensor]) -> None:
        write_whole_folder(out / "planner", lambda folder: save_planner(weights, tokenizer, folder))

    def score(weights: dict[str, Tensor]) -> dict[str, float]:
        export(weights)
        found = flaws(BundledBackend(out / "planner"), todo)
        for exercise, wrong in [pair for pair in zip(todo, found, strict=True) if pair[1]][:5]:
            logger.info("wrong: %s: %s", exercise.prompt, "; ".join(wrong))
        silent = sum(bool(wrong) and not wrong[0].startswith("no plan") for wrong in found)
        return {"exact": sum(not wrong for wrong in found) / len(found), "silent": silent / len(found)}

    with drawing(out / "tokenizer") as questions:

        def learn(progress: float) -> tuple[int, dict[str, Tensor | float]]:
            return BATCH, {"loss": backward(model, questions.of(trainer.step), pad)}

        train(
            trainer,
            learn,
            out,
            "planner",
            LearningRate(warm_up=100, decay=0.4),
            samples=samples,
            log_every=25,
            score=score,
            score_every=score_every,
        )
    export(trainer.weights)
    logger.info("done: %s", out / "planner")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the recipe; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; goes on where it was")
    parser.add_argument("--samples", type=int, default=260_000, help="questions, all resumes together")
    parser.add_argument("--score-every", type=int, default=26_000, help="samples between scores")
    parser.add_argument("--held-out", type=int, default=100, help="prompts that are planned for a score")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    train_planner(args.out, args.samples, args.score_every, torch.device(args.device), args.held_out)


if __name__ == "__main__":
    main()
