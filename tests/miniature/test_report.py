"""The score report as a command: goes on with what is there, and refuses what is not its own."""

import json
from pathlib import Path

import pytest

from strata.miniature.report import main

ASKED = ["--only", "content", "--n", "2", "--steps", "1"]


@pytest.mark.slow
def test_kinds_that_are_there_are_not_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.json"
    main([*ASKED, "--json", str(path)])
    report = json.loads(path.read_text())
    assert report["kinds"]["content"]["pictures"] == 2
    report["kinds"]["content"]["scores"]["kind"] |= {"right": 7, "asked": 9}
    path.write_text(json.dumps(report))
    capsys.readouterr()
    main(["--only", "content,detail", "--n", "2", "--steps", "1", "--json", str(path)])
    out = capsys.readouterr().out
    assert "7/9" in out, "kept as it was"
    assert list(json.loads(path.read_text())["kinds"]) == ["content", "detail"]


@pytest.mark.parametrize(
    ("there", "message"),
    [("{", "is there already and no report"), ("[]", "of another model"), ('{"seed": 1}', "of another model")],
)
def test_another_file_is_refused_before_anything_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str, message: str
) -> None:
    path = tmp_path / "scores.json"
    path.write_text(there)
    with pytest.raises(SystemExit):
        main([*ASKED, "--json", str(path)])
    assert message in capsys.readouterr().err
    assert path.read_text() == there
