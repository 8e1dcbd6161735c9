"""Bad input of every kind: exit code 2, one line on stderr that names file, field and value, nothing left behind."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from strata.cli import main
from tests.cli.conftest import MASK_PLAN, Result, Run

PLAIN_PLAN = "width: 32\nheight: 32\nprompt: a ring\nregions:\n  - {name: a, box: [0, 0, 16, 32], full: a ring}\n"


def refused(result: Result, *parts: str) -> None:
    """One line that holds all parts."""
    assert result.code == 2
    assert result.err.startswith("strata: error: ")
    assert result.err.count("\n") == 1
    for part in parts:
        assert part in result.err


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


OPTIONS: list[tuple[list[str], tuple[str, ...]]] = [
    ([], ("required: COMMAND", "strata --help")),
    (
        ["vaildate", "plan.yaml"],
        (
            "COMMAND",
            "'vaildate' (did you mean 'validate'? choose from 'generate', 'plan'",
        ),
    ),
    (["draw"], ("'draw'", "generate", "layout", "routing", "validate")),
    (["generate"], ("required: PROMPT", "strata generate --help")),
    (["generate", "plan.yaml", "--seed", "-1"], ("--seed", "-1")),
    (["generate", "plan.yaml", "--seed", "1.5"], ("--seed", "'1.5'", "whole number")),
    (["generate", "plan.yaml", "--seed", str(2**63)], ("--seed", str(2**63))),
    (["generate", "plan.yaml", "--steps", "0"], ("--steps", "'0'", "from 1 to 1000")),
    (["generate", "plan.yaml", "--steps", "999999999"], ("--steps", "from 1 to 1000")),
    (["generate", "plan.yaml", "--guidance", "1e300"], ("--guidance", "from 0 to 1000")),
    (["generate", "plan.yaml", "--count", "x"], ("--count", "'x'")),
    (["generate", "plan.yaml", "--count", "1000000"], ("--count: '1000000': must be a whole number from 1 to 10000",)),
    (["restyle", "plan.yaml", "--low", "left=x", "--count", "10001"], ("--count: '10001': must be", "from 1 to 10000")),
    (["generate", "plan.yaml", "--guidance", "nan"], ("--guidance", "'nan'")),
    (["generate", "plan.yaml", "--image-strength", "1.5"], ("--image-strength", "'1.5'", "at most 1")),
    (["generate", "plan.yaml", "--device", "tpu"], ("--device", "'tpu'", "cuda")),
    (["generate", "plan.yaml", "--dtype", "int8"], ("--dtype", "'int8'", "bfloat16")),
    (["generate", "plan.yaml", "--steps", "4", "--steps", "8"], ("argument --steps: is given twice: 4 and 8 (see",)),
    (["generate", "plan.yaml", "--seed=1", "--steps", "4", "--seed", "2"], ("--seed: is given twice: 1 and 2 (see",)),
    (["generate", "plan.yaml", "-o", "here", "--out", "there"], ("--out: is given twice: here and there (see",)),
    (["routing", "show", "uniform", "--force", "--force"], ("--force: is given twice (see strata routing show",)),
    (["roles", "--kinds", "swap", "--kinds", "alone", "--steps", "0"], ("argument --steps: '0': must be",)),
    (["generate", "plan.yaml", "--widht", "64"], ("--widht; did you mean --width?",)),
    (["generate", "plan.yaml", "--refresh", "4"], ("--refresh; refresh is a field of the routing file (see",)),
    (["generate", "plan.yaml", "--base-ratio=0"], ("; blend.base_ratio is a field of the routing file (see",)),
    (["repaint", "a.png", "--isolate"], ("--isolate; rules[].isolate is a field of the routing file (see",)),
    (["batch", "plan.yaml", "--anchor", "true"], ("--anchor; anchor is a field of the routing file (see",)),
    (["repaint", "a.png", "--lora", "x"], ("unrecognized arguments: --lora (see strata repaint --help)",)),
    (["validate", "plan.yaml", "--steps", "4"], ("unrecognized arguments: --steps (see strata validate --help)",)),
    (["generate", "plan.yaml", "--width", "9000"], ("width", "9000", "8192")),
    (["routing", "show", "uniform", "--model-blocks", "19"], ("--model-blocks", "'19'", "19+38")),
    (["routing", "show", "uniform", "--model-blocks", "0+0"], ("0 double and 0 single",)),
    (["routing", "show", "unifrom"], ("'unifrom'", "did you mean 'uniform'", "vital-blocks")),
    (["routing", "show", "uniform", "-o", "x.jpg"], ("x.jpg", "must be .png")),
    (["routing", "check", "plan.yaml"], ("plan.yaml: is a plan, not a routing (name, rules, …)",)),
    (["generate", "plan.yaml", "--routing", "plan.yaml"], ("plan.yaml: is a plan, not a routing",)),
    (["plan", "a", "red", "boat"], ("unrecognized arguments: red boat; a text of several words goes in quotes",)),
    (["routing", "check", "missing.yaml"], ("missing.yaml", "No such file")),
    (["layout", "missing.yaml"], ("missing.yaml", "No such file")),
    (
        ["layout", "plan.yaml", "-o", "plan.yaml/x.png"],
        ("plan.yaml/x.png: cannot be written: plan.yaml is a file, not a folder",),
    ),
    (["layout", "routing.yaml"], ("routing.yaml", "is a routing", "--routing routing.yaml")),
    (["layout", "plan.yaml", "--image", "plan.yaml"], ("plan.yaml", "not a readable picture", "PNG")),
    (["validate"], ("required: FILE",)),
    (["validate", "other.yaml"], ("other.yaml", "neither a plan", "nor a routing", "regions", "rules")),
    (["validate", "run.json"], ("run.json", "neither a plan")),
    (["validate", "promptless.yaml"], ("promptless.yaml:4: regions[0].hihg", "unknown key")),
    (["validate", "style.yaml"], ("style.yaml:2: regions[0].box", "x2")),
    (["generate", "missing.yaml"], ("missing.yaml", "No such file")),
    (["generate", "maskz/half right.png"], ("maskz/half right.png: cannot be", "did you mean 'masks/half right.png'?")),
    (["generate", "maks/nothing.yaml"], ("maks/nothing.yaml: cannot be read", "did you mean 'masks/'?")),
    (["generate", "a plan.yaml"], ("a plan.yaml: cannot be read", "did you mean 'plan.yaml'?")),
    (["generate", "plan.yml"], ("plan.yml: cannot be read", "did you mean 'plan.yaml'?")),
    (["generate", "./plan"], ("did you mean 'plan.",)),
    (["plan", "plan.jsonl"], ("plan.jsonl: cannot be read", "did you mean 'plan.")),
    (["export", "flux3", "plan.yaml", "-o", "masks"], ("--out masks: is a folder; name a file in it",)),
    (["export", "flux3", "plan.yaml", "-o", "masks", "--force"], ("--out masks: is a folder",)),
    (["export", "flux3", "plan.yaml", "-o", "-"], ("--out/-o: '-': only files are written, not standard output",)),
    (["plan", "a boat", "-o", "-"], ("--out/-o: '-': only files are written, not standard output",)),
    (["plan", "a boat", "--out=-"], ("--out: '-': only files are written, not standard output",)),
    (["generate", ""], ("prompt is empty",)),
    (["generate", "routing.yaml"], ("routing.yaml", "is a routing", "--routing routing.yaml")),
    (["generate", "draft.yaml"], ("draft.yaml", "draft", "--draft draft.yaml")),
    (["serve-llm"], ("required: MODEL", "strata serve-llm --help")),
    (["serve-llm", "m", "--port", "99999"], ("--port", "'99999'", "65535")),
    (["serve-llm", "m", "--quantization", "fp8"], ("--quantization",)),
    (["generate", "nul\0.yaml"], ("null",)),
    (["generate", "."], (".: is the folder of a run; name its plan, plan.yaml",)),
    (["generate", "run"], ("run: is the folder of a run; name its plan, run/plan.yaml, or a picture, run/image.png",)),
    (["generate", "run", "--resume"], ("run: is the folder of a run", "run/plan.yaml -o run --resume` goes on with")),
    (["restyle", "run/"], ("run/: is the folder of a run",)),
    (["layout", "plans"], ("plans: is a folder; name a file in it, such as plans/one.yaml",)),
    (["validate", "plan.yam"], ("plan.yam: there is no such file; did you mean 'plan.yaml'?",)),
    (["validate", "x" * 5000 + ".q"], ("suffix '.q': must be one of",)),
    (["validate", "far.off"], ("far.off: suffix '.off': must be one of .yaml",)),
    (["validate", "masks"], ("masks: is a folder; name a file in it",)),
    (["export", "flux3", "plan.yaml", "-o", "new/"], ("--out: 'new/': is a folder; name a file in it",)),
    (["layout", "plan.yaml", "-o", "new.png/"], ("'new.png/': is a folder",)),
    (["layout", "plan.yaml", "-o", "new.png/."], ("'new.png/.': is a folder",)),
    (["routing", "show", "uniform", "-o", "new.png/"], ("'new.png/': is a folder",)),
    (["calibrate", "--budget", "10", "-o", "new.yaml/"], ("'new.yaml/': is a folder",)),
    (["export", "flux3", "plan.yaml", "-o", "run/plan.yaml", "--force"], ("run/plan.yaml: belongs to the run in run",)),
    (["layout", "plan.yaml", "-o", "run/image.png"], ("run/image.png: belongs to the run in run",)),
    (["routing", "show", "uniform", "-o", "run/schedule.png"], ("run/schedule.png: belongs to the run in run",)),
    (
        ["calibrate", "--budget", "10", "-o", "run/routing.yaml", "--force"],
        ("run/routing.yaml: belongs to the run in run",),
    ),
    (["plan", "a cup", "-o", "run/plan.yaml", "--force"], ("run/plan.yaml: belongs to the run in run",)),
    (["plan", "rows.jsonl", "-o", "run", "--resume"], ("run/plan.yaml: belongs to the run in run",)),
    (["import"], ("required: FORMAT, FILE (see strata import --help)",)),
    (["import", "flux3", "plan.txt", "--height=3"], ("--width: missing: this file of format flux3 does not tell",)),
    (["import", "flux3"], ("required: FILE (see",)),
    (["generate", "plan.txt"], ("plan.txt", "'.txt'", ".yaml, .yml, .json")),
    (["generate", "fake.png"], ("fake.png", "not a PNG file")),
    (["generate", "plain.png"], ("plain.png", "no record of a run", "give a plan")),
    (["generate", "torn.png"], ("torn.png", "damaged PNG")),
    (["generate", "bad.yaml"], ("bad.yaml:2: hieght", "did you mean 'height'")),
    (["generate", "outside.yaml"], ("outside.yaml:5: regions[0].box", "leaves the 32x32 canvas")),
    (["generate", "nomask.yaml"], ("nomask.yaml:6: regions[1].mask", "gone.png", "not found")),
    (["generate", "negative.yaml"], ("negative.yaml:6: negative_prompt", "--true-cfg")),
    (["generate", "plan.yaml", "--true-cfg", "4"], ("--true-cfg 4", "negative_prompt")),
    (["generate", "plan.yaml", "--routing", "nope"], ("'nope'", "uniform")),
    (["generate", "plan.yaml", "--routing", "wrong.yaml"], ("wrong.yaml:3: rules[0].levle", "did you mean 'level'")),
    (["generate", "plan.yaml", "--image", "gone.png"], ("gone.png", "No such file")),
    (["generate", "plan.yaml", "--image", "fake.png"], ("image", "not a readable picture")),
    (["generate", "plan.yaml", "--image-strength", "0.5"], ("--image-strength 0.5", "needs --image")),
    (["generate", "plan.yaml", "--mask-image", "plain.png"], ("--mask-image plain.png", "needs --image")),
    (["generate", "plan.yaml", "--model", "FLUX"], ("'FLUX'", "miniature", "OWNER/NAME")),
    (["generate", "plan.yaml", "--model", "./nothing"], ("'./nothing'", "no such folder")),
    (["generate", "plan.yaml", "--model", "fake.png"], ("'fake.png'", "is a file", "save_pretrained")),
    (["generate", "plan.yaml", "--model", "masks"], ("'masks'", "no model_index.json")),
    (["generate", "plan.yaml", "--model", "sd"], ("'sd'", "StableDiffusionPipeline", "FLUX")),
    (["generate", "plan.yaml", "--model", "broken"], ("'broken'", "cannot be loaded")),
    (
        ["generate", "plan.yaml", "--model", "no-such-owner/no-such-model"],
        ("no-such-owner/no-such-model", "HF_HUB_OFFLINE"),
    ),
]


@pytest.fixture
def files(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write("other.yaml", "name: x\nprompt: y\n")
    write("plan.txt", PLAIN_PLAN)
    write("routing.yaml", "name: x\nrules:\n  - {level: high}\n")
    write("run.json", '{"format": 1, "name": "x", "settings": {}, "command": "strata", "images": [], "rules": []}')
    Path("run").mkdir()
    Path("plans").mkdir()
    for name in (
        "run/plan.yaml",
        "run/run.json",
        "run/image.png",
        "run/preview.png",
        "run/routing.yaml",
        "run/schedule.png",
        "plans/one.yaml",
    ):
        write(name, "")
    write("rows.jsonl", '{"prompt": "a cup", "name": "plan"}')
    write("promptless.yaml", PLAIN_PLAN.replace("prompt: a ring\n", "").replace("full", "hihg"))
    write("style.yaml", "style: ink\nregions: [{box: [5, 5, 2, 9]}]\n")
    write("draft.yaml", "regions: [{box: [0, 0, 9, 9]}]\nbackground: {high: sea}\n")
    write("fake.png", "no picture")
    Image.new("RGB", (8, 8)).save("plain.png")
    Path("torn.png").write_bytes(Path("plain.png").read_bytes()[:20])
    write("bad.yaml", PLAIN_PLAN.replace("height", "hieght"))
    write("outside.yaml", PLAIN_PLAN.replace("16, 32", "16, 33"))
    write("nomask.yaml", MASK_PLAN.replace("half right", "gone"))
    write("negative.yaml", PLAIN_PLAN + "negative_prompt: blurry\n")
    write("wrong.yaml", "name: wrong\nrules:\n  - {levle: high}\n")
    for name, kind in (("sd", "StableDiffusionPipeline"), ("broken", "FluxPipeline")):
        Path(name).mkdir()
        index = {"_class_name": kind, "transformer": ["diffusers", "FluxTransformer2DModel"]}
        write(f"{name}/model_index.json", json.dumps(index))
    Path("broken/transformer").mkdir()
    return here


@pytest.mark.parametrize(("arguments", "parts"), OPTIONS, ids=lambda value: " ".join(value)[:60])
def test_bad_input(arguments: list[str], parts: tuple[str, ...], strata: Run, files: Path) -> None:
    before = set(files.rglob("*"))
    refused(strata(*arguments), *parts)
    assert set(files.rglob("*")) - before <= {files / "out"}


MODEL_CASES: list[tuple[list[str], str, tuple[str, ...]]] = [
    ([], MASK_PLAN.replace("width: 32", "width: 30"), ("plan.yaml:1: width", "30", "multiple of 4", "28 or 32")),
    ([], PLAIN_PLAN.replace("0, 16,", "0, 1,"), ("plan.yaml:5: regions[0]", "no image token", "4x4")),
    (["--routing", "named.yaml"], MASK_PLAN, ("named.yaml:3: rules[0].regions", "'lefft'", "did you mean 'left'")),
    (["--routing", "deep.yaml"], MASK_PLAN, ("deep.yaml:3: rules[0].single", "'0-37'", "3 single")),
    (["--device", "cuda"], MASK_PLAN, ("'cuda'", "not available", "cpu")),
    (["--image", "masks/half right.png", "--image-strength", "0.1"], MASK_PLAN, ("--image-strength 0.1", "2 steps")),
    (["--out", "plan.yaml"], MASK_PLAN, ("--out plan.yaml: cannot be written: is a file, not a folder\n",)),
    (["--out", "plan.yaml/run"], MASK_PLAN, ("--out plan.yaml/run: cannot be written: plan.yaml is a file, not a f",)),
    (["--out", "."], MASK_PLAN, ("--out .", "plan.yaml", "--force")),
]


@pytest.mark.parametrize(("arguments", "plan", "parts"), MODEL_CASES, ids=lambda value: str(value)[:40])
def test_what_does_not_fit_the_model(
    arguments: list[str], plan: str, parts: tuple[str, ...], strata: Run, here: Path, tiny_folder: Path
) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("needs a machine without CUDA")
    write("plan.yaml", plan)
    write("named.yaml", "name: named\nrules:\n  - {level: high, regions: [lefft]}\n")
    write("deep.yaml", "name: deep\nrules:\n  - {level: high, single: 0-37}\n")
    refused(strata("generate", "plan.yaml", "--model", tiny_folder, "--steps", 2, *arguments), *parts)
    assert not list(here.glob("out/*")), "no empty folder is left"


def edited(change: Callable[[dict[str, str]], None], name: str) -> None:
    """A copy of run/image.png with other text chunks."""
    with Image.open("run/image.png") as image:
        texts = {str(key): str(value) for key, value in image.text.items()}  # type: ignore[attr-defined]
        change(texts)
        info = PngInfo()
        for key, value in texts.items():
            info.add_text(key, value)
        image.save(name, pnginfo=info)


def test_damaged_and_hostile_records(strata: Run, here: Path, tiny_folder: Path) -> None:
    assert strata("generate", "plan.yaml", "--model", tiny_folder, "--steps", 1, "-o", "run").code == 0
    mask = "strata:file:masks/half_right.png"

    def escape(texts: dict[str, str]) -> None:
        texts["strata:file:masks/../../stolen"] = texts[mask]

    def elsewhere(texts: dict[str, str]) -> None:
        texts["strata:plan"] = texts["strata:plan"].replace("masks/half_right.png", "/etc/hostname")

    cases: dict[str, tuple[Callable[[dict[str, str]], None], tuple[str, ...]]] = {
        "no-mask.png": (lambda texts: texts.pop(mask) and None, ("(plan)", "masks/half_right.png", "not inside")),
        "no-plan.png": (lambda texts: texts.pop("strata:plan") and None, ("no record", "strata:plan")),
        "base64.png": (lambda texts: texts.update({mask: "!"}), ("(record)", "half_right.png", "damaged")),
        "json.png": (lambda texts: texts.update({"strata:run": "{"}), ("(record):1", "not valid JSON")),
        "field.png": (lambda texts: texts.update({"strata:run": '{"format": 2}'}), ("format", "2")),
        "escape.png": (escape, ("masks/../../stolen", "must be masks/NAME")),
        "elsewhere.png": (elsewhere, ("/etc/hostname", "not inside")),
    }
    for name, (change, parts) in cases.items():
        edited(change, name)
        refused(strata("generate", name), name, *parts)
    assert not (here / "out").exists()
    refused(strata("generate", "run/image.png", "--model", "./moved"), "'./moved'", "no such folder")


def test_pipelines_that_take_pictures_say_so(strata: Run, here: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """FLUX Fill draws only inside a picture; its index alone makes diffusers load it as such."""
    folder = tmp_path / "fill"
    folder.mkdir()
    for path in tiny_folder.iterdir():
        (folder / path.name).symlink_to(path)
    index = json.loads((tiny_folder / "model_index.json").read_text())
    (folder / "model_index.json").unlink()
    write(str(folder / "model_index.json"), json.dumps(index | {"_class_name": "FluxFillPipeline"}))
    refused(strata("generate", "plan.yaml", "--model", folder), "FluxFillPipeline", "--image")
    image = ("--image", "masks/half right.png")
    refused(strata("generate", "plan.yaml", "--model", folder, *image), "FluxFillPipeline", "--mask-image")
    write(str(folder / "model_index.json"), json.dumps(index | {"_class_name": "FluxControlPipeline"}))
    refused(
        strata("generate", "plan.yaml", "--model", folder, *image, "--mask-image", image[1]),
        *("--mask-image", "FluxControlPipeline", "leave it out"),
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_no_permission(strata: Run, here: Path) -> None:
    (here / "locked").mkdir(mode=0o500)
    refused(strata("generate", "plan.yaml", "-o", "locked/run"), "--out locked/run", "Permission denied")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "image.png"), MemoryError()])
def test_what_the_system_refuses(error: Exception, here: Path, strata: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("strata.commands.layout.draw_layout", fail)
    said = "image.png: No space left on device" if isinstance(error, OSError) else "out of memory"
    refused(strata("layout", "plan.yaml"), said)


def test_ctrl_c(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strata.commands.layout.draw_layout", interrupt)
    assert main(["layout", "plan.yaml"]) == 130
    assert capsys.readouterr().err == "strata: interrupted\n"
