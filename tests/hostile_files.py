"""Damaged and hostile files, made from good ones by a seed; and what reading one may end in."""

import io
import json
import random
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, PngImagePlugin

from strata.commands.plan import PlanSettings, _read_list
from strata.hierarchy.errors import LONGEST_MESSAGE, StrataError, printable
from strata.hierarchy.files import read_document
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_legend
from strata.layers.drawing import draw_schedule
from strata.layers.routing import Routing
from strata.layers.table import schedule_table
from strata.llm.draft import Draft
from strata.plan_table import plan_lines
from strata.record import CHUNK_PLAN, CHUNK_ROUTING, CHUNK_RUN
from strata.source import kind_of, open_source

LONGEST = 2.0
"""Seconds that a case may take."""
PLAN = """\
width: 64
height: 48
prompt: a red circle and a blue square
negative_prompt: blurry
low: oil painting
regions:
  - {name: left, box: [0, 0, 32, 48], high: a circle, low: red, strength: {high: 0.5, low: 1}}
  - {name: right, polygon: [[32, 0], [64, 0], [64, 48.5]], high: a square, low: blue, priority: 2}
background: {full: plain}
overlap: priority
grid: coverage
provenance: {planner: {model: tiny, repairs: [one], invented: [{words: [a], area: left}]}, key: k}
"""
DRAFT = "style: oil\nwidth: 64\nheight: 48\nregions:\n  - {name: a, box: [0, 0, 9, 9]}\n  - {high: a boat, low: red}\n"
ROUTING = """\
name: mine
about: what it does
model: {double: 2, single: 3}
blend: {mode: split, base_ratio: {from: 0.5, to: 0.1}}
rules:
  - {level: low, depth: 0%-50%, steps: 0%-50%, strength: 0.5}
  - {level: high, double: 0-1, single: "0,2", steps: 3, regions: [left], isolate: true}
balance:
  - {regions: 1-2, base_ratio: 0.3, steps: 0%-60%}
  - {regions: 3+, area: 0%-15%, base_ratio: 0.1}
evidence: {measured: [1, 2.5, true]}
"""
RUN = """\
{"format": 1, "name": "plan", "settings": {"model": "miniature", "seed": 1, "steps": 2, "guidance": 3.5,
 "true_cfg": null, "image_strength": null, "device": "cpu", "dtype": "float32", "threads": 1},
 "image": null, "mask_image": null,
 "swaps": [{"area": "left", "level": "low", "text": "red", "steps": "0%-10%"}],
 "repaints": [{"region": "left", "before": {"name": "left", "box": [0, 0, 9, 9], "low": "x"}, "prompt": "two",
               "seed": 3}, {"region": "left"}], "command": "strata generate",
 "created": "2026-01-01T00:00:00+00:00", "versions": {"strata": "0.1"}}
"""
PROMPTS = '{"prompt": "a red circle", "width": 64, "height": 64}\n{"prompt": "two boats", "regions": 2}\n'

_BITS = [
    *"\x00\x07\x1b\x7f\x85\u200b\u202e\u2028\u2066\ufeff\ufffe\U000e0001\u3164é日\U0001f600\u0301",
    "\x1b[2J", "\r\n", "!!bool maybe", "!!int", "!!float x", "!!timestamp 2001-99-99", "!!binary aGk=", "!!set {a, b}",
    "!!python/object:os.system x", "!!omap [a: 1]", "!x", "&a ", "*a", "<<: {a: 1}", "? [a]\n: b", "%YAML 9.9\n---\n",
    "---\n", "...", "9" * 400, "9" * 5000, "1e400", "-1e-400", ".nan", "-.inf", "0x1F", "-1", "true", "null", "~", "''",
    "2026-11-25", "1:30:00", '"\\ud800"', '"\\uDFFF\\ud83d"', '"\\x1b]0;x\\a"', "NaN", "Infinity", "[" * 90,
    "{a: " * 90, "[" * 5000, "- " * 200, "w" * 5000, "a b " * 2000, "\t", "'", '"', "`", "@", "|\n  x", "\\", "%",
    "3+", "5-1", "0%-0%",
]  # fmt: skip
_VALUES: list[Any] = [
    None, True, False, 0, -1, 3, 10**400, 2**63, 1.5, -0.0, 1e308, float("inf"), float("nan"), "", " ", "x", "\x1b[31m",
    "w" * 5000, "\u202eabc", "all", "0%-100%", "99%-1%", "3", [], [[]], [1, 2, 3, 4], ["a", "a"], {}, {"a": 1},
    {"from": 1}, {"from": 10**400, "to": 0}, {"high": None}, [None] * 50, [0.5, "x"], b"\xff", "\ud800",
]  # fmt: skip


def _mutated(text: str, rng: random.Random) -> bytes:
    """The text with some of it damaged."""
    kind = rng.choice([0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 5, 6])
    if kind == 0:  # the values of the document, swapped for others
        data = yaml.safe_load(text) if text != PROMPTS else {"prompt": "x", "width": 3}
        for _ in range(rng.randint(1, 3)):
            _swap(data, rng)
        dumped = yaml.safe_dump(data, sort_keys=False) if rng.random() < 0.5 else json.dumps(data, default=str)
        return dumped.encode(errors="surrogatepass")
    if kind == 1:  # bytes
        content = bytearray(text.encode())
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        return bytes(content)
    if kind == 2:
        return text.encode()[: rng.randrange(len(text))]
    for _ in range(rng.randint(1, 4)):  # pieces put in, in place of what is there, or moved
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([0, 0, 1, 3, 20]))
        piece = rng.choice(_BITS) if kind < 6 else text[rng.randrange(len(text) + 1) :][:30]
        if kind == 4:  # a whole value
            start = text.find(":", start) + 1
            end = min((e for e in (text.find(c, start) for c in ",}\n") if e >= start), default=start)
            piece = f" {piece}"
        text = text[:start] + piece + text[end:]
    return text.encode(errors="surrogatepass")


def _swap(data: Any, rng: random.Random) -> None:
    """Changes one value, or one key, somewhere in the data."""
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, dict | list):
                collect(value)

    collect(data)
    if not places:
        return
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.2:
        node[rng.choice(["x", "\x1b[0m", "k" * 5000, "na me", "", "\u202e", "name", "box"])] = node.pop(key)
    else:
        node[key] = deepcopy(rng.choice(_VALUES))


def _picture(plan: bytes, routing: bytes, run: bytes, rng: random.Random) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, content in ((CHUNK_PLAN, plan), (CHUNK_ROUTING, routing), (CHUNK_RUN, run)):
        info.add_itxt(key, content.decode(errors="replace"), zip=rng.random() < 0.3)
    if rng.random() < 0.2:
        info.add_text(rng.choice(["strata:file:masks/a.png", "strata:file:../x", "strata:file:masks/\x1b"]), "aGk")
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG", pnginfo=info)
    content = bytearray(out.getvalue())
    for _ in range(rng.choice([0, 0, 0, 1, 5])):
        content[rng.randrange(8, len(content))] = rng.randrange(256)
    return bytes(content)


def _use_plan(plan: ScenePlan) -> None:
    assert all(line.isprintable() for line in plan_lines(plan))
    plan.to_yaml()
    draw_legend(plan, 200)


def _use_routing(routing: Routing) -> None:
    schedule = routing.resolve(2, 3, 4)
    assert all(line.isprintable() for line in schedule_table(schedule).split("\n"))
    routing.to_yaml()
    draw_schedule(schedule)


def _use_picture(path: str) -> None:
    with open_source(path) as source:
        assert printable(source.name) == source.name


_KINDS: list[tuple[str, str, Callable[[str], object]]] = [
    (PLAN, "yaml", lambda path: _use_plan(ScenePlan.load(path))),
    (ROUTING, "yaml", lambda path: _use_routing(Routing.load(Path(path)))),
    (RUN, "png", _use_picture),
    (PROMPTS, "jsonl", lambda path: _read_list(path, PlanSettings(), None)),
    (DRAFT, "yaml", Draft.load),
]


def try_case(seed: int, folder: Path) -> str | None:
    """Makes one bad file and reads it; what is wrong with how that ended, else None."""
    rng = random.Random(seed)
    text, suffix, use = _KINDS[seed % len(_KINDS)]
    content = _mutated(text, rng)
    if suffix == "png":
        plan, routing = (_mutated(t, rng) if rng.random() < 0.3 else t.encode() for t in (PLAN, ROUTING))
        content = _picture(plan, routing, content if rng.random() < 0.7 else RUN.encode(), rng)
    elif suffix == "jsonl" and rng.random() < 0.3:
        suffix = "txt"
    elif suffix == "yaml" and content.startswith(b"{"):
        suffix = "json"
    path = folder / f"case.{suffix}"
    path.write_bytes(content)
    begin = time.process_time()
    try:
        use(str(path))
        if suffix in ("yaml", "json"):
            kind_of(read_document(path))
    except StrataError as error:
        said = str(error)
        if not said or not said.isprintable() or len(said) > LONGEST_MESSAGE:
            return f"seed {seed}: a message that is not fit to print: {said[:300]!r}"
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {str(error)[:300]}"
    seconds = time.process_time() - begin
    return f"seed {seed}: took {seconds:.1f} s" if seconds > LONGEST else None
