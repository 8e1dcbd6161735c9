"""The page in a real Chromium, with the mouse, with the keyboard alone, by two people, at 390 and 1440 pixels."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from strata.source import open_source
from tests.studio.browsing import Canvas, Opened, draw, in_chromium, pictures, scene, settled, until
from tests.studio.browsing import address as address
from tests.studio.browsing import chromium as chromium
from tests.studio.browsing import opened as opened
from tests.studio.conftest import started

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = in_chromium
SENTENCE = "a red striped boat on the left and a yellow sun on the right, at sea, watercolour"


def test_from_a_sentence_to_a_restyled_picture(opened: Opened, tmp_path: Path) -> None:
    page = opened()
    page.fill("#prompt", SENTENCE)
    page.click("#plan")
    until(lambda: page.locator("#areas li").count() == 4)
    assert settled(page).locator("#areas li b").all_inner_texts() == ["Whole picture", "boat", "sun", "Background"]
    draw(page, steps=8)
    until(lambda: page.evaluate("document.querySelector('#result').naturalWidth") > 0)
    assert "/preview?" in (page.get_attribute("#result", "src") or ""), "a preview before the picture"
    until(lambda: page.locator(".obeyed li").count() == 2)
    assert (settled(page).get_attribute("#result", "src") or "").endswith("preview.png")

    with page.expect_download() as download:
        page.click("#picture a:has-text('Picture')")
    download.value.save_as(tmp_path / "image.png")
    with open_source(str(tmp_path / "image.png")) as source:
        assert [region.name for region in source.plan.regions] == ["boat", "sun"]
        assert source.record is not None
        assert source.record.settings.seed == 3

    settled(page).click("#overlay")
    Canvas(page).click(100, 64)
    assert settled(page).input_value("#area") == "sun"
    page.fill("[data-key='change low']", "red, dotted, watercolour")
    page.click("#restyle")
    until(lambda: page.locator("#gallery .kind:has-text('restyled')").count() == 1)
    until(lambda: page.locator("#divider").is_visible())
    page.focus("#divider")
    page.keyboard.press("Home")
    assert settled(page).evaluate("getComputedStyle(document.querySelector('#result2')).clipPath").endswith("0%)")

    page.click("#open")
    page.set_input_files("#file", str(tmp_path / "image.png"))
    until(lambda: page.input_value("#seed") == "3")
    assert len(scene(page)["regions"]) == 2


def test_drawing_and_dragging_with_the_mouse(opened: Opened) -> None:
    page = opened()
    canvas = Canvas(page)
    page.click("#tools [data-tool=box]")
    canvas.drag((5, 35), (60, 110))
    until(lambda: page.evaluate("document.activeElement.dataset.key") == "0 name")
    page.keyboard.type("house")
    assert scene(page)["regions"] == [{"name": "house", "box": [0, 32, 64, 112]}]
    assert settled(page).locator("#areas .badge.bad").count() == 1, "it has no text yet"
    canvas.drag((30, 60), (46, 60))
    assert scene(page)["regions"][0]["box"] == [16, 32, 80, 112]
    canvas.drag((80, 112), (97, 127))
    assert scene(page)["regions"][0]["box"] == [16, 32, 96, 128]
    page.keyboard.down("Alt")
    canvas.drag((40, 60), (37, 50))
    page.keyboard.up("Alt")
    assert scene(page)["regions"][0]["box"] == [13, 22, 93, 118], "off the token grid"

    page.click("#area-whole")
    page.click("#tools [data-tool=polygon]")
    for corner in ((16, 0), (112, 0), (64, 30)):
        canvas.click(*corner)
    page.keyboard.press("Enter")
    assert scene(page)["regions"][1]["polygon"] == [[16, 0], [112, 0], [64, 32]]
    page.click("#tools [data-tool=select]")
    canvas.drag((64, 32), (64, 63))
    assert scene(page)["regions"][1]["polygon"][2] == [64, 64]

    page.click("#area-whole")
    page.click("#tools [data-tool=brush]")
    canvas.drag((20, 100), (110, 100))
    until(lambda: page.locator("#areas li").count() == 5)
    mask = scene(page)["regions"][2]["mask"]
    page.click("#tools [data-tool=erase]")
    canvas.drag((64, 80), (64, 120))
    until(lambda: scene(page)["regions"][2]["mask"] != mask)
    page.click("#area-0")
    canvas.drag((40, 30), (60, 60))
    until(lambda: "mask" in scene(page)["regions"][0])

    for _ in range(20):
        page.evaluate("document.querySelector('#undo').click()")
    assert scene(page)["regions"] == []
    page.click("#redo")
    page.click("#redo")
    assert scene(page)["regions"][0]["name"] == "house"


def test_the_keyboard_alone(opened: Opened) -> None:
    page = opened()
    press = page.keyboard.press

    def tab_to(selector: str) -> None:
        for _ in range(80):
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            press("Tab")
        raise AssertionError(f"no way to {selector} by Tab")

    tab_to("#stage")
    press("n")
    until(lambda: page.evaluate("document.activeElement.dataset.key") == "0 name")
    page.keyboard.type("sun")
    press("Tab")
    page.keyboard.type("a sun")
    press("Tab")
    page.keyboard.type("yellow, solid, crayon")
    press("Escape")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Alt+ArrowDown"):
        press(key)
    assert scene(page)["regions"][0]["box"] == [16, 17, 96, 81]
    press("Control+c")
    press("Control+v")
    assert [each["name"] for each in scene(page)["regions"]] == ["sun", "sun 2"]
    press("Control+z")
    press("Control+z")
    press("Control+Shift+z")
    assert [each["name"] for each in scene(page)["regions"]] == ["sun"]
    tab_to("#areas") if page.locator("#areas:focus").count() else page.focus("#areas")
    press("Home")
    press("Enter")
    page.keyboard.type("a yellow solid sun, plain grey background, crayon")
    page.focus("#steps")
    page.keyboard.type("2")
    press("Control+Enter")
    until(lambda: pictures(page) == 1)
    page.focus("#tab-picture")
    press("ArrowLeft")
    assert page.locator("#depth").is_visible()
    settled(page)
    tab_to("[data-op=isolate]")
    press("End")
    until(lambda: "100%" in page.locator("label:has([data-op=isolate])").inner_text())
    until(
        lambda: (
            "edited" in page.locator("#preset").input_value()
            or page.locator("#preset option").first.inner_text().endswith("(edited)")
        )
    )


def test_bad_input_is_told_and_nothing_is_lost(opened: Opened, tmp_path: Path) -> None:
    page = opened()
    page.click("#plan")
    assert "Write a sentence" in settled(page).inner_text("#status")
    page.fill("#prompt", "the theory of everything")
    page.click("#plan")
    until(lambda: page.locator("#status.error").count() == 1 and "Write" not in page.inner_text("#status"))
    settled(page).click("#add")

    def is_refused() -> bool:
        """What the planner said of the sentence may still come, and take the place of the answer."""
        settled(page).click("#draw")
        return "needs a text" in settled(page).inner_text("#status")

    until(is_refused)
    page.fill(".level-high textarea", "a boat")
    page.fill("[data-key='0 name']", "global")
    until(lambda: page.locator(".why").count() == 1)
    assert "reserved" in page.inner_text(".why")
    page.fill("[data-key='0 name']", "boat")
    page.fill("#steps", "0")
    page.click("#draw")
    until(lambda: page.get_attribute("#steps", "aria-invalid") == "true")
    page.fill("#steps", "")
    page.click("summary:has-text('Rules as text')")
    page.fill("#rules", "name: x\nrules: [{level: deep}]\n")
    page.click("#apply")
    until(lambda: page.locator("#depth .note.bad").count() == 1)
    assert page.input_value("#rules").startswith("name: x"), "what was written stays"
    (tmp_path / "broken.yaml").write_text("width: [", encoding="utf-8")
    page.click("#open")
    page.set_input_files("#file", str(tmp_path / "broken.yaml"))
    until(lambda: page.inner_text("#why") != "")
    page.keyboard.press("Escape")
    assert [each["name"] for each in scene(page)["regions"]] == ["boat"]


def test_two_people_and_a_reload_in_mid_run(opened: Opened) -> None:
    one, two = opened(), opened()
    for page, name, colour in ((one, "sun", "yellow"), (two, "star", "blue")):
        page.click("#add")
        page.fill("[data-key='0 name']", name)
        page.fill(".level-high textarea", f"a {name}")
        page.fill(".level-low textarea", f"{colour}, solid, crayon")
        page.fill("#count", "3")
        draw(page, steps=20, seed=5)
    until(lambda: one.locator("#gallery [data-state=drawing]").count() > 0)
    one.reload()
    one.wait_for_selector("html[data-ready]")
    assert settled(one).locator("#gallery button").count() >= 1, "its run is there again"
    assert one.locator("#cancel").is_visible()
    assert [each["name"] for each in scene(one)["regions"]] == ["sun"]
    until(lambda: pictures(two) >= 1)
    assert pictures(one) < 3, "nobody waits for all of another's pictures"
    until(lambda: pictures(one) == 3 and pictures(two) == 3)
    runs = [
        page.evaluate("[...document.querySelectorAll('#gallery button')].map((b) => b.dataset.run)")
        for page in (one, two)
    ]
    assert not set(runs[0]) & set(runs[1])
    status = one.evaluate(
        "(id) => fetch(`/api/runs/${id}/files/plan.yaml`).then((answer) => answer.status)", runs[1][0]
    )
    assert status == 404
    draw(two, steps=200)
    until(lambda: two.locator("#cancel").is_visible() and "step" in two.inner_text("#status"))
    two.click("#cancel")
    until(lambda: not two.locator("#cancel").is_visible(), 30)


NAMED = """() => [...document.querySelectorAll(
  'button, input, select, textarea, [role=tab], [role=listbox], canvas[tabindex]')]
  .filter((each) => each.checkVisibility() && each.type !== 'file')
  .filter((each) => !(each.getAttribute('aria-label') || each.innerText?.trim() || each.labels?.length || each.title))
  .map((each) => each.outerHTML.slice(0, 120))"""
CONTRAST = """() => {
  const rgb = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const linear = (v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => { const [r, g, b] = c.map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (each) => {
    for (; each; each = each.parentElement) {
      const c = rgb(getComputedStyle(each).backgroundColor);
      if (c[3] > 0.7) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const each of document.querySelectorAll('body *')) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !each.checkVisibility() || each.closest('svg, :disabled, .unused, .hidden, .skip')) continue;
    const [a, b] = [light(rgb(getComputedStyle(each).color)), light(ground(each))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([ratio.toFixed(2), each.outerHTML.slice(0, 100)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_widths_and_themes(opened: Opened, width: int, scheme: str) -> None:
    page = opened(width, 844, scheme)
    page.click("#add")
    page.fill(".level-high textarea", "a boat")
    for panel in ("depth", "picture", "attention"):
        settled(page).click(f"#tab-{panel}")
        assert settled(page).evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(NAMED) == []
        assert page.evaluate(CONTRAST) == []
    frame = page.locator("#frame").bounding_box()
    assert frame is not None
    assert frame["width"] > (320 if width == 390 else 480)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


def test_a_password_is_asked_for(chromium: Browser) -> None:
    os.environ["STRATA_STUDIO_PASSWORD"] = "a long secret"
    try:
        process, address = started()
    finally:
        del os.environ["STRATA_STUDIO_PASSWORD"]
    try:
        page = chromium.new_context().new_page()
        page.goto(address)
        page.fill("#password", "not it at all")
        page.keyboard.press("Enter")
        until(lambda: page.inner_text("#why") != "", 20)
        page.fill("#password", "a long secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-ready]")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
