"""Pictures of scenes go where each benchmark's own scorer looks for them, with what it wants beside them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from strata.hierarchy.errors import InputError
from strata.readers import read_scenes
from strata.readers.protocol import encoded, in_grid

from .rows import GENEVAL, written

COLOURS = ["red", "lime", "blue", "white", "black"]


def saved(folder: Path, form: str, samples: int, seed: int = 42) -> tuple[Path, list[str]]:
    """The output folder of a format, and the files in it."""
    benchmark, scenes = read_scenes(f"{form}:{written(folder, form)}")
    out = folder / "out"
    pictures = [Image.new("RGB", (8, 8), colour) for colour in COLOURS[:samples]]
    for scene in scenes:
        paths = benchmark.save(out, scene, pictures, seed)
        assert len(paths) == samples
        assert all(path.is_file() for path in paths)
    for path in benchmark.finish(out, scenes, samples, seed):
        assert path.is_file()
    return out, sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("form", "samples", "files"),
    [
        (
            "geneval",
            2,
            [f"0000{n}/{name}" for n in (0, 1) for name in ("metadata.jsonl", "samples/0000.png", "samples/0001.png")],
        ),
        ("geneval2", 1, ["image_paths.json", "images/00000.png", "images/00001.png"]),
        (
            "geneval2",
            2,
            ["image_paths_0.json", "image_paths_1.json", *(f"images/0000{n}_{k}.png" for n in (0, 1) for k in (0, 1))],
        ),
        (
            "t2i-compbench",
            2,
            [
                "samples/a blue_ish cup_000002.png",
                "samples/a blue_ish cup_000003.png",
                "samples/a red book and a yellow vase_000000.png",
                "samples/a red book and a yellow vase_000001.png",
            ],
        ),
        ("dpg", 4, ["partiprompts3.png"]),
        (
            "coco-mig",
            2,
            [
                "a photo of a green loom_420_5.png",
                "a photo of a green loom_421_5.png",
                "a photo of a red kettle and a blue kettle_420_31.png",
                "a photo of a red kettle and a blue kettle_421_31.png",
            ],
        ),
        ("layoutsam", 1, ["images/sa_7.jpg", "images/sa_8.png"]),
        ("layoutsam", 2, [f"sample_{k}/images/sa_{name}" for k in (0, 1) for name in ("7.jpg", "8.png")]),
        ("denselayout", 1, ["images_denselayout/41.jpg"]),
        ("denselayout", 2, ["sample_0/images_denselayout/41.jpg", "sample_1/images_denselayout/41.jpg"]),
        ("overlaybench", 2, ["simple/42/00012.png", "simple/43/00012.png"]),
    ],
)
def test_where_pictures_go(tmp_path: Path, form: str, samples: int, files: list[str]) -> None:
    out, found = saved(tmp_path, form, samples)
    assert found == files
    for name in found:
        if name.endswith((".png", ".jpg")):
            with Image.open(out / name) as picture:
                assert picture.format == ("PNG" if name.endswith(".png") else "JPEG")


def test_geneval_has_each_scenes_own_line_beside_its_pictures(tmp_path: Path) -> None:
    out, _ = saved(tmp_path, "geneval", 1)
    for number, row in enumerate(GENEVAL):
        text = (out / f"0000{number}" / "metadata.jsonl").read_text(encoding="utf-8")
        assert text.count("\n") == 1
        assert json.loads(text) == row


def test_geneval2_has_one_file_of_prompts_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Path(), "geneval2", 2)
    for sample in (0, 1):
        paths = json.loads(Path(f"out/image_paths_{sample}.json").read_text(encoding="utf-8"))
        assert list(paths) == ["two glass pears under a loom", "a felt ladder"]
        assert paths["a felt ladder"] == str(tmp_path / f"out/images/00001_{sample}.png")
        with Image.open(paths["a felt ladder"]) as picture:
            assert picture.getpixel((0, 0)) == ((255, 0, 0), (0, 255, 0))[sample]


def test_the_samples_of_dpg_are_one_grid(tmp_path: Path) -> None:
    out, _ = saved(tmp_path, "dpg", 4)
    with Image.open(out / "partiprompts3.png") as picture:
        assert picture.size == (16, 16)
        corners = [picture.getpixel(place) for place in ((0, 0), (8, 0), (0, 8), (8, 8))]
    assert corners == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_grids_of_other_numbers() -> None:
    pictures = [Image.new("RGB", (4, 2), colour) for colour in COLOURS]
    assert [in_grid(pictures[:n]).size for n in (1, 2, 3, 5)] == [(4, 2), (8, 2), (8, 4), (12, 4)]
    with pytest.raises(InputError, match=r"sample 1 is \(3, 2\), sample 0 \(4, 2\): a grid needs one size"):
        in_grid([pictures[0], Image.new("RGB", (3, 2))])


def test_what_cannot_be_written(tmp_path: Path) -> None:
    benchmark, (scene, _) = read_scenes(f"geneval:{written(tmp_path, 'geneval')}")
    with pytest.raises(ValueError, match="a scene needs a picture at least"):
        benchmark.save(tmp_path / "out", scene, [])
    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    with pytest.raises(InputError, match=r"samples/0000\.png: cannot be written"):
        benchmark.save(tmp_path / "out", scene, [Image.new("RGB", (8, 8))])
    with pytest.raises(InputError, match=r"suffix '\.gif': pictures are \.png, \.jpg or \.jpeg"):
        encoded(Image.new("RGB", (8, 8)), ".gif")
