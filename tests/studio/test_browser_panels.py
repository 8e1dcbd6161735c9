"""The panels of the page in a real Chromium: tries, the underlay, the strips of the depth."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.studio.browsing import Canvas, Opened, draw, in_chromium, pictures, scene, settled, until
from tests.studio.browsing import address as address
from tests.studio.browsing import chromium as chromium
from tests.studio.browsing import opened as opened

pytestmark = in_chromium


def test_an_underlay_outlives_a_reload(opened: Opened, tmp_path: Path) -> None:
    page, other = opened(), opened()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "sketch.png")
    page.set_input_files("#underlay-file", str(tmp_path / "sketch.png"))
    until(lambda: page.evaluate("document.querySelector('#under').naturalWidth") == 40)
    settled(page).fill("#opacity", "80")
    settled(page).reload()
    page.wait_for_selector("html[data-ready]")
    until(lambda: page.evaluate("document.querySelector('#under').naturalWidth") == 40)
    assert settled(page).locator("#under").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('#under')).opacity") == "0.8"
    assert (page.input_value("#underlay"), page.input_value("#opacity")) == ("kept", "80")
    assert not settled(other).locator("#under").is_visible()
    page.select_option("#underlay", "")
    until(lambda: not page.locator("#under").is_visible())
    settled(page).reload()
    page.wait_for_selector("html[data-ready]")
    assert not settled(page).locator("#under").is_visible()
    (tmp_path / "none.png").write_bytes(b"none")
    page.set_input_files("#underlay-file", str(tmp_path / "none.png"))
    until(lambda: "not a readable picture" in page.inner_text("#status"))


def test_drawing_until_it_obeys(opened: Opened) -> None:
    """The region is one token, in which no object is whole, so that no try is right."""
    page = opened()
    page.click("#tools [data-tool=box]")
    Canvas(page).drag((49, 49), (63, 63))
    page.fill("[data-key='0 name']", "sun")
    assert scene(page)["regions"] == [{"name": "sun", "box": [48, 48, 64, 64]}]
    page.fill(".level-high textarea", "a sun")
    page.fill(".level-low textarea", "yellow, striped, watercolour")
    page.click("#more summary")
    until(lambda: page.locator("#until_obeyed").is_visible())
    page.fill("#until_obeyed", "0")
    page.select_option("#mend", "again")
    draw(page, steps=1)
    until(lambda: "at least 1" in page.inner_text("#status"))
    until(lambda: page.get_attribute("#until_obeyed", "aria-invalid") == "true")
    page.fill("#until_obeyed", "3")
    until(lambda: "until it obeys (3)" in page.inner_text("#more summary"))
    draw(page, steps=1)
    until(lambda: page.locator(".tries li").count() >= 1)
    until(lambda: pictures(page) == 1)
    until(lambda: page.locator(".tries li").count() == 3 and page.locator(".tries b").inner_text() == "kept")
    until(lambda: "of 3 tries the " in page.inner_text("#status"))
    assert page.locator(".tries li").first.inner_text().startswith("try 1 of 3: sun: asked for")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    settled(page).click("#more summary")
    until(lambda: page.locator("#until_obeyed").is_visible() and page.input_value("#until_obeyed") == "3")
    page.fill("#until_obeyed", "60")
    draw(page, steps=1)
    page.click("#tab-picture")
    until(lambda: page.locator(".tries li").count() >= 1 and "best so far" in page.inner_text(".tries"))
    page.click("#cancel")
    until(lambda: not page.locator("#cancel").is_visible(), 30)
    assert settled(page).locator("#gallery [data-state=cancelled]").count() == 1


def test_strips_are_painted_by_the_keyboard(opened: Opened) -> None:
    page = opened()
    press = page.keyboard.press

    def told() -> str:
        return settled(page).inner_text("#cell")

    def silent() -> list[list[int]]:
        """The cells, as step and block, in which details are silent."""
        shown = page.evaluate(
            """async () => {
              const { scene } = (await import('/static/store.js')), { post } = (await import('/static/dom.js'));
              return post('routing', { text: scene.routing, steps: 20, regions: 1, area: 0.2 });
            }"""
        )
        [low] = [each["strength"] for each in shown["views"] if each["level"] == "low"]
        return [[step, block] for step, row in enumerate(low) for block, value in enumerate(row) if value == 0]

    page.click("#add")
    page.fill(".level-low textarea", "yellow")
    settled(page).focus("[data-level=high]")
    until(lambda: told().startswith("high content, step 1 of 20, double block 1 of 4: heard"))
    press("Tab")
    until(lambda: "low" in told())
    press("Enter")
    until(lambda: told().startswith("Heard: low detail"))
    assert page.evaluate("document.activeElement.dataset.level") == "low", "one tab stop a strip"
    for key in ("End", "PageDown", "ArrowDown", "ArrowRight", "Shift+ArrowLeft", "Shift+ArrowUp"):
        press(key)
    until(lambda: "steps 19 to 20 of 20, single blocks 7 to 8 of 8, 4 cells: heard" in told())
    press("3")
    until(lambda: told().startswith("Silent: low detail") and told().endswith("4 cells: silent"))
    assert silent() == [[18, 10], [18, 11], [19, 10], [19, 11]]
    assert page.evaluate("document.activeElement.dataset.level") == "low", "the focus stays"
    press("Escape")
    press("Home")
    press("Enter")
    until(lambda: "step 19 of 20, double block 1 of 4: silent" in told())
    assert [18, 0] in silent()
    assert len(silent()) == 5
    press("ArrowRight")
    press("2")
    press("ArrowRight")
    press("4")
    until(lambda: told().startswith("Isolate: low") and "double block 3 of 4: heard, isolated" in told())
    press("ArrowLeft")
    until(lambda: "double block 2 of 4: heard at 0.5" in told())
    press("Control+z")
    press("Control+z")
    press("Control+z")
    until(lambda: len(silent()) == 4)
    press("Control+a")
    until(lambda: "240 cells" in told())
    press("?")
    until(lambda: page.locator("dialog[open]").count() == 1)
    assert "on a strip: paint it" in page.inner_text("dialog")
