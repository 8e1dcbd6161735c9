"""`strata generate --method`: what is drawn, recorded, drawn again and refused."""

import json
import shutil
from pathlib import Path

import pytest

from strata.engine import Engine
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.job import Job
from strata.loading import locate
from strata.miniature.checkpoint import knowledge
from strata.native import form_named, native_caption
from tests.cli.conftest import Run
from tests.cli.test_generate import same

QUICK = ("--steps", 2, "--seed", 3)


@pytest.fixture(scope="module")
def trained(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says that it was trained on FLUX.3's captions."""
    folder: Path = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("trained") / "model")
    (folder / "strata.json").write_text(json.dumps(knowledge() | {"captions": "flux3"}))
    return folder


def settings(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "run.json").read_text())["settings"]
    return found


@pytest.mark.slow
def test_native_draws_the_caption_that_export_writes(strata: Run, here: Path, trained: Path) -> None:
    model = ("--model", trained, *QUICK)
    done = strata("generate", "plan.yaml", *model, "--method", "native", "-o", "n")
    assert done.code == 0, done.err
    assert "32x48 pixels, method native, 2 steps" in done.out
    assert "warning: caption: 'right': its mask becomes the box around it, [16, 0, 32, 48]" in done.err
    record = json.loads((here / "n" / "run.json").read_text())
    assert record["lost"] == ["caption: 'right': its mask becomes the box around it, [16, 0, 32, 48]"]
    assert not (here / "n" / "schedule.png").exists()
    assert "schedule.png" not in done.out
    assert settings(here / "n")["method"] == "native"
    assert json.loads((here / "n" / "run.json").read_text())["rules"] == []

    text = native_caption(ScenePlan.load("plan.yaml"), "flux3").text
    ScenePlan(width=32, height=48, prompt=text).save("caption.yaml")
    by_hand = strata("generate", "caption.yaml", *model, "-o", "by-hand")
    assert by_hand.code == 0, by_hand.err
    assert same(here / "n" / "image.png", here / "by-hand" / "image.png")

    kept = here / "n" / "image.png"
    again = strata("generate", kept, "--model", trained, "-o", "again")
    assert again.code == 0, again.err
    assert same(here / "again" / "image.png", kept)
    assert settings(here / "again")["method"] == "native"
    there = strata("generate", "plan.yaml", *model, "--method", "native", "-o", "n", "--resume")
    assert "is there and would come out the same" in there.out
    other = strata("generate", kept, "--model", trained, "--method", "regional", "-o", "regional")
    assert other.code == 0, other.err
    assert not same(here / "regional" / "image.png", kept)
    routed = strata("generate", kept, "--model", trained, "--routing", "uniform", "-o", "routed")
    assert (routed.code, routed.out) == (2, "")
    assert "--routing uniform: the picture was drawn by the method native, which would ignore it" in routed.err
    for command in (("restyle", kept, "--low", "left=blue"), ("probe", kept)):
        done = strata(*command, "--model", trained)
        assert done.code == 2
        assert "was drawn by the method native, which tells the model its plan otherwise" in done.err
    done = strata("layout", kept, "--program", "--model", trained)
    assert (done.code, "the method native, which has no program" in done.err) == (2, True)


def test_both_draw_the_plan_with_its_caption_as_the_base(strata: Run, here: Path, trained: Path) -> None:
    model = ("--model", trained, *QUICK, "--routing", "uniform")
    done = strata("generate", "plan.yaml", *model, "--method", "native+regional", "-o", "both")
    assert done.code == 0, done.err
    assert "32x48 pixels, routing uniform, method native+regional, 2 steps" in done.out
    plan = ScenePlan.load("plan.yaml")
    plan.model_copy(update={"prompt": native_caption(plan, "flux3").text}).save("by-hand.yaml")
    strata("generate", "by-hand.yaml", *model, "-o", "by-hand")
    assert same(here / "both" / "image.png", here / "by-hand" / "image.png")
    assert (here / "both" / "schedule.png").exists()
    program = strata("layout", here / "both" / "image.png", "--program", "--model", trained)
    assert "routing uniform, method native+regional" in program.out


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("native", "--method 'native': the model (flux) is not known to be trained on structured captions"),
        ("native+regional", "--method 'native+regional': the model (flux) is not known to be trained on"),
        ("nativ", "--method 'nativ': did you mean 'native'? must be one of densediffusion, "),
        ("native+plain", "--method 'native+plain': plain leaves regions out"),
        ("", "--method: '': must not be empty"),
    ],
)
def test_what_is_refused_before_anything_is_loaded(
    strata: Run, here: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, message: str
) -> None:
    def load(job: Job) -> Engine:
        raise AssertionError(job)

    monkeypatch.setattr(Engine, "load", load)
    done = strata("generate", "plan.yaml", "--model", tiny_folder, "--method", method)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_the_miniature_knows_its_own_form(here: Path, strata: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = locate("miniature")
    assert model.form is form_named("miniature")
    monkeypatch.setattr(Engine, "load", lambda job: pytest.fail("loaded"))
    done = strata("generate", "plan.yaml", "--method", "native")  # of a canvas that the form does not have
    assert (done.code, "width: 32: must be 64 to 256 pixels in this form" in done.err) == (2, True)


def test_a_wrong_form_is_told(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "strata.json").write_text(json.dumps(knowledge() | {"captions": "flux4"}))
    with pytest.raises(
        InputError, match=r"strata\.json.*captions: 'flux4': did you mean 'flux3'\? must be one of flux3"
    ):
        assert locate(str(folder)).form
