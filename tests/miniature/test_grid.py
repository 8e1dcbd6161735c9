"""The contact sheet of the miniature's report."""

import numpy as np
from PIL import Image

from strata.hierarchy.style import RIGHT, WRONG, tint
from strata.miniature.grid import Card, Finding, draw_grid


def test_cards_stand_in_rows_with_their_findings() -> None:
    findings = tuple(Finding(word, right, "solid") for word, right in (("circle", True), ("striped", False)))
    card = Card(Image.new("RGB", (64, 32), "blue"), "a long prompt that takes several lines " * 3, findings)
    sheet = draw_grid([("first", [card] * 5), ("second", [card])], columns=2)
    pixels = np.asarray(sheet)
    assert sheet.width == 2 * (2 * 28 + 2 * 208 + 14)
    blue = np.equal(pixels, (0, 0, 255)).all(axis=2)
    assert int(blue.sum()) == 6 * 384 * 192
    starts = np.flatnonzero(np.diff(blue.any(axis=1).astype(int)) == 1)
    assert len(starts) == 4, "three rows of the first section, one of the second"
    for colour in (tint(RIGHT, 0.13), tint(WRONG, 0.13)):
        assert np.equal(pixels, colour).all(axis=2).sum() > 6 * 1000
    assert draw_grid([("one", [card] * 2)], columns=6).width == sheet.width, "no empty columns"
    assert findings[1].text == "striped, not solid"
