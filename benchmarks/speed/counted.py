"""Tables of what was counted, beside what was measured: how far from the floor a way is, and where it goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from benchmarks.speed.cells import Cell
from benchmarks.speed.counting import PARTS, RATES, Counts, Rates, count
from benchmarks.speed.model import Model
from benchmarks.speed.scenes import plan_of
from benchmarks.speed.tables import table
from benchmarks.speed.ways import PLAIN, Way, drawings_of


@dataclass(frozen=True)
class Counted:
    """One routed step of one way."""

    size: tuple[int, int]
    tokens: int
    layout: str
    regions: int
    atoms: int
    way: str
    counts: Counts
    plain: Counts

    @property
    def floor(self) -> float:
        """Times plain's FLOPs: plain, and the linear layers of the text tokens that come in addition."""
        more = self.counts.parts["linear"].flops - self.plain.parts["linear"].flops
        return 1 + more / self.plain.flops

    def estimate(self, rates: Rates) -> float:
        """Times plain's estimated seconds."""
        return self.counts.seconds(rates) / self.plain.seconds(rates)

    def shares(self, rates: Rates) -> dict[str, float]:
        """What each part adds to plain's estimated GPU time, as a multiple of it, if nothing waited for the CPU."""
        plain = sum(part.seconds[rates.name] for part in self.plain.parts.values() if part.launches)

        def seconds(counts: Counts, name: str) -> float:
            return counts.parts[name].seconds.get(rates.name, 0.0)

        return {name: (seconds(self.counts, name) - seconds(self.plain, name)) / plain for name in PARTS}


def count_all(
    model: str,
    base: int | None,
    sizes: Sequence[tuple[int, int]],
    tokens: Sequence[int],
    layouts: Sequence[str],
    regions: Sequence[int],
    ways: Sequence[Way],
    steps: int,
    behind: int = 0,
) -> Iterable[Counted]:
    """Count all of these, plain before each plan's."""
    made = Model.made(model, torch.device("meta"), base=base)
    for width, height in sizes:
        plain = count(drawings_of(made, plan_of("boxes", 1, width, height), (), 1, steps)[PLAIN].step)
        for each in tokens:
            for layout in layouts:
                for number in regions:
                    drawings = drawings_of(
                        made, plan_of(layout, number, width, height), ways, each, steps, behind=behind
                    )
                    del drawings[PLAIN]
                    for way, drawn in drawings.items():
                        counts = count(drawn.step)
                        yield Counted((width, height), each, layout, number, drawn.atoms, way, counts, plain)


def counted_table(found: Sequence[Counted], rates: Rates, measured: Sequence[Cell]) -> str:
    """Launches, FLOPs and bytes; and the estimate beside what was measured of the same."""
    tera = [rate / 1e12 for rate in (rates.linear, rates.attention, rates.memory)]
    parts = [
        "A step on the path that a GPU takes. Elementwise includes norms. The floor is plain and the linear layers of"
        " the additional text tokens, by FLOPs.\n"
        f"The estimate is for {rates.name}, and no measurement: from assumed rates of {tera[0]:.0f} TFLOP/s in linear"
        f" layers, {tera[1]:.0f} in attention, {tera[2]:.1f} TB/s, {rates.launch * 1e6:.0f} µs a launch, and"
        f" {rates.host * 1e6:.0f} µs of the CPU for each."
    ]
    for size in dict.fromkeys(each.size for each in found):
        for tokens in dict.fromkeys(each.tokens for each in found if each.size == size):
            own = [each for each in found if (each.size, each.tokens) == (size, tokens)]
            parts.append(
                f"**{size[0]}×{size[1]} pixels, texts of {tokens} tokens**\n\n{_launches(own, rates, measured)}"
            )
            parts.append(f"Where the estimated difference to plain goes, × plain\n\n{_where(own, rates)}")
    return "\n\n".join(parts)


def _name(each: Counted) -> str:
    return f"{each.regions} {each.layout} ({each.atoms})"


def _launches(found: Sequence[Counted], rates: Rates, measured: Sequence[Cell]) -> str:
    head = ["regions (atoms)", "way", "launches", "attention", "linear ×", "attention ×", "elementwise", "copies",
            "from host", "floor", "estimate", "measured"]  # fmt: skip
    plain = found[0].plain
    rows = [["", PLAIN, str(plain.launches), str(plain.parts["attention"].launches),
             *(f"{plain.parts[name].flops / 1e12:.1f} TF" for name in ("linear", "attention")), *_moved(plain),
             str(plain.host_copies + plain.waits), "1", "1", ""]]  # fmt: skip
    for each in found:
        own = each.counts.parts
        times = (own[name].flops / plain.parts[name].flops for name in ("linear", "attention"))
        rows.append([_name(each), each.way, str(each.counts.launches), str(own["attention"].launches),
                     *(f"{ratio:.2f}" for ratio in times), *_moved(each.counts),
                     str(each.counts.host_copies + each.counts.waits), f"{each.floor:.2f}",
                     f"{each.estimate(rates):.2f}", _measured(each, measured)])  # fmt: skip
    return table(head, rows)


def _moved(counts: Counts) -> list[str]:
    moved = {name: part.bytes / 1e9 for name, part in counts.parts.items()}
    return [f"{moved['elementwise'] + moved['normalisation']:.0f} GB", f"{moved['copies']:.0f} GB"]


def _measured(each: Counted, measured: Sequence[Cell]) -> str:
    asked = (*each.size, each.tokens, each.layout, each.regions)
    for cell in measured:
        group = cell.group
        key = (group.width, group.height, group.tokens, group.layout, group.regions)
        if key == asked and cell.way == each.way and group.mode == "eager":
            return f"{cell.ratio:.2f} ({cell.ratio - each.floor:+.2f})"
    return ""


def _where(found: Sequence[Counted], rates: Rates) -> str:
    rows = []
    for each in found:
        shares = each.shares(rates)
        waits = each.estimate(rates) - 1 - sum(shares.values())
        rows.append([_name(each), each.way, *(f"{shares[name]:+.2f}" for name in PARTS), f"{waits:+.2f}"])
    return table(["regions (atoms)", "way", *PARTS, "the CPU launches too slowly"], rows)


def rates_named(name: str) -> Rates:
    """See `RATES`."""
    return RATES[name]
