"""What each area attends to, a curve over the blocks a kind.

python analysis/scripts/layer_curves.py out/probe --out layers.png
"""

import argparse
from pathlib import Path

from strata.analysis.charts import save_figure
from strata.analysis.plots import draw_curves
from strata.analysis.probe import Probe


def main() -> None:
    """Read the arguments, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", type=Path, help="the probe's files, without their suffixes")
    parser.add_argument("--out", type=Path, default=Path("layers.png"))
    args = parser.parse_args()
    print(save_figure(draw_curves(Probe.load(args.probe)), args.out))


if __name__ == "__main__":
    main()
