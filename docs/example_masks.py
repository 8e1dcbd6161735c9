"""Draws the free-form masks of configs/examples: a sitting dog and a cat, and the two of the miniature's counterpart.

python docs/example_masks.py
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

EXAMPLES = Path(__file__).resolve().parents[1] / "configs" / "examples"
Shape = Sequence[tuple[float, float]]
"""Of two corners an ellipse between them, of more a polygon; in pixels."""

MASKS: Mapping[str, tuple[tuple[int, int], Sequence[Shape]]] = {
    "masks/dog.png": (
        (1280, 768),
        (
            ((210, 270), (520, 760)),  # body
            ((240, 90), (490, 340)),  # head
            ((400, 190), (590, 320)),  # muzzle
            ((225, 110), (250, 250), (345, 150)),  # ear
            ((300, 500), (330, 768), (470, 768), (480, 480)),  # forelegs
            ((120, 560), (90, 600), (180, 740), (300, 740), (260, 620)),  # tail
        ),
    ),
    "masks/cat.png": (
        (1280, 768),
        (
            ((780, 380), (1060, 766)),
            ((760, 210), (980, 420)),
            ((770, 300), (760, 150), (860, 230)),
            ((890, 230), (970, 150), (975, 310)),
            ((800, 600), (790, 768), (960, 768), (960, 600)),
            ((1000, 740), (1170, 700), (1190, 420), (1150, 420), (1120, 640), (1000, 660)),
        ),
    ),
    "miniature/masks/left.png": (
        (128, 128),
        (((4, 26), (62, 112)), ((10, 10), (52, 60)), ((8, 90), (4, 126), (66, 124))),
    ),
    "miniature/masks/right.png": (
        (128, 128),
        (((68, 22), (126, 100)), ((84, 8), (118, 60)), ((74, 80), (70, 120), (124, 122), (122, 70))),
    ),
}


def mask(size: tuple[int, int], shapes: Sequence[Shape]) -> Image.Image:
    """The shapes in white on black."""
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        if len(shape) == 2:
            draw.ellipse([*shape[0], *shape[1]], fill=255)
        else:
            draw.polygon(list(shape), fill=255)
    return image


def main(folder: Path = EXAMPLES) -> None:
    """Writes all of them below a folder."""
    for name, (size, shapes) in MASKS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        mask(size, shapes).convert("1").save(folder / name, optimize=True)


if __name__ == "__main__":
    main()
