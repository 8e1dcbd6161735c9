"""Scenes side by side in every way of an evaluation: regions in green hold what was asked for, those in red do not.

python docs/following_sheet.py out/following -o sheet.png --objects 4 --judge exact

Of the hard scenes with so many objects, the first of each arrangement, seed 1: nobody chose them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from PIL import Image

from strata.analysis.judges.protocol import areas_of
from strata.evaluate import chosen, open_scenes
from strata.hierarchy.style import MUTED, RIGHT, WRONG
from strata.hierarchy.typeset import Sheet, resized
from strata.layers.routing import DEFAULT_ROUTING
from strata.miniature.hard_scenes import ARRANGEMENTS
from strata.readers.protocol import Scene

FINER = 2
SIDE, GAP, LEFT, HEAD = 150, 10, 170, 40


def main() -> None:
    """Write the picture; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `strata evaluate hard -o FOLDER` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=4)
    parser.add_argument("--judge", default="exact")
    args = parser.parse_args()
    judged = verdicts(args.folder / args.judge / "judged.jsonl")
    ways = json.loads((args.folder / args.judge / "results.json").read_text(encoding="utf-8"))["ways"]
    scenes = first_of_each(chosen(open_scenes("hard")[1], objects=[args.objects]))
    sheet = Sheet(LEFT + len(scenes) * (SIDE + GAP) + GAP, finer=FINER)
    for column, name in enumerate(scenes):
        sheet.text(LEFT + column * (SIDE + GAP), HEAD / 2, name, 14)
    y = HEAD
    for way in ways:
        sheet.text(GAP, y + SIDE / 2, way, 14, MUTED)
        for column, scene in enumerate(scenes.values()):
            name, objects = judged[scene.name, way]
            with Image.open(args.folder / "pictures" / scene.name / name) as picture:
                put(sheet, LEFT + column * (SIDE + GAP), y, picture.convert("RGB"), scene, objects)
        y += SIDE + GAP
    sheet.picture(y).quantize().save(args.output, optimize=True)
    print(f"{args.output}: {len(scenes)} scenes in {len(ways)} ways")


def verdicts(path: Path) -> dict[tuple[str, str], tuple[str, list[dict[str, Any]]]]:
    """The picture's file and its objects, by scene and way, of seed 1."""
    found: dict[tuple[str, str], tuple[str, list[dict[str, Any]]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        entry = json.loads(line)
        scene, way, seed = entry["key"].split("/")
        if seed == "1":
            found[scene, way] = f"{way}_{seed}.png", entry["value"]["objects"]
            if way.endswith(f"-{DEFAULT_ROUTING}"):  # of the only routing, results leave the name out
                found[scene, way.removesuffix(f"-{DEFAULT_ROUTING}")] = found[scene, way]
    return found


def first_of_each(scenes: list[Scene]) -> dict[str, Scene]:
    """The first scene of every arrangement, by its name."""
    found: dict[str, Scene] = {}
    for scene in scenes:
        for arrangement in ARRANGEMENTS:
            if arrangement in scene.row["tags"]:
                found.setdefault(arrangement, scene)
    return {name: found[name] for name in ARRANGEMENTS if name in found}


def put(sheet: Sheet, x: float, y: float, picture: Image.Image, scene: Scene, objects: list[dict[str, Any]]) -> None:
    """A picture within its square, and the boxes around its regions."""
    scale = SIDE / max(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    x, y = x + (SIDE - width) / 2, y + (SIDE - height) / 2
    sheet.paste(resized(picture, width * FINER, height * FINER), x, y)
    for (x1, y1, x2, y2), judged in zip(areas_of(scene.plan), objects, strict=True):
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
        ink = RIGHT if all(judged["right"].values()) else WRONG
        sheet.lines([(x + across * scale, y + down * scale) for across, down in corners], ink, 1.5)


if __name__ == "__main__":
    main()
