"""What the planner knows of the world of the bundled image model: the one place that imports it."""

from strata.miniature.world.facts import (
    COLOURS,
    HELD_OUT,
    HELD_OUT_STYLES,
    KINDS,
    PATTERNS,
    PLACES,
    SETTINGS,
    SIZES,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
    Thing,
    is_held_out,
)
from strata.miniature.world.phrases import backdrop_text, full_text, high_text, low_text, style_text, where
from strata.miniature.world.reading import parse_backdrop, parse_style, parse_thing
from strata.miniature.world.shares import Share
from strata.miniature.world.words import STYLE_ADJECTIVES

__all__ = [
    "COLOURS",
    "HELD_OUT",
    "HELD_OUT_STYLES",
    "KINDS",
    "PATTERNS",
    "PLACES",
    "SETTINGS",
    "SIZES",
    "STYLES",
    "STYLE_ADJECTIVES",
    "SURFACES",
    "TONES",
    "Backdrop",
    "Share",
    "Thing",
    "backdrop_text",
    "full_text",
    "high_text",
    "is_held_out",
    "low_text",
    "parse_backdrop",
    "parse_style",
    "parse_thing",
    "style_text",
    "where",
]
