"""Areas to pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import points_in_poly

from strata.hierarchy.areas import pixel_mask
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Region


def region(**area: Any) -> Region:
    return Region.model_validate({"name": "a", "full": "x", **area})


def test_box() -> None:
    inside = pixel_mask(region(box=(1, 2, 4, 3)), 6, 5)
    assert inside.shape == (5, 6)
    assert np.argwhere(inside).tolist() == [[2, 1], [2, 2], [2, 3]]


def test_a_rectangular_polygon_is_its_box() -> None:
    polygon = region(polygon=[(1, 2), (4, 2), (4, 5), (1, 5)])
    assert (pixel_mask(polygon, 6, 7) == pixel_mask(region(box=(1, 2, 4, 5)), 6, 7)).all()


def test_a_centre_on_an_edge_belongs_to_what_is_right_of_it_and_below() -> None:
    polygon = region(polygon=[(1.5, 2.5), (4.5, 2.5), (4.5, 5.5), (1.5, 5.5)])
    assert (pixel_mask(polygon, 6, 7) == pixel_mask(region(box=(1, 2, 4, 5)), 6, 7)).all()


coordinates = st.integers(-5000, 25000).map(lambda thousandths: thousandths / 1000)
points = st.tuples(coordinates, coordinates)


def distance(pixels: np.ndarray, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """Of points `[n, 2]` to the line from `start` to `end`."""
    along = np.subtract(end, start)
    share = ((pixels - start) @ along / max(along @ along, 1e-12)).clip(0, 1)
    return np.asarray(np.linalg.norm(pixels - start - share[:, None] * along, axis=1))


@given(st.lists(points, min_size=3, max_size=7))
def test_polygons_agree_with_a_reference(corners: list[tuple[float, float]]) -> None:
    ys, xs = np.mgrid[:16, :20] + 0.5
    centres = np.stack([xs.ravel(), ys.ravel()], axis=1)
    ends = zip(corners, corners[1:] + corners[:1], strict=True)
    clear = np.min([distance(centres, start, end) for start, end in ends], axis=0) > 1e-9  # on an edge both are right
    inside = pixel_mask(region(polygon=corners), 20, 16).ravel()
    assert (inside == points_in_poly(centres, np.asarray(corners)))[clear].all()


@given(st.tuples(st.floats(0, 16), st.floats(0, 16)))
def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out(middle: tuple[float, float]) -> None:
    corners = [(0, 0), (16, 0), (16, 16), (0, 16)]
    fans = [region(polygon=[corners[i], corners[(i + 1) % 4], middle]) for i in range(4)]
    assert (np.sum([pixel_mask(fan, 16, 16) for fan in fans], axis=0) == 1).all()


DISC = np.hypot(*(np.mgrid[:32, :32] - 15.5)) < 12


@pytest.mark.parametrize("kind", ["1", "L", "RGB", "P", "I;16", "LA", "RGBA", "opaque RGBA", "F"])
def test_kinds_of_mask_files(tmp_path: Path, kind: str) -> None:
    grey = Image.fromarray(DISC.astype(np.uint8) * 255)
    path = tmp_path / ("m.tiff" if kind == "F" else "m.png")
    if kind == "I;16":
        Image.fromarray(DISC.astype(np.uint16) * 65535).save(path)
    elif kind == "F":
        Image.fromarray(DISC.astype(np.float32)).save(path)
    elif kind in ("LA", "RGBA"):  # a dark cut-out: opacity counts
        cut_out = Image.new("RGB", grey.size, (10, 0, 0)).convert(kind[:-1])
        cut_out.putalpha(grey)
        cut_out.save(path)
    elif kind == "opaque RGBA":
        grey.convert("RGBA").save(path)
    else:
        grey.convert(kind).save(path)
    assert (pixel_mask(region(mask=path.name), 32, 32, tmp_path) == DISC).all()
    assert (pixel_mask(region(mask=str(path)), 96, 64) == np.kron(DISC, np.ones((2, 3), dtype=bool))).all()


def test_soft_masks_are_thresholded_after_resizing(tmp_path: Path) -> None:
    Image.fromarray(np.array([[10, 250]], dtype=np.uint8)).save(tmp_path / "m.png")
    columns = [
        pixel_mask(region(mask="m.png", mask_threshold=threshold), 64, 2, tmp_path)[0].sum()
        for threshold in (0.04, 0.2, 0.5, 0.8, 0.99)
    ]
    assert columns[0] > columns[1] > columns[2] == 32 > columns[3] > columns[4] == 0


def test_a_mask_with_one_grey_is_soft(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0, 128, 255]], dtype=np.uint8)).save(tmp_path / "m.png")
    found = pixel_mask(region(mask="m.png", mask_threshold=0.3), 64, 1, tmp_path)[0]
    assert np.flatnonzero(found)[0] == 34, "0.3 between the middles of the second value, 24, and the third, 40"


def test_greys_of_16_bits(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 20_000, 40_000, 65_535]], dtype=np.uint16)).save(tmp_path / "m.png")
    for threshold, covered in ((0.2, 3), (0.5, 2), (0.9, 1)):
        found = pixel_mask(region(mask="m.png", mask_threshold=threshold), 4, 1, tmp_path)
        assert found[0].tolist() == [False] * (4 - covered) + [True] * covered


def test_greys_of_32_bits_beyond_white_are_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 2 * 65_535]], dtype=np.int32)).save(tmp_path / "m.tiff")
    found = pixel_mask(region(mask="m.tiff"), 64, 1, tmp_path)[0]
    assert np.flatnonzero(found).tolist() == list(range(32, 64)), "black and white are not blended"


def test_a_threshold_of_one_keeps_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[128, 255, 255, 255]], dtype=np.uint8)).save(tmp_path / "m.png")
    assert pixel_mask(region(mask="m.png", mask_threshold=1), 37, 5, tmp_path)[:, -12:].all()


def test_unusable_mask_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.png"
    with pytest.raises(InputError, match=r"mask file '.*m\.png': not found"):
        pixel_mask(region(mask="m.png"), 8, 8, tmp_path)
    path.write_text("no image")
    with pytest.raises(InputError, match=r"not a readable image .*formats: PNG, JPEG"):
        pixel_mask(region(mask="m.png"), 8, 8, tmp_path)
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputError, match="not a readable image"):
        pixel_mask(region(mask="m.png"), 8, 8, tmp_path)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        pixel_mask(region(mask="."), 8, 8, tmp_path)
    Image.new("1", (100, 100)).save(path)
    for limit in (9000, 100):  # pillow warns above the limit and refuses above its double
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(InputError, match=rf"too large \(at most {limit:,} pixels\)"):
            pixel_mask(region(mask="m.png"), 8, 8, tmp_path)
