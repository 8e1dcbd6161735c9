"""One HTML file to browse a probe: maps over the picture, by block and step, and what any token attends to.

The file needs no network and no server. Maps are 8-bit, each scaled to its largest value, deflated and in base64: about
a byte a value before compression, so that a probe of FLUX.1 with 20 labels at 1024×1024 stays near 20 MB or below.
"""

from __future__ import annotations

import base64
import io
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from strata.analysis.overlays import edges
from strata.analysis.plots import COLOURS, MEANINGS
from strata.analysis.probe import SHARES, Facts, Label, Probe, Values
from strata.hierarchy import style
from strata.hierarchy.errors import shortened
from strata.hierarchy.files import write_atomic
from strata.hierarchy.typeset import SMALL

_TEMPLATE = Path(__file__).with_name("page.html")
_LIGHT = {"paper": style.PAPER, "ink": style.INK, "faint": style.MUTED, "rule": style.RULE, "panel": style.WASH}


def write_page(probe: Probe, image: Image.Image | None, path: str | os.PathLike[str]) -> Path:
    """Write the page of a probe, whole or not at all; returns its path.

    Args:
        probe: what was recorded.
        image: the picture that was drawn; None: maps alone.
        path: of the `.html` file.

    Raises:
        InputError: the file cannot be written.
    """
    write_atomic(path, page(probe, image))
    return Path(path)


def page(probe: Probe, image: Image.Image | None) -> str:
    """The page's HTML."""
    # In JSON a "<" can only stand inside a string, where the escape means the same and closes no tag.
    data = json.dumps(page_data(probe, image), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    light = " ".join(f"--{name}: {style.hex_of(colour)};" for name, colour in _LIGHT.items())
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*LIGHT*/", light).replace("/*DATA*/", data)


def page_data(probe: Probe, image: Image.Image | None) -> dict[str, Any]:
    """What the page's script reads."""
    facts = probe.facts
    phase_of = np.array([next(n for n, (a, b) in enumerate(facts.phases) if a <= s <= b) for s in facts.steps])
    counts = np.bincount(phase_of, minlength=len(facts.phases))
    layers, maps = _layers(probe)
    packed = [
        np.round(255 * m / max(layer["top"], 1e-12)).astype(np.uint8) for layer, m in zip(layers, maps, strict=True)
    ]
    kinds = [n for n in range(len(SHARES)) if probe.shares[..., n].max(initial=0) > 0 or SHARES[n] == "image"]
    by_phase = np.stack([probe.shares[phase_of == n].mean(0) for n in range(len(facts.phases))], axis=1)
    return {
        "about": _about(probe),
        "small": max(facts.width, facts.height) <= SMALL,
        "heat": style.HEAT,
        "rows": facts.rows,
        "cols": facts.cols,
        "blocks": facts.blocks,
        "phases": [
            {"name": f"{a}" if a == b else f"{a}–{b}", "weight": float(count / counts.sum())}
            for (a, b), count in zip(facts.phases, counts, strict=True)
        ],
        "layers": layers,
        "opens": _opens(facts),
        "texts": [
            {"layer": n, "colour": style.hex_of(_colour(label, probe))}
            for n, label in enumerate(facts.labels)
            if label.kind != "word"
        ],
        "kinds": [{"name": MEANINGS[SHARES[n]], "colour": COLOURS[SHARES[n]]} for n in kinds],
        "areas": [
            {"name": area, "shares": np.round(by_phase[:, :, at, kinds].astype(float), 4).tolist()}
            for at, area in enumerate(facts.areas)
        ],
        "regions": [
            {
                "name": region.name,
                "tokens": region.tokens,
                "edges": edges(facts.mask(region.tokens)),
                "colour": style.hex_of(style.region_colour(n)),
            }
            for n, region in enumerate(facts.regions)
        ],
        "picture": _picture(image),
        "maps": base64.b64encode(zlib.compress(b"".join(m.tobytes() for m in packed), 9)).decode(),
    }


def _about(probe: Probe) -> str:
    facts = probe.facts
    parts = [facts.model, f"{facts.width}×{facts.height} pixels", f"{len(facts.steps)} of {facts.total_steps} steps"]
    parts += [] if facts.seed is None else [f"seed {facts.seed}"]
    parts += [f"“{facts.prompt}”"] if facts.prompt else []
    return " · ".join(parts)


def _opens(facts: Facts) -> dict[str, int]:
    """The map and the area that are shown first: a region's own word, else any word, a text asked for, any text."""
    regions = {region.name for region in facts.regions}

    def rank(label: Label) -> tuple[bool, ...]:
        elsewhere, unasked = label.area not in regions, label.text not in facts.asked
        return label.kind != "word", label.kind == "padding", label.kind == "text" and unasked, elsewhere

    layer = min(range(len(facts.labels)), key=lambda n: rank(facts.labels[n]))
    area = facts.labels[layer].area
    return {"layer": layer, "area": facts.areas.index(area) if area in facts.areas else 0}


def _layers(probe: Probe) -> tuple[list[dict[str, Any]], list[Values]]:
    """Every map of the page: first one a label, in the labels' order, then text→image maps, then concepts."""
    facts = probe.facts
    layers: list[dict[str, Any]] = []
    maps: list[Values] = []

    def add(group: str, name: str, meaning: str, values: Values, unit: str = "") -> None:
        top = float(values.max(initial=0))
        layers.append({"group": group, "name": name, "meaning": meaning, "unit": unit, "top": top})
        maps.append(values)

    groups = {"word": "Words (image→text)", "text": "Texts (image→text)", "padding": "Padding"}
    for label, values in zip(facts.labels, probe.maps, strict=True):
        meaning = "Share of each image token's attention that goes to these tokens of the text."
        add(groups[label.kind], _name(label), meaning, values)
    for index, values in zip(facts.words, probe.words_to_image, strict=True):
        meaning = "Attention of the word's tokens to each image token; 1 is an even share over the canvas."
        add("Words (text→image)", _name(facts.labels[index]), meaning, facts.rows * facts.cols * values, "× even")
    for concept, values in zip(facts.concepts, probe.concepts, strict=True):
        meaning = "Where the concept is in the output of attention (ConceptAttention): its share among the concepts."
        add("Concepts", concept, meaning, values)
    return layers, maps


def _colour(label: Label, probe: Probe) -> style.Colour:
    """That of the text's area: whole for content, paler for detail, palest for padding."""
    areas = {"background": style.BACKGROUND, "global": style.GLOBAL, None: style.BASE}
    areas |= {region.name: style.region_colour(n) for n, region in enumerate(probe.facts.regions)}
    share = 0.25 if label.kind == "padding" else 0.55 if label.level == "low" else 1.0
    return style.tint(areas.get(label.area, style.IMAGE), share)


def _name(label: Label) -> str:
    if label.kind == "word":
        return f"{label.word} (in {label.text})"
    if label.kind == "padding":
        return f"padding of {label.text}"
    return f"{label.text}: {shortened(label.quote, 40)}" if label.quote else label.text


def _picture(image: Image.Image | None) -> str | None:
    if image is None:
        return None
    data = io.BytesIO()
    image.convert("RGB").save(data, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
