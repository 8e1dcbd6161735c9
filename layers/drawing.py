"""A schedule as a picture: a panel of steps × blocks for every level, with the base ratio beside it."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from strata.hierarchy.plan import Level
from strata.hierarchy.style import BASE, INK, LEVELS, LORA, MUTED, PAPER, RULE, WASH, Colour
from strata.hierarchy.typeset import Sheet, fit, hatching, line_height, measure
from strata.layers.schedule import Schedule
from strata.layers.views import ANCHORED, View, tick_stride, title, views

Pixels = npt.NDArray[np.uint8]

_EDGE = 36  # px around the page
_STEPS_WIDTH, _RATIO_WIDTH, _GAP = 52, 132, 28  # px: step numbers, base ratio, space before it
_FAMILY_GAP = 8  # px between the double and the single blocks
_SWATCH = 16  # px
_HATCH = 8  # px from one line of the hatching to the next
_HEAD, _BODY, _SMALL = 28, 16, 13  # font sizes


def draw_schedule(schedule: Schedule) -> Image.Image:
    """Draw `schedule` as an RGB image: which texts are visible in which block (columns) at which step (rows).

    Every level has its panel, and areas that rules treat differently have their own, as have rules for LoRAs. Below
    stand a legend and the rules in words. The size follows the number of blocks, steps and panels.
    """
    return _Page(schedule).draw()


class _Page:
    """One drawing in the making: its sizes, and the pen that moves down the page."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.views = views(schedule)
        self.cell_width = int(np.clip(920 // schedule.blocks, 4, 44))
        self.cell_height = int(np.clip(252 // schedule.steps, 3, 28))
        both = min(schedule.double_blocks, schedule.single_blocks) > 0
        self.single_left = schedule.double_blocks * self.cell_width + (_FAMILY_GAP if both else 0)
        self.grid_width = self.single_left + schedule.single_blocks * self.cell_width
        self.grid_height = schedule.steps * self.cell_height
        self.grid_left = _EDGE + _STEPS_WIDTH
        self.ratio_left = self.grid_left + self.grid_width + _GAP
        self.sheet = Sheet(max(self.ratio_left + _RATIO_WIDTH, _EDGE + 720) + _EDGE)
        self.y = float(_EDGE)
        self.open = schedule.routed_steps[:, None] & ~schedule.routed
        """`bool[T, B]`: blocks that no rule names, in steps where others are routed."""

    def draw(self) -> Image.Image:
        """All parts, downwards."""
        self._heading()
        for view in self.views:
            self._panel(view)
        self._legend()
        self._rules()
        return self.sheet.picture(self.y + _EDGE - 8)

    def _heading(self) -> None:
        self._paragraph(self.schedule.routing.name, _HEAD)
        self.y += 4
        self._paragraph(title(self.schedule), _BODY)
        self._paragraph(self.schedule.routing.about, _BODY, MUTED)
        self.y += 18

    # A panel ----------------------------------------------------------------------------------------------------------

    def _panel(self, view: View) -> None:
        self.sheet.box((_EDGE, self.y + 3, _SWATCH, _SWATCH), _colour(view.level))
        name = fit(view.name, _BODY, (self.sheet.width - 2 * _EDGE) / 2)
        self.sheet.text(_EDGE + _SWATCH + 8, self.y + 11, name, _BODY)
        x = _EDGE + _SWATCH + 18 + measure(name, _BODY)
        self.sheet.paragraph(x, self.y + 2, f"of {view.areas}", _SMALL, MUTED, self.sheet.width - _EDGE - x, most=1)
        self.y += 42
        single_width = self.schedule.single_blocks * self.cell_width - 1
        self._caption(self.grid_left, self.schedule.double_blocks * self.cell_width - 1, "double blocks", "double")
        self._caption(self.grid_left + self.single_left, single_width, "single blocks", "single")
        if view.level is not None:
            self._caption(self.ratio_left, _RATIO_WIDTH, "base ratio")
        self._number(self.grid_left - 8, self.y, "step", "rd")
        self.y += 6
        self.sheet.paste(self._cells(view), self.grid_left, self.y)
        if view.level is not None:
            self._base_ratio()
        for step in range(0, self.schedule.steps, tick_stride(16 / self.cell_height)):
            middle = self.y + step * self.cell_height + (self.cell_height - 1) / 2
            self._number(self.grid_left - 8, middle, str(step), "rm")
        self.y += self.grid_height + 3
        stride = tick_stride(24 / self.cell_width)
        for offset, count in ((0, self.schedule.double_blocks), (self.single_left, self.schedule.single_blocks)):
            for block in range(0, count, stride):
                x = self.grid_left + offset + block * self.cell_width + (self.cell_width - 1) / 2
                self._number(x, self.y, str(block), "ma")
        self.y += 36

    def _number(self, x: float, y: float, text: str, anchor: str, colour: Colour = MUTED) -> None:
        self.sheet.text(x, y, text, _SMALL, colour, anchor)

    def _caption(self, left: int, width: int, *texts: str) -> None:
        """The longest of `texts` that fits, centred over a line of `width` px."""
        text = next((text for text in texts if measure(text, _SMALL) <= width), None)
        if text is not None:
            self._number(left + width / 2, self.y, text, "md")
        if width > 0:
            self.sheet.box((left, self.y + 2, width, 1), MUTED)

    def _cells(self, view: View) -> Pixels:
        """`uint8[grid_height, grid_width, 3]`: a cell for each step and block."""
        schedule = self.schedule
        strength = view.strength[..., None]
        routed = schedule.routed_steps if view.level is not None else np.ones(schedule.steps, dtype=bool)
        hidden = np.where(routed[:, None, None], RULE, WASH)
        tint = 0.2 + 0.8 * strength  # weak is pale, but never as pale as hidden
        colours = np.where(strength > 0, tint * _colour(view.level) + (1 - tint) * np.array(PAPER), hidden)
        step_of, block_of = self._cell_of_pixel()
        at = np.ix_(step_of, block_of)
        pixels = colours[at]
        if view.level is not None:
            hatched = schedule.isolate[at] & hatching(self.grid_height, self.grid_width, _HATCH)
            pixels[hatched] *= np.where((view.strength > 0)[at][hatched], 0.66, 0.9)[:, None]
        if view.level is not None and schedule.unrouted == "open":
            pixels[self.open[at] & _dots(self.grid_height, self.grid_width)] = MUTED
        pixels[step_of < 0] = PAPER
        pixels[:, block_of < 0] = PAPER
        return pixels.astype(np.uint8)

    def _cell_of_pixel(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The step of each row and the block of each column of a panel's pixels; -1 for lines between cells."""
        row, column = np.arange(self.grid_height), np.arange(self.grid_width)
        step_of = row // self.cell_height
        if self.cell_height >= 5:
            step_of[row % self.cell_height == self.cell_height - 1] = -1
        in_single = column >= self.single_left
        offset = np.where(in_single, column - self.single_left, column)
        block_of = offset // self.cell_width + np.where(in_single, self.schedule.double_blocks, 0)
        gap = ~in_single & (column >= self.schedule.double_blocks * self.cell_width)
        block_of[gap | (offset % self.cell_width == self.cell_width - 1)] = -1
        return step_of, block_of

    def _base_ratio(self) -> None:
        """A bar a step, from 0 to 1, with the number wherever it starts or stops and the one above leaves room."""
        schedule, left, above = self.schedule, self.ratio_left, -np.inf
        self.sheet.box((left, self.y, _RATIO_WIDTH, self.grid_height), WASH)
        line = 1 if self.cell_height >= 5 else 0
        for step in np.flatnonzero(schedule.routed_steps):
            length = 1 + round(float(schedule.base_ratio[step]) * (_RATIO_WIDTH - 1))
            top = self.y + int(step) * self.cell_height
            self.sheet.box((left, top, length, self.cell_height - line), BASE)
        ends = np.flatnonzero(np.diff(schedule.routed_steps, prepend=False, append=False))
        for start, stop in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
            constant = schedule.base_ratio[start] == schedule.base_ratio[stop - 1]
            room = (stop - start) * self.cell_height >= 40
            for step in [start] if constant or not room else [start, stop - 1]:
                ratio = float(schedule.base_ratio[step])
                middle = step * self.cell_height + (self.cell_height - 1) / 2
                y = self.y + float(np.clip(middle, 7, max(self.grid_height - 8, 7)))
                if y - above >= _SMALL:
                    above = y
                    self._number(left + round(ratio * (_RATIO_WIDTH - 1)) + 6, y, f"{ratio:.2g}", "lm", INK)
        self._number(left, self.y + self.grid_height + 3, "0", "la")
        self._number(left + _RATIO_WIDTH, self.y + self.grid_height + 3, "1", "ra")

    # Below the panels -------------------------------------------------------------------------------------------------

    def _legend(self) -> None:
        schedule = self.schedule
        self._subheading("How to read this")
        reading = "Columns are transformer blocks in the order they run, rows are denoising steps from noise to image."
        self._paragraph(f"{reading} The darker the colour, the greater the strength.", _SMALL, MUTED)
        self.y += 4
        if not schedule.routed_steps.all():
            self._entry(WASH, "plain FLUX: the step is not routed")
        texts, loras = ([view for view in self.views if (view.level is None) == of_lora] for of_lora in (False, True))
        if any((view.strength[schedule.routed_steps] == 0).any() for view in texts):
            base_only = schedule.unrouted == "plain" and self.open.any()
            rest = "; where every level is, image tokens attend to the base prompt only" if base_only else ""
            self._entry(RULE, f"this level is hidden here{rest}")
        if schedule.isolate.any():
            isolated = "isolated: image tokens attend only to image tokens that share a region with them"
            self._entry(MUTED, isolated, hatched=True)
        if any((view.strength == 0).any() for view in loras):
            self._entry(RULE, "LoRAs: this rule has none act here; where several are for a LoRA, the strongest counts")
        if any(view.anchored for view in texts):
            self._entry(LEVELS["low"], ANCHORED)
        if schedule.unrouted == "open" and self.open.any():
            self._entry(RULE, "no rule for this block: all tokens attend to every text, without a mask", dotted=True)
        self._entry(BASE, "base ratio: share of the base prompt's attention in routed blocks")
        self.y += 12

    def _rules(self) -> None:
        self._subheading("Rules")
        levels = [*(each.rule.level for each in self.schedule.rules), *(None for _ in self.schedule.lora_rules)]
        for level, line in zip(levels, self.schedule.summary(), strict=True):
            self._entry(_colour(level), line)

    def _subheading(self, text: str) -> None:
        self._paragraph(text, _BODY)
        self.y += 4

    def _entry(self, colour: Colour, text: str, *, hatched: bool = False, dotted: bool = False) -> None:
        pixels = np.full((_SWATCH, _SWATCH, 3), colour, dtype=np.uint8)
        if hatched:
            pixels[hatching(_SWATCH, _SWATCH, _HATCH)] //= 2
        if dotted:
            pixels[_dots(_SWATCH, _SWATCH)] = MUTED
        self.sheet.paste(pixels, _EDGE, self.y + (line_height(_SMALL) - _SWATCH) // 2)
        self._paragraph(text, _SMALL, indent=_SWATCH + 8)
        self.y += 4

    def _paragraph(self, text: str, size: float, colour: Colour = INK, indent: int = 0) -> None:
        """Text wrapped to the page; moves the pen below it."""
        width = self.sheet.width - 2 * _EDGE - indent
        self.y = self.sheet.paragraph(_EDGE + indent, self.y, text, size, colour, width)


def _colour(level: Level | None) -> Colour:
    """Of a level; None: of LoRAs."""
    return LORA if level is None else LEVELS[level]


def _dots(rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """`bool[rows, columns]`: a dot every four pixels."""
    dots = np.zeros((rows, columns), dtype=bool)
    dots[1::4, 1::4] = True
    return dots
