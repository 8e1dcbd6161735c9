"""What each area attends to, by step and block, and the entropy of attention.

python analysis/scripts/step_block.py out/probe --out steps.png
"""

import argparse
from pathlib import Path

from strata.analysis.charts import save_figure
from strata.analysis.plots import draw_steps
from strata.analysis.probe import Probe


def main() -> None:
    """Read the arguments, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("probe", type=Path, help="the probe's files, without their suffixes")
    parser.add_argument("--out", type=Path, default=Path("steps.png"))
    args = parser.parse_args()
    print(save_figure(draw_steps(Probe.load(args.probe)), args.out))


if __name__ == "__main__":
    main()
