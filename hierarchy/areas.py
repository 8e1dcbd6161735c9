"""Areas to pixels: boxes, polygons and mask images as boolean arrays."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import read_bytes
from strata.hierarchy.plan import Area, Box, Point, ScenePlan

MASK_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""What a mask file may be, as pillow calls it."""


def pixel_mask(area: Area, width: int, height: int, root: str | os.PathLike[str] = ".") -> NDArray[np.bool_]:
    """The pixels of an area on a canvas of `width` x `height` pixels.

    Box and polygon are in pixels of that canvas; a mask image of another size is resized to it.

    Args:
        area: the area (regions are areas).
        width: of the canvas, in pixels.
        height: of the canvas, in pixels.
        root: the folder that mask files are relative to.

    Returns:
        bool `[height, width]`, true inside.

    Raises:
        InputError: the mask file is missing, is no image, or is too large.
    """
    if area.box is not None:
        x1, y1, x2, y2 = area.box
        inside = np.zeros((height, width), dtype=np.bool_)
        inside[y1:y2, x1:x2] = True
        return inside
    if area.polygon is not None:
        return _polygon_mask(area.polygon, width, height)
    assert area.mask is not None  # an area is exactly one of the three
    return _image_mask(Path(root) / area.mask, area.mask_threshold, width, height)


def region_mask(plan: ScenePlan, index: int) -> NDArray[np.bool_]:
    """The pixels of a plan's region, as of `pixel_mask`. Raises `InputError`, which names file, line and field."""
    try:
        return pixel_mask(plan.regions[index], plan.width, plan.height, plan.root)
    except InputError as error:
        raise plan.error(("regions", index, "mask"), str(error)) from error


def box_around(inside: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds all pixels of a mask `[height, width]`; None where it has none."""
    ys, xs = np.nonzero(inside)
    return (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1) if len(xs) else None


def _polygon_mask(points: tuple[Point, ...], width: int, height: int) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside by the even-odd rule; polygons that share an edge never share a pixel.

    Every edge flips all pixels to the right of it, row by row.
    """
    flips = np.zeros((height, width + 1), dtype=np.bool_)
    centres_y = np.arange(height) + 0.5
    for ends in zip(points, points[1:] + points[:1], strict=True):
        (x1, y1), (x2, y2) = sorted(ends, key=lambda point: point[1])  # the same arithmetic in both directions
        rows = np.flatnonzero((centres_y >= y1) & (centres_y < y2))
        if len(rows):
            crossing_x = x1 + (centres_y[rows] - y1) * ((x2 - x1) / (y2 - y1))
            flips[rows, np.ceil(np.clip(crossing_x - 0.5, 0, width)).astype(np.int64)] ^= True
    inside: NDArray[np.bool_] = np.logical_xor.accumulate(flips, axis=1)[:, :width]
    return inside


def _image_mask(path: Path, threshold: float, width: int, height: int) -> NDArray[np.bool_]:
    """A black-and-white mask is resized by its nearest pixels, a soft one linearly and thresholded afterwards."""
    values = _read_values(path)
    if values.shape != (height, width):
        hard = bool(((values == 0) | (values == 1)).all())
        resampling = Image.Resampling.NEAREST if hard else Image.Resampling.BILINEAR
        values = np.asarray(Image.fromarray(values).resize((width, height), resampling))
    inside: NDArray[np.bool_] = values >= threshold - 1e-6  # resizing may round 1 down
    return inside


def _read_values(path: Path) -> NDArray[np.float32]:
    """float32 `[h, w]` from 0 to 1: the opacity where the image has transparent pixels, else its brightness."""
    if not path.exists():
        raise InputError(f"mask file '{path}': not found")
    try:
        content = read_bytes(path)
    except InputError as error:
        raise InputError(f"mask file '{path}': {str(error).removeprefix(f'{path}: ')}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=MASK_FORMATS) as image:
                return _values(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = Image.MAX_IMAGE_PIXELS
        raise InputError(f"mask file '{path}': too large (at most {limit:,} pixels)") from error
    except Exception as error:  # decoders of damaged files raise whatever they like
        why = "of no known form" if isinstance(error, UnidentifiedImageError) else error
        readable = ", ".join(MASK_FORMATS)
        raise InputError(f"mask file '{path}': not a readable image ({why}); formats: {readable}") from error


def _values(image: Image.Image) -> NDArray[np.float32]:
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            return np.asarray(alpha, dtype=np.float32) / np.float32(255)
    if image.mode.startswith("I"):  # 16 bits, whatever the array's type
        return (np.asarray(image, dtype=np.float32) / np.float32(65535)).clip(0, 1)
    if image.mode == "F":
        return np.asarray(image, dtype=np.float32)
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)
