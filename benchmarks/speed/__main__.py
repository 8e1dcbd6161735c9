"""Seconds and peak memory of a denoising step, as multiples of plain FLUX's in one run; and what a step costs, counted.

    python -m benchmarks.speed                              whole images of the bundled miniature, four regions
    python -m benchmarks.speed --methods regional rpg       the same by several methods, each by its own routing
    python -m benchmarks.speed --size wide                  random weights, 2 + 4 blocks of width 768: every way
    python -m benchmarks.speed --size full                  FLUX.1-dev's size on a GPU (40 GB); without one, as `wide`
    python -m benchmarks.speed --size full --run 24:10      whole pictures: 24 steps, the first 10 routed
    python -m benchmarks.speed --size full --compile        compiled blocks beside eager ones
    python -m benchmarks.speed --size full --routing mine.yaml --methods    by a routing file, and no other method
    python -m benchmarks.speed --count                      FLOPs, bytes, launches at FLUX.1-dev's size; computes none
    python -m benchmarks.speed --count --whole              the same of whole pictures, as each routing stands
    python -m benchmarks.speed --size wide --profile        where the time of one routed step goes

Ways take turns in rounds, so that all of them meet the same weather; what is told is the median, and half the distance
of the quartiles. What is done is kept in `--out` and not measured again; a run that was stopped goes on. `--fresh`
begins anew. Where no `--pixels` are given, sizes behind the first are measured with 4 and 16 regions and long texts
alone, and methods of several passes with boxes and long texts; `--all` measures them all.

Nothing else should run beside it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from benchmarks.speed.cells import Cell, Group, Journal, digest
from benchmarks.speed.counted import count_all, counted_table, rates_named
from benchmarks.speed.counting import RATES
from benchmarks.speed.miniature import miniature
from benchmarks.speed.model import SIZES, TOKEN, Model
from benchmarks.speed.scenes import LAYOUTS, plan_of
from benchmarks.speed.tables import tables, write_between
from benchmarks.speed.timing import CLOCKS, machine, measure
from benchmarks.speed.ways import METHODS, PASSES, PLAIN, ROUTINGS, Way, drawings_of, steps_of, ways_of
from benchmarks.speed.whole import count_pictures, whole_table
from strata.hierarchy.errors import InputError

BEGUN = time.monotonic()
REGIONS = (1, 2, 4, 8, 16)
PIXELS = ("1024x1024", "768x1280", "1280x1280")
IN_PART = (4, 16)
"""Regions of the sizes behind the first."""


def size_of(text: str) -> tuple[int, int]:
    """Width and height of "768x1280", or of one number for both."""
    sides = text.lower().replace("×", "x").split("x")
    try:
        width, height = int(sides[0]), int(sides[-1])
    except ValueError:
        width = height = 0
    if len(sides) > 2 or min(width, height) < TOKEN or width % TOKEN or height % TOKEN:
        raise argparse.ArgumentTypeError(f"{text!r}: must be WIDTHxHEIGHT, multiples of {TOKEN}, such as 768x1280")
    return width, height


def run_of(text: str) -> tuple[int, int]:
    """Steps and routed steps of "24:10"."""
    steps, _, routed = text.partition(":")
    if not (steps.isdigit() and routed.isdigit() and 1 <= int(routed) <= int(steps)):
        raise argparse.ArgumentTypeError(f"{text!r}: must be STEPS:ROUTED, such as 24:10")
    return int(steps), int(routed)


def parser() -> argparse.ArgumentParser:
    """Of the command."""
    found = argparse.ArgumentParser(
        "benchmarks.speed", None, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = found.add_argument
    add("--size", choices=["miniature", *SIZES], help="miniature, and full with --count, where not given")
    add("--routing", nargs="*", default=None, help=f"presets or files ({', '.join(ROUTINGS)})")
    add("--methods", nargs="*", default=None, help=f"by their own routings ({', '.join(METHODS)})")
    add("--regions", nargs="+", type=int, choices=REGIONS, default=None)
    add("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    add("--pixels", nargs="+", type=size_of, default=None, help=f"WIDTHxHEIGHT ({' '.join(PIXELS)})")
    add("--tokens", nargs="+", type=int, default=[24, 64], help="of a text")
    add("--base-tokens", type=int, default=None, help="of the base prompt, and of a text that keeps its padding (512)")
    add("--steps", type=int, default=24, help="of which the first routed one is measured")
    add("--behind", type=int, default=0, help="steps behind that one (1: texts that a routing refreshes are kept)")
    add("--run", type=run_of, default=None, metavar="STEPS:ROUTED", help="whole pictures instead of one step")
    add("--compile", action="store_true", help="compiled blocks, too")
    add("--repeats", type=int, default=5, help="rounds")
    add("--most-seconds", type=float, default=20.0, help="of one cell, from which it has no more than three rounds")
    add("--within", type=float, default=float("inf"), metavar="SECONDS", help="from the start; begin no cell after it")
    add("--clock", choices=list(CLOCKS), default="wall", help="processor: where other jobs share the cores")
    add("--out", type=Path, default=Path("out/speed.csv"), help="the cells, a line each")
    add(
        "--all", action="store_true", help="every way and number of regions with every size, layout and length of texts"
    )
    add("--fresh", action="store_true", help="forget what --out holds")
    add("--plot", type=Path, default=None, help="a PNG of what --out holds of this machine")
    add("--count", action="store_true", help="count, and measure nothing")
    add("--whole", action="store_true", help="count whole pictures of --steps, as each routing stands (with --count)")
    add("--rates", choices=list(RATES), default="H200", help="of --count's estimate")
    add("--profile", action="store_true", help="operators of one routed step instead")
    add("--write", type=Path, default=None, metavar="PAGE", help="put the tables into a page")
    add("--place", default=None, help="between its lines <!-- begin PLACE --> and <!-- end PLACE -->")
    return found


@cache
def made(size: str, device: torch.device, base: int | None) -> Model:
    """A model; several calls of `main` share it."""
    return Model.made(size, device, base=base)


def what_of(args: argparse.Namespace) -> str:
    """See `Group.what`."""
    if args.run is not None:
        return f"{args.run[0]}:{args.run[1]}"
    return f"step+{args.behind}" if args.behind else "step"


def groups(model: Model, args: argparse.Namespace) -> Iterator[Group]:
    """What is measured, in order; of sizes that were not asked for by `--pixels`, all but the first in part."""
    base = (
        f"{args.size} ({model.size.double} + {model.size.single} blocks of width {model.size.heads * model.size.head})"
    )
    words = machine(model.device), args.code, f"{base}, {str(model.dtype).partition('.')[2]}, {model.device.type}"
    what = what_of(args)
    for mode in ["eager", *(["compiled"] if args.compile else [])]:
        for size in args.pixels:
            for tokens in args.tokens:
                for layout in args.layouts:
                    for regions in args.regions:
                        in_part = args.in_part and size != args.pixels[0]
                        if in_part and (tokens != max(args.tokens) or regions not in IN_PART):
                            continue
                        yield Group(*words, mode, what, args.clock, *size, model.size.base, tokens, layout, regions)


def ways_in(group: Group, ways: list[Way], args: argparse.Namespace) -> list[Way]:
    """Those of a group; ways of several passes, if `--methods` does not ask for them, of boxes and long texts alone."""
    told = group.layout == args.layouts[0] and group.tokens == max(args.tokens)
    return ways if args.methods is not None or told or not args.in_part else [w for w in ways if w.name not in PASSES]


def measure_group(model: Model, group: Group, ways: list[Way], args: argparse.Namespace) -> list[Cell]:
    """Its cells."""
    plan = plan_of(group.layout, group.regions, group.width, group.height)
    steps, routed = (args.steps, None) if args.run is None else args.run
    drawings = drawings_of(model, plan, ways, group.tokens, steps, routed, args.behind)
    single = steps_of(drawings)
    calls = single if routed is None else {name: drawn.picture for name, drawn in drawings.items()}
    found = measure(calls, args.repeats, model.device, CLOCKS[args.clock], args.most_seconds, single)
    plain, atoms = found[PLAIN], max(drawn.atoms for drawn in drawings.values())
    cells = []
    for way, own in found.items():
        beyond = (own.peak or 0) - (plain.peak or 0)
        ratio, rounds = own.median / plain.median, len(own.seconds)
        cells.append(Cell(group, way, atoms, rounds, own.median, *own.quartiles, ratio, own.peak or 0, beyond))
    return cells


def measured(args: argparse.Namespace, ways: list[Way]) -> str:
    """Measure what is missing, a line a cell as it comes; returns the tables."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = made(args.size, device, args.base_tokens)
    journal = Journal(args.out)
    print(f"{machine(device)}\n{model.million:.0f} M parameters, {model.dtype}; cells: {args.out}", flush=True)
    wanted, mode = list(groups(model, args)), "eager"
    model.compile(False)
    for group in wanted:
        if group.mode != mode:
            mode = group.mode
            model.compile(True)
        there, own = journal.found(group), ways_in(group, ways, args)
        if not {PLAIN, *(way.name for way in own)} <= set(there):
            if time.monotonic() - BEGUN > args.within:
                print(f"{args.within:.0f} seconds are over; {args.out} goes on from here", flush=True)
                break
            names = [way.name for way in own]
            again = [*own, *(way for way in args.all_ways if way.name in there and way.name not in names)]
            cells = measure_group(model, group, again, args)
            journal.put(cells)
            for cell in cells:
                print(_line(cell), flush=True)
    kept = {PLAIN, *(way.name for way in ways)}
    cells = [cell for group in wanted for name, cell in journal.found(group).items() if name in kept]
    if args.plot is not None:
        from benchmarks.speed.plot import draw

        print(draw(cells, args.plot))
    return tables(cells)


def _line(cell: Cell) -> str:
    group, gib = cell.group, 2**30
    what = f"{group.mode} {group.what} {group.width}×{group.height}"
    where = f"{what}, {group.tokens} tokens, {group.regions:2} {group.layout}"
    memory = f"{cell.peak / gib:6.2f} GiB ({cell.beyond / gib:+.2f})" if cell.peak else ""
    return f"{where} {cell.way:24} {cell.seconds:9.4f} s ± {cell.spread:.3f}  {cell.ratio:6.3f} × plain  {memory}"


def counted(args: argparse.Namespace, ways: list[Way]) -> str:
    """Count; returns the tables, beside what `--out` holds of the same size."""
    found = []
    todo = count_all(
        args.size, args.base_tokens, args.pixels, args.tokens, args.layouts, args.regions, ways, args.steps, args.behind
    )
    for each in todo:
        found.append(each)
        print(f"{each.tokens} tokens, {each.regions} {each.layout}: {each.way}, {each.counts.launches}", flush=True)
    alike = args.code, what_of(args), f"{args.size} ("
    cells = [
        cell
        for cell in Journal(args.out).cells
        if (cell.group.code, cell.group.what, cell.group.model[: len(alike[2])]) == alike
    ]
    return counted_table(found, rates_named(args.rates), cells)


def counted_whole(args: argparse.Namespace, ways: list[Way]) -> str:
    """Count whole pictures; returns the table."""
    found = []
    for each in count_pictures(
        args.size, args.base_tokens, args.pixels[0], args.tokens, args.regions, ways, args.steps
    ):
        found.append(each)
        print(f"{each.tokens} tokens, {each.regions} regions: {each.way}, {each.routed} routed steps", flush=True)
    return whole_table(found, args.steps, rates_named(args.rates))


def profiled(args: argparse.Namespace, ways: list[Way]) -> str:
    """Operators of one routed step of each way, of the first of everything that was asked for."""
    from benchmarks.speed.profiling import profiled as of_calls

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = made(args.size, device, args.base_tokens)
    plan = plan_of(args.layouts[0], args.regions[-1], *args.pixels[0])
    calls = steps_of(drawings_of(model, plan, ways, args.tokens[-1], args.steps))
    return f"{machine(device)}\n{of_calls(calls, device)}"


def main(argv: list[str] | None = None) -> None:
    """Print the tables; see `--help`."""
    args = parser().parse_args(argv)
    args.size = args.size or ("full" if args.count else "miniature")
    if args.size == "miniature":
        if args.count or args.profile or args.run or args.compile:
            raise SystemExit(
                "--count, --profile, --run and --compile need a model of random weights: --size wide or full"
            )
        args.routing = args.routing or [*ROUTINGS, "regional-prompting-flux"]
        args.regions, args.methods = args.regions or [2, 4, 8], args.methods or []
        miniature(args)
        return
    if args.size == "full" and not args.count and not torch.cuda.is_available():
        args.size = "wide"
        print("No GPU: instead of FLUX.1-dev's size, 2 + 4 blocks of width 768.", flush=True)
    args.regions = args.regions or list(REGIONS)
    args.in_part = args.pixels is None and not args.all
    args.pixels = args.pixels or [size_of(size) for size in (PIXELS[:1] if args.count else PIXELS)]
    try:
        args.all_ways = ways_of(ROUTINGS, METHODS)
        routings = ROUTINGS if args.routing is None else args.routing
        ways = ways_of(routings, METHODS if args.methods is None else args.methods)
    except InputError as error:
        raise SystemExit(str(error)) from error
    if args.whole and not args.count:
        raise SystemExit("--whole is of --count; --run measures whole pictures")
    args.code = digest(Path(source) for source in routings if Path(source).is_file())
    if args.fresh:
        args.out.unlink(missing_ok=True)
    count = counted_whole if args.whole else counted
    make = count if args.count else profiled if args.profile else measured
    try:
        found = make(args, ways)
    except KeyboardInterrupt:
        raise SystemExit(f"stopped; {args.out} has what was measured, and the same command goes on") from None
    print(f"\n{found}")
    if args.write is not None:
        place = args.place or f"{'count' if args.count else 'profile' if args.profile else 'measure'}-{args.size}"
        write_between(args.write, place, found)
        print(f"\n{args.write}: {place}", file=sys.stderr)


if __name__ == "__main__":
    main()
