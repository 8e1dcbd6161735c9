"""The miniature's structured captions: "<1> and <2>, sea background. <1> 0 3 5 8 a red boat <2> 4 0 8 3 a yellow sun".

What stands in front is how many elements there are, the background and the style; then come the elements, each with
its number, the box around the object in eighths of the canvas's sides (x1 y1 x2 y2), and what it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.native import Form, ReadCaption, boxed, one_text, plan_of, renamed, spaced, undivided
from strata.hierarchy.plan import Box, Region, ScenePlan, pixel_span
from strata.miniature.world.captions import eighths, element_text, structured_head
from strata.miniature.world.facts import Backdrop
from strata.miniature.world.phrases import backdrop_text, enumerated, full_text, style_text
from strata.miniature.world.reading import parse_backdrop, parse_style
from strata.miniature.world.scenes import LARGEST, place_in_box
from strata.miniature.world.truth import ending, plan_backdrop, region_thing
from strata.miniature.world.words import EIGHTHS, LONGEST_SIDE, SHORTEST_SIDE

MOST = 9
"""Elements of a caption."""
_REACH = 3
"""Steps of 8 pixels around the middle of a box in which an object's is looked for."""


class Miniature(Form):
    """Structured captions of the bundled miniature."""

    name = "miniature"
    about = "the bundled miniature: numbered elements in eighths of the sides"

    def held(self, plan: ScenePlan) -> tuple[ScenePlan, list[str]]:
        """Background, style and the elements' texts, as far as the scene language has words for them.

        Raises:
            InputError: there are no regions, or more than `MOST`; the canvas is none of the miniature's.
        """
        for side in ("width", "height"):
            if wrong := _wrong_side(getattr(plan, side)):
                raise plan.error((side,), wrong)
        if not 1 <= len(plan.regions) <= MOST:
            raise plan.error(("regions",), f"{len(plan.regions)} of them: the form has 1 to {MOST}")
        backdrop, style = plan_backdrop(plan), parse_style(plan.low or "") or parse_style(plan.prompt)
        plan, notes = boxed(plan)
        plan = renamed(undivided(plan, notes), [_name(n) for n in range(1, len(plan.regions) + 1)], notes)
        texts, styles = [], []
        for region in plan.regions:
            text, own = _told(region)
            texts.append(text)
            styles.append(own or style)
            if text is None:
                notes.append(f"{quote(one_text(region))}: has words outside the miniature's language")
        if len({*styles}) == 1:
            style, styles = styles[0], [None] * len(styles)
        else:
            style = None
        notes.append("boxes become those of the objects in the middle of their regions, in eighths of the sides")
        size = plan.width, plan.height
        regions = []
        for region, text, own in zip(plan.regions, texts, styles, strict=True):
            assert region.box is not None
            said = text if text is not None else _plain(one_text(region))
            said = f"{said} in {style_text(own)}" if own is not None and text is not None else said
            box = region_of(_object(region.box, *size), *size)
            regions.append({"name": region.name, "box": box, "full": said})
        held = _plan(regions, ending(backdrop, style), *size)
        if plan.high is not None:
            notes.append(f"high {quote(plan.high)} is left out")
        ground, heard = (texts and one_text(texts) for texts in (plan.background, held.background))
        for key, before, after in (
            ("prompt", plan.prompt, held.prompt),
            ("low", plan.low, held.low),
            ("background", ground, heard),
        ):
            if before and before != after:
                notes.append(f"{key} {quote(before)} is read for the names of background and style alone")
        return held, notes

    def write(self, plan: ScenePlan) -> str:
        """The caption on one line."""
        size = plan.width, plan.height
        elements = []
        for number, region in enumerate(plan.regions, start=1):
            assert region.box is not None
            elements.append(element_text(number, _object(region.box, *size), one_text(region)))
        backdrop = Backdrop() if plan.background is None else plan_backdrop(plan)
        head = structured_head(len(plan.regions)) + ending(backdrop, parse_style(plan.low or ""))
        return f"{head}. {' '.join(elements)}"

    def read(self, text: str, width: int, height: int, name: str = "<text>") -> ReadCaption:
        """As of `Form.read`; regions are the boxes of their objects, and the base prompt names them all."""
        for side, pixels in (("width", width), ("height", height)):
            if wrong := _wrong_side(pixels):
                raise InputError(f"{name}: {side} {wrong}")
        head, elements = _split(spaced(text).strip(), name)
        cited = re.match(r"<\d>(?:(?:, ?| and | to )<\d>)*", head)
        if cited is None:
            raise InputError(f"{name}: must begin with its elements, as '<1> and <2>', not {quote(head)}")
        _check_citations(cited[0], [number for number, _, _ in elements], name)
        regions = []
        for number, box, told in elements:
            regions.append({"name": _name(number), "box": region_of(box, width, height), "full": told})
        return ReadCaption(_plan(regions, head[cited.end() :], width, height, name), ())


FORM = Miniature()


def _wrong_side(pixels: int) -> str | None:
    """What is wrong with a side of the canvas, if anything is."""
    if SHORTEST_SIDE <= pixels <= LONGEST_SIDE:
        return None
    return f"{pixels}: must be {SHORTEST_SIDE} to {LONGEST_SIDE} pixels in this form"


def _name(number: int) -> str:
    return f"object {number}"


def _plan(regions: list[dict[str, Any]], behind: str, width: int, height: int, name: str = "<text>") -> ScenePlan:
    """The plan of some regions, with what the caption's head says behind the elements: ", sea background, neon"."""
    ground, style = backdrop_text(parse_backdrop(behind)), parse_style(behind)
    data = {
        "width": width,
        "height": height,
        "prompt": enumerated([region["full"] for region in regions]) + behind,
        "low": style_text(style) if style else None,
        "regions": regions,
        "background": {"full": ground} if ground else None,
    }
    return plan_of(data, name)


# Elements -----------------------------------------------------------------------------------------------------------


def _told(region: Region) -> tuple[str | None, str | None]:
    """A region's object in the plainest words, and its style; None where the language has no words for it."""
    try:
        thing = region_thing(region)
    except InputError:
        return None, None
    return full_text(replace(thing, style=None)), thing.style


def _plain(text: str) -> str:
    """A text on one line that holds nothing that looks like a number of an element."""
    return re.sub(r"<(\d+)>", r"‹\1›", spaced(text))


def _object(box: Box, width: int, height: int) -> Box:
    """The box in eighths around the object in the middle of a region; that of a small one may have no width."""
    return eighths(*place_in_box(*box), width, height)


def region_of(box: Box, width: int, height: int) -> Box:
    """A region in pixels for an object whose box in eighths is given: that box, if the object in its middle has it
    again, else one around an object that has, where there is any."""
    (x1, x2), (y1, y2) = (
        pixel_span(box[i] * side / EIGHTHS, box[i + 2] * side / EIGHTHS, side) for i, side in enumerate((width, height))
    )
    plain = x1, y1, x2, y2
    if _object(plain, width, height) == box:
        return plain
    # Rounded to eighths, a diameter is told to the eighth above and below.
    spans = [((box[i + 2] - box[i]) * side / EIGHTHS, side / EIGHTHS) for i, side in enumerate((width, height))]
    least, most = max(span - step for span, step in spans) / 2, min(span + step for span, step in spans) / 2
    for radius in range(2 * int(min(most, LARGEST) / 2), max(0, int(least) - 1), -2):
        for cx, cy in product(_middles(box[0], box[2], width), _middles(box[1], box[3], height)):
            room = radius + 2  # `place_in_box` leaves as much
            around = cx - room, cy - room, cx + room, cy + room
            inside = min(around) >= 0 and around[2] <= width and around[3] <= height
            if inside and _object(around, width, height) == box:
                return around
    return plain


def _middles(first: int, last: int, side: int) -> list[int]:
    """Where, in pixels, the middle of an object may be whose box reaches from one eighth to another: the nearest."""
    middle = (first + last) * side / EIGHTHS / 2
    nearest = 8 * round(middle / 8)
    return sorted((nearest + 8 * i for i in range(-_REACH, _REACH + 1)), key=lambda at: abs(at - middle))


def _split(text: str, name: str) -> tuple[str, list[tuple[int, Box, str]]]:
    """What stands in front of the elements, and each element's number, box in eighths and text."""
    start = re.search(r"\. ?(?=<\d> ?-?\d)", text)
    if start is None:
        raise InputError(f"{name}: has no elements behind its head, such as '. <1> 0 0 4 8 a red circle'")
    elements: list[tuple[int, Box, str]] = []
    pieces = re.split(r"<(\d+)>", text[start.end() :])[1:]
    for number, piece in zip(pieces[::2], pieces[1::2], strict=True):
        words = piece.split(maxsplit=4)
        if len(words) < 5:
            raise InputError(f"{name}: <{number[:9]}>: must be x1 y1 x2 y2 and a text, not {quote(piece.strip())}")
        box = [int(word) if re.fullmatch(r"\d", word) else -1 for word in words[:4]]
        shown = f"{name}: <{number[:9]}>: box {quote(' '.join(words[:4]))}"
        if not all(0 <= side <= EIGHTHS for side in box):
            raise InputError(f"{shown}: must be four whole numbers from 0 to {EIGHTHS}")
        for axis, first, last in (("x", box[0], box[2]), ("y", box[1], box[3])):
            if last < first:
                raise InputError(f"{shown}: {axis}2 must not be less than {axis}1 (a box is x1 y1 x2 y2)")
        elements.append((int(number[:9]), (box[0], box[1], box[2], box[3]), words[4].strip()))
    return text[: start.start()], elements


def _check_citations(head: str, numbers: Sequence[int], name: str) -> None:
    """Raises `InputError` unless the elements are numbered from 1, and the head names them, and no others."""
    if list(numbers) != list(range(1, len(numbers) + 1)) or len(numbers) > MOST:
        shown = quote(", ".join(map(str, numbers)))
        raise InputError(f"{name}: elements {shown}: must be numbered 1, 2, …, at most {MOST} of them")
    cited = [int(number) for number in re.findall(r"<(\d)>", head)]
    if " to " in head and len(cited) == 2:
        cited = list(range(cited[0], cited[1] + 1))
    if sorted(cited) != list(numbers):
        raise InputError(f"{name}: {quote(head)}: names other elements than there are: <1> to <{len(numbers)}>")
