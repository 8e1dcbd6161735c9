"""The pictures of the Studio's page, taken of the page itself: a scene is planned, drawn from fixed seeds and restyled.

python docs/studio_pictures.py -o docs/pictures     writes studio.png and studio-layout.png

It starts a Studio of its own with the bundled models, on a free port, and drives it with Playwright in the system's
Chromium (`apt-get install chromium`). A minute or two, without a network.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SENTENCE = (
    "a red striped boat on the left, a yellow solid sun in the top right corner and a purple dotted star in the bottom"
    " right corner, at sea, watercolour"
)
SEED, PICTURES, STEPS = 4, 6, 20
RESTYLED = "sun", "green, checkered, watercolour"
WIDTH, HEIGHT = 1440, 900
SECONDS = 150
"""That anything may take."""


def main() -> None:
    """Write the pictures; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the pictures")
    folder = parser.parse_args().output
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("there is no Chromium; apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with _served() as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(1000 * SECONDS)
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        _draw(page)
        _take(page, folder / "studio.png")
        _edit(page)
        _take(page, folder / "studio-layout.png")
        browser.close()


@contextmanager
def _served() -> Iterator[str]:
    """A Studio's address, for as long as the context lasts."""
    command = [sys.executable, "-m", "strata", "studio", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise SystemExit("strata studio did not start")
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _settled(page: Page) -> Page:
    """All that was done is sent, answered and shown."""
    page.wait_for_selector("html:not([data-busy])")
    return page


def _draw(page: Page) -> None:
    """Plans the sentence, draws its pictures, restyles the first one, and looks at both."""
    page.fill("#prompt", SENTENCE)
    page.click("#plan")
    page.wait_for_selector("#areas li >> nth=4")
    for field, value in (("seed", SEED), ("count", PICTURES), ("steps", STEPS)):
        page.fill(f"#{field}", str(value))
    page.click("#draw")
    page.wait_for_selector(f"#gallery .mark >> nth={PICTURES - 1}")  # the judge has said something of each
    page.wait_for_selector("#cancel", state="hidden")
    _settled(page).locator("#gallery button[data-run]").first.click()
    area, low = RESTYLED
    _settled(page).select_option("#area", area)
    page.fill("[data-key='change low']", low)
    page.click("#restyle")
    page.wait_for_selector(f"#gallery .mark >> nth={PICTURES}")
    page.wait_for_selector("#divider")
    if _settled(page).get_attribute("#overlay", "aria-pressed") == "false":
        page.click("#overlay")
    page.locator("#divider").evaluate(
        "(slider) => { slider.value = 62; slider.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    page.fill("#steps", "")


def _edit(page: Page) -> None:
    """Goes back to the layout: the boat reaches into its neighbours, and details are silent in the last blocks."""
    page.click("#tools [data-view=edit]")
    page.click("#area-whole")
    _settled(page).select_option("[data-key=overlap]", "union")
    page.click("#area-0")
    _settled(page).fill("[data-key='0 side 2']", "80")
    page.keyboard.press("Tab")
    for toggle in ("grid", "heard"):
        _settled(page).click(f"#{toggle}")
    page.click("#tab-depth")
    _settled(page).focus("[data-level=low]")
    for key in ("End", "PageDown", *["Shift+ArrowLeft"] * 3, *["Shift+ArrowUp"] * 13, "3"):
        page.keyboard.press(key)


def _take(page: Page, path: Path) -> None:
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(WIDTH / 2, 5)
    page.wait_for_timeout(400)  # transitions end
    content = _settled(page).screenshot()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
