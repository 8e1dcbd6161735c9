"""The page to browse a probe in: one file, and its script run by node where there is one."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from strata.analysis.page import page, page_data, write_page
from strata.analysis.probe import Probe
from strata.hierarchy import style
from strata.hierarchy.errors import InputError
from tests.analysis.probes import BLOCKS, COLS, LEFT, made_probe, picture

STUB = """
const made = {};
function element() {
  const made = {
    style: { setProperty() {} }, dataset: {}, classList: { add() {}, toggle() {} },
    checked: true, value: 70, children: [],
    append(...items) { this.children.push(...items); }, replaceChildren(...items) { this.children = items; },
    set: {}, setAttribute(name, to) { this.set[name] = to; },
    on: {}, addEventListener(name, does) { this.on[name] = does; },
    focus() { document.activeElement = this; }, getBoundingClientRect: () => ({ left: 0, top: 0, width: 1, height: 1 }),
  };
  made.getContext = () => ({
    createImageData: (w, h) => ({ data: new Uint8ClampedArray(4 * w * h) }),
    putImageData(shown) { made.shown = shown.data; },
  });
  return made;
}
globalThis.document = {
  getElementById: id => made[id] ??= element(), createElement: element, createElementNS: element,
  documentElement: element(), body: element(), addEventListener() {},
};
globalThis.matchMedia = () => ({ matches: true });
made.data = { textContent: require("fs").readFileSync(0, "utf8") };
"""
ASKS = """
(async () => {
  while (!document.body.dataset.ready) {
    if (String(made.about?.textContent).startsWith("This page")) throw new Error(made.about.textContent);
    await new Promise(done => setTimeout(done, 5));
  }
  const press = (key_, shiftKey) => key({ key: key_, shiftKey, target: { tagName: "BODY" }, preventDefault() {} });
  const first = { ...state };
  move("layer", 0); move("block", 0); move("phase", 0);
  press("ArrowRight"); press("ArrowRight"); press("ArrowLeft"); press("ArrowLeft"); press("ArrowLeft");
  press("ArrowUp"); press("]");
  const moved = { ...state };
  const map = Array.from(values(state.layer, state.phase, state.block)), mean = Array.from(values(1, PHASES, 3));
  const area = shares().table;
  pick(4);
  const token = shares();
  press("Escape");
  const stepped = [1, 2, 3].map(() => { press("ArrowRight", true); return state.token; });
  press("Escape");
  const buttons = el("blocks").children, pressed = () => buttons.map(button => button.set["aria-pressed"]);
  buttons[1].on.click();
  const labels = buttons.map(button => button.set["aria-label"]);
  const clicked = { block: state.block, pressed: pressed(), labels };
  buttons[1].focus();
  press("ArrowRight");
  const focused = buttons.indexOf(document.activeElement);
  const told = el("told").children.map(part => part.textContent ?? part).join("");
  const thumb = Array.from(buttons[2].children[0].shown);
  const theme = document.documentElement.dataset.theme;
  const more = { theme, stepped, clicked, focused, told, thumb };
  console.log(JSON.stringify({ first, moved, map, mean, area, token, left: state.token, ...more }));
})();
"""


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "input", "img"):
            self.open.append(tag)
        self.scripts += tag == "script"
        self.links += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("regions", [True, False])
def test_one_whole_file_without_network(regions: bool, tmp_path: Path) -> None:
    path = write_page(made_probe(regions), picture() if regions else None, tmp_path / "probe.html")
    text = path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["probe.html"]
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.scripts == 2, "a text with </script> in it must not close the data"
    assert reader.links == []
    assert "/*" not in text, "nothing of the template is left to fill in"
    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"], "a name, never fetched"
    assert text.count("data:image/png;base64,") == regions


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_page(made_probe(), None, tmp_path / "none" / "probe.html")


@pytest.mark.skipif(shutil.which("node") is None, reason="node, which runs the page's script, is not installed")
def test_the_script_shows_what_the_probe_holds() -> None:
    probe = made_probe()
    text = page(probe, picture())
    data, script = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert json.loads(data)["rows"] == 4
    done = subprocess.run(
        ["node", "-e", STUB + script + ASKS], input=data, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    labels, weights = probe.facts.labels, np.array([3, 2]) / 5
    opened = labels[found["first"]["layer"]]
    assert (opened.word, opened.text) == ("red", "left/low"), "a word of a region's own text"
    assert probe.facts.areas[found["first"]["area"]] == "left"
    mean_maps = np.tensordot([0.6, 0.4], probe.maps[found["first"]["layer"]], 1)
    assert found["first"]["block"] == mean_maps.max((1, 2)).argmax()
    assert found["first"]["phase"] == 2, "the mean over all steps"
    assert (found["moved"]["block"], found["moved"]["phase"], found["moved"]["layer"]) == (len(BLOCKS) - 1, 1, 1)
    np.testing.assert_allclose(found["map"], probe.maps[1, 1, -1].ravel(), atol=probe.maps[1].max() / 255)
    mean = np.tensordot(weights, probe.maps[1, :, 3], 1)
    np.testing.assert_allclose(found["mean"], mean.ravel(), atol=probe.maps[1].max() / 255)
    heard = [0, 1, 3, 4]
    np.testing.assert_allclose(found["area"], probe.shares[3:, :, 0][..., heard].mean(0), atol=1e-4)
    texts = [n for n, label in enumerate(labels) if label.kind != "word"]
    own = probe.maps[texts, 1, :, 4 // COLS, 4 % COLS].T
    table = np.array(found["token"]["table"])
    np.testing.assert_allclose(table[:, :-1], own, atol=2e-3)
    np.testing.assert_allclose(table.sum(1), 1, atol=1e-6)
    colours = [kind["colour"] for kind in found["token"]["kinds"]]
    assert colours[0] == style.hex_of(style.BASE)
    assert colours[2] == style.hex_of(style.region_colour(0)), "left/high: the colour of the region in its layout"
    assert colours[-1] == style.hex_of(style.IMAGE)
    assert 4 not in LEFT
    assert "in right" in found["token"]["title"]
    assert found["left"] is None
    assert found["theme"] == "dark"
    assert found["stepped"] == [15, 16, 17], "from the middle to the right, within the canvas"
    assert found["clicked"]["block"] == 1
    assert found["clicked"]["pressed"] == ["false", "true", "false", "false", "false"]
    assert [label.split(",")[0] for label in found["clicked"]["labels"]] == list(BLOCKS)
    assert found["focused"] == 2, "the keyboard's place goes along with the block"
    assert found["told"].startswith("padding of base in single 0, steps: 5–6; highest: ")
    brightness = np.reshape(found["thumb"], (-1, 4))[:, :3].sum(1)
    assert brightness.argmax() == probe.maps[1, 1, 2].argmax(), "a block's small map is its own"


def test_what_is_shown_first() -> None:
    def first(probe: Probe) -> str:
        data = page_data(probe, None)
        return f"{data['layers'][data['opens']['layer']]['name']}; {data['areas'][data['opens']['area']]['name']}"

    probe = made_probe()
    assert first(probe) == "red (in left/low); left"
    assert first(made_probe(regions=False)) == "red (in base); canvas"
    wordless = made_probe(words=False)
    assert first(wordless) == "left/high: a circle; left"
    asked = wordless.facts.model_copy(update={"asked": ("right/low",)})
    assert first(replace(wordless, facts=asked)) == "right/low: blue, dotted; right"
    assert first(made_probe(regions=False, words=False)).startswith("base: ")
