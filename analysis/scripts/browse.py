"""One HTML file to browse a probe in, offline.

python analysis/scripts/browse.py out/probe --out probe.html
"""

import argparse
from pathlib import Path

from PIL import Image

from strata.analysis.page import write_page
from strata.analysis.probe import Probe


def main() -> None:
    """Read the arguments, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", type=Path, help="the probe's files, without their suffixes")
    parser.add_argument("--image", type=Path, help="the picture (default: image.png beside the probe)")
    parser.add_argument("--out", type=Path, default=Path("probe.html"))
    args = parser.parse_args()

    picture = args.image or args.probe.with_name("image.png")
    image = Image.open(picture) if args.image or picture.exists() else None
    print(write_page(Probe.load(args.probe), image, args.out))


if __name__ == "__main__":
    main()
