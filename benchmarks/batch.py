"""How many pictures a minute a batch draws: one process, one picture or several a call, and workers of a Ray cluster.

`python -m benchmarks.batch --workers 1,2` draws the same pictures in each way, tells the pictures a minute from the
first call to the last picture, the seconds before that (loading, and of a cluster its start), and the load of the
machine, which on a busy one decides.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from strata.batch import BatchAsked
from strata.batch_run import Ready, Row, events
from strata.console import quiet
from strata.drawers import Drawer, Steps
from strata.settings import DrawSettings

PLANS = Path(__file__).resolve().parents[1] / "configs/plans"


def measure(asked: BatchAsked, together: int | None, drawer: Drawer | None) -> tuple[float, float]:
    """Pictures a minute, those of the first call aside, which warms up; and seconds until the first is drawn."""
    begin = time.perf_counter()
    warm = done = 0
    first = last = begin
    with tempfile.TemporaryDirectory() as out:
        for event in events(asked, out, together=together, drawer=drawer):
            last = time.perf_counter()
            match event:
                case Ready():
                    begin = last
                case Row(error=None):
                    done += 1
                    if not warm:
                        first, warm = last, event.together or 1
                case Row():
                    sys.exit(f"{event.source}: {event.error}")
                case Steps():
                    pass
    return 60 * (done - warm) / (last - first), first - begin


def main(argv: Sequence[str] | None = None) -> None:
    """Draws and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="miniature")
    parser.add_argument("--pictures", type=int, default=32, help="of each way (default: 32)")
    parser.add_argument("--steps", type=int, help="(default: the model's)")
    parser.add_argument("--together", default="1,4,8", help="pictures of a call, in one process (default: 1,4,8)")
    parser.add_argument("--workers", default="", help="of a cluster on this machine, such as 1,2 (default: none)")
    given = parser.parse_args(argv)
    plans = [str(PLANS / f"{name}_regions.yaml") for name in ("two", "three")]
    asked = BatchAsked(plans, DrawSettings(model=given.model, steps=given.steps), count=max(1, given.pictures // 2))
    ways: list[tuple[str, int, int]] = [("one process", int(n), 0) for n in given.together.split(",") if n]
    ways += [("Ray", 1, int(n)) for n in given.workers.split(",") if n]
    print("| | pictures a call | workers | pictures a minute | seconds to the first | load |")
    print("|---|---|---|---|---|---|")
    for way, together, workers in ways:
        with quiet():
            pace, wait = measure(asked, together, _drawer(workers))
        load = os.getloadavg()[0]
        print(f"| {way} | {together} | {workers or ''} | {pace:.1f} | {wait:.0f} | {load:.1f} |", flush=True)


def _drawer(workers: int) -> Drawer | None:
    if not workers:
        return None
    from strata.ray_pool import RayPool

    return RayPool("local", workers)


if __name__ == "__main__":
    main()
