"""The palette: what stands in one picture can be told apart, also by colour-blind readers; text can be read."""

import itertools

import numpy as np
import pytest
from skimage.color import rgb2lab

from strata.hierarchy import style

DEUTERANOPIA = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]  # Viénot, Brettel, Mollon 1999
PROTANOPIA = [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]
TOGETHER = {
    "a schedule": [*style.LEVELS.values(), style.BASE, style.LORA],
    "shares of attention": [style.OWN, style.OTHERS, style.GLOBAL, style.BASE, style.IMAGE],
    "a layout": list(style.REGIONS),
}


def seen(colour: style.Colour, eye: list[list[float]]) -> np.ndarray:
    """CIELAB of a colour as an eye sees it."""
    value = np.asarray(colour) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(eye) @ linear, 0, 1)
    value = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(value[None, None])[0, 0]


@pytest.mark.parametrize("eye", [np.eye(3).tolist(), DEUTERANOPIA, PROTANOPIA], ids=["usual", "deutan", "protan"])
@pytest.mark.parametrize("picture", TOGETHER)
def test_colours_of_one_picture_can_be_told_apart(picture: str, eye: list[list[float]]) -> None:
    for one, other in itertools.combinations(TOGETHER[picture], 2):
        assert np.linalg.norm(seen(one, eye) - seen(other, eye)) > 15, (one, other)


def test_region_colours_differ_and_are_no_level() -> None:
    colours = [style.region_colour(index) for index in range(24)]
    assert len(set(colours)) == 24
    assert not set(colours) & {*style.LEVELS.values(), style.BASE}


def test_text_on_a_colour_can_be_read() -> None:
    def luminance(colour: style.Colour) -> float:
        value = np.asarray(colour) / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for colour in (*style.LEVELS.values(), style.BASE, *(style.region_colour(n) for n in range(40))):
        dark, light = sorted((luminance(colour), luminance(style.ink_on(colour))))
        assert (light + 0.05) / (dark + 0.05) >= 3, colour


def test_tints_and_names() -> None:
    assert style.tint((0, 100, 200), 1) == (0, 100, 200)
    assert style.tint((0, 100, 200), 0) == style.PAPER
    assert style.hex_of((0, 114, 178)) == "#0072b2"
