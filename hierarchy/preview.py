"""A picture of a plan's layout: the canvas with its regions, and a legend with every text."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from strata.hierarchy.areas import pixel_mask
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import LEVELS, Level, Region, ScenePlan

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SHORTEST_LONG_SIDE, _LONGEST_SIDE = 640, 1280  # of the canvas as drawn, in pixels
_FINER = 2  # drawn this much larger, then reduced: smooth edges
_MARGIN = 24
_LEGEND_WIDTH = 360
_MOST_LINES = 6  # of one text in the legend

_PAPER: Colour = (255, 255, 255)
_INK: Colour = (32, 36, 44)
_FAINT: Colour = (110, 116, 128)
_RULE: Colour = (222, 225, 230)
_HATCH: tuple[Colour, Colour] = ((238, 239, 242), (214, 217, 223))
_COLOURS: tuple[Colour, ...] = (
    (59, 117, 220),
    (240, 138, 36),
    (38, 160, 105),
    (214, 64, 87),
    (136, 86, 201),
    (20, 160, 184),
    (214, 92, 176),
    (140, 112, 40),
)
_LEVEL_COLOURS: dict[Level, Colour] = {"high": (70, 82, 110), "low": (148, 108, 62), "full": (74, 120, 84)}


def region_colour(index: int) -> Colour:
    """A colour for the region with this index; neighbours in the list are told apart easily."""
    if index < len(_COLOURS):
        return _COLOURS[index]
    red, green, blue = colorsys.hls_to_rgb(index * 0.618034 % 1.0, 0.48, 0.6)
    return round(red * 255), round(green * 255), round(blue * 255)


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
    canvas = _draw_canvas(plan, image)
    beside = canvas.width <= 1.3 * canvas.height
    blocks = _legend_blocks(plan)
    if beside:
        legend = _draw_legend(blocks, _LEGEND_WIDTH, 1)
        size = (canvas.width + legend.width + 3 * _MARGIN, max(canvas.height, legend.height) + 2 * _MARGIN)
        corner = (canvas.width + 2 * _MARGIN, _MARGIN)
    else:
        columns = max(1, (canvas.width + _MARGIN) // (_LEGEND_WIDTH + _MARGIN))
        legend = _draw_legend(blocks, canvas.width, columns)
        size = (canvas.width + 2 * _MARGIN, canvas.height + legend.height + 3 * _MARGIN)
        corner = (_MARGIN, canvas.height + 2 * _MARGIN)
    picture = Image.new("RGB", size, _PAPER)
    picture.paste(canvas, (_MARGIN, _MARGIN))
    picture.paste(legend, corner)
    return picture


# The canvas -----------------------------------------------------------------------------------------------------------


def _draw_canvas(plan: ScenePlan, image: Image.Image | None) -> Image.Image:
    long_side = max(plan.width, plan.height)
    scale = min(max(long_side, _SHORTEST_LONG_SIDE), _LONGEST_SIDE) / long_side
    width, height = max(1, round(plan.width * scale)), max(1, round(plan.height * scale))
    drawn = plan.resized(width * _FINER, height * _FINER)
    masks = [_mask_of(drawn, index) for index in range(len(drawn.regions))]
    canvas = _ground(drawn, image)
    tint = 0.30 if image else 0.42
    for index in sorted(range(len(masks)), key=lambda index: (drawn.regions[index].priority, index)):
        colour = np.asarray(region_colour(index), dtype=np.float32)
        if plan.overlap == "priority":  # the winner's colour alone, on a fresh ground
            canvas[masks[index]] = _ground(drawn, image)[masks[index]]
        canvas[masks[index]] += tint * (colour - canvas[masks[index]])
    for index, mask in enumerate(masks):
        if image is not None:  # a light line inside the coloured one stands out on any picture
            canvas[_outline(mask, 5 * _FINER)] = _PAPER
        canvas[_outline(mask, 3 * _FINER)] = region_colour(index)
    picture = Image.fromarray(canvas.round().astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    _draw_names(picture, plan.regions, masks)
    ImageDraw.Draw(picture).rectangle((0, 0, width - 1, height - 1), outline=_FAINT)
    return picture


def _mask_of(plan: ScenePlan, index: int) -> NDArray[np.bool_]:
    try:
        return pixel_mask(plan.regions[index], plan.width, plan.height, plan.root)
    except InputError as error:
        raise plan.error(("regions", index, "mask"), str(error)) from error


def _ground(plan: ScenePlan, image: Image.Image | None) -> NDArray[np.float32]:
    """float32 `[H, W, 3]`: the image, or diagonal hatching."""
    if image is not None:
        resampling = Image.Resampling.NEAREST if image.width * 4 <= plan.width else Image.Resampling.LANCZOS
        return np.asarray(image.convert("RGB").resize((plan.width, plan.height), resampling), dtype=np.float32)
    return _hatching(plan.width, plan.height, 14 * _FINER)


def _hatching(width: int, height: int, period: int) -> NDArray[np.float32]:
    ys, xs = np.ogrid[:height, :width]
    light, dark = (np.asarray(colour, dtype=np.float32) for colour in _HATCH)
    hatching: NDArray[np.float32] = np.where(((xs + ys) % period < period // 4)[..., None], dark, light)
    return hatching


def _outline(mask: NDArray[np.bool_], thickness: int) -> NDArray[np.bool_]:
    """The pixels of a mask within `thickness` of its edge; the canvas's border is an edge too."""
    padded = Image.fromarray(np.pad(mask, 1).astype(np.uint8) * 255)
    for _ in range(thickness // 2):
        padded = padded.filter(ImageFilter.MinFilter(5))
    inner = np.asarray(padded)[1:-1, 1:-1] > 0
    edge: NDArray[np.bool_] = mask & ~inner
    return edge


def _draw_names(picture: Image.Image, regions: Sequence[Region], masks: Sequence[NDArray[np.bool_]]) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(17)
    taken: list[tuple[float, float, float, float]] = []
    for index, region in enumerate(regions):
        others = np.zeros_like(masks[index])
        for other, mask in enumerate(masks):
            if other != index:
                others |= mask
        alone = masks[index] & ~others
        spot = _deepest_point(alone if alone.any() else masks[index])
        if spot is None:
            continue
        text = _cut(region.name, font, picture.width - 20)
        half_width, half_height = font.getlength(text) / 2 + 10, 14
        x = min(max(spot[0] / _FINER, half_width), max(picture.width - half_width, half_width))
        y = min(max(spot[1] / _FINER, half_height), max(picture.height - half_height, half_height))
        pill = (x - half_width, y - half_height, x + half_width, y + half_height)
        while any(_touch(pill, old) for old in taken) and pill[3] + half_height < picture.height:
            pill = (pill[0], pill[1] + half_height, pill[2], pill[3] + half_height)
        taken.append(pill)
        draw.rounded_rectangle(pill, radius=half_height, fill=region_colour(index), outline=_PAPER, width=2)
        draw.text((x, (pill[1] + pill[3]) / 2), text, fill=_PAPER, font=font, anchor="mm")


def _touch(one: tuple[float, float, float, float], two: tuple[float, float, float, float]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


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


@dataclass(frozen=True)
class _Block:
    """One entry of the legend."""

    title: str
    note: str
    swatch: Colour | None
    """A region's colour; None is hatched."""
    texts: tuple[tuple[Level | None, str], ...]


def _legend_blocks(plan: ScenePlan) -> list[_Block]:
    note = f"{plan.width} x {plan.height} px"
    if len(plan.regions) > 1:
        note += f", overlap: {plan.overlap}"
    global_texts: tuple[tuple[Level, str | None], ...] = (("high", plan.high), ("low", plan.low))
    base: list[tuple[Level | None, str]] = [(None, plan.prompt)] if plan.prompt else []
    base += [(level, text) for level, text in global_texts if text is not None]
    blocks = [_Block("whole image", note, _PAPER, tuple(base))]
    for index, region in enumerate(plan.regions):
        blocks.append(_Block(region.name, _note(region), region_colour(index), tuple(region.by_level())))
    background = tuple(plan.background.by_level()) if plan.background else ((None, "as the routing decides"),)
    return [*blocks, _Block("background", "", None, background)]


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
        heard = (f"{level} {region.strength.of(level):g}" for level, _ in region.by_level())
        note += f", strength {', '.join(heard)}"
    if region.priority:
        note += f", priority {region.priority}"
    return note


def _draw_legend(blocks: Sequence[_Block], width: int, columns: int) -> Image.Image:
    column_width = (width - (columns - 1) * _MARGIN) // columns
    drawn = [_draw_block(block, column_width) for block in blocks]
    columns_of: list[list[Image.Image]] = [[] for _ in range(columns)]
    goal = sum(block.height for block in drawn) / columns
    column = 0
    for block in drawn:  # read down, then to the right
        filled = sum(earlier.height for earlier in columns_of[column])
        if filled and filled + block.height / 2 > goal and column < columns - 1:
            column += 1
        columns_of[column].append(block)
    height = max(sum(block.height for block in blocks_of) for blocks_of in columns_of)
    legend = Image.new("RGB", (width, height), _PAPER)
    rules = ImageDraw.Draw(legend)
    for column, blocks_of in enumerate(columns_of):
        x, y = column * (column_width + _MARGIN), 0
        for block in blocks_of:
            if y:
                rules.line((x, y - 9, x + column_width, y - 9), fill=_RULE)
            legend.paste(block, (x, y))
            y += block.height
    return legend


def _draw_block(block: _Block, width: int) -> Image.Image:
    title_font, font, small = (ImageFont.load_default(size) for size in (18, 15, 12))
    indent, chip, line_height = 30, 44, 20
    texts = [(level, _wrap(text, font, width - indent - (chip + 8 if level else 0))) for level, text in block.texts]
    notes = _wrap(block.note, small, width - indent) if block.note else []
    height = 28 + 17 * len(notes) + sum(len(lines) * line_height + 6 for _, lines in texts) + 18
    picture = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    if block.swatch is None:
        picture.paste(Image.fromarray(_hatching(18, 18, 8).astype(np.uint8)), (0, 3))
    draw.rectangle(
        (0, 3, 18, 21), fill=block.swatch, outline=block.swatch if block.swatch not in (None, _PAPER) else _FAINT
    )
    draw.text((indent, 12), _cut(block.title, title_font, width - indent), fill=_INK, font=title_font, anchor="lm")
    y = 28
    for note in notes:
        draw.text((indent, y + 7), note, fill=_FAINT, font=small, anchor="lm")
        y += 17
    y += 2
    for level, lines in texts:
        x = indent
        if level is not None:
            draw.rounded_rectangle((x, y + 1, x + chip, y + 18), radius=4, fill=_LEVEL_COLOURS[level])
            draw.text((x + chip / 2, y + 9.5), level, fill=_PAPER, font=small, anchor="mm")
            x += chip + 8
        for line in lines:
            draw.text((x, y + 10), line, fill=_INK, font=font, anchor="lm")
            y += line_height
        y += 6
    return picture


def _wrap(text: str, font: Font, width: float) -> list[str]:
    """Lines no wider than `width` pixels, at most `_MOST_LINES`, the last of them with an ellipsis where cut."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        while font.getlength(word) > width and len(word) > 1:  # a word longer than a line, or a script without spaces
            fits = next(end for end in range(len(word) - 1, 0, -1) if font.getlength(word[:end]) <= width or end == 1)
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], _cut(f"{lines[_MOST_LINES - 1]} {lines[_MOST_LINES]}", font, width)]
    return lines


def _cut(text: str, font: Font, width: float) -> str:
    """`text`, shortened with an ellipsis to `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
