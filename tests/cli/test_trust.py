"""A picture from a stranger does not choose what is loaded, and writes nothing but text to a terminal."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from strata.hierarchy.errors import SettingError
from strata.loading import locate_recorded
from strata.miniature import WEIGHTS
from tests.cli.conftest import Run


def test_a_picture_may_name_what_is_bundled() -> None:
    assert locate_recorded("miniature").kind == "miniature"
    assert locate_recorded(str(WEIGHTS)).kind == "folder"


@pytest.mark.parametrize("name", ["someone/else", ".", "/", "//host/share", "\x1b[2J", "../models", "someone/../else"])
def test_a_picture_may_not_name_anything_else(name: str) -> None:
    with pytest.raises(SettingError, match="if you trust it, name it with model") as caught:
        locate_recorded(name)
    assert caught.value.field == "model"
    assert "\x1b" not in str(caught.value)


def test_a_picture_may_name_what_is_in_the_cache_and_the_hub_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "models--someone--else"
    (kept / "snapshots" / "abc").mkdir(parents=True)
    (kept / "snapshots" / "abc" / "model_index.json").write_text("{}")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    found = locate_recorded("someone/else")
    assert (found.kind, found.only_here) == ("hub", True)
    monkeypatch.chdir(tmp_path)
    Path("someone/else").mkdir(parents=True)  # loading would take the folder
    with pytest.raises(SettingError):
        locate_recorded("someone/else")


def test_a_name_that_is_no_utf_8_is_refused_at_once(strata: Run) -> None:
    result = strata("generate", "plan-\udcff.yaml")
    assert result.code == 2
    assert result.err == "strata: error: argument 'plan-\\udcff.yaml': holds bytes that are no UTF-8; rename the file\n"


def test_an_escape_sequence_does_not_reach_the_terminal(strata: Run, tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[31m\nstrata: error: forged.yaml"
    file.write_text("width: 8\nheight: 8\nprompt: x\n")
    result = strata("validate", file)
    assert "\x1b" not in result.out + result.err
    assert len((result.out + result.err).splitlines()) == 1
