"""What the server is started with: a report of measured roles, and the addresses it is reached at."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from strata.hierarchy.errors import SettingError
from strata.studio.addresses import reached_at, url
from strata.studio.roles import measured
from tests.studio.conftest import ROOT


def damaged(report: Any, path: tuple[Any, ...], value: Any) -> Any:
    place = report
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return report


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("curves", 1, "level"), "deep", "curves[1].level: 'deep': must be one of high, low"),
        (("curves", 0, "kind"), None, "curves[0].kind: is missing"),
        (("curves", 0, "windows", 2), [3, 99], "curves[0].windows[2]: [3, 99]: must be a first and a last one of 12"),
        (("curves", 0, "points", 3, "value"), "much", "curves[0].points[3].value: 'much': must be a number"),
        (("curves", 0, "points", 3), None, "curves[0].points: 10 of them: must be as many as windows, 11"),
        (("curves", 0, "rank"), 7, "curves[0].rank: 7: must be a mapping"),
        (("curves", 2), "x", "curves[2]: 'x': must be a mapping"),
        (("curves",), {}, "curves: {}: must be a list of curves"),
        (("blocks",), [12], "blocks: [12]: must be two numbers of blocks"),
        (("blocks",), [4, 9], "measured on a model of 13 blocks, not of 12"),
    ],
)
def test_damaged_roles_name_file_and_field(tmp_path: Path, path: Any, value: Any, message: str) -> None:
    report = json.loads((ROOT / "docs" / "roles-miniature.json").read_text(encoding="utf-8"))
    report["curves"] = report["curves"][:3]
    file = tmp_path / "roles.json"
    file.write_text(json.dumps(damaged(report, path, value)), encoding="utf-8")
    with pytest.raises(SettingError) as refused:
        measured(str(file), 12)
    assert str(refused.value).startswith(f"roles {file}: ")
    assert message in str(refused.value)


def test_roles_of_which_some_are_unknown(tmp_path: Path) -> None:
    """A report has null where nothing was measured."""
    report = json.loads((ROOT / "docs" / "roles-miniature.json").read_text(encoding="utf-8"))
    for curve in report["curves"]:
        curve["points"][0] = dict.fromkeys(("value", "low", "high"))
    (tmp_path / "roles.json").write_text(json.dumps(report), encoding="utf-8")
    row, *_ = measured(str(tmp_path), 12)
    assert row["values"][0] is None
    assert all(value is not None for value in row["values"][2:])


def test_addresses_for_others() -> None:
    for host in ("0.0.0.0", "::"):
        found = reached_at(host)
        assert found
        assert not {"0.0.0.0", "::", "127.0.0.1", "::1"} & set(found)
    assert reached_at("192.168.0.2") == ["192.168.0.2"]
    assert [url(host, 80) for host in ("::1", "a.lan")] == ["http://[::1]:80/", "http://a.lan:80/"]


def test_a_machine_that_knows_no_address_of_its_own_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> Any:
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", none)
    monkeypatch.setattr("socket.socket", none)
    assert reached_at("0.0.0.0") == [socket.gethostname()]
