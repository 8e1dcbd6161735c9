"""What `--resume` takes for the same run, and that it draws what is missing of it and nothing else."""

import errno
import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from strata.claims import LOCK
from strata.commands.runs import Pace, draw_run
from strata.contents import run_files
from strata.engine import IMAGE_STRENGTH, Engine
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan
from strata.job import Job, prepare
from strata.layers.routing import Routing
from strata.record import RunSettings
from strata.resume import begun_run
from strata.run_files import is_drawn
from strata.run_folder import RunFolder
from strata.settings import LARGEST_SEED, DrawSettings
from strata.source import Source, open_source
from tests.cli.conftest import Run
from tests.cli.test_errors import refused


@pytest.fixture
def job(here: Path, tiny_folder: Path) -> Job:
    Image.new("RGB", (8, 8)).save(here / "start.png")
    with open_source("plan.yaml") as source:
        return prepare(DrawSettings(model=str(tiny_folder), steps=2, seed=5, image="start.png"), source)


@pytest.fixture
def folder(job: Job, here: Path) -> Path:
    """As a run of two pictures leaves it, but for what the pictures show."""
    out = here / "run"
    settings = RunSettings(
        model=job.model.name,
        seed=5,
        steps=2,
        guidance=3.5,
        image_strength=IMAGE_STRENGTH,
        device=job.device,
        dtype=job.dtype,
        threads=1,
    )
    images = [{"file": f"image-{n}.png", "seed": 4 + n} for n in (1, 2)]
    record = job.record(settings).model_dump(mode="json") | {"images": images, "rules": []}
    texts = {
        "run.json": json.dumps(record),
        "plan.yaml": job.kept_plan.to_yaml(),
        "routing.yaml": job.routing.to_yaml(),
    }
    files = {name: text.encode() for name, text in texts.items()} | dict(job.files)
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    for name, content in (files | dict.fromkeys(("image-1.png", "image-2.png"), png.getvalue())).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return out


def edited(**changes: Any) -> Callable[[Path], object]:
    """Changes run.json: its settings, else itself."""

    def edit(folder: Path) -> None:
        data = json.loads((folder / "run.json").read_text())
        for name, value in changes.items():
            (data["settings"] if name in data["settings"] else data)[name] = value
        (folder / "run.json").write_text(json.dumps(data))

    return edit


def kept(folder: Path, job: Job, count: int = 2) -> list[int]:
    begun = begun_run(folder, job, count, "run")
    assert begun is not None
    return sorted(begun.images)


def test_the_same_run_goes_on(folder: Path, job: Job) -> None:
    assert kept(folder, job) == kept(folder, job, 12) == [0, 1]
    with pytest.raises(SettingError, match="out run: holds 2 pictures, more than count 1, and resume only adds"):
        kept(folder, job, 1)
    with pytest.raises(SettingError, match="seed 5: "):
        kept(folder, job, LARGEST_SEED)
    edited(threads=7)(folder)
    assert kept(folder, job) == [0, 1], "which a plan does not ask for"
    (folder / "image-1.png").unlink()
    assert kept(folder, job) == [1]
    whole = (folder / "image-2.png").read_bytes()
    (folder / "image-2.png").write_bytes(whole[: len(whole) // 2])
    assert kept(folder, job) == [], "cut off"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "plan.yaml").write_text("width: 32"), "another plan"),
        (lambda folder: (folder / "routing.yaml").write_text(Routing.load("uniform").to_yaml()), "another routing"),
        (lambda folder: (folder / "masks/half_right.png").write_bytes(b"another"), "another masks/half_right.png"),
        (lambda folder: (folder / "inputs/image.png").unlink(), "another inputs/image.png"),
        (edited(image=None), "another image"),
        (edited(mask_image="inputs/image.png"), "another mask image"),
        (edited(swaps=[{"area": "left", "level": "low", "text": None, "steps": "0%-50%"}]), "other texts"),
        (edited(repaints=[{"region": "left", "seed": 1}]), "repainted otherwise"),
        (edited(base_prompt="two boats"), "another base prompt heard"),
        (edited(guidance=2.0), "guidance 2.0, not 3.5"),
        (edited(true_cfg=4.0), "true_cfg 4.0, not unset"),
        (edited(image_strength=0.5), "image_strength 0.5, not 0.6"),
        (edited(steps=3), "steps 3, not 2"),
        (edited(dtype="bfloat16"), "dtype bfloat16, not float32"),
        (edited(device="mps"), "device mps, not cpu"),
        (edited(model="other"), "model other, not "),
    ],
)
def test_another_run_is_refused(folder: Path, job: Job, change: Callable[[Path], object], said: str) -> None:
    change(folder)
    with pytest.raises(SettingError, match=r"holds another run \(.*\), and resume only adds .* force too") as refusal:
        begun_run(folder, job, 2, "run")
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "run.json").write_text("[]"),
        edited(seed=6),
        edited(images=[{"file": "image-1.png", "seed": 5}, {"file": "image-2.png", "seed": 5}]),
        edited(images=[{"file": "image-1.png", "seed": 4}]),
        edited(images=[{"file": "../image-1.png", "seed": 5}]),
        edited(images=[{"file": "image-1.png", "preview": "masks/half_right.png", "seed": 5}]),
        edited(images=[{"seed": 5}]),
        edited(format=2),
    ],
)
def test_a_record_that_strata_did_not_write_is_no_run(folder: Path, job: Job, change: Callable[[Path], object]) -> None:
    change(folder)
    assert begun_run(folder, job, 2, "run") is None


# Drawn ----------------------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(folder: Path) -> dict[int, bytes]:
    """The pictures of a run by their seeds, and that its run.json lists what is there."""
    rows = json.loads((folder / "run.json").read_text())["images"]
    assert [row["seed"] for row in rows] == sorted(row["seed"] for row in rows)
    found = {}
    for row in rows:
        with Image.open(folder / row["file"]) as image:
            found[row["seed"]] = image.tobytes()
    return found


def test_an_interrupted_run_goes_on(
    strata: Run, here: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the second of four pictures; then ten are wanted, and the names have two figures."""
    command = ("generate", "plan.yaml", "--model", tiny_folder, "--steps", 1)
    assert strata(*command, "--seed", 7, "--count", 10, "-o", "whole").code == 0
    calls: list[float] = []

    def took(pace: Pace, job: Job, seconds: float) -> None:
        calls.append(seconds)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Pace, "took", took)
        assert strata(*command, "--seed", 7, "--count", 4, "-o", "run").code == 130
    first = contents(here / "run")
    assert {"image-1.png", "image-2.png"} < first.keys()
    times = {name: (here / "run" / name).stat().st_mtime_ns for name in ("image-1.png", "image-2.png")}

    resumed = strata(*command, "--count", 4, "-o", "run", "--resume")  # of whatever seed that is
    assert (resumed.code, resumed.err) == (0, "")
    assert "4 pictures (2 there already)" in resumed.out
    assert [line.split()[0] for line in resumed.out.splitlines() if " seed " in line] == [
        "run/image-3.png",
        "run/image-4.png",
    ]
    assert {name: (here / "run" / name).stat().st_mtime_ns for name in times} == times, "not even written again"
    assert pixels(here / "run") == {seed: pixels(here / "whole")[seed] for seed in range(7, 11)}
    assert (here / "run/contact.png").exists()
    four = contents(here / "run")

    refused(strata(*command, "--count", 3, "-o", "run", "--resume"), "--out run", "4 pictures", "--count 3", "--force")
    refused(strata(*command, "--count", 4, "--seed", 8, "-o", "run", "--resume"), "--seed 7, not 8", "another folder")
    refused(strata(*command[:-1], 2, "--count", 4, "-o", "run", "--resume"), "--steps 1, not 2", "--force")
    assert contents(here / "run") == four

    assert strata(*command, "--count", 10, "-o", "run", "--resume").code == 0
    assert contents(here / "run").keys() == contents(here / "whole").keys()
    assert pixels(here / "run") == pixels(here / "whole")
    with Image.open(here / "run/contact.png") as one, Image.open(here / "whole/contact.png") as other:
        assert one.tobytes() == other.tobytes()
    assert (here / "run/image-01.png").read_bytes() == four["image-1.png"]


@pytest.fixture
def engine(tiny_folder: Path) -> Engine:
    settings = DrawSettings(model=str(tiny_folder), steps=1, seed=5)
    return Engine.load(prepare(settings, Source("plan", ScenePlan(width=16, height=16, prompt="a ring"))))


@pytest.mark.parametrize(
    ("place", "method", "every"),
    [
        (RunFolder, "write", 6),
        *(pytest.param(*pair, 1, marks=pytest.mark.slow) for pair in ((RunFolder, "write"), (Path, "replace"))),
        pytest.param(Path, "unlink", 1, marks=pytest.mark.slow),
    ],
)
def test_what_is_there_survives_an_end_at_any_write(
    engine: Engine, here: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, place: type, method: str, every: int
) -> None:
    """From one to three, where names change: at no moment is a picture lost, and the next try makes the run whole."""
    plan = ScenePlan(width=16, height=16, prompt="a ring")
    job = prepare(DrawSettings(model=str(tiny_folder), steps=1, seed=5), Source("plan", plan))
    original = getattr(place, method)
    run, calls, last = here / "run", 0, -1

    def draw(out: str, count: int) -> None:
        begun = lambda folder: begun_run(folder, job, count, out)  # noqa: E731
        with RunFolder.claim(out, "plan", run_files(count), False, begun=begun) as folder:
            if folder.begun is None or not is_drawn(job, folder, count):
                draw_run(engine, job, folder, count, Pace())

    def fail(path: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        own = place is RunFolder or (run in path.parents and path.name != LOCK)
        calls += own
        if own and calls > last >= 0:
            raise OSError(errno.ENOSPC, "no space left", str(path))
        return original(path, *arguments, **options)

    draw("whole", 3)
    draw("one", 1)
    monkeypatch.setattr(place, method, fail)
    for last in range(0, 100, every):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(here / "one", run)
        calls = 0
        with suppress(InputError, OSError):
            draw("run", 3)
            break
        kept = {Image.open(path).tobytes() for path in run.rglob("image*.png")}
        assert kept >= set(pixels(here / "one").values()), last
        last = -1
        draw("run", 3)
        assert pixels(run) == pixels(here / "whole")
        assert (
            contents(run).keys() - {n for n in contents(run) if n.startswith("interrupted")}
            == contents(here / "whole").keys()
        )
    assert last >= 4
