"""Draws the control pictures of configs/examples: a depth map, a pose, and outlines for the bundled model.

python docs/example_controls.py
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageDraw

from strata.miniature.world.facts import Thing
from strata.miniature.world.outlines import GREY, outlines
from strata.miniature.world.scenes import Placed, Scene

EXAMPLES = Path(__file__).resolve().parents[1] / "configs" / "examples"
JOINTS = {
    "nose": (330, 190),
    "neck": (325, 300),
    "right shoulder": (245, 305),
    "right elbow": (190, 430),
    "right hand": (255, 530),
    "left shoulder": (405, 300),
    "left elbow": (470, 400),
    "left hand": (560, 330),
    "right hip": (275, 560),
    "right knee": (265, 730),
    "right foot": (250, 900),
    "left hip": (375, 560),
    "left knee": (400, 730),
    "left foot": (430, 895),
}
LIMBS = (
    ("nose", "neck", "#0000ff"),
    ("neck", "right shoulder", "#ff0000"),
    ("right shoulder", "right elbow", "#ffaa00"),
    ("right elbow", "right hand", "#ffff00"),
    ("neck", "left shoulder", "#ff5500"),
    ("left shoulder", "left elbow", "#aaff00"),
    ("left elbow", "left hand", "#55ff00"),
    ("neck", "right hip", "#00ff00"),
    ("right hip", "right knee", "#00ff55"),
    ("right knee", "right foot", "#00ffaa"),
    ("neck", "left hip", "#00ffff"),
    ("left hip", "left knee", "#00aaff"),
    ("left knee", "left foot", "#0055ff"),
)
"""Two joints and a colour, about as OpenPose paints limbs."""


def cars() -> Image.Image:
    """A depth map, near is light: a floor, a wall behind it, and three cars seen from the front."""
    image = Image.new("L", (1280, 960), 40)
    draw = ImageDraw.Draw(image)
    for y in range(420, 960):
        draw.line(((0, y), (1280, y)), fill=40 + (y - 420) * 190 // 540)
    for x in (213, 640, 1066):
        draw.rounded_rectangle((x - 120, 430, x + 120, 620), 60, fill=130)  # roof and windscreen
        draw.rounded_rectangle((x - 165, 560, x + 165, 780), 50, fill=190)  # bonnet
        for side in (-125, 125):
            draw.rounded_rectangle((x + side - 32, 700, x + side + 32, 850), 20, fill=175)  # wheels
    return image


def pose() -> Image.Image:
    """A standing figure that holds out a hand."""
    image = Image.new("RGB", (1280, 960))
    draw = ImageDraw.Draw(image)
    for one, other, colour in LIMBS:
        draw.line((JOINTS[one], JOINTS[other]), fill=colour, width=16)
    for x, y in JOINTS.values():
        draw.ellipse((x - 10, y - 10, x + 10, y + 10), fill="#ffffff")
    return image


def boat_and_house() -> Image.Image:
    """Outlines of a boat high on the left and a small house low on the right."""
    things = (
        Placed(Thing("boat"), 34, 40, 26, "left", mirrored=True),
        Placed(Thing("house"), 92, 88, 24, "right"),
    )
    return Image.fromarray(outlines(Scene(128, 128, things, GREY, "flat")))


CONTROLS: Mapping[str, Callable[[], Image.Image]] = {
    "controls/cars-depth.png": cars,
    "controls/pose.png": pose,
    "miniature/controls/outlines.png": boat_and_house,
}


def main(folder: Path = EXAMPLES) -> None:
    """Write them."""
    for name, draw in CONTROLS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw().save(path, optimize=True)


if __name__ == "__main__":
    main()
