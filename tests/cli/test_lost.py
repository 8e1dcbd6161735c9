"""Nothing is lost: runs that are interrupted, killed or short of disk, and two at once, in real processes.

The processes write run folders as `strata generate` does, but without a model, so that they start quickly.
"""

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from strata.claims import Claim, claimed
from strata.contents import run_files
from strata.hierarchy.errors import InputError, SettingError
from strata.run_folder import RunFolder
from strata.settings import LARGEST_SEED
from tests.cli.conftest import Run

WRITER = """
import json, sys, time
from types import SimpleNamespace
from strata import cli
from strata.hierarchy.interrupts import uninterrupted
from strata.contents import picture_name, run_files
from strata.run_folder import RunFolder

out, count, force, wait, size, reads = json.loads(sys.argv[1])

def moment(name):
    if name == wait:
        print(name, flush=True)
        time.sleep(60)

def command(argv):
    with RunFolder.claim(out, "plan", run_files(count), force, reads=reads) as folder:
        moment("claimed")
        folder.write("plan.yaml", "new plan")
        folder.write("masks/m.png", b"mask")
        images = []
        for index in range(count):
            moment(f"before {index}")
            if wait == "in a write":
                folder.write("half.png", b"x")
                moment("in a write")
            with uninterrupted():
                folder.write(picture_name(index, count), b"new " + b"x" * size)
                images.append({"file": picture_name(index, count)})
                folder.write("run.json", json.dumps({"images": images}))
                folder.settle()
        moment("after")
    print(folder.path, flush=True)
    return 0

cli._run = command
sys.exit(cli.main([]))
"""
OLD = {
    "image.png": "old 1",
    "image-2.png": "old 2",
    "image-3.png": "old 3",
    "plan.yaml": "old plan",
    "mine.txt": "mine",
}


def start(
    out: str | None, count: int = 2, force: bool = False, wait: str = "", size: int = 0, reads: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """A process that writes a run; it stops where `wait` says."""
    arguments = json.dumps([out, count, force, wait, size, reads])
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it would be ignored
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of three pictures, and with somebody's own file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    folder = tmp_path / "run"
    folder.mkdir()
    for name, text in OLD.items():
        (folder / name).write_text(text)
    (folder / "run.json").write_text(json.dumps({"images": [{"file": name} for name in OLD if "image" in name]}))
    return folder


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        ("SIGINT", 130, "interrupted"),
        ("SIGTERM", 143, "ended by SIGTERM"),
        pytest.param("SIGHUP", 129, "ended by SIGHUP", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("moment", ["claimed", "in a write", "before 1"])
def test_the_old_run_stays_until_the_new_one_is_whole(
    old: Path, number: str, code: int, said: str, moment: str
) -> None:
    before = contents(old)
    process = start("run", force=True, wait=moment)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == moment
    assert before.items() <= contents(old).items()
    process.send_signal(getattr(signal, number))
    result, _, err = ended(process)
    after = contents(old)
    if moment == "before 1":
        assert (result, err) == (code, f"strata: {said}; what is finished is in run/interrupted\n")
        kept = {name.removeprefix("interrupted/"): after.pop(name) for name in list(after) if name not in before}
        assert kept.keys() == {"image-1.png", "plan.yaml", "run.json", "masks/m.png"}
        assert json.loads(kept["run.json"]) == {"images": [{"file": "image-1.png"}]}
    else:
        assert (result, err) == (code, f"strata: {said}\n")
    assert after == before, "byte for byte, and no lock or temporary file"


def test_a_new_folder_has_each_picture_as_soon_as_it_is_there(old: Path) -> None:
    for moment, names in (("claimed", set()), ("before 1", {"image-1.png", "plan.yaml", "run.json", "masks/m.png"})):
        process = start("new/run", wait=moment)
        assert process.stdout is not None
        process.stdout.readline()
        assert {name for name in contents(old.parent / "new/run") if not name.startswith(".")} == names
        process.terminate()
        assert ended(process)[0] == 143
        assert (old.parent / "new").exists() == bool(names)
    assert contents(old.parent / "new" / "run").keys() == names


@pytest.mark.parametrize("moment", ["claimed", "in a write", "before 1", "after"])
def test_what_a_killed_process_leaves_is_harmless(old: Path, moment: str) -> None:
    before = contents(old)
    process = start("run", force=True, wait=moment)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    ended(process)
    left = contents(old)
    assert before.items() <= left.items()
    assert all(name.startswith(".strata-") for name in left.keys() - before.keys())
    with RunFolder.claim("run", "x", run_files(1), force=True) as folder:
        folder.write("image.png", b"newer")
        folder.write("run.json", '{"images": [{"file": "image.png"}]}')
    after = contents(old)
    kept = {name for name in after if name.startswith("interrupted/image")}
    finished = {"before 1": ["image-1.png"], "after": ["image-1.png", "image-2.png"]}.get(moment, [])
    assert kept == {f"interrupted/{name}" for name in finished}
    assert {name: text for name, text in after.items() if "/" not in name} == {
        "image.png": b"newer",
        "run.json": after["run.json"],
        "mine.txt": b"mine",
    }


def test_a_change_of_places_that_was_cut_off_goes_on(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every file that moves; no run.json lists what is not there, and the next claim sees the new run whole."""
    before = contents(old)
    original = Path.replace
    for last in range(7):
        for path in sorted(old.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, content in before.items():
            (old / name).write_bytes(content)
        moved: list[Path] = []

        def cut(path: Path, target: Path, last: int = last, moved: list[Path] = moved) -> Path:
            if path.parent.name.startswith(".strata-whole-"):
                if len(moved) == last:
                    raise OSError(errno.EIO, "cut off")
                moved.append(path)
            return original(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", cut)
            try:
                with RunFolder.claim("run", "x", run_files(2), force=True) as folder:
                    for name in ("image.png", "image-2.png", "plan.yaml"):
                        folder.write(name, f"new {name}")
                    folder.write("run.json", '{"images": [{"file": "image.png"}, {"file": "image-2.png"}]}')
                    folder.write("schedule.png", "new schedule.png")
                assert last >= 5
            except InputError as error:
                if "cut off; the run is in " not in str(error):
                    raise
        if (old / "run.json").exists():
            listed = [{"file": "schedule.png"}, *json.loads((old / "run.json").read_text())["images"]]
            assert all((old / image["file"]).read_text().startswith("new") for image in listed)
        with (
            pytest.raises(InputError, match=r"holds schedule\.png already"),
            RunFolder.claim("run", "x", run_files(1), False),
        ):
            pass
        assert contents(old) == {
            "image.png": b"new image.png",
            "image-2.png": b"new image-2.png",
            "plan.yaml": b"new plan.yaml",
            "run.json": b'{"images": [{"file": "image.png"}, {"file": "image-2.png"}]}',
            "schedule.png": b"new schedule.png",
            "mine.txt": b"mine",
        }


def test_a_record_has_nothing_removed_but_pictures(old: Path) -> None:
    (old.parent / "outside.png").write_text("outside")
    names = ("image-3.png", "mine.txt", "../outside.png", str(old.parent / "outside.png"))
    (old / "run.json").write_text(json.dumps({"images": [{"file": name} for name in names]}))
    with RunFolder.claim("run", "x", run_files(1), force=True) as folder:
        folder.write("image.png", "new")
    assert contents(old).keys() == {"image.png", "image-2.png", "mine.txt"}
    assert (old.parent / "outside.png").exists()


def test_a_file_that_came_since_the_claim_is_not_replaced(old: Path) -> None:
    def write_run() -> None:
        with RunFolder.claim("fresh", "x", run_files(1), False) as folder:
            folder.write("image.png", "new")
            (old.parent / "fresh/image.png").write_text("theirs")

    with pytest.raises(SettingError, match=r"holds image\.png already"):
        write_run()
    assert contents(old.parent / "fresh") == {"image.png": b"theirs", "interrupted/image.png": b"new"}


def test_a_full_disk_leaves_the_old_run(old: Path) -> None:
    import resource

    def write_run() -> None:
        with RunFolder.claim("run", "x", run_files(1), True) as folder:
            folder.write("plan.yaml", "new")
            folder.write("image.png", b"x" * 2000)

    before = contents(old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match="File too large"):
            write_run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(old) == before


def test_what_a_run_reads_is_not_lost(old: Path) -> None:
    reads = ["run/image-3.png", "run/plan.yaml", "uniform", None]
    with RunFolder.claim("run", "x", run_files(1), True, reads=reads) as folder:
        folder.write("plan.yaml", "new plan")
        folder.write("image.png", "new")
        folder.write("run.json", '{"images": [{"file": "image.png"}]}')
    assert {name: text.decode() for name, text in contents(old).items() if name != "run.json"} == {
        "image.png": "new",
        "image-3.png": "old 3",
        "plan.yaml": "new plan",
        "plan-before.yaml": "old plan",
        "mine.txt": "mine",
    }


def test_a_link_stays_a_link_and_a_folder_in_the_way_is_told(old: Path) -> None:
    (old.parent / "link").symlink_to("run")
    with RunFolder.claim("link", "x", run_files(1), True) as folder:
        folder.write("image.png", "new")
    assert (old.parent / "link").is_symlink()
    assert (old / "image.png").read_text() == "new"
    (old / "layout.png").mkdir()
    with pytest.raises(SettingError, match=r"layout\.png is a folder"), RunFolder.claim("run", "x", run_files(1), True):
        pass
    (old.parent / "outside").write_text("kept")
    (old / ".strata-probe").symlink_to(old.parent / "outside")
    with claimed(old, "<out>"):
        assert (old.parent / "outside").read_text() == "kept"


def test_files_that_a_run_only_attaches_are_not_replaced_unasked(old: Path) -> None:
    (old.parent / "other/masks").mkdir(parents=True)
    (old.parent / "other/masks/m.png").write_text("theirs")
    claim = lambda content: RunFolder.claim("other", "x", run_files(1), False, attached={"masks/m.png": content})  # noqa: E731
    with pytest.raises(SettingError, match=r"holds masks/m\.png already"), claim(b"mine"):
        pass
    with claim(b"theirs"):
        pass
    assert contents(old.parent / "other") == {"masks/m.png": b"theirs"}


@pytest.mark.slow
@pytest.mark.parametrize("out", ["both", None])
def test_two_at_once(old: Path, out: str | None) -> None:
    for turn in range(3):
        here = None if out is None else f"{out}-{turn}"
        pair = [start(here, count=1, size=number) for number in (1, 2)]
        results = [ended(process) for process in pair]
        codes = [code for code, _, _ in results]
        if out is None:
            assert codes == [0, 0]
            assert len({said for _, said, _ in results}) == 2
            continue
        assert sorted(codes) == [0, 2]
        refusal = results[codes.index(2)][2]
        assert "another run writes there at this moment" in refusal or "already" in refusal
        assert len((old.parent / str(here) / "image.png").read_bytes()) == 5 + codes.index(0)


def test_one_claim_at_a_time(old: Path) -> None:
    first = start("run", force=True, wait="claimed")
    assert first.stdout is not None
    first.stdout.readline()
    with pytest.raises(SettingError, match="out run: another run writes there"), claimed(old, "<out> run"):
        pass
    first.kill()
    ended(first)
    with claimed(old, "<out> run"):
        assert Claim.take(old) is None
    assert not (old / ".strata-lock").exists()


def test_seeds_are_checked_before_anything_is_loaded(strata: Run, here: Path) -> None:
    for command in (("generate",), ("restyle", "--low", "left=green")):
        done = strata(command[0], "plan.yaml", *command[1:], "--seed", LARGEST_SEED, "--count", 2)
        assert done.code == 2
        assert f"--seed {LARGEST_SEED}: 2 pictures need seeds up to {LARGEST_SEED + 1}" in done.err
        assert not (here / "out").exists()
