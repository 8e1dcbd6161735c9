"""The picture of the README: every demo plan's layout and texts beside the image drawn from it.

python docs/overview.py out/demo [-o overview.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_canvas, draw_legend
from strata.hierarchy.style import MUTED, RULE
from strata.hierarchy.typeset import Sheet, resized

SIDE, LEGEND, GAP = 300, 590, 24
NAMES = ("two_regions", "three_regions", "four_regions")


def main() -> None:
    """Write the picture; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    sheet = Sheet(2 * SIDE + LEGEND + 4 * GAP)
    y = GAP
    for name in NAMES:
        plan = ScenePlan.load(args.folder / name / "plan.yaml")
        legend = draw_legend(plan, LEGEND, columns=2)
        sheet.text(GAP, y + 8, f"configs/plans/{name}.yaml", 17)
        sheet.text(3 * GAP + SIDE + LEGEND, y + 8, "drawn from it", 15, MUTED)
        y += 30
        sheet.paste(draw_canvas(plan, SIDE), GAP, y)
        sheet.paste(legend, 2 * GAP + SIDE, y)
        with Image.open(args.folder / name / "image.png") as image:
            sheet.paste(resized(image, SIDE, SIDE), 3 * GAP + SIDE + LEGEND, y)
        y += max(SIDE, legend.height) + GAP
        if name != NAMES[-1]:
            sheet.lines([(GAP, y - GAP / 2), (sheet.width - GAP, y - GAP / 2)], RULE)
            y += GAP // 2
    output = args.output or args.folder / "overview.png"
    sheet.picture(y).save(output, optimize=True)
    print(f"{output}: the three plans and what was drawn from them")


if __name__ == "__main__":
    main()
