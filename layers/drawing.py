"""A schedule as a picture: a panel of steps × blocks for every level, with the base ratio beside it."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from strata.hierarchy.plan import Level
from strata.layers.schedule import Schedule
from strata.layers.views import MEANING, View, tick_stride, title, views

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LEVEL_COLOUR: dict[Level, Colour] = {"high": (213, 94, 0), "low": (0, 114, 178), "full": (120, 72, 156)}
_PAPER, _INK, _FAINT = (255, 255, 255), (32, 36, 44), (112, 118, 130)
_PLAIN, _SILENT, _BASE = (244, 245, 247), (225, 229, 235), (64, 134, 96)

_EDGE = 36  # px around the page
_STEPS_WIDTH, _RATIO_WIDTH, _GAP = 52, 132, 28  # px: step numbers, base ratio, space before it
_FAMILY_GAP = 8  # px between the double and the single blocks
_SWATCH = 16  # px
_HATCH = 8  # px from one line of the hatching to the next


def draw_schedule(schedule: Schedule) -> Image.Image:
    """Draw `schedule` as an RGB image: who is heard in which block (columns) at which step (rows), and how strongly.

    Every level has its panel, and areas that rules treat differently have their own. Below stand a legend and the
    rules in words. The size follows the number of blocks, steps and panels.
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
        panel = _STEPS_WIDTH + self.grid_width + _GAP + _RATIO_WIDTH
        self.width = max(panel, 720) + 2 * _EDGE
        self.big, self.medium, self.small = (ImageFont.load_default(size) for size in (28, 16, 13))
        self.start_page(1)

    def start_page(self, height: int) -> None:
        """A blank page with the pen at its top."""
        self.image = Image.new("RGB", (self.width, height), _PAPER)
        self.pen = ImageDraw.Draw(self.image)
        self.y = _EDGE

    def draw(self) -> Image.Image:
        """Draw twice: on a page of no height, to learn how far down the pen gets, then in earnest."""
        self._parts()
        self.start_page(self.y + _EDGE - 8)
        self._parts()
        return self.image

    def _parts(self) -> None:
        self._heading()
        for view in self.views:
            self._panel(view)
        self._legend()
        self._rules()

    def _heading(self) -> None:
        self.pen.text((_EDGE, self.y), self.schedule.routing.name, _INK, self.big)
        self.y += 42
        self._paragraph(title(self.schedule), self.medium, _INK)
        if self.schedule.routing.about:
            self._paragraph(self.schedule.routing.about, self.medium, _FAINT)
        self.y += 18

    # A panel ----------------------------------------------------------------------------------------------------------

    def _panel(self, view: View) -> None:
        left = _EDGE + _STEPS_WIDTH
        self._swatch(_EDGE, self.y + 3, LEVEL_COLOUR[view.level])
        name = f"{view.level}: {MEANING[view.level]}"
        x = _EDGE + _SWATCH + 8
        self.pen.text((x, self.y), name, _INK, self.medium)
        x += int(self.medium.getlength(name)) + 10
        self.pen.text((x, self.y + 2), f"heard by {view.areas}", _FAINT, self.small)
        self.y += 42
        self._caption(left, self.schedule.double_blocks * self.cell_width - 1, "double blocks", "double")
        self._caption(
            left + self.single_left, self.schedule.single_blocks * self.cell_width - 1, "single blocks", "single"
        )
        self._caption(left + self.grid_width + _GAP, _RATIO_WIDTH, "base ratio")
        self.pen.text((left - 8, self.y), "step", _FAINT, self.small, anchor="rd")
        self.y += 6
        self.image.paste(Image.fromarray(self._cells(view)), (left, self.y))
        self._step_numbers(left)
        self._base_ratio(left + self.grid_width + _GAP)
        self.y += self.grid_height + 3
        self._block_numbers(left)
        self.y += 36

    def _caption(self, left: int, width: int, *texts: str) -> None:
        """The longest of `texts` that fits, centred over a line of `width` px."""
        text = next((text for text in texts if self.small.getlength(text) <= width), None)
        if text is not None:
            self.pen.text((left + width / 2, self.y), text, _FAINT, self.small, anchor="md")
        if width > 0:
            self.pen.line((left, self.y + 2, left + width - 1, self.y + 2), _FAINT)

    def _cells(self, view: View) -> Pixels:
        """`uint8[grid_height, grid_width, 3]`: a cell for each step and block."""
        schedule = self.schedule
        heard = view.strength[..., None]
        silent = np.where(schedule.routed_steps[:, None, None], _SILENT, _PLAIN)
        tint = 0.2 + 0.8 * heard  # weak is pale, but never as pale as silent
        colours = np.where(heard > 0, tint * LEVEL_COLOUR[view.level] + (1 - tint) * np.array(_PAPER), silent)
        step_of, block_of = self._cell_of_pixel()
        at = np.ix_(step_of, block_of)
        pixels = colours[at]
        rows, columns = np.indices(pixels.shape[:2])
        hatched = schedule.isolate[at] & ((rows + columns) % _HATCH < 2)
        pixels[hatched] *= np.where((view.strength > 0)[at][hatched], 0.66, 0.9)[:, None]
        if schedule.unrouted == "open":
            unmasked = (schedule.routed_steps[:, None] & ~schedule.routed)[at]
            pixels[unmasked & (rows % 4 == 1) & (columns % 4 == 1)] = _FAINT
        pixels[step_of < 0] = _PAPER
        pixels[:, block_of < 0] = _PAPER
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

    def _step_numbers(self, left: int) -> None:
        stride = tick_stride(16 / self.cell_height)
        for step in range(0, self.schedule.steps, stride):
            middle = self.y + step * self.cell_height + (self.cell_height - 1) / 2
            self.pen.text((left - 8, middle), str(step), _FAINT, self.small, anchor="rm")

    def _block_numbers(self, left: int) -> None:
        stride = tick_stride(24 / self.cell_width)
        for offset, count in ((0, self.schedule.double_blocks), (self.single_left, self.schedule.single_blocks)):
            for block in range(0, count, stride):
                x = left + offset + block * self.cell_width + (self.cell_width - 1) / 2
                self.pen.text((x, self.y), str(block), _FAINT, self.small, anchor="ma")

    def _base_ratio(self, left: int) -> None:
        """A bar a step, from 0 to 1, with the number wherever it starts or stops."""
        schedule = self.schedule
        self.pen.rectangle((left, self.y, left + _RATIO_WIDTH - 1, self.y + self.grid_height - 1), fill=_PLAIN)
        ends = np.flatnonzero(np.diff(schedule.routed_steps, prepend=False, append=False))
        for step in np.flatnonzero(schedule.routed_steps):
            top = self.y + int(step) * self.cell_height
            bottom = top + self.cell_height - (2 if self.cell_height >= 5 else 1)
            length = round(float(schedule.base_ratio[step]) * (_RATIO_WIDTH - 1))
            self.pen.rectangle((left, top, left + length, bottom), fill=_BASE)
        for start, stop in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True):
            constant = schedule.base_ratio[start] == schedule.base_ratio[stop - 1]
            room = (stop - start) * self.cell_height >= 40
            for step in [start] if constant or not room else [start, stop - 1]:
                self._ratio_number(left, step)
        self.pen.text((left, self.y + self.grid_height + 3), "0", _FAINT, self.small, anchor="la")
        self.pen.text((left + _RATIO_WIDTH, self.y + self.grid_height + 3), "1", _FAINT, self.small, anchor="ra")

    def _ratio_number(self, left: int, step: int) -> None:
        """The ratio beside its bar, or in it where the bar is long."""
        ratio = float(self.schedule.base_ratio[step])
        end = left + round(ratio * (_RATIO_WIDTH - 1))
        middle = self.y + step * self.cell_height + (self.cell_height - 1) / 2
        middle = float(np.clip(middle, self.y + 7, max(self.y + self.grid_height - 8, self.y + 7)))
        if ratio > 0.6:
            self.pen.text((end - 6, middle), f"{ratio:.2g}", _PAPER, self.small, anchor="rm")
        else:
            self.pen.text((end + 6, middle), f"{ratio:.2g}", _INK, self.small, anchor="lm")

    # Below the panels -------------------------------------------------------------------------------------------------

    def _legend(self) -> None:
        self._subheading("How to read this")
        reading = "Columns are transformer blocks in the order they run, rows are denoising steps from noise to image."
        self._paragraph(f"{reading} A darker colour is a stronger voice.", self.small, _FAINT)
        schedule = self.schedule
        self.y += 4
        if not schedule.routed_steps.all():
            self._entry(_PLAIN, "plain FLUX: the step is not routed")
        if any((view.strength[schedule.routed_steps] == 0).any() for view in self.views):
            base_only = schedule.unrouted == "plain" and (schedule.routed_steps[:, None] & ~schedule.routed).any()
            rest = "; where every level is, the block hears the base prompt only" if base_only else ""
            self._entry(_SILENT, f"this level is silent here{rest}")
        if schedule.isolate.any():
            self._entry(
                _FAINT, "isolated: image tokens see only image tokens that share a region with them", hatched=True
            )
        if schedule.unrouted == "open" and (schedule.routed_steps[:, None] & ~schedule.routed).any():
            self._entry(_SILENT, "no rule for this block: everyone hears every text, without a mask", dotted=True)
        self._entry(_BASE, "base ratio: share of the base prompt's attention in routed blocks")
        self.y += 12

    def _rules(self) -> None:
        self._subheading("Rules")
        for resolved, line in zip(self.schedule.rules, self.schedule.summary(), strict=True):
            self._swatch(_EDGE, self.y + 1, LEVEL_COLOUR[resolved.rule.level])
            self._paragraph(line, self.small, _INK, indent=_SWATCH + 8)
            self.y += 4

    def _subheading(self, text: str) -> None:
        self.pen.text((_EDGE, self.y), text, _INK, self.medium)
        self.y += 26

    def _entry(self, colour: Colour, text: str, *, hatched: bool = False, dotted: bool = False) -> None:
        self._swatch(_EDGE, self.y + 1, colour, hatched=hatched, dotted=dotted)
        self._paragraph(text, self.small, _INK, indent=_SWATCH + 8)
        self.y += 4

    def _swatch(self, x: int, y: int, colour: Colour, *, hatched: bool = False, dotted: bool = False) -> None:
        pixels = np.full((_SWATCH, _SWATCH, 3), colour, dtype=np.uint8)
        rows, columns = np.indices((_SWATCH, _SWATCH))
        if hatched:
            pixels[(rows + columns) % _HATCH < 2] //= 2
        if dotted:
            pixels[(rows % 4 == 1) & (columns % 4 == 1)] = _FAINT
        self.image.paste(Image.fromarray(pixels), (x, y))

    def _paragraph(self, text: str, font: Font, colour: Colour, indent: int = 0) -> None:
        """Text wrapped to the page; moves the pen below it."""
        line = ""
        room = self.width - 2 * _EDGE - indent
        lines = []
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > room:
                lines.append(line)
                longer = word
            line = longer
        for full_line in [*lines, line]:
            self.pen.text((_EDGE + indent, self.y), full_line, colour, font)
            self.y += 22 if font is self.medium else 18
