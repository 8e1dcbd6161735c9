"""The palette of everything that Strata draws: a colour means the same in layouts, schedules, charts and pages.

What has a meaning of its own (levels, the base prompt, what attention goes to) is coloured after Okabe and Ito (Color
Universal Design, 2008), regions after Paul Tol's "muted" scheme (SRON/EPS/TN/09-002). Colours that stand in one picture
stay apart for readers with deuteranopia and protanopia too.
"""

import colorsys

from strata.hierarchy.plan import Level

Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 36, 44)
MUTED: Colour = (104, 110, 122)  # captions, notes, axes
RULE: Colour = (222, 225, 230)  # lines between entries, grids, outlines of cards
WASH: Colour = (244, 245, 247)  # empty cells and panels

LEVELS: dict[Level, Colour] = {"high": (213, 94, 0), "low": (0, 114, 178), "full": (91, 42, 110)}
BASE: Colour = (0, 158, 115)  # the base prompt and its share
LORA: Colour = (240, 228, 66)  # what LoRAs do
BACKGROUND: Colour = (181, 185, 194)
GLOBAL: Colour = (204, 121, 167)  # the plan's global texts
IMAGE: Colour = (85, 95, 112)  # image tokens
OWN: Colour = (230, 159, 0)  # an area's own texts
OTHERS: Colour = (86, 180, 233)  # the texts of other regions
RIGHT: Colour = (22, 112, 66)
WRONG: Colour = (176, 32, 48)

REGIONS: tuple[Colour, ...] = (
    (51, 34, 136),
    (204, 102, 119),
    (17, 119, 51),
    (136, 204, 238),
    (136, 34, 85),
    (221, 204, 119),
    (68, 170, 153),
    (170, 68, 153),
    (153, 153, 51),
)
HEAT = (
    *("#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60"),
    *("#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"),
)
"""Stops of the scale of all maps, from nothing to most (matplotlib's "inferno")."""


def region_colour(index: int) -> Colour:
    """A colour for the region with this index; the first nine are easy to distinguish."""
    if index < len(REGIONS):
        return REGIONS[index]
    red, green, blue = colorsys.hls_to_rgb(index * 0.618034, 0.48, 0.6)
    return round(red * 255), round(green * 255), round(blue * 255)


def tint(colour: Colour, share: float) -> Colour:
    """`share` of a colour, the rest paper."""
    red, green, blue = (round(share * c + (1 - share) * p) for c, p in zip(colour, PAPER, strict=True))
    return red, green, blue


def ink_on(colour: Colour) -> Colour:
    """Paper or ink, whichever can be read on a colour: paper up to a relative luminance (WCAG 2) of 0.25."""
    linear = ((c / 255) ** 2.2 for c in colour)
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return PAPER if luminance < 0.25 else INK


def hex_of(colour: Colour) -> str:
    """The colour as matplotlib and HTML take it: "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
