"""Captions in plain English, as people write them, and in the structured form that models of today are trained on.

A caption is a list of segments, stretches of text with what they describe, so that a text encoder can be taught which
words are about what before any picture is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.phrases import (
    article,
    backdrop_text,
    enumerated,
    full_text,
    low_text,
    pick,
    style_text,
    where,
)
from strata.miniature.world.scenes import Scene
from strata.miniature.world.words import (
    EIGHTHS,
    KIND_WORDS,
    NOISE,
    NUMBERS,
    OPENINGS,
    SETTING_WORDS,
    SIZE_WORDS,
    plural,
)


@dataclass(frozen=True)
class Said:
    """What a stretch of text is about, None or 0 where it does not say."""

    thing: Thing = field(default_factory=Thing)
    backdrop: Backdrop = field(default_factory=Backdrop)
    place: str | None = None
    order: int = 0
    box: tuple[int, int, int, int] | None = None


Segment = tuple[str, Said]
NOTHING = Said()


def _say(thing: Thing, rng: random.Random, form: float) -> tuple[str, Thing]:
    """One object's words: all, content alone, detail alone, or parts."""
    size = thing.size if rng.random() < 0.35 else None
    if form < 0.66:
        said = replace(thing, size=size, style=None)
        return full_text(said, rng), said
    if form < 0.77:
        said = Thing(kind=thing.kind, size=size)
        return full_text(said, rng), said
    if form < 0.87:
        said = Thing(colour=thing.colour, surface=thing.surface)
        return low_text(said, rng), said
    said = Thing(
        thing.kind if rng.random() < 0.8 else None,
        thing.colour if rng.random() < 0.5 else None,
        thing.surface if rng.random() < 0.5 else None,
        None,
        size,
    )
    return full_text(said, rng), said


def _listed(parts: list[Segment], rng: random.Random) -> list[Segment]:
    """Segments joined by commas and "and"."""
    out = [parts[0]]
    commas = rng.random() < 0.15
    for i, part in enumerate(parts[1:], start=2):
        out += [("and" if i == len(parts) and not commas else ",", NOTHING), part]
    return out


def _link(*words: str, rng: random.Random | None = None) -> Segment:
    """Words between objects; one of several."""
    return (rng.choice(words) if rng else words[0], NOTHING)


def _related(scene: Scene, texts: list[Segment], rng: random.Random) -> list[Segment]:
    """A relation in words between two objects of halves or before each other, or the places in one row or two."""
    first, second = texts[:2]
    if scene.layout == "overlap":
        if rng.random() < 0.6:
            return [second, _link("in front of"), first]
        return [first, _link("behind"), second]
    if scene.layout == "halves" and scene.things[0].place == "left":
        match rng.randrange(4):
            case 0:
                return [first, _link("to the left of", "left of", rng=rng), second]
            case 1:
                return [second, _link("to the right of", "right of", rng=rng), first]
            case 2:
                return [first, _link("with"), second, _link("to its right")]
            case _:
                return [first, _link("next to", "beside", rng=rng), second]
    if scene.layout == "halves":
        match rng.randrange(4):
            case 0:
                return [first, _link("above", "over", rng=rng), second]
            case 1:
                return [second, _link("below", "under", "beneath", rng=rng), first]
            case 2:
                return [first, _link("with"), second, _link("under it", "below it", "beneath it", rng=rng)]
            case _:
                return [second, _link("with"), first, _link("above it", "over it", rng=rng)]
    if scene.layout == "row":
        if len(texts) == 3 and rng.random() < 0.3:
            return [texts[1], _link("between"), texts[0], _link("and"), texts[2]]
        if rng.random() < 0.5:
            return [*_listed(texts, rng), _link("in a row", "side by side", "next to each other", rng=rng)]
        return [_link("from left to right :", "in a row :", rng=rng), *_listed(texts, rng)]
    half = len(texts) // 2
    upper, lower = rng.choice((("in the top row", "in the bottom row"), ("top row :", "bottom row :")))
    return [
        (upper, Said(place="top")),
        *_listed(texts[:half], rng),
        _link(";", ",", "and", rng=rng),
        (lower, Said(place="bottom")),
        *_listed(texts[half:], rng),
    ]


def _counted(said: list[Thing], rng: random.Random) -> list[tuple[str, Thing]] | None:
    """ "three blue stars", "two red houses and a tree": like objects together; None where no two are alike."""
    order = list(dict.fromkeys(said))
    if len(order) == len(said) or any(t == Thing() for t in said):
        return None
    out = []
    for thing in order:
        n = said.count(thing)
        if n == 1:
            out.append((full_text(thing, rng), thing))
            continue
        singular = pick(rng, thing.kind, KIND_WORDS) if thing.kind else "object"
        words = [rng.choice(SIZE_WORDS[thing.size])] if thing.size else []
        words += [w for w in (thing.colour, thing.surface) if w]
        out.append((" ".join([NUMBERS[n], *words, plural(singular)]), thing))
    return out


def _ground(scene: Scene, rng: random.Random) -> list[Segment]:
    """How a caption ends: with the background, or not."""
    backdrop = scene.backdrop
    if backdrop.setting:
        said = Said(backdrop=backdrop)
        if rng.random() < 0.6:
            return [(rng.choice(SETTING_WORDS[backdrop.setting]), said)]
        return [(",", NOTHING), (rng.choice((backdrop.setting, f"{backdrop.setting} background")), said)]
    keep = rng.random()
    if keep > 0.8:
        backdrop = replace(backdrop, **{("pattern" if keep < 0.93 else "tone"): None})
    if backdrop.pattern == "plain" and backdrop.tone and keep < 0.15:
        backdrop = replace(backdrop, pattern=None)
    said, text = Said(backdrop=backdrop), backdrop_text(backdrop)
    if rng.random() < 0.4:
        return [(rng.choice(("on a", "against a", "with a")), NOTHING), (text, said)]
    return [(",", NOTHING), (text, said)]


def eighths(cx: int, cy: int, radius: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The box of a circle on a canvas, in pixels, as a structured caption gives it."""
    x1, y1, x2, y2 = (
        min(max(round(value * EIGHTHS / side), 0), EIGHTHS)
        for value, side in (
            (cx - radius, width),
            (cy - radius, height),
            (cx + radius, width),
            (cy + radius, height),
        )
    )
    return x1, y1, x2, y2


def element_text(number: int, box: Sequence[int], text: str) -> str:
    """An element of a structured caption: "<1> 0 0 4 8 a red striped circle"."""
    return f"<{number}> {' '.join(map(str, box))} {text}"


def structured_head(count: int) -> str:
    """ "<1> , <2> and <3>"; from six on "<1> to <6>"."""
    cited = [f"<{i}>" for i in range(1, count + 1)]
    return f"{cited[0]} to {cited[-1]}" if count >= 6 else enumerated(cited)


def _structured(scene: Scene, rng: random.Random, styles: bool) -> list[Segment]:
    things = list(scene.things)
    rng.shuffle(things)
    if scene.layout == "overlap":
        things.sort(key=lambda p: p.place == "front")
    segments: list[Segment] = [(structured_head(len(things)), NOTHING)]
    segments += _ground(scene, rng) if rng.random() < 0.6 else []
    styled = not styles and rng.random() < 0.6
    if styled:
        segments += [(",", NOTHING), (style_text(scene.style, rng), Said(Thing(style=scene.style)))]
    segments.append((".", NOTHING))
    form = rng.random()
    for i, p in enumerate(things, start=1):
        thing = replace(p.thing, size=None, style=p.thing.style if styles else None)
        if form > 0.8:
            thing = replace(thing, colour=None, surface=None)
        box = eighths(p.cx, p.cy, p.radius, scene.width, scene.height)
        words = full_text(thing, rng if len(things) < 6 else None)
        segments.append((element_text(i, box, words), Said(thing, box=box)))
    return _all_in_style(segments, scene.style) if styled else segments


def caption(scene: Scene, rng: random.Random, structured: float = 0.25) -> list[Segment]:
    """A random caption of a scene: all, content, detail or style alone, or parts; with places and background or not."""
    styles = len({p.thing.style for p in scene.things}) > 1
    if not scene.things:
        return _with_style(scene, _ground(scene, rng)[-1:], rng)
    if rng.random() < structured:
        return _structured(scene, rng, styles)
    form = rng.random()
    if form > 0.975 and not styles:
        return [(style_text(scene.style, rng), Said(Thing(style=scene.style)))]
    form = rng.random()
    detail = 0.77 <= form < 0.87
    many = len(scene.things) > 1
    parts: list[Segment] = []
    said_things = []
    for p in scene.things:
        text, said = _say(p.thing, rng, form)
        if styles:
            said = replace(said, style=p.thing.style)
            text = low_text(said, rng) if detail else f"{text} in {style_text(str(p.thing.style), rng)}"
        said_things.append(said)
        parts.append((text, Said(said, order=p.order)))
    placed = rng.random()
    alike = _counted(said_things, rng) if many and not styles and form < 0.77 and scene.layout != "overlap" else None
    if alike and rng.random() < 0.75:
        segments = _listed([(text, Said(thing)) for text, thing in alike], rng)
        if scene.layout == "row" and len(alike) == 1:
            segments.append((rng.choice(("in a row", "side by side")), NOTHING))
        if scene.layout == "quarters" and len(alike) == 1 and len(scene.things) == 4 and rng.random() < 0.5:
            segments.append(("in the corners", NOTHING))
    elif many and (scene.layout in ("overlap", "row", "rows") or (scene.layout == "halves" and placed < 0.35)):
        parts = [(text, replace(about, place=p.place)) for (text, about), p in zip(parts, scene.things, strict=True)]
        segments = _related(scene, parts, rng)
    else:
        if placed < (0.9 if many else 0.4):
            front = rng.random() < 0.12
            for i, p in enumerate(scene.things):
                text, about = parts[i]
                at = where(p.place, rng)
                parts[i] = (f"{at} {text}" if front else f"{text} {at}", replace(about, place=p.place))
        if many and rng.random() < 0.4:
            rng.shuffle(parts)
        segments = _listed(parts, rng)
    if detail and not many and rng.random() < 0.6:
        return _with_style(scene, segments, rng, 0.4) if not styles else segments
    opening = rng.random()
    if opening < 0.15 and form < 0.77:
        segments = [(rng.choice(OPENINGS), NOTHING), *segments]
    ground = rng.random()
    if ground > 0.4:
        segments = segments + _ground(scene, rng) if ground < 0.93 else _ground(scene, rng)[-1:]
    if rng.random() < 0.06:
        segments = [*segments, (",", NOTHING), (rng.choice(NOISE), NOTHING)]
    return segments if styles else _with_style(scene, segments, rng)


def _with_style(scene: Scene, segments: list[Segment], rng: random.Random, chance: float = 0.62) -> list[Segment]:
    """A caption with the picture's style before or behind it, and that style said of everything; or without."""
    if rng.random() > chance:
        return segments
    style = Said(Thing(style=scene.style))
    form = rng.random()
    words = style_text(scene.style, rng)
    if form < 0.65:
        segments = [*segments, (",", NOTHING), (words, style)]
    elif form < 0.8:
        segments = [*segments, (rng.choice(("in", "in the style of")), NOTHING), (words, style)]
    elif form < 0.9:
        segments = [(article(words), style), ("of", NOTHING), *segments]
    else:
        segments = [(words, style), (",", NOTHING), *segments]
    return _all_in_style(segments, scene.style)


def _all_in_style(segments: list[Segment], style: str) -> list[Segment]:
    """The segments with the picture's style said of everything."""
    return [
        (text, replace(said, thing=replace(said.thing, style=style)) if said != NOTHING else said)
        for text, said in segments
    ]


def join(segments: Sequence[Segment]) -> str:
    """A caption's text: segments joined by spaces, punctuation attached to the word before."""
    text = " ".join(text for text, _ in segments)
    for mark in (",", ".", ":", ";"):
        text = text.replace(f" {mark}", mark)
    return text
