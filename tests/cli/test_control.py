"""ControlNets on the command line: drawn, recorded and repeated bit for bit, confined, several; and what is refused."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from diffusers import FluxControlNetModel, FluxControlNetPipeline
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file

from strata.engine import Engine, Picture
from strata.hierarchy.errors import InputError, SettingError
from strata.hierarchy.plan import ScenePlan
from strata.injection.pipeline import RegionalPipeline
from strata.injection.weights import load_folder
from strata.job import Job, prepare
from strata.settings import DrawSettings
from strata.source import decode_picture, open_source
from tests.cli.conftest import Run
from tests.injection.conftest import SIZE, picture

SHORT = ("--steps", 2, "--seed", 1)


def save_net(folder: Path, seed: int = 2, **config: Any) -> Path:
    torch.manual_seed(seed)
    size = {"num_layers": 1, "num_single_layers": 2, "in_channels": 16, **SIZE} | config
    net = FluxControlNetModel(patch_size=1, **size)
    for name, parameter in net.named_parameters():
        if "controlnet_" in name:  # they start at zero
            torch.nn.init.normal_(parameter, std=0.05)
    net.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """ControlNets of the tiny model, and others."""
    folder = tmp_path_factory.mktemp("nets")
    kinds: dict[str, dict[str, Any]] = {
        "edges": {},
        "depth": {"seed": 3},
        "union": {"num_mode": 4},
        "deeper": {"num_layers": 2},
        "wider": {"joint_attention_dim": 64},
    }
    return {name: save_net(folder / name, **config) for name, config in kinds.items()}


@pytest.fixture
def place(here: Path) -> Path:
    """With two control pictures."""
    picture().resize((32, 48)).save(here / "edges.png")
    picture(1).save(here / "wide.jpg")
    return here


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def job(model: Path, source: str = "plan.yaml", **settings: Any) -> Job:
    with open_source(source) as opened:
        return prepare(DrawSettings(model=str(model), steps=2, seed=1, **settings), opened)


def test_drawn_as_from_python_recorded_and_repeated(
    strata: Run, place: Path, tiny_folder: Path, nets: dict[str, Path]
) -> None:
    asked = ("--control", "edges.png", "--control-model", nets["edges"], "--control-scale", 0.7)
    more = ("--control-steps", "0%-50%", "--control-region", "left")
    done = strata("generate", "plan.yaml", "-m", tiny_folder, *SHORT, *asked, *more, "-o", "one")
    assert done.code == 0, done.err
    assert "stretched" not in done.out + done.err
    record = json.loads((place / "one" / "run.json").read_text())
    assert record["control"] == ["inputs/control.png"]
    assert (place / "one" / "inputs" / "control.png").read_bytes() == (place / "edges.png").read_bytes()
    kept = {name: value for name, value in record["settings"].items() if name.startswith("control_")}
    assert kept == {
        "control_model": [str(nets["edges"])],
        "control_scale": [0.7],
        "control_mode": [-1],
        "control_steps": ["0%-50%"],
        "control_region": ["left"],
    }
    drawn = pixels(place / "one" / "image.png")

    pipe = load_folder(tiny_folder, torch.float32)
    net = FluxControlNetModel.from_pretrained(nets["edges"])
    pipe = FluxControlNetPipeline(
        **{name: part for name, part in pipe.components.items() if part is not None}, controlnet=net
    )
    options: dict[str, Any] = {"num_inference_steps": 2, "guidance_scale": 3.5, "control_regions": "left"}
    options |= {"control_image": Image.open("edges.png"), "controlnet_conditioning_scale": 0.7}
    own = RegionalPipeline(pipe)(ScenePlan.load("plan.yaml"), seed=1, control_guidance_end=0.5, **options).images[0]
    assert (np.asarray(own) == drawn).all()

    (place / "edges.png").unlink()
    again = strata("generate", "one/image.png", "-m", tiny_folder, "--control-model", nets["edges"], "-o", "again")
    assert again.code == 0, again.err
    assert (pixels(place / "again" / "image.png") == drawn).all()
    assert json.loads((place / "again" / "run.json").read_text())["settings"] == record["settings"]
    stranger = strata("generate", "one/image.png", "-m", tiny_folder, "-o", "stranger")
    assert stranger.code == 2
    assert "if you trust it, name it with --control-model" in stranger.err
    resumed = strata("generate", "one/image.png", "-m", tiny_folder, "--control-model", nets["edges"], "-o", "again")
    assert resumed.code == 2
    other = ("--control-scale", 0.3, "-o", "again", "--resume")
    differs = strata("generate", "one/image.png", "-m", tiny_folder, "--control-model", nets["edges"], *other)
    assert differs.code == 2
    assert "--control-scale 0.7, not 0.3" in differs.err


def drawn_with(engine: Engine, drawing: Job) -> NDArray[np.uint8]:
    (found,) = [np.asarray(event.image) for event in engine.draw(drawing) if isinstance(event, Picture)]
    return found


@pytest.mark.slow
def test_one_engine_draws_with_and_without(place: Path, tiny_folder: Path, nets: dict[str, Path]) -> None:
    """Several ControlNets, one that serves two pictures, unions, none: what is drawn does not depend on the last."""
    edges, union = str(nets["edges"]), str(nets["union"])
    pictures = ("edges.png", "wide.jpg")
    asked: list[dict[str, Any]] = [
        {},
        {"control": ("edges.png",), "control_model": (edges,)},
        {"control": pictures, "control_model": (edges, str(nets["depth"])), "control_scale": (0.7, 0.4)},
        {"control": pictures, "control_model": (edges,), "control_region": ("left", "right")},
        {"control": pictures, "control_model": (union,), "control_mode": (0, 3)},
        {"control": pictures, "control_model": (union, edges), "control_mode": (2, -1)},
        {"control": ("wide.jpg",), "control_model": (union,), "control_mode": (1,)},
    ]
    jobs = [job(tiny_folder, **settings) for settings in asked]
    assert [len(each.controls) for each in jobs] == [0, 1, 2, 2, 2, 2, 1]
    assert any(note.startswith("wide.jpg: 48x32") and "stretched to 32x48" in note for note in jobs[2].notes)
    with Engine.open(jobs[0]) as engine:
        found = [drawn_with(engine, each) for each in jobs]
        assert (drawn_with(engine, jobs[0]) == found[0]).all()
        assert type(engine.pipe).__name__ == "FluxPipeline"
        assert (drawn_with(engine, jobs[3]) == found[3]).all()
        off = job(tiny_folder, **asked[1], control_scale=(0.0,))
        assert not (drawn_with(engine, off) == found[1]).all()
    for one in range(len(found)):
        for other in range(one):
            assert not (found[one] == found[other]).all(), (asked[one], asked[other])


def test_a_new_picture_brings_its_own_settings(
    strata: Run, place: Path, tiny_folder: Path, nets: dict[str, Path]
) -> None:
    models = [item for name in ("edges", "depth") for item in ("--control-model", nets[name])]
    two = ("--control", "edges.png", "--control", "wide.jpg", *models, "--control-region", "left")
    done = strata("generate", "plan.yaml", "-m", tiny_folder, *SHORT, *two, "-o", "two")
    assert done.code == 0, done.err
    assert "wide.jpg: 48x32 is not of the canvas's proportions; it is stretched to 32x48" in done.out + done.err
    kept = job(tiny_folder, "two/image.png", control_model=(str(nets["edges"]), str(nets["depth"])))
    assert [c.area for c in kept.controls] == ["left", "left"]
    new = job(tiny_folder, "two/image.png", control=("edges.png",), control_model=(str(nets["edges"]),))
    assert [(c.area, c.picture) for c in new.controls] == [("global", "inputs/control.png")]


@pytest.mark.slow
def test_repainted_and_swept(strata: Run, place: Path, tiny_folder: Path, nets: dict[str, Path]) -> None:
    net = ("--control-model", nets["edges"])
    control = ("--control", "edges.png", *net)
    done = strata("generate", "plan.yaml", "-m", tiny_folder, *SHORT, *control, "-o", "one")
    assert done.code == 0, done.err
    swept = strata(
        "sweep", "plan.yaml", "-m", tiny_folder, *SHORT, *control, "--vary", "control_scale=0,0.5", "-o", "sweep"
    )
    assert swept.code == 0, swept.err
    csv = (place / "sweep" / "runs.csv").read_text()
    assert csv.count("\n") == 3, csv
    for command, place_of in (
        (("repaint", "one/image.png", "--region", "left", "--low", "green"), "repaint"),
        (("restyle", "one/image.png", "--low", "right=green"), "restyle/restyled"),
    ):
        refused = strata(*command, "-m", tiny_folder, "-o", f"{command[0]}-refused")
        assert refused.code == 2
        assert "name it with --control-model" in refused.err
        done = strata(*command, "-m", tiny_folder, *net, "-o", command[0])
        assert done.code == 0, done.err
        record = json.loads((place / place_of / "run.json").read_text())
        assert record["control"] == ["inputs/control.png"]
        again = strata("generate", f"{place_of}/image.png", "-m", tiny_folder, *net, "-o", f"{command[0]}-again")
        assert again.code == 0, again.err
        one, other = (pixels(place / name / "image.png") for name in (place_of, f"{command[0]}-again"))
        assert (one == other).all()
    before, after = pixels(place / "one" / "image.png"), pixels(place / "repaint" / "image.png")
    changed = (before != after).any(-1)
    assert changed[:, :16].any()
    assert not changed[:, 20:].any(), "pixels beyond the seam"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"control_scale": (1.0,)}, "control_scale 1.0: needs control too"),
    ({"control": ("edges.png",)}, "control: needs control_model too, the folder or hub id"),
    ({"control": ("edges.png",), "control_model": ("nowhere",)}, "control_model nowhere: no such folder; must be"),
    ({"control": ("none.png",), "control_model": ("edges",)}, "none.png: cannot be read"),
    ({"control": ("plan.yaml",), "control_model": ("edges",)}, "plan.yaml: not a readable picture"),
    ({"control": ("edges.png",), "control_model": ("wider",)}, "is for another model: joint_attention_dim 64, not 128"),
    ({"control": ("edges.png",), "control_model": ("tiny",)}, "has no config.json that can be read"),
    (
        {"control": ("edges.png", "wide.jpg"), "control_model": ("edges",), "control_scale": (1, 1, 1)},
        "control_scale 1.0, 1.0, 1.0: 3 for 2 control; give one, or one for each",
    ),
    (
        {"control": ("edges.png", "wide.jpg"), "control_model": ("edges", "deeper")},
        "cannot be summed with .*edges: its num_layers is another",
    ),
    ({"control": ("edges.png",), "control_model": ("edges",), "control_mode": (1,)}, "control_mode 1: .* no union"),
    ({"control": ("edges.png",), "control_model": ("union",)}, "control_mode: .*a union model; must be from 0 to 3"),
    (
        {"control": ("edges.png",), "control_model": ("union",), "control_mode": (4,)},
        "control_mode 4: .*must be from 0 to 3",
    ),
    (
        {"control": ("edges.png",), "control_model": ("edges",), "control_region": ("middle",)},
        "control_region 'middle': the plan has no such region; valid: left, right, global",
    ),
    (
        {"control": ("edges.png",), "control_model": ("edges",), "control_steps": ("half",)},
        "control_steps half: expected a percent range",
    ),
    (
        {"control": ("edges.png",), "control_model": ("edges",), "control_steps": ("0%-10%",)},
        "control_steps 0%-10%: selects none of 2 steps",
    ),
    (
        {"control": ("edges.png",), "control_model": ("edges",), "image": "edges.png"},
        "control: does not go with image",
    ),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_what_does_not_fit_is_refused_before_weights_are_read(
    settings: dict[str, Any], message: str, place: Path, tiny_folder: Path, nets: dict[str, Path]
) -> None:
    paths = nets | {"tiny": tiny_folder}
    models = tuple(str(paths.get(name, name)) for name in settings.get("control_model", ()))
    settings = settings | ({"control_model": models} if models else {})
    with pytest.raises(Exception, match=message.replace("'", "['\"]")):
        job(tiny_folder, **settings)


@pytest.mark.parametrize("model", [None, "owner/of-the-hub"])
def test_a_background_that_the_regions_leave_nothing_of_is_no_choice(
    model: str | None, place: Path, tiny_folder: Path, nets: dict[str, Path]
) -> None:
    asked: dict[str, Any] = {"control": ("edges.png",), "control_model": (str(nets["edges"]),)}
    for area, why in (("background", "the regions leave nothing of it"), ("middle", "the plan has no such region")):
        message = f"control_region '{area}': {why}; valid: left, right, global$"
        with open_source("plan.yaml") as source, pytest.raises(SettingError, match=message):
            prepare(DrawSettings(model=model or str(tiny_folder), control_region=(area,), **asked), source)


def test_weights_that_are_not_the_models_are_errors(place: Path, tiny_folder: Path, nets: dict[str, Path]) -> None:
    net = save_net(place / "damaged")
    path = net / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    lost = {name: weight for name, weight in weights.items() if name != "controlnet_blocks.0.weight"}
    broken = weights | {"x_embedder.bias": torch.full_like(weights["x_embedder.bias"], float("nan"))}
    drawing = job(tiny_folder, control=("edges.png",), control_model=(str(net),))
    engine = Engine.load(drawing)
    for content, message in ((lost, "weights missing"), (broken, "NaN or infinities")):
        save_file(content, path, metadata={"format": "pt"})
        with pytest.raises(Exception, match=f"control_model .*damaged.*{message}"):
            engine.check(drawing)
    save_file(weights, path, metadata={"format": "pt"})
    engine.check(drawing)


def test_a_picture_is_decoded_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For check, note and call, which cannot change each other's."""
    content = (place / "wide.jpg").read_bytes() + b"new"
    upright = Mock(wraps=ImageOps.exif_transpose)
    monkeypatch.setattr(ImageOps, "exif_transpose", upright)
    one, two = (decode_picture(content, name, "RGB") for name in ("control.png", "wide.jpg"))
    before = two.tobytes()
    one.paste(0, (0, 0, 9, 9))
    assert decode_picture(content, "wide.jpg", "RGB").tobytes() == two.tobytes() == before != one.tobytes()
    assert upright.call_count == 1
    for _ in range(2):
        with pytest.raises(InputError, match=r"bad.png: not a readable picture"):
            decode_picture(b"words", "bad.png", "RGB")
