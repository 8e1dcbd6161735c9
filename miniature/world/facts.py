"""What can be in a picture: kinds, colours, surfaces, styles, backgrounds, places; and what training never shows."""

from __future__ import annotations

from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "star", "heart", "ring", "cross")
PICTOGRAMS = ("house", "tree", "boat", "car", "fish", "flower", "cup", "moon", "sun", "cloud")
KINDS = SHAPES + PICTOGRAMS
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "pink")
SURFACES = ("solid", "striped", "dotted", "checkered", "outlined")
STYLES = ("flat", "pencil", "watercolour", "neon", "pixel", "papercut")
SIZES = ("small", "large")
PATTERNS = ("plain", "gradient", "checkered", "striped")
TONES = ("white", "grey", "black")
SETTINGS = ("meadow", "sea", "night sky", "desert")
PLACES = ("left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right", "center")
SMALL, LARGE = 22, 34
"""Radii in pixels: up to the first an object is small, from the second on it is large."""


@dataclass(frozen=True, order=True)
class Thing:
    """One object's attributes; None where a text leaves one out."""

    kind: str | None = None
    colour: str | None = None
    surface: str | None = None
    style: str | None = None
    size: str | None = None

    @property
    def combination(self) -> tuple[str | None, str | None, str | None]:
        """Kind, colour and surface."""
        return (self.kind, self.colour, self.surface)


@dataclass(frozen=True, order=True)
class Backdrop:
    """The background: a pattern in a tone, or a setting; None where a text leaves it out."""

    pattern: str | None = None
    tone: str | None = None
    setting: str | None = None


HELD_OUT: frozenset[tuple[str, str, str]] = frozenset(
    (KINDS[i], COLOURS[(2 * j + i // 4) % 8], SURFACES[(i + j) % 5]) for i in range(17) for j in range(4)
)
"""Kind × colour × surface combinations that no training scene contains: 68 of 680.

Every kind is held out with four colours and four surfaces.
"""
HELD_OUT_STYLES: frozenset[tuple[str, str, str]] = frozenset(
    (KINDS[i], COLOURS[(3 * j + i) % 8], STYLES[(i + j) % 6]) for i in range(17) for j in range(4)
)
"""Kind × colour × style combinations that no training scene contains: 68 of 816."""


def is_held_out(thing: Thing) -> bool:
    """Whether training never shows an object like this."""
    return thing.combination in HELD_OUT or (thing.kind, thing.colour, thing.style) in HELD_OUT_STYLES
