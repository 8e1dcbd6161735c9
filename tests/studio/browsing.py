"""The Studio's page in a real Chromium: what the tests of it share."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.studio.conftest import started
from tests.studio.conftest import until as until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
pytest.importorskip("starlette", reason="the Studio's extra is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
in_chromium = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    process, address = started()
    yield address
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


Opened = Callable[..., "Page"]


@pytest.fixture
def opened(chromium: Browser, address: str) -> Iterator[Opened]:
    """Opens the page as another user; the page's errors fail the test."""
    contexts, errors = [], []

    def page(width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        made = context.new_page()
        made.on("pageerror", lambda error: errors.append(str(error)))
        made.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        made.on("request", lambda r: None if r.url.startswith((address, "blob:", "data:")) else errors.append(r.url))
        made.goto(address)
        made.wait_for_selector("html[data-ready]")
        return made

    yield page
    for context in contexts:
        context.close()
    refused = re.compile(r"the server responded with a status of 4(22|04)")
    assert [error for error in errors if not refused.search(error)] == []


class Canvas:
    """The mouse, in pixels of the plan."""

    def __init__(self, page: Page, size: int = 128) -> None:
        self.page, self.size = page, size

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = settled(self.page).locator("#frame").bounding_box()
        assert box is not None
        return box["x"] + x * box["width"] / self.size, box["y"] + y * box["height"] / self.size

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.at(*start))
        mouse.down()
        mouse.move(*self.at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
        mouse.move(*self.at(*end))
        mouse.up()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))


def settled(page: Page) -> Page:
    """All that was done is sent, answered and shown."""
    page.wait_for_selector("html:not([data-busy])")
    return page


def scene(page: Page) -> Any:
    """The plan as the server has it."""
    return settled(page).evaluate("fetch('/api/session').then((answer) => answer.json())")["state"]["plan"]


def draw(page: Page, steps: int = 4, seed: int = 3) -> None:
    page.fill("#steps", str(steps))
    page.fill("#seed", str(seed))
    page.click("#draw")


def pictures(page: Page) -> int:
    return page.locator("#gallery img[src*='/files/']").count()
