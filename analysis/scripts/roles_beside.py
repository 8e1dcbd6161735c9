"""Studies of `strata roles` of several models beside each other: where in depth each attribute is decided.

python analysis/scripts/roles_beside.py "no head=out/roles-a" "head=out/roles-b" --out beside.png
"""

import argparse
import sys
from pathlib import Path

from strata.analysis.charts import save_figure
from strata.analysis.role_plots import draw_beside
from strata.analysis.roles import read_curves
from strata.hierarchy.errors import InputError


def main() -> None:
    """Read the arguments, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="NAME=DIR", help="of `strata roles`")
    parser.add_argument("--double", type=int, default=4, help="double blocks of the models (default: 4)")
    parser.add_argument("--title", default="Where another text in a window of blocks is followed")
    parser.add_argument("--out", type=Path, default=Path("beside.png"))
    args = parser.parse_args()
    try:
        studies = {}
        for study in args.studies:
            name, equals, folder = study.rpartition("=")
            if not equals:
                raise InputError(f"{study}: must be NAME=DIR")
            try:
                studies[name] = read_curves(folder)[0]
            except InputError as error:
                raise InputError(f"{folder}: {error}") from error
        print(save_figure(draw_beside(studies, args.double, args.title), args.out))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
