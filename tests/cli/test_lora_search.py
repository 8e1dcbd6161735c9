"""LoRA files of a picture that were moved, renamed, changed or never hashed: found by their hashes, or told."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from strata.hierarchy.errors import SettingError
from strata.job import Job, prepare
from strata.lora_search import found_again
from strata.record import Record, RunSettings, picture_bytes
from strata.settings import DrawSettings
from strata.source import full_path, open_source
from tests.cli.conftest import Run
from tests.cli.test_lora import loras as loras  # a fixture
from tests.injection.conftest import tiny_transformer
from tests.injection.loras import make_weights, save_weights


@pytest.fixture
def prepared(here: Path, loras: Path, tiny_folder: Path) -> Callable[..., Job]:
    """What is drawn of a plan or a picture on the tiny model."""

    def make(path: object, **settings: object) -> Job:
        with open_source(str(path)) as source:
            return prepare(DrawSettings.model_validate({"model": str(tiny_folder), "steps": 1} | settings), source)

    return make


@pytest.fixture
def picture(here: Path, prepared: Callable[..., Job], tiny_folder: Path) -> str:
    """As drawn of the plan with a LoRA of a region, and one of the whole picture."""
    job = prepared(here / "loras" / "confined.yaml", lora=("loras/../loras/style.safetensors:0.5",))
    assert job.settings.lora is not None
    record = job.record(
        RunSettings(
            model=str(tiny_folder), seed=1, steps=1, device="cpu", dtype="float32", threads=1, lora=job.settings.lora
        )
    )
    (here / "drawn").mkdir()
    content = picture_bytes(Image.new("RGB", (32, 48)), job.kept_plan, job.routing, record, job.files)
    (here / "drawn" / "image.png").write_bytes(content)
    return "drawn/image.png"


def names(job: Job) -> list[str]:
    return sorted(Path(name).relative_to(Path.cwd()).as_posix() for name in job.lora_hashes)


def test_names_are_in_full_and_without_detours(picture: str, here: Path) -> None:
    with open_source(picture) as source:
        assert source.record is not None
        assert source.record.settings.lora == (f"{here}/loras/style.safetensors:0.5",)
        assert set(source.record.lora_hashes) == {f"{here}/loras/{name}.safetensors" for name in ("style", "other")}
    (here / "a").mkdir()
    (here / "a" / "link").symlink_to(here / "loras")
    assert full_path(Path("a/link/../loras/style.safetensors")) == here / "loras" / "style.safetensors"
    assert full_path(Path("a/link/style.safetensors")) == here / "a" / "link" / "style.safetensors"


def test_moved_files_are_found_by_their_hashes(picture: str, here: Path, prepared: Callable[..., Job]) -> None:
    """In the folder that is given, beside the picture, under another name; never one of the same name alone."""
    before = prepared(picture)
    assert names(before) == ["loras/other.safetensors", "loras/style.safetensors"]
    (here / "new").mkdir()
    shutil.move("loras/style.safetensors", "new/style.safetensors")
    shutil.move("loras/other.safetensors", "drawn/renamed.safetensors")
    save_weights(Path("new/other.safetensors"), make_weights(tiny_transformer(), 7))
    found = prepared(picture, lora_dir="new")
    assert names(found) == ["drawn/renamed.safetensors", "new/style.safetensors"]
    assert sorted(found.lora_hashes.values()) == sorted(before.lora_hashes.values())
    assert found.settings.lora == (f"{here}/new/style.safetensors:0.5",)
    assert found.kept_plan.regions[0].loras[0].file == f"{here}/drawn/renamed.safetensors"
    assert found.kept_plan.regions[0].loras[0].scale == 0.5
    other = prepared(picture, lora=("new/other.safetensors:2",))
    assert names(other) == ["drawn/renamed.safetensors", "new/other.safetensors"], "the user's own word"


def test_what_is_not_found_is_told(picture: str, here: Path, strata: Run, prepared: Callable[..., Job]) -> None:
    digests = {Path(name).stem: digest for name, digest in prepared(picture).lora_hashes.items()}
    save_weights(Path("loras/other.safetensors"), make_weights(tiny_transformer(), 7))
    for command in (("validate", picture), ("generate", picture)):
        done = strata(*command)
        assert done.code == 2
        assert f"{picture} (plan):" in done.err
        assert (
            f"regions[0].loras[0].file: LoRA {here}/loras/other.safetensors: is not the LoRA file that the picture was"
            " drawn with, nor is it in drawn; looked for is a .safetensors file, of any name, with the SHA-256"
            f" {digests['other']}: give its folder with --lora-dir"
        ) in done.err
    shutil.move("loras/other.safetensors", "elsewhere.safetensors")
    (here / "new").mkdir()
    done = strata("generate", picture, "--lora-dir", "new")
    assert "other.safetensors: no such file, nor is it in new and drawn; looked for is" in done.err
    assert "--lora-dir old: no such folder" in strata("generate", picture, "--lora-dir", "old").err
    assert "--lora-dir new: is for pictures" in strata("generate", "plan.yaml", "--lora-dir", "new").err


def test_one_of_the_settings_is_told_likewise(
    picture: str, loras: Path, prepared: Callable[..., Job], here: Path
) -> None:
    (loras / "style.safetensors").unlink()
    with pytest.raises(SettingError) as error:
        prepared(picture)
    assert f"LoRA {loras}/style.safetensors: no such file" in str(error.value)
    assert error.value.template.endswith("give its folder with <lora_dir>, or the file with <lora>")


def test_a_record_without_hashes_is_told(picture: str) -> None:
    with open_source(picture) as source:
        assert source.record is not None
        for kept in ("other", "style"):
            hashes = {name: digest for name, digest in source.record.lora_hashes.items() if kept not in name}
            record: Record = source.record.model_copy(update={"lora_hashes": hashes})
            with pytest.raises(SettingError, match=rf"LoRA .*{kept}.safetensors: the record has no hash of this file"):
                found_again(replace(source, record=record), DrawSettings())
    assert json.loads(record.model_dump_json())["lora_hashes"]
