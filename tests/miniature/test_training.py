"""The training loop: a run that is stopped or killed and resumed ends with the weights of one that was not."""

from __future__ import annotations

import csv
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from strata.hierarchy.errors import InputError
from strata.miniature import train as recipe
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.model.autoencoder import new_autoencoder
from strata.miniature.model.text import clip_tokenizer, new_clip, new_t5, t5_tokenizer
from strata.miniature.model.transformer import new_transformer
from strata.miniature.training import autoencoder, data, loop
from strata.miniature.training.autoencoder import train_autoencoder
from strata.miniature.training.data import Data, Pool
from strata.miniature.training.flow import distil_guidance, train_flow
from strata.miniature.training.loop import LearningRate, Log, Trainer, adamw, train, write_whole
from strata.miniature.training.scorer import train_scorer
from strata.miniature.training.text import train_clip, train_t5
from tests.rarely import rarely

POOLS = (
    Pool(64, 64, (1,), 8, (0.5, 0.4, 0.4), 2, 4, 8),
    Pool(128, 64, (1,), 8, (0.3, 0.3, 0.3), 2, 4, 8),
    Pool(128, 128, (2,), 26, (0.2, 0.3, 0.3), 2, 4, 8),
)
Weights = dict[str, Tensor]
tiny_transformer = partial(new_transformer, double_blocks=1, single_blocks=2)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "CHUNK", 2)
    monkeypatch.setattr(data, "LONG_BATCH", 1)
    monkeypatch.setattr(autoencoder, "PATCHES", 4)
    monkeypatch.setattr("strata.miniature.training.flow.READER_STEPS", 1)
    for module in ("training.flow", "checkpoint"):
        monkeypatch.setattr(f"strata.miniature.{module}.new_transformer", tiny_transformer)
    monkeypatch.setattr(autoencoder, "psnr", lambda model, images: torch.full((len(images),), math.nan))


def small_planner(monkeypatch: pytest.MonkeyPatch) -> None:
    from strata.llm.backends.bundled import WEIGHTS
    from strata.llm.backends.bundled import train as planner

    monkeypatch.setattr(planner, "BATCH", 4)
    monkeypatch.setattr(planner, "new_tokenizer", lambda: PreTrainedTokenizerFast.from_pretrained(WEIGHTS))
    monkeypatch.setattr(planner, "flaws", lambda *_: [[]])


@cache
def untrained() -> Data:
    torch.manual_seed(5)
    t5, clip = t5_tokenizer(), clip_tokenizer()
    vae = new_autoencoder().eval().requires_grad_(False)
    vae.register_to_config(shift_factor=0.0, scaling_factor=1.0)
    encoders = (new_t5(len(t5)).eval().requires_grad_(False), new_clip(clip).eval().requires_grad_(False))
    with tempfile.TemporaryDirectory() as folder:  # its files stay open, and readable
        return Data(vae, *encoders, (t5, clip), torch.device("cpu"), Path(folder), POOLS)


@cache
def teacher() -> Weights:
    torch.manual_seed(6)
    return {name: p.detach() for name, p in tiny_transformer().named_parameters()}


def run_planner(out: Path) -> Weights:
    from strata.llm.backends.bundled.train import train_planner

    train_planner(out, 24, 12, torch.device("cpu"), held_out=1, compiled=False)
    weights: Weights = torch.load(out / "planner.pt", weights_only=True)["ema"]
    return weights


MODELS: dict[str, Callable[[Path], Weights]] = {
    "autoencoder": lambda out: train_autoencoder(out, 6).state_dict(),
    "t5": lambda out: train_t5(out, 6)[1].state_dict(),
    "clip": lambda out: train_clip(out, 6)[1].state_dict(),
    "flow": lambda out: train_flow(untrained(), out, 11, compiled=False),
    "guidance": lambda out: distil_guidance(untrained(), teacher(), out, 11, compiled=False),
    "scorer": lambda out: train_scorer(out, samples=6 * 96).net.state_dict(),
    "planner": run_planner,
}


def rows(log: Path) -> list[list[str]]:
    """A log without its seconds."""
    with log.open(newline="") as file:
        return [row[:3] + row[4:] for row in csv.reader(file)]


QUICK = ("clip",)
"""Models whose training is repeated every day: the loop is that of all."""


@pytest.mark.parametrize("name", [*QUICK, *rarely(*(name for name in MODELS if name not in QUICK))])
def test_every_model_resumes_exactly(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "planner":
        small_planner(monkeypatch)
    run, update, steps = MODELS[name], Trainer.update, 0
    whole = run(tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)

    def interrupted(self: Trainer, rate: float) -> float:
        nonlocal steps
        steps += 1
        if steps in (3, 6):  # after a batch was drawn and back-propagated
            raise KeyboardInterrupt
        return update(self, rate)

    monkeypatch.setattr(Trainer, "update", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "resumed")
    resumed = run(tmp_path / "resumed")
    assert whole.keys() == resumed.keys()
    for key, tensor in whole.items():
        assert torch.equal(tensor, resumed[key]), key
    assert rows(tmp_path / "whole" / "log.csv") == rows(tmp_path / "resumed" / "log.csv")


KILLED = """
import sys, torch
from pathlib import Path
from strata.miniature.training import loop
from strata.miniature.training.loop import LearningRate, Trainer, adamw, train

loop.SAVE_EVERY = 0.0
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.BatchNorm1d(300), torch.nn.Linear(300, 1))
trainer = Trainer(model, lambda named: [adamw(named, 1e-2)], ema=0.9, seed=4)

def learn(progress):
    batch = torch.randn(8, 300) + trainer.rng.random()
    loss = (model(batch) - batch.mean(1, keepdim=True)).square().mean()
    loss.backward()
    return 8, {"loss": loss.detach()}

train(trainer, learn, Path(sys.argv[1]), "toy", LearningRate(5), samples=8 * 120, log_every=7)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY", 0.0)  # what the script sets is undone
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    checkpoint, kills = killed / "toy.pt", 0
    for pause in (0.02, 0.05):
        begun = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(killed)])
        while process.poll() is None and (checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0) == begun:
            time.sleep(0.001)
        time.sleep(pause)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills
    threads = torch.get_num_threads()
    try:
        for folder in (killed, whole):
            monkeypatch.setattr(sys, "argv", ["", str(folder)])
            exec(KILLED, {})
    finally:
        torch.set_num_threads(threads)
    one, other = (torch.load(folder / "toy.pt", weights_only=True) for folder in (whole, killed))
    for part in ("master", "ema", "buffers"):
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), (part, name)
    assert rows(whole / "log.csv") == rows(killed / "log.csv")


def toy(seed: int = 0, half: bool = False) -> Trainer:
    torch.manual_seed(seed)
    return Trainer(nn.Linear(2, 1), lambda named: [adamw(named, 0.1)], half=half, ema=0.9, seed=seed)


def learner(trainer: Trainer) -> Callable[[float], tuple[int, dict[str, Tensor]]]:
    def learn(progress: float) -> tuple[int, dict[str, Tensor]]:
        loss = trainer.model(torch.ones(1, 2, dtype=trainer.model.weight.dtype)).float().square().mean()
        loss.backward()
        return 1, {"loss": loss.detach()}

    return learn


def test_the_log_and_the_scores(tmp_path: Path) -> None:
    trainer = toy(half=True)
    scored: list[int] = []

    def score(weights: Weights) -> dict[str, float]:
        scored.append(trainer.samples)
        torch.rand(5)  # what a score draws at random is no matter of the training
        return {"right": 0.25}

    train(
        trainer, learner(trainer), tmp_path, "toy", LearningRate(2), samples=7, log_every=2, score=score, score_every=3
    )
    assert scored == [3, 6, 7]
    found = rows(tmp_path / "log.csv")
    assert found[0] == ["stage", "step", "samples", "what", "value"]
    assert [row[:4] for row in found[1:]] == [
        ["toy", "2", "2", "loss"],
        ["toy", "2", "2", "gradient"],
        ["toy", "3", "3", "right"],
        ["toy", "4", "4", "loss"],
        ["toy", "4", "4", "gradient"],
        ["toy", "6", "6", "loss"],
        ["toy", "6", "6", "gradient"],
        ["toy", "6", "6", "right"],
        ["toy", "7", "7", "right"],
    ]
    again = toy(half=True)
    train(again, learner(again), tmp_path, "toy", LearningRate(2), samples=7, score=score)
    assert (again.step, scored) == (7, [3, 6, 7]), "a finished run is not trained further"
    assert rows(tmp_path / "log.csv") == found


def test_a_log_line_that_a_kill_cut_short_is_dropped_and_so_is_what_the_checkpoint_does_not_know(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(Log.HEAD + "other,9,9,9,loss,1\ntoy,1,1,0,loss,1\ntoy,3,3,0,loss,1\ntoy,2,2")
    Log(path, "toy", 1)
    assert path.read_text() == Log.HEAD + "other,9,9,9,loss,1\ntoy,1,1,0,loss,1\n"


def test_a_checkpoint_of_another_seed_or_model_is_refused(tmp_path: Path) -> None:
    toy().save(tmp_path / "toy.pt")
    other = toy(seed=1)
    with pytest.raises(InputError, match=r"toy\.pt: is a checkpoint of another model or seed"):
        train(other, learner(other), tmp_path, "toy", LearningRate(1), samples=1)
    wider = Trainer(nn.Sequential(nn.Linear(2, 1)), lambda named: [adamw(named, 0.1)])
    with pytest.raises(InputError, match="another model"):
        wider.load(tmp_path / "toy.pt")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("before")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fail)
    assert path.read_text() == "before"
    write_whole(path, lambda part: part.write_text("after"))
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_gradient_that_is_not_finite_is_skipped() -> None:
    trainer = toy()
    before = {name: p.detach().clone() for name, p in trainer.master.items()}
    (trainer.model(torch.ones(1, 2)) * math.inf).sum().backward()
    assert not math.isfinite(trainer.update(1.0))
    assert all(torch.equal(p, before[name]) for name, p in trainer.master.items())
    assert all(p.grad is None for p in trainer.model.parameters())


def test_the_schedule() -> None:
    schedule = LearningRate(warm_up=10, decay=0.5, floor=0.1)
    assert [schedule(0, step) for step in (0, 4, 9, 99)] == [0.1, 0.5, 1, 1]
    assert [schedule(p, 99) for p in (0.25, 0.5, 0.75, 1.0)] == pytest.approx([1, 1, 0.5, 0.1])
    assert LearningRate(warm_up=1, power=2)(0.5, 0) == 0.25


@pytest.mark.slow
def test_the_whole_recipe_at_tiny_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage leaves its result; what is there is not made again; a missing stage alone is."""
    monkeypatch.setattr(recipe, "keep_memory", lambda: None)
    monkeypatch.setattr(recipe, "Data", partial(Data, pools=POOLS))
    monkeypatch.setattr("strata.miniature.training.flow.compile_blocks", lambda model: None)
    monkeypatch.setattr(recipe, "score", lambda out, weights: {"single": 0.0})
    steps = [f"--{name}={n}" for name, n in (("vae-steps", 1), ("t5-steps", 1), ("clip-steps", 1), ("flow-samples", 2))]
    command = [
        "--out",
        str(tmp_path),
        *steps,
        "--guidance-samples=2",
        f"--threads={torch.get_num_threads()}",
        "--device=cpu",
    ]
    recipe.main(command)
    assert load_pipeline(tmp_path).transformer.config.num_layers == 1, "the flow as it stands can be drawn with"
    index = tmp_path / "pipeline" / "model_index.json"
    assert json.loads(index.read_text())["_class_name"] == "FluxPipeline"
    assert set(json.loads((tmp_path / "record.json").read_text())) == {"t5_words_tagged_right", "clip_words_told_right"}
    first = (tmp_path / "pipeline" / "transformer" / "diffusion_pytorch_model.safetensors").read_bytes()
    (tmp_path / "guidance.safetensors").unlink()
    (tmp_path / "guidance.pt").unlink()
    monkeypatch.setattr(recipe, "train_autoencoder", lambda *_, **__: pytest.fail("is there already"))
    recipe.main(command)
    assert (tmp_path / "pipeline" / "transformer" / "diffusion_pytorch_model.safetensors").read_bytes() == first
