"""All that `benchmarks/gpu.sh` measures of speed, in one process, so that a large model is made once.

    python -m benchmarks.speed.gpu_series FOLDER --within 400
    python -m benchmarks.speed.gpu_series FOLDER --dry       tiny sizes, on a CPU

What matters most comes first; what no time is left for is left out, and goes on when it is called again.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

from benchmarks.speed.__main__ import main as speed
from benchmarks.speed.tables import write_between

SQUARE = ["--pixels", "1024x1024"]
FEW = ["--layouts", "boxes", "--tokens", "64", *SQUARE]
SERIES: dict[str, list[str]] = {
    "step": [*SQUARE, "--tokens", "64", "--methods", "dense-mask", "regional-prompting-flux", "--repeats", "3"],
    "profile": ["--profile", *FEW, "--regions", "16", "--methods", "regional-prompting-flux"],
    "run-24-10": ["--run", "24:10", *FEW, "--regions", "4", "16", "--repeats", "1", "--routing", "uniform",
                  "--methods", "regional-prompting-flux"],
    "run-24-24": ["--run", "24:24", *FEW, "--regions", "4", "16", "--repeats", "1", "--routing", "uniform",
                  "isolate-first", "--methods"],
    "compiled": ["--compile", *FEW, "--regions", "4", "16", "--repeats", "3", "--methods", "dense-mask",
                 "regional-prompting-flux"],
    "short-texts": [*SQUARE, "--tokens", "24", "--methods", "--repeats", "3"],
    "slow-methods": [*FEW, "--regions", "2", "4", "8", "16", "--routing", "--methods", "rpg", "densediffusion",
                     "stitch", "--repeats", "1"],
    "other-sizes": ["--pixels", "768x1280", "1280x1280", "--layouts", "masks", "--tokens", "64", "--regions", "16",
                    "--methods", "--repeats", "3"],
}  # fmt: skip
"""Names of the tables, and what is asked for."""
DRY = ["--size", "tiny", "--pixels", "256x256", "--tokens", "8", "--regions", "4", "--steps", "4", "--repeats", "1"]


def main(argv: list[str] | None = None) -> None:
    """Measure; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--within", type=float, default=400.0, help="seconds, after which nothing more is begun")
    parser.add_argument("--dry", action="store_true")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    page, begun = args.folder / "speed.md", time.monotonic()
    page.write_text("".join(f"## {name}\n\n<!-- begin {name} -->\n<!-- end {name} -->\n\n" for name in SERIES))
    for name, asked in SERIES.items():
        if time.monotonic() - begun > args.within:
            print(f"no time is left for {name}")
            continue
        options = ["--size", "full", *asked] if not args.dry else [*asked, *DRY]
        if args.dry and "--run" in asked:
            options += ["--run", "4:2"]
        options += ["--out", str(args.folder / "speed.csv"), "--within", str(args.within)]
        if name == "step":
            options += ["--plot", str(args.folder / "speed.png")]
        print(f"\n#### {name}: {' '.join(options)}", flush=True)
        if name == "profile":
            with (args.folder / "profile.txt").open("w") as file, contextlib.redirect_stdout(file):
                speed(options)
            write_between(page, name, "see profile.txt")
        else:
            speed([*options, "--write", str(page), "--place", name])


if __name__ == "__main__":
    main()
