"""A picture of runs: every plan's layout and texts, and its control picture, beside the image drawn from it.

python docs/overview.py out/demo/two_regions out/demo/four_regions -o overview.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.preview import draw_canvas, draw_legend
from strata.hierarchy.style import MUTED, RULE
from strata.hierarchy.typeset import Sheet, resized

SIDE, LEGEND, CONTROL, GAP = 300, 590, 128, 24


def main() -> None:
    """Write the picture; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders that `strata generate` wrote")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    sheet = Sheet(2 * SIDE + LEGEND + 4 * GAP)
    y = GAP
    for run in args.runs:
        plan = ScenePlan.load(run / "plan.yaml")
        legend = draw_legend(plan, LEGEND, columns=2)
        sheet.text(GAP, y + 8, run.name, 17)
        sheet.text(3 * GAP + SIDE + LEGEND, y + 8, "drawn from it", 15, MUTED)
        y += 30
        sheet.paste(draw_canvas(plan, SIDE), GAP, y)
        sheet.paste(legend, 2 * GAP + SIDE, y)
        with Image.open(run / "image.png") as image:
            sheet.paste(resized(image, SIDE, SIDE), 3 * GAP + SIDE + LEGEND, y)
        y += max(SIDE, legend.height) + GAP
        if (control := run / "inputs" / "control.png").exists():
            with Image.open(control) as image:
                sheet.paste(resized(image, CONTROL, CONTROL), 2 * GAP + SIDE + LEGEND - CONTROL, y - GAP - CONTROL)
        if run != args.runs[-1]:
            sheet.lines([(GAP, y - GAP / 2), (sheet.width - GAP, y - GAP / 2)], RULE)
            y += GAP // 2
    sheet.picture(y).save(args.output, optimize=True)
    print(f"{args.output}: {len(args.runs)} plans and what was drawn from them")


if __name__ == "__main__":
    main()
