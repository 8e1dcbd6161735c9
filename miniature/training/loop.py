"""The training loop that every model of this project is trained with.

A model's recipe brings a function that draws one batch and back-propagates its loss; the loop does the rest: the
learning rate, clipping, the optimizers' steps, the moving average of the weights, checkpoints, the log, a progress bar.

A run can be killed at any moment: checkpoints take their file's place whole or not at all, hold the state of every
source of randomness, and a resumed run ends with the weights of one that was never interrupted.
"""

from __future__ import annotations

import logging
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import write_atomic

logger = logging.getLogger(__name__)

SAVE_EVERY = 120.0
"""Seconds of training between checkpoints."""
Named = Mapping[str, Tensor]
"""Float32 parameters by name."""
Learn = Callable[[float], tuple[int, Mapping[str, Tensor | float]]]
"""Draws a batch and back-propagates its loss; takes the run's progress (0 to 1), returns how many samples the batch
held and what to log."""
Score = Callable[[dict[str, Tensor]], Mapping[str, float]]
"""Takes the averaged weights, returns scores to log."""


class Memory(Protocol):
    """What a recipe knows from one step to the next beside the weights, in plain values and tensors."""

    def state_dict(self) -> dict[str, Any]:
        """The whole of it."""

    def load_state_dict(self, state: dict[str, Any], /) -> object:
        """Take the place of what is known so far."""


@dataclass(frozen=True)
class LearningRate:
    """The factor of the learning rates: linear warm-up, then flat, then down to `floor` over the run's last part."""

    warm_up: int
    """Steps."""
    decay: float = 1.0
    """Share of the run over which it falls."""
    floor: float = 0.01
    power: float = 1.0
    """Of the fall: 1 is linear."""

    def __call__(self, progress: float, step: int) -> float:
        """The factor at a progress from 0 to 1, after `step` steps."""
        fall: float = min(1.0, max(self.floor, (1 - progress) / self.decay)) ** self.power
        return min(1.0, (step + 1) / self.warm_up) * fall


def adamw(named: Named, lr: float, betas: tuple[float, float] = (0.9, 0.999), weight_decay: float = 0.0) -> Optimizer:
    """AdamW for all of the parameters."""
    return torch.optim.AdamW(list(named.values()), lr=lr, betas=betas, weight_decay=weight_decay)


class FlatMuon(torch.optim.Muon):
    """torch's Muon, which takes matrices alone, also for convolutions' kernels, as [out, in × height × width].

    Its step is scaled to the size of AdamW's (Jordan et al. 2024; Liu et al., arXiv 2502.16982).
    """

    def __init__(self, whole: list[Tensor], lr: float, weight_decay: float) -> None:
        self.whole = whole
        flat = [p.detach().view(len(p), -1) for p in whole]
        super().__init__(flat, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    def step(self, closure: Any = None) -> Any:
        """As torch's, with the gradients of the whole kernels."""
        for p, flat in zip(self.whole, self.param_groups[0]["params"], strict=True):
            flat.grad = None if p.grad is None else p.grad.reshape(flat.shape)
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Of the whole kernels too."""
        super().zero_grad(set_to_none)
        for p in self.whole:
            p.grad = None


def muon(named: Named, is_matrix: Callable[[str], bool], lr: float, weight_decay: float = 0.0) -> list[Optimizer]:
    """Muon for the chosen parameters of two and more dimensions, AdamW at half its learning rate for the rest."""
    chosen = [name for name, p in named.items() if p.ndim >= 2 and is_matrix(name)]
    rest = {name: p for name, p in named.items() if name not in set(chosen)}
    return [FlatMuon([named[n] for n in chosen], lr, weight_decay), adamw(rest, lr / 2, (0.9, 0.98))]


class Trainer:
    """A model in training: float32 master weights, their optimizers and moving average, and all counters.

    Args:
        model: what is trained, on the device where it is trained.
        optimizers: makes the optimizers of the float32 parameters; each starts from its own learning rate.
        half: compute in bfloat16 over the float32 master weights; else the model's own parameters are the master.
        ema: decay of the moving average; None keeps none.
        clip: largest norm of the model's gradient.
        auxiliary: a module that serves training alone, trained by AdamW at 1e-3 without clipping.
        memory: of the recipe, by name; checkpoints hold it.
        seed: of `rng`, from which the recipe draws its batches. Torch's own generators are the caller's to seed.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Callable[[Named], list[Optimizer]],
        *,
        half: bool = False,
        ema: float | None = None,
        clip: float = 1.0,
        auxiliary: nn.Module | None = None,
        memory: Mapping[str, Memory] | None = None,
        seed: int = 0,
    ) -> None:
        named = dict(model.named_parameters())
        self.master: dict[str, Tensor] = (
            {n: p.detach().clone().float() for n, p in named.items()} if half else {**named}
        )
        self.ema = None if ema is None else {name: p.detach().clone() for name, p in self.master.items()}
        self.model = model.to(torch.bfloat16) if half else model
        self.half, self.decay, self.clip = half, ema, clip
        self.optimizers = optimizers(self.master)
        self.auxiliary, self.memory = auxiliary, dict(memory or {})
        if auxiliary is not None:
            self.optimizers.append(adamw(dict(auxiliary.named_parameters()), 1e-3, weight_decay=0.01))
        self.rates = [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]
        self.seed, self.rng = seed, random.Random(seed)
        self.step, self.samples, self.seconds = 0, 0, 0.0
        self.sums: dict[str, float] = {}
        """Of what is logged, since the log's last row."""
        self.summed = 0

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(iter(self.master.values())).device

    @property
    def weights(self) -> dict[str, Tensor]:
        """What the run has to show so far: the moving average, or the master weights where there is none."""
        return self.master if self.ema is None else self.ema

    def set_weights(self, weights: Named) -> None:
        """Start from these weights."""
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                self.master[name].copy_(weights[name])
                p.copy_(self.master[name])
                if self.ema is not None:
                    self.ema[name].copy_(weights[name])

    def update(self, rate: float) -> float:
        """One step along the gradients at `rate` × the learning rates; returns the gradient's norm.

        A gradient that is not finite is skipped.
        """
        moved = []
        for name, p in self.model.named_parameters():
            if p.grad is not None:
                moved.append(self.master[name])
                if self.half:
                    self.master[name].grad = p.grad.float()
                    p.grad = None
        norm = float(nn.utils.clip_grad_norm_(moved, self.clip))
        for optimizer, base in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * rate
            if math.isfinite(norm):
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            if self.half:
                for name, p in self.model.named_parameters():
                    p.copy_(self.master[name])
            if self.ema is not None and self.decay is not None:
                decay = min(self.decay, (1 + self.step) / (10 + self.step))
                for name, average in self.ema.items():
                    average.lerp_(self.master[name], 1 - decay)
        self.step += 1
        return norm

    def save(self, path: Path) -> None:
        """Write the whole state, whole or not at all."""
        state = {
            "master": {name: p.detach() for name, p in self.master.items()},
            "ema": self.ema,
            "buffers": self._buffers(),
            "auxiliary": self.auxiliary and self.auxiliary.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "memory": {name: memory.state_dict() for name, memory in self.memory.items()},
            "counts": (self.step, self.samples, self.seconds),
            "log": (self.sums, self.summed),
            "seed": self.seed,
            "rng": (self.rng.getstate(), torch.get_rng_state(), self._device_rng()),
        }
        write_whole(path, lambda part: torch.save(state, part))

    def load(self, path: Path) -> None:
        """Read what `save` wrote, the state of all sources of randomness included.

        Raises:
            InputError: the checkpoint is of another model or seed.
        """
        state = torch.load(path, weights_only=True, map_location="cpu")
        known = state.get("memory", {}).keys() == self.memory.keys()
        if not (known and state.get("master", {}).keys() == self.master.keys() and state.get("seed") == self.seed):
            raise InputError(f"{path}: is a checkpoint of another model or seed; remove it or name another folder")
        self.set_weights(state["master"])
        with torch.no_grad():
            for name, average in (self.ema or {}).items():
                average.copy_(state["ema"][name])
            for name, buffer in self._buffers().items():
                buffer.copy_(state["buffers"][name])
        if self.auxiliary is not None:
            self.auxiliary.load_state_dict(state["auxiliary"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for name, memory in self.memory.items():
            memory.load_state_dict(state["memory"][name])
        self.step, self.samples, self.seconds = state["counts"]
        self.sums, self.summed = state["log"]
        ours, torchs, devices = state["rng"]
        self.rng.setstate(ours)
        torch.set_rng_state(torchs)
        if devices is not None:
            torch.cuda.set_rng_state(devices, self.device)

    def _buffers(self) -> dict[str, Tensor]:
        kept = self.model.state_dict().keys()
        return {name: buffer for name, buffer in self.model.named_buffers() if name in kept}

    def _device_rng(self) -> Tensor | None:
        return torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None


class Log:
    """Losses and scores against samples seen, as CSV; a resumed run drops what its checkpoint does not know of."""

    HEAD = "stage,step,samples,seconds,what,value\n"

    def __init__(self, path: Path, stage: str, step: int) -> None:
        self.path, self.stage = path, stage
        lines = path.read_text().splitlines(keepends=True)[1:] if path.exists() else []
        whole = [line for line in lines if line.count(",") == 5 and line.endswith("\n")]  # a kill can cut the last one
        kept = [line for line in whole if line.split(",")[0] != stage or int(line.split(",")[1]) <= step]
        write_atomic(path, self.HEAD + "".join(kept))

    def add(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        """One line a value."""
        where = f"{self.stage},{trainer.step},{trainer.samples},{trainer.seconds:.0f}"
        with self.path.open("a") as file:
            file.write("".join(f"{where},{what},{value:.5g}\n" for what, value in values.items()))
        shown = ", ".join(f"{what} {value:.4g}" for what, value in values.items())
        logger.info(
            "%s step %d, %d samples, %.0f s: %s", self.stage, trainer.step, trainer.samples, trainer.seconds, shown
        )


def train(
    trainer: Trainer,
    learn: Learn,
    out: Path,
    stage: str,
    schedule: LearningRate,
    *,
    samples: int | None = None,
    seconds: float | None = None,
    log_every: int = 50,
    score: Score | None = None,
    score_every: int = 0,
) -> None:
    """Train until the run, with all its resumes, has seen `samples` samples or has trained for `seconds`.

    Goes on from `STAGE.pt` in `out`, if it is there, and leaves the last state in it. Means of what `learn` returns and
    of the gradient's norm go to `log.csv` every `log_every` steps.

    Args:
        trainer: a new one.
        learn: see `Learn`.
        out: the run's folder.
        stage: the name of the checkpoint, of the log's rows and of the progress bar.
        schedule: of the learning rates.
        samples: length of the run; give this or `seconds`.
        seconds: likewise, of training time; such a run depends on the machine's speed.
        log_every: steps.
        score: is called with the averaged weights every `score_every` samples and at the end of the run; what it draws
            at random leaves the training's randomness as it was.
        score_every: samples.

    Raises:
        InputError: the checkpoint in `out` is of another model or seed.
    """
    if (samples is None) == (seconds is None):
        raise ValueError("give samples or seconds")
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{stage}.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        logger.info("%s: going on from step %d, %d samples", stage, trainer.step, trainer.samples)

    def progress() -> float:
        return trainer.seconds / seconds if samples is None and seconds else trainer.samples / (samples or 1)

    log = Log(out / "log.csv", stage, trainer.step)
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    last_save = trainer.seconds
    bar = tqdm(total=samples, initial=trainer.samples, desc=stage, unit=" samples", disable=None, leave=False)
    with bar, nullcontext() if bar.disable else logging_redirect_tqdm():
        while progress() < 1:
            begin, before = time.monotonic(), trainer.samples
            rate = schedule(progress(), trainer.step)
            seen, values = learn(progress())
            norm = trainer.update(rate)
            for what, value in (*values.items(), ("gradient", norm)):
                trainer.sums[what] = trainer.sums.get(what, 0.0) + float(value)
            trainer.summed += 1
            trainer.samples += seen
            trainer.seconds += time.monotonic() - begin
            bar.update(seen)
            if trainer.step % log_every == 0:
                log.add(trainer, {what: total / trainer.summed for what, total in trainer.sums.items()})
                trainer.sums, trainer.summed = {}, 0
            scores_now = score and score_every and before // score_every < trainer.samples // score_every
            if score and (scores_now or progress() >= 1):
                with torch.random.fork_rng(devices):
                    log.add(trainer, score(trainer.weights))
            if scores_now or progress() >= 1 or trainer.seconds - last_save >= SAVE_EVERY:
                trainer.save(checkpoint)
                last_save = trainer.seconds


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """`write` a file whole or not at all: under another name, which then takes the place of `path`."""
    part = path.with_name(path.name + ".part")
    write(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def write_whole_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """`write` a folder (as `save_pretrained` does) whole or not at all."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
    write(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
