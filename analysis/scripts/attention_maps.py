"""Where words act over the picture, a column a block.

python analysis/scripts/attention_maps.py out/probe --words red circle --blocks "double 0" "single 3" --out maps.png
"""

import argparse
from pathlib import Path

from PIL import Image

from strata.analysis.charts import save_figure
from strata.analysis.overlays import concept_maps, draw_overlays, image_to_text, text_to_image
from strata.analysis.probe import Probe


def main() -> None:
    """Read the arguments, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", type=Path, help="the probe's files, without their suffixes")
    parser.add_argument("--image", type=Path, help="the picture (default: image.png beside the probe)")
    parser.add_argument(
        "--words", nargs="+", help="and whole texts, such as left/low (default: all that were asked for)"
    )
    parser.add_argument("--direction", choices=("heard", "looks", "concepts"), default="heard")
    parser.add_argument("--blocks", nargs="+", help='"double 0", … (default: all)')
    parser.add_argument("--phase", type=int, help="from 0 (default: mean over all)")
    parser.add_argument("--out", type=Path, default=Path("maps.png"))
    args = parser.parse_args()

    probe = Probe.load(args.probe)
    picture = args.image or args.probe.with_name("image.png")
    image = Image.open(picture) if args.image or picture.exists() else None
    if args.direction == "heard":
        rows = image_to_text(probe, args.words)
    elif args.direction == "looks":
        rows = text_to_image(probe, args.words)
    else:
        rows = [row for row in concept_maps(probe) if args.words is None or row.name in args.words]
    print(save_figure(draw_overlays(probe, image, rows, args.direction, args.blocks, args.phase), args.out))


if __name__ == "__main__":
    main()
