"""The picture of the README: every demo plan's layout beside the image drawn from it.

python docs/overview.py out/demo [-o overview.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIDE, GAP = 360, 16
NAMES = ("two_regions", "three_regions", "four_regions")


def main() -> None:
    """Write the picture; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    rows = []
    for name in NAMES:
        layout = Image.open(args.folder / name / "layout.png").convert("RGB")
        layout = layout.resize((round(layout.width * SIDE / layout.height), SIDE), Image.Resampling.LANCZOS)
        image = Image.open(args.folder / name / "image.png").convert("RGB")
        image = image.resize((SIDE, SIDE), Image.Resampling.NEAREST)
        rows.append((name, layout, image))
    left = max(layout.width for _, layout, _ in rows)
    caption = 30
    sheet = Image.new("RGB", (left + SIDE + 3 * GAP, GAP + len(rows) * (SIDE + caption + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (name, layout, image) in enumerate(rows):
        top = GAP + i * (SIDE + caption + GAP)
        draw.text((GAP, top), f"configs/plans/{name}.yaml", fill="black", font=ImageFont.load_default(18))
        sheet.paste(layout, (GAP, top + caption))
        sheet.paste(image, (left + 2 * GAP, top + caption))
    output = args.output or args.folder / "overview.png"
    sheet.save(output)
    print(f"{output}: the three plans and what was drawn from them")


if __name__ == "__main__":
    main()
