"""A picture of a plan's layout: the canvas with its regions, and a legend with every text."""

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strata.hierarchy import style
from strata.hierarchy.areas import region_mask
from strata.hierarchy.loras import Lora
from strata.hierarchy.plan import LEVELS, Level, Region, ScenePlan
from strata.hierarchy.splitting import Shape, cropped, divided
from strata.hierarchy.style import INK, MUTED, PAPER, RULE, WASH, Colour, region_colour
from strata.hierarchy.typeset import Rect, Sheet, fit, hatching, line_height, measure, pixel_edges, resized, wrap

_SHORTEST_LONG_SIDE, _LONGEST_SIDE = 640, 1280  # of the canvas as drawn, in pixels
_FINER = 2  # drawn this much larger, then reduced: smooth edges
_MARGIN = 24
_APART = 2  # px between labels
_LEGEND_WIDTH = 360
_MOST_LINES = 6  # of one text in the legend
_TITLE, _BODY, _SMALL = 18, 15, 12  # font sizes


def draw_layout(plan: ScenePlan, image: Image.Image | None = None) -> Image.Image:
    """Draws a plan: one colour per region, names, outlines, the background hatched, and all texts beside the canvas.

    Args:
        plan: the plan. Where its overlap policy is `priority`, a shared part has the colour of the region that wins.
        image: what was drawn from the plan, to show under the regions instead of the hatching.

    Returns:
        RGB, the canvas enlarged or reduced to sides of about 640 to 1280 pixels plus the legend.

    Raises:
        InputError: a mask file cannot be used.
    """
    canvas = draw_canvas(plan, min(max(plan.width, plan.height, _SHORTEST_LONG_SIDE), _LONGEST_SIDE), image)
    if canvas.width > 1.3 * canvas.height:
        columns = max(1, (canvas.width + _MARGIN) // (_LEGEND_WIDTH + _MARGIN))
        legend = draw_legend(plan, canvas.width, columns)
        corner = (_MARGIN, canvas.height + 2 * _MARGIN)
    else:
        legend = draw_legend(plan, _LEGEND_WIDTH)
        if legend.height > 1.4 * canvas.height:
            legend = draw_legend(plan, 2 * _LEGEND_WIDTH + _MARGIN, 2)
        corner = (canvas.width + 2 * _MARGIN, _MARGIN)
    sheet = Sheet(corner[0] + legend.width + _MARGIN)
    sheet.paste(canvas, _MARGIN, _MARGIN)
    sheet.paste(legend, *corner)
    return sheet.picture(max(canvas.height + _MARGIN, corner[1] + legend.height) + _MARGIN)


# The canvas -----------------------------------------------------------------------------------------------------------


def draw_canvas(plan: ScenePlan, long_side: int, image: Image.Image | None = None) -> Image.Image:
    """The canvas alone, RGB, with regions and their names; its longer side has `long_side` pixels. As `draw_layout`."""
    scale = long_side / max(plan.width, plan.height)
    width, height = max(1, round(plan.width * scale)), max(1, round(plan.height * scale))
    drawn = plan.resized(width * _FINER, height * _FINER)
    shapes = [cropped(region_mask(drawn, index)) for index in range(len(drawn.regions))]
    ground = _ground(drawn, image)
    pixels = ground.copy()
    share = 0.30 if image else 0.42
    filled = divided(shapes, drawn.height, drawn.width) if plan.overlap == "split" else shapes
    for index in sorted(range(len(shapes)), key=lambda index: (drawn.regions[index].priority, index)):
        (place, mask), colour = filled[index], np.asarray(region_colour(index), dtype=np.float32)
        below = (ground if plan.overlap == "priority" else pixels)[place][mask]  # the winner's colour alone, or a blend
        pixels[place][mask] = below + share * (colour - below)
    for index, (place, mask) in enumerate(shapes):
        if image is not None:  # a light line inside the coloured one stands out on any picture
            pixels[place][_outline(mask, 5 * _FINER)] = PAPER
        pixels[place][_outline(mask, 3 * _FINER)] = region_colour(index)
    reduced = Image.fromarray(pixels.round().astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    sheet = Sheet(width)
    sheet.paste(reduced, 0, 0)
    _draw_names(sheet, height, plan.regions, shapes)
    sheet.box((0, 0, width, height), None, MUTED)
    return sheet.picture(height)


def _ground(plan: ScenePlan, image: Image.Image | None) -> NDArray[np.float32]:
    """float32 `[H, W, 3]`: the image, or diagonal hatching."""
    if image is not None:
        return np.asarray(resized(image, plan.width, plan.height), dtype=np.float32)
    return _hatched(plan.width, plan.height, 14 * _FINER).astype(np.float32)


def _hatched(width: int, height: int, period: int) -> NDArray[np.uint8]:
    hatched: NDArray[np.uint8] = np.where(hatching(height, width, period)[..., None], RULE, WASH).astype(np.uint8)
    return hatched


def _outline(mask: NDArray[np.bool_], thickness: int) -> NDArray[np.bool_]:
    """The pixels of a cropped mask within `thickness` of its edge; the canvas's border is an edge too."""
    inner = mask
    for _ in range(2):  # down the columns, then along the rows
        padded = np.pad(inner, ((thickness + 1, thickness), (0, 0)))
        sums = np.cumsum(padded, axis=0, dtype=np.int32)
        wide = 2 * thickness + 1
        inner = (sums[wide:] - sums[:-wide] == wide).T
    edge: NDArray[np.bool_] = mask & ~inner
    return edge


def _draw_names(sheet: Sheet, height: int, regions: Sequence[Region], shapes: Sequence[Shape]) -> None:
    """A label in each region, where it is alone if it is anywhere; labels give way to earlier ones."""
    size = 17 if max(sheet.width, height) >= _SHORTEST_LONG_SIDE else 13
    covered = np.zeros((height * _FINER, sheet.width * _FINER), dtype=np.int32)
    for place, mask in shapes:
        covered[place] += mask
    taken: list[Rect] = []
    for index, (region, ((across, along), mask)) in enumerate(zip(regions, shapes, strict=True)):
        alone = mask & (covered[across, along] == 1)
        free = alone if alone.any() else mask
        deepest = _deepest_point(free)
        if deepest is None:
            continue
        spot = deepest[0] + along.start, deepest[1] + across.start
        columns = (np.flatnonzero(free.any(axis=0)) + along.start) / _FINER
        room = max(columns.size / _FINER - 2 * size, 6 * size)
        lines = wrap(region.name, size, min(room, sheet.width - 2 * size), most=3)
        wide = max(measure(line, size) for line in lines) + 1.2 * size
        tall = line_height(size) * len(lines) + 0.3 * size
        x = min(max(spot[0] / _FINER - wide / 2, columns[0] + 4), columns[-1] - wide - 4)  # inside the region
        x = max(x, 0)  # and in any case on the canvas
        y = max(min(spot[1] / _FINER - tall / 2, height - tall), 0)
        rows = [y + sign * n * (tall + _APART + 1) / 2 for n in range(2 * len(shapes)) for sign in (1, -1)]
        places = [(x, row, wide, tall) for row in rows if 0 <= row <= height - tall]
        label = next((place for place in places if not any(_overlap(place, old) for old in taken)), (x, y, wide, tall))
        taken.append(label)
        sheet.label(label, lines, size, region_colour(index), PAPER)


def _overlap(one: Rect, two: Rect) -> bool:
    """Whether two boxes come nearer to each other than `_APART`, in the pixels that are drawn."""
    (left, top, right, bottom), (left_2, top_2, right_2, bottom_2) = pixel_edges(one), pixel_edges(two)
    across, down = max(left, left_2) - min(right, right_2), max(top, top_2) - min(bottom, bottom_2)
    return max(across, down) < _APART


def _deepest_point(mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """x, y of a pixel that is farthest from the mask's edge; None for an empty mask."""
    step = max(1, max(mask.shape) // 128)
    rest = np.pad(mask[::step, ::step], 1)
    last = None
    while rest.any():
        last = rest
        rest = rest.copy()
        rest[1:-1, 1:-1] &= last[:-2, 1:-1] & last[2:, 1:-1] & last[1:-1, :-2] & last[1:-1, 2:]
    if last is None:
        return None
    ys, xs = np.nonzero(last)
    nearest = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))
    return (float(xs[nearest]) - 0.5) * step, (float(ys[nearest]) - 0.5) * step


# The legend -----------------------------------------------------------------------------------------------------------


class _Entry(NamedTuple):
    """One entry of the legend; `colour` None is hatched."""

    title: str
    note: str
    colour: Colour | None
    texts: Sequence[tuple[Level | None, str]]


def draw_legend(plan: ScenePlan, width: int, columns: int = 1) -> Image.Image:
    """Every text of a plan with its area and level, RGB, in columns that are read downwards."""
    column_width = (width - (columns - 1) * _MARGIN) // columns
    drawn = [_draw_entry(entry, column_width) for entry in _entries(plan)]
    heights = [entry.height for entry in drawn]
    limit = next(limit for limit in count(max(heights), 4) if len(_divided(heights, limit)) <= columns)
    sheet = Sheet(width)
    first = 0
    for column, entries in enumerate(_divided(heights, limit)):
        x, y = column * (column_width + _MARGIN), 0
        for entry in drawn[first : first + entries]:
            if y:
                sheet.lines([(x, y - 9), (x + column_width, y - 9)], RULE)
            sheet.paste(entry, x, y)
            y += entry.height
        first += entries
    return sheet.picture(limit)


def _divided(heights: Sequence[int], limit: int) -> list[int]:
    """How many entries stand in each column, where none may be taller than `limit`."""
    filled, counts = 0, [0]
    for height in heights:
        if filled + height > limit:
            filled, counts = 0, [*counts, 0]
        filled += height
        counts[-1] += 1
    return counts


def _entries(plan: ScenePlan) -> list[_Entry]:
    note = f"{plan.width} x {plan.height} px" + (
        f", overlap: {plan.overlap}" if plan.overlap and len(plan.regions) > 1 else ""
    )
    levels: tuple[tuple[Level | None, str | None], ...] = ((None, plan.prompt), ("high", plan.high), ("low", plan.low))
    note += _loras_note(plan.loras)
    whole = _Entry("whole image", note, PAPER, [(level, text) for level, text in levels if text])
    regions = [_Entry(r.name, _note(r), region_colour(n), tuple(r.by_level())) for n, r in enumerate(plan.regions)]
    texts = tuple(plan.background.by_level()) if plan.background else ((None, "as the routing decides"),)
    loras = _loras_note(plan.background.loras) if plan.background else ""
    return [whole, *regions, _Entry("background", loras.removeprefix(", "), None, texts)]


def _note(region: Region) -> str:
    if region.box is not None:
        x1, y1, x2, y2 = region.box
        note = f"box {x2 - x1} x {y2 - y1} at {x1}, {y1}"
    elif region.polygon is not None:
        note = f"polygon, {len(region.polygon)} corners"
    else:
        note = f"mask {region.mask}"
    strengths = [region.strength.of(level) for level in LEVELS]
    if len(set(strengths)) == 1 and strengths[0] != 1:
        note += f", strength {strengths[0]:g}"
    elif len(set(strengths)) > 1:
        note += f", strength {', '.join(f'{level} {region.strength.of(level):g}' for level, _ in region.by_level())}"
    if region.priority:
        note += f", priority {region.priority}"
    return note + _loras_note(region.loras)


def _loras_note(loras: Sequence[Lora]) -> str:
    return "".join(f", LoRA {lora.name}" + ("" if lora.scale == 1 else f" × {_scale(lora)}") for lora in loras)


def _scale(lora: Lora) -> str:
    return f"{lora.scale:g}" if isinstance(lora.scale, float) else str(lora.scale)


def _draw_entry(entry: _Entry, width: int) -> Image.Image:
    sheet = Sheet(width)
    indent, chip = 30, 44
    if entry.colour is None:
        sheet.paste(_hatched(19, 19, 8), 0, 3)
    outline = MUTED if entry.colour in (None, PAPER) else None
    sheet.box((0, 3, 19, 19), entry.colour, outline)
    sheet.text(indent, 12, fit(entry.title, _TITLE, width - indent), _TITLE)
    y = sheet.paragraph(indent, 28, entry.note, _SMALL, MUTED, width - indent) + 4
    for level, text in entry.texts:
        x = indent
        if level is not None:
            sheet.label((x, y + 1, chip, 18), [level], _SMALL, style.LEVELS[level])
            x += chip + 8
        y = sheet.paragraph(x, y, text, _BODY, INK, width - x, _MOST_LINES) + 6
    return sheet.picture(y + 16)
