"""The Studio over HTTP: what it answers, and whom it refuses."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from strata.hierarchy.errors import SettingError
from strata.hierarchy.plan import ScenePlan
from strata.source import open_source
from strata.studio.core import Studio
from strata.studio.settings import ServingSettings
from tests.studio.conftest import LOOPBACK, ended

pytest.importorskip("starlette", reason="the Studio's extra is not installed")
from starlette.testclient import TestClient

from strata.studio.app import STATIC, create_app
from strata.studio.guard import LARGEST_JSON

Browser = Callable[[], TestClient]


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def refused(answer: Any, status: int = 422) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()["error"]
    return found


# Who may ask ----------------------------------------------------------------------------------------------------------


def test_nothing_is_fetched_from_elsewhere(client: TestClient) -> None:
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'self'")
    for path in STATIC.iterdir():
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:7860"}, 403),
        ({"host": "localhost:7860", "origin": "http://localhost:7860"}, 401),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": LOOPBACK, "sec-fetch-site": "same-origin"}, 401),
        ({"content-length": str(LARGEST_JSON + 1)}, 413),
        ({}, 401),
    ],
)
def test_other_pages_and_strangers_are_refused(studio: Studio, headers: dict[str, str], status: int) -> None:
    stranger = TestClient(create_app(studio, port=7860), base_url=LOOPBACK)
    assert stranger.post("/api/look", json={}, headers=headers).status_code == status


def test_another_page_gets_no_session(studio: Studio) -> None:
    stranger = TestClient(create_app(studio, port=7860), base_url=LOOPBACK)
    before = len(studio.sessions.all())
    led = stranger.get("/", headers={"sec-fetch-site": "cross-site"})
    assert "set-cookie" not in led.headers
    assert 'content="0;url=/"' in led.text
    assert stranger.get("/api/session", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert len(studio.sessions.all()) == before
    assert "HttpOnly" in stranger.get("/").headers["set-cookie"]


def test_with_a_password_nothing_is_shown_before_it(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strata.studio.guard.WRONG", 0)
    client = TestClient(create_app(studio, "0.0.0.0", "a long secret"), base_url="http://studio.lan")
    assert client.get("/", follow_redirects=False).headers["location"] == "/static/login.html"
    assert client.get("/static/main.js").status_code == 401
    assert client.get("/api/session").status_code == 401
    assert client.post("/login", content="wrong").status_code == 401
    assert client.get("/api/session").status_code == 401
    assert client.post("/login", content="a long secret").status_code == 200
    assert client.get("/").status_code == 200
    assert client.get("/api/session").status_code == 200
    forged = TestClient(client.app, base_url="http://studio.lan", cookies={"strata_password_0": "x"})
    assert forged.get("/api/session").status_code == 401


def test_others_need_a_password() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        ServingSettings(host=host).check()
    for host in ("0.0.0.0", "192.168.0.2", "::", "studio.lan"):
        with pytest.raises(SettingError, match="give a password too"):
            ServingSettings(host=host).check()
        ServingSettings(host=host, password="12345678").check()
    with pytest.raises(SettingError, match="at least 8 characters"):
        ServingSettings(password="1234567").check()


# No path from a form is opened ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mask", ["/etc/passwd", "../masks/a.png", "masks/../../x.png", f"masks/{'0' * 32}.png", "masks/x.png", ""]
)
def test_masks_are_the_sessions_own(client: TestClient, plan: dict[str, Any], mask: str) -> None:
    plan["regions"][1] = {"name": "house", "high": "a house", "mask": mask}
    for path in ("draw", "save", "mask", "export"):
        error = refused(client.post(f"/api/{path}", json={"plan": plan, "region": 1, "form": "miniature"}))
        assert error["region"] == 1
    problems = client.post("/api/look", json={"plan": plan}).json()["problems"]
    assert problems[0]["region"] == 1


def test_pictures_elsewhere_are_no_masks(
    client: TestClient, plan: dict[str, Any], studio: Studio, tmp_path: Path
) -> None:
    (tmp_path / "mask.png").write_bytes(png(np.full((128, 128), 255, np.uint8)))
    depth = "../" * 20
    for mask in (str(tmp_path / "mask.png"), f"{depth}{tmp_path}/mask.png", f"masks/{depth}{tmp_path}/mask.png"):
        plan["regions"][1] = {"name": "house", "high": "a house", "mask": mask}
        error = refused(client.post("/api/mask", json={"plan": plan, "region": 1}))
        assert "is no mask of this session" in error["message"]


def test_loras_are_those_that_are_offered(client: TestClient, plan: dict[str, Any]) -> None:
    offered = client.get("/api/session").json()["loras"]
    plan["regions"][0]["loras"] = [{"file": offered[0]}]
    assert client.post("/api/look", json={"plan": plan}).json()["problems"] == []
    plan["regions"][0]["loras"] = [{"file": "/etc/other.safetensors"}]
    error = refused(client.post("/api/draw", json={"plan": plan}))
    assert error["field"] == "regions[0].loras[0].file"
    assert offered[0] in error["message"]


@pytest.mark.parametrize("settings", [{"image": "/etc/passwd"}, {"lora": ["x"]}, {"model": "other"}, {"routing": "x"}])
def test_settings_name_no_files(client: TestClient, plan: dict[str, Any], settings: dict[str, Any]) -> None:
    assert (
        "is none that a page sets"
        in refused(client.post("/api/draw", json={"plan": plan, "settings": settings}))["message"]
    )


def test_routings_are_texts(client: TestClient, plan: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nrules: [{level: high}]\n", encoding="utf-8")
    for path in (str(tmp_path / "mine.yaml"), "../uniform.yaml", "no-such-preset"):
        refused(client.post("/api/draw", json={"plan": plan, "routing": path}))
        refused(client.post("/api/routing", json={"text": path}))


def test_a_plan_that_is_opened_names_no_files_here(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(png(np.full((8, 8), 255, np.uint8)))
    for mask in (str(tmp_path / "mask.png"), "mask.png"):
        text = json.dumps(
            {"width": 64, "height": 64, "prompt": "", "regions": [{"name": "a", "full": "b", "mask": mask}]}
        )
        error = refused(client.post("/api/open?name=../plan.json", content=text))
        assert "did not come with the plan" in error["message"]
        assert "upload-" not in error["message"]


def test_damaged_and_hostile_uploads(client: TestClient) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("plan.yaml", b"#" * (5 * 2**20))
        archive.writestr("../outside.txt", "x")
    padded = io.BytesIO()
    with zipfile.ZipFile(padded, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("plan.yaml", "width: 64\nheight: 64\nprompt: sea\n")
        archive.writestr("masks/large.png", bytes(17 * 2**20))
    assert "larger than 16 MiB" in refused(client.post("/api/open?name=a.zip", content=padded.getvalue()))["message"]
    huge = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + b"IHDR" + (60000).to_bytes(4, "big") * 2 + bytes(9)
    for content, name in (
        (bomb.getvalue(), "a.zip"),
        (b"PK\x03\x04broken", "b.zip"),
        (huge, "c.png"),
        (b"\x00\xff", "d.yaml"),
        (b"a: &a [*a]", "e.yaml"),
        (b"", "f"),
    ):
        refused(client.post(f"/api/open?name={name}", content=content))
    for content in (huge, b"none", b""):
        refused(client.post("/api/masks?width=64&height=64", content=content))
        refused(client.post("/api/underlay", content=content))
    refused(client.post("/api/masks?width=64&height=64", content=png(np.zeros((8, 8), np.uint8))))
    refused(client.post("/api/masks?width=99999&height=64", content=png(np.full((8, 8), 255, np.uint8))))
    for body in (b"[]", b"{", b'{"plan": NaN}', b"[" * 100_000):
        refused(client.post("/api/look", content=body))


def test_an_underlay_is_the_sessions_own(client: TestClient, browser: Browser, studio: Studio) -> None:
    def keep(size: tuple[int, int]) -> Any:
        return client.post("/api/underlay", content=png(np.full((*size, 3), 90, np.uint8))).json()["underlay"]

    small = keep((30, 40))
    answer = client.get(f"/api/underlay/{small}")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (40, 30)
    assert client.get("/api/session").json()["underlay"] == small
    assert browser().get(f"/api/underlay/{small}").status_code == 404
    large = keep((100, 4000))
    assert client.get(f"/api/underlay/{small}").status_code == 404, "one at a time"
    assert Image.open(io.BytesIO(client.get(f"/api/underlay/{large}").content)).size == (2048, 51)
    for content in (b"none", b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        assert "not a readable picture" in refused(client.post("/api/underlay", content=content))["message"]
    [folder] = {session.folder for session in studio.sessions.all() if session.underlay == large}
    assert [path.name for path in folder.glob("underlay*")] == [large]
    assert client.get("/api/underlay/..%2Fmasks").status_code == 404
    assert client.delete("/api/underlay", headers={"origin": "http://evil.example"}).status_code == 403
    client.delete("/api/underlay")
    assert client.get("/api/session").json()["underlay"] is None
    assert not list(folder.glob("underlay*"))


# What the page sees ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "routings", "shared"),
    [(None, "union", True), (None, "split", False), ("union", "split", True), ("split", "union", False)],
)
def test_overlaps_are_shown_as_they_will_be_heard(
    client: TestClient, plan: dict[str, Any], own: str | None, routings: str, shared: bool
) -> None:
    """By the plan's own word, else by the routing's."""
    boxes = {"a": [0, 0, 80, 128], "b": [48, 0, 128, 128]}
    one, other = ({"name": name, "box": box, "high": "a cup"} for name, box in boxes.items())
    asked = {"plan": plan | {"regions": [one, other]} | ({} if own is None else {"overlap": own}), "overlap": routings}
    look = client.post("/api/look", json=asked).json()
    assert look["problems"] == []
    assert any(len(atom["members"]) == 2 for atom in look["tokens"]["atoms"]) == shared


def test_a_look_at_a_plan(client: TestClient, plan: dict[str, Any]) -> None:
    look = client.post("/api/look", json={"plan": plan, "state": {"plan": plan}}).json()
    cells = [n for atom in look["tokens"]["atoms"] for first, last in atom["runs"] for n in range(first, last + 1)]
    assert sorted(cells) == list(range(64))
    assert look["problems"] == look["notes"] == []
    assert client.get("/api/session").json()["state"] == {"plan": plan}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"high": None, "low": None}, "regions[1]"),
        ({"name": "cloud"}, "regions[1].name"),
        ({"box": [0, 0, 500, 5]}, "regions[1].box"),
        ({"box": [0, 0, 2, 2]}, "regions[1]"),
        ({"strength": 3}, "regions[1].strength"),
    ],
)
def test_what_is_wrong_is_told_with_its_region(
    client: TestClient, plan: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    region = {**plan["regions"][1], **change}
    plan["regions"][1] = {key: value for key, value in region.items() if value is not None}
    [problem] = client.post("/api/look", json={"plan": plan}).json()["problems"]
    assert (problem["field"], problem["region"]) == (field, 1)
    if change.get("high", "") is None:
        assert client.post("/api/look", json={"plan": plan}).json()["tokens"], "places are shown without texts"


def test_saved_scenes_come_back(client: TestClient, browser: Browser, plan: dict[str, Any]) -> None:
    inside = np.zeros((128, 128), np.uint8)
    inside[10:60, 40:90] = 255
    mask = client.post("/api/masks?width=128&height=128", content=png(inside)).json()["mask"]
    plan["regions"][1] = {"name": "house", "high": "a house", "mask": mask}
    saved = client.post("/api/save", json={"plan": plan, "routing": "coarse-to-fine"}).content
    other = browser()
    assert other.get(f"/api/{mask}").status_code == 422, "another session's"
    opened = other.post("/api/open?name=scene.zip", content=saved).json()
    assert opened["plan"] == plan, "the same mask has the same name"
    assert "coarse-to-fine" in opened["routing"]
    shown = other.post("/api/mask", json={"plan": opened["plan"], "region": 1}).content
    assert (np.asarray(Image.open(io.BytesIO(shown))) == (inside > 0)).all()


def test_other_programs_layouts_and_captions(client: TestClient, plan: dict[str, Any]) -> None:
    exported = client.post("/api/export", json={"plan": plan, "form": "ideogram"}).json()["text"]
    opened = client.post("/api/open?name=a.json&form=ideogram&width=128&height=128", content=exported).json()
    assert len(opened["plan"]["regions"]) == 3
    assert (
        "say its width and height"
        in refused(client.post("/api/open?name=a.json&form=ideogram", content=exported))["message"]
    )
    assert "must be one of" in refused(client.post("/api/export", json={"plan": plan, "form": "../x"}))["message"]


# Drawing --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_is_what_the_command_line_draws(
    client: TestClient, browser: Browser, plan: dict[str, Any], studio: Studio, tmp_path: Path
) -> None:
    """Drawn, seen by nobody else, opened again."""
    asked = {"plan": plan, "routing": "uniform", "settings": {"seed": 3, "steps": 1}, "count": 2}
    [run] = client.post("/api/draw", json=asked).json()["runs"]
    found = ended(client, run["id"])
    assert (found["state"], found["problem"]) == ("done", None)
    assert [(each["name"], each["seed"]) for each in found["pictures"]] == [("image-1.png", 3), ("image-2.png", 4)]
    assert {each["region"] for each in found["pictures"][0]["judged"]["objects"]} == {"cloud", "house", "tree"}

    files = f"/api/runs/{run['id']}/files"
    picture = client.get(f"{files}/image-2.png").content
    (tmp_path / "image.png").write_bytes(picture)
    with open_source(str(tmp_path / "image.png")) as source:
        assert source.record is not None
        assert (source.record.settings.seed, source.record.settings.steps) == (4, 1)
        assert source.plan == ScenePlan.from_json(json.dumps(plan))
    with zipfile.ZipFile(io.BytesIO(client.get(f"/api/runs/{run['id']}/zip").content)) as archive:
        assert {"plan.yaml", "routing.yaml", "run.json", "layout.png", "image-1.png"} <= set(archive.namelist())
    for name in ("../../masks", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "no.png"):
        assert client.get(f"{files}/{name}").status_code == 404

    stranger = browser()
    assert stranger.get("/api/session").json()["runs"] == []
    assert stranger.get(f"{files}/image-2.png").status_code == 404
    for action in ("cancel", "restyle", "repaint", "probe", "reopen"):
        assert stranger.post(f"/api/runs/{run['id']}/{action}", json={"picture": "image-2.png"}).status_code == 404

    opened = client.post("/api/open?name=image.png", content=picture).json()
    assert opened["plan"] == plan
    assert (opened["settings"]["seed"], opened["settings"]["steps"]) == (4, 1)


@pytest.mark.slow
def test_what_waits_is_cancelled_and_bounded(client: TestClient, plan: dict[str, Any], studio: Studio) -> None:
    asked = {"plan": plan, "settings": {"seed": 1, "steps": 20}, "count": 8}
    first, second = (client.post("/api/draw", json=asked).json()["runs"][0]["id"] for _ in range(2))
    for run in (second, first):
        client.post(f"/api/runs/{run}/cancel", json={})
    assert [ended(client, run)["state"] for run in (first, second)] == ["cancelled", "cancelled"]
    assert len(ended(client, second)["pictures"]) == 0
    for count in (0, 65, 1.5, "2", None):
        refused(client.post("/api/draw", json={**asked, "count": count}))
    assert refused(client.post("/api/draw", json={**asked, "settings": {"steps": 0}}))["field"] == "steps"
