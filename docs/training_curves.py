"""The curve of a training run: the flow's loss against pictures seen.

python docs/training_curves.py docs/miniature-training.csv -o miniature/weights/training.png
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

INK, RULE = "#20242c", "#dee1e6"


def read(path: Path) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Stage and quantity → (samples, value) in order."""
    curves: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            curves[row["stage"], row["what"]].append((int(row["samples"]), float(row["value"])))
    return curves


def main() -> None:
    """Write the picture; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    curves = read(args.log)
    plt.rcParams.update({"font.size": 10, "axes.edgecolor": RULE, "text.color": INK, "axes.labelcolor": INK})
    figure, axes = plt.subplots(figsize=(7, 3.2), constrained_layout=True)
    axes.plot(*zip(*curves["flow", "loss"], strict=True), color=INK, linewidth=1.5)
    marks = (0.2, 0.3, 0.5, 1.0, 1.5)
    axes.set(yscale="log", ylabel="error of the velocity", xlabel="pictures seen", xlim=(0, None))
    axes.set_yticks(marks, labels=[f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:.0f} k")
    axes.grid(color=RULE, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(args.output, dpi=110)


if __name__ == "__main__":
    main()
