"""The curves of a training run: loss and scores against samples seen.

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
LABELS = {"single": "one object", "two-named": "two named objects"}
COLOURS = {"single": "#1b6f9c", "two-named": "#c7572b"}


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
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), constrained_layout=True)
    left.plot(*zip(*curves["flow", "loss"], strict=True), color=INK, linewidth=1.5)
    left.set(yscale="log", ylabel="flow matching loss", title="Loss")
    left.set_yticks([0.15, 0.2, 0.3, 0.5, 1], labels=["0.15", "0.2", "0.3", "0.5", "1"])
    left.minorticks_off()
    for kind, label in LABELS.items():
        samples, values = zip(*curves["flow", kind], strict=True)
        right.plot(samples, [100 * v for v in values], "o-", color=COLOURS[kind], label=label)
    right.set(ylabel="objects fully right, %", ylim=(0, 103), title="Unseen combinations, 34 objects a point")
    right.legend(frameon=False, loc=(0.14, 0.13))
    for axes in (left, right):
        axes.set_xlabel("pictures seen")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:.0f} k")
        axes.grid(color=RULE, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(args.output, dpi=130)


if __name__ == "__main__":
    main()
