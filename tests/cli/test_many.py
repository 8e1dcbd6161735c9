"""Several sources in one start: one loading of the model, a folder each, and what is wrong told before anything."""

import errno
import gc
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from strata.claims import claimed
from strata.console import quiet
from strata.contents import picture_name, run_files
from strata.engine import Engine
from strata.imports import uncollected
from strata.llm.protocol import Question
from tests.cli.conftest import MASK_PLAN, Run
from tests.llm.scripted import ScriptedBackend, sensible

ROOT = Path(__file__).parents[2]
NEGATIVE = MASK_PLAN + "negative_prompt: a ring\n"


@pytest.fixture
def plans(here: Path) -> Path:
    """Three plans, two of them of the same file name."""
    (here / "plan.yaml").unlink()
    for name in ("one.yaml", "two.yaml", "more/one.yaml"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(MASK_PLAN.replace("masks/", f"{here}/masks/"), encoding="utf-8")
    return here


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were loaded."""
    loaded: list[str] = []
    load = Engine.load.__func__  # type: ignore[attr-defined]

    def noted(cls: type[Engine], job: object) -> Engine:
        loaded.append(job.model.name)  # type: ignore[attr-defined]
        engine: Engine = load(cls, job)
        return engine

    monkeypatch.setattr(Engine, "load", classmethod(noted))
    return loaded


def drawn(folder: Path) -> list[str]:
    return sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob("run.json"))


def test_each_plan_has_its_folder_and_the_model_is_loaded_once(
    strata: Run, plans: Path, tiny_folder: Path, loads: list[str]
) -> None:
    options = ("--model", tiny_folder, "--steps", 1, "--seed", 5)
    done = strata("generate", "one.yaml", "two.yaml", "more/one.yaml", *options, "-o", "all")
    assert (done.code, done.err) == (0, "")
    assert drawn(plans / "all") == ["one", "one-2", "two"]
    assert len(loads) == 1
    assert "[3/3] more/one.yaml: one: 1 picture, 32x48 pixels, routing isolate-first, 1 step, " in done.out
    assert re.search(r"two: 1 picture, .*, about \d+ s\n", done.out), "the first plan shows how long the others take"
    assert strata("generate", "two.yaml", *options, "-o", "alone").code == 0
    assert (plans / "alone" / "image.png").stat().st_size > 0
    assert drawn(plans / "alone") == ["."], "of a single plan the folder is the one that is given"

    # Without -o each goes where it would go alone.
    assert strata("generate", "one.yaml", "all/two/image.png", *options).code == 0
    assert drawn(plans / "out") == ["one", "two"]


def test_everything_is_checked_for_all_before_the_model_is_loaded(
    strata: Run, plans: Path, tiny_folder: Path, loads: list[str]
) -> None:
    (plans / "bad.yaml").write_text(MASK_PLAN.replace("height", "hieght"))
    (plans / "negative.yaml").write_text(NEGATIVE.replace("masks/", f"{plans}/masks/"), encoding="utf-8")
    before = set(plans.rglob("*"))
    done = strata("generate", "bad.yaml", "one.yaml", "negative.yaml", "gone.yaml", "boat", "--model", tiny_folder)
    assert done.code == 2
    assert done.out == ""
    *lines, last = done.err.splitlines()
    for line, parts in zip(
        lines,
        [
            ("bad.yaml:2: hieght", "did you mean 'height'"),
            ("negative.yaml:", "--true-cfg"),
            ("gone.yaml", "No such file"),
            ("'boat'", "no such file", "in quotes"),
        ],
        strict=True,
    ):
        assert line.startswith("strata: error: ")
        assert all(part in line for part in parts), line
    assert last == "strata: error: 4 of 5 sources are wrong, so none is drawn"
    assert loads == []

    assert strata("generate", "one.yaml", "--model", tiny_folder, "--steps", 1, "-o", "all/two").code == 0
    loads.clear()
    refused = strata("generate", "one.yaml", "two.yaml", "--model", tiny_folder, "--steps", 1, "-o", "all")
    assert refused.code == 2
    assert "--out all/two: holds layout.png already" in refused.err
    other = strata("generate", "all/two/image.png", "one.yaml", "--dtype", "float32")
    assert other.code == 2
    assert loads == []
    assert set(plans.glob("*")) - before <= {plans / "all", plans / "out"}
    assert not (plans / "all" / "one").exists()


@pytest.mark.slow
def test_pictures_of_several_models_are_refused(strata: Run, plans: Path, tiny_folder: Path, loads: list[str]) -> None:
    common = ("--model", tiny_folder, "--steps", 1)
    assert strata("generate", "one.yaml", *common, "--dtype", "bfloat16", "-o", "half").code == 0
    assert strata("generate", "one.yaml", *common, "--dtype", "float32", "-o", "full").code == 0
    loads.clear()
    refused = strata("generate", "half/image.png", "full/image.png", "--model", tiny_folder)
    assert refused.code == 2
    for part in ("full/image.png: is for model", "in float32, but half/image.png", "in bfloat16", "--dtype"):
        assert part in refused.err
    assert loads == []
    assert strata("generate", "half/image.png", "full/image.png", *common, "--dtype", "float32", "-o", "x").code == 0


def test_a_plan_that_fails_does_not_stop_the_others(
    strata: Run, plans: Path, tiny_folder: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is too small for one of them, which only drawing shows."""
    from diffusers import FluxPipeline

    decode = FluxPipeline._unpack_latents
    (plans / "one.yaml").write_text((plans / "one.yaml").read_text().replace("height: 48", "height: 52"))

    def short(latents: torch.Tensor, height: int, *rest: object) -> torch.Tensor:
        if height == 52:
            raise torch.OutOfMemoryError
        return decode(latents, height, *rest)

    monkeypatch.setattr(FluxPipeline, "_unpack_latents", staticmethod(short))
    options = ("--model", tiny_folder, "--steps", 1, "-o", "all")
    done = strata("generate", "one.yaml", "two.yaml", *options)
    assert done.code == 1
    told, last = done.err.splitlines()
    assert told.startswith("strata: error: one.yaml: out of memory: try --offload")
    assert last == "strata: error: 1 of 2 sources not drawn: one.yaml"
    assert drawn(plans / "all") == ["two"]
    assert len(loads) == 1
    assert strata("generate", "one.yaml", *options[:-1], "alone").code == 2, "alone it is bad input as ever"


def test_a_full_disk_is_told_with_the_file_and_in_words(
    strata: Run, plans: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system names no file; the number of the error is for programs."""
    errors = [
        OSError(errno.ENOSPC, "No space left on device", "all/one/masks"),
        OSError(errno.ENOSPC, "No space left on device"),
    ]

    def fail(*arguments: object, **options: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr("strata.commands.generate.draw_run", fail)
    done = strata("generate", "one.yaml", "two.yaml", "--model", tiny_folder, "--steps", 1, "-o", "all")
    assert done.code == 1
    assert done.err.splitlines() == [
        "strata: error: one.yaml: all/one/masks: No space left on device",
        "strata: error: two.yaml: No space left on device",
        "strata: error: 2 of 2 sources not drawn: one.yaml, two.yaml",
    ]


def test_a_folder_that_another_run_takes_meanwhile_does_not_stop_the_others(
    strata: Run, plans: Path, tiny_folder: Path, loads: list[str], llm: ScriptedBackend
) -> None:
    """While a prompt is planned, after everything was checked and before the model is loaded."""
    with ExitStack() as another:

        def answer(question: Question) -> str:
            if not (plans / "all/one").exists():
                another.enter_context(claimed(plans / "all/one", "another run"))
            return sensible(question)

        llm.answer = answer
        size = ("--width", 32, "--height", 48)
        done = strata("generate", "one.yaml", "a boat", "--model", tiny_folder, "--steps", 1, *size, "-o", "all")
    assert done.code == 1
    told, last = done.err.splitlines()[-2:]
    assert told.startswith("strata: error: one.yaml: --out all/one: another run writes there at this moment")
    assert last == "strata: error: 1 of 2 sources not drawn: one.yaml"
    assert drawn(plans / "all") == ["a-boat"]
    assert len(loads) == 1


def test_a_model_that_cannot_be_loaded_is_told_once(strata: Run, plans: Path, tiny_folder: Path) -> None:
    broken = shutil.copytree(tiny_folder, plans / "broken")
    shutil.rmtree(broken / "vae")
    done = strata("generate", "one.yaml", "two.yaml", "--model", "broken", "--steps", 1, "-o", "all")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "broken/vae" in done.err or "no folder vae" in done.err
    assert not (plans / "all").exists()


def test_resume_draws_what_is_missing_and_refuses_what_would_come_out_otherwise(
    strata: Run, plans: Path, tiny_folder: Path, loads: list[str]
) -> None:
    command = ("generate", "one.yaml", "two.yaml", "--model", tiny_folder, "--steps", 1, "-o", "all", "--resume")
    assert strata(*command).code == 0
    first = {path: path.read_bytes() for path in (plans / "all").rglob("*") if path.is_file()}
    loads.clear()
    again = strata(*command)
    assert (again.code, again.err, loads) == (0, "", [])
    assert again.out == "".join(f"all/{name}: is there and would come out the same\n" for name in ("one", "two"))
    assert {path: path.read_bytes() for path in (plans / "all").rglob("*") if path.is_file()} == first

    plan = plans / "two.yaml"
    plan.write_text(plan.read_text().replace("high: a square", "high: a ring"), encoding="utf-8")
    refused = strata(*command)
    assert (refused.code, loads) == (2, [])
    assert refused.err.startswith("strata: error: --out all/two: holds another run (of another plan)")
    assert {path: path.read_bytes() for path in (plans / "all").rglob("*") if path.is_file()} == first
    replaced = strata(*command, "--force")
    assert replaced.code == 0
    assert "all/one: is there and would come out the same\n" in replaced.out
    assert "all/two/image.png  seed " in replaced.out
    loads.clear()
    assert strata(*command, "--count", 2).code == 0, "one more of each"
    assert len(loads) == 1
    for name in ("one", "two"):
        assert (plans / "all" / name / "image-2.png").exists()
        assert not (plans / "all" / name / "image.png").exists()
    assert (plans / "all" / "one" / "image-1.png").read_bytes() == first[plans / "all" / "one" / "image.png"]


def test_resume_of_a_prompt_adds_to_the_run_of_its_plan(
    strata: Run, here: Path, tiny_folder: Path, llm: ScriptedBackend
) -> None:
    """Whose plan is known only when it is made; anything else in the folder stays."""
    command = ("generate", "a boat", "--model", tiny_folder, "--steps", 1, "--width", 32, "--height", 48)
    assert strata(*command, "-o", "run").code == 0
    before = (here / "run/image.png").read_bytes()
    done = strata(*command, "-o", "run", "--resume", "--count", 2)
    assert (done.code, "2 pictures (1 there already)" in done.out) == (0, True)
    assert (here / "run/image-1.png").read_bytes() == before
    (here / "mine").mkdir()
    (here / "mine/plan.yaml").write_text("mine")
    refused = strata(*command, "-o", "mine", "--resume")
    assert "--out mine: holds plan.yaml already; give another folder, or --force" in refused.err
    assert (here / "mine/plan.yaml").read_text() == "mine"


@pytest.mark.parametrize(("count", "first", "last"), [(1, "image.png", "image.png"), (8, "image-1.png", "image-8.png")])
def test_names(count: int, first: str, last: str) -> None:
    assert (picture_name(0, count), picture_name(count - 1, count)) == (first, last)


@pytest.mark.parametrize("count", [2, 9, 10, 12, 100, 101])
def test_names_sort_as_drawn(count: int) -> None:
    names = [picture_name(index, count) for index in range(count)]
    assert sorted(names) == names
    assert len(set(run_files(count, previews=True))) == 5 + 1 + 2 * count


@pytest.mark.slow
def test_libraries_print_nothing_while_a_model_is_loaded(here: Path, tiny_folder: Path) -> None:
    """On a terminal, where they would draw bars; in a process of its own, as they set up once."""
    code = """if True:
    import sys
    sys.stderr.isatty = lambda: True
    from strata.cli import main
    sys.exit(main(sys.argv[1:]))"""
    arguments = (
        "generate",
        str(here / "plan.yaml"),
        "--model",
        str(tiny_folder),
        "--steps",
        "1",
        "-o",
        str(here / "run"),
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "Load" not in done.stderr
    assert "it/s" not in re.sub(r"\d+/\d+ \[[^]]*step[^]]*\]", "", done.stderr)


def test_quiet_leaves_the_libraries_as_they_were() -> None:
    from diffusers.utils import logging as diffusers_logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled
    from transformers.utils import logging as transformers_logging

    def state() -> tuple[object, ...]:
        libraries = (transformers_logging, diffusers_logging)
        return (
            are_progress_bars_disabled(),
            *((library.is_progress_bar_enabled(), library.get_verbosity()) for library in libraries),
        )

    before = state()
    with quiet():
        assert state() != before
    assert state() == before


def test_the_garbage_collector_rests_and_goes_on() -> None:
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled(), "the inner one found it resting"
    assert gc.isenabled()
