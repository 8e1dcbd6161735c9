"""What was measured, a line of a CSV file for each cell of the tables, written as it comes."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple, get_type_hints

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ("hierarchy", "layers", "injection", "configs/routings")
BENCHMARK = ("scenes", "model", "dense", "ways", "timing")
"""What decides what is measured: cells of other code are measured anew."""


class Group(NamedTuple):
    """What is measured in the same rounds: plain and all ways of drawing one plan on one model.

    Attributes:
        machine: in words.
        code: digest of the code that was measured.
        model: its size, type of numbers, and device.
        mode: "eager" or "compiled".
        what: "step", "step+N" behind it, or "STEPS:ROUTED" of a picture.
        clock: "wall" or "processor".
        tokens: of a text.
    """

    machine: str
    code: str
    model: str
    mode: str
    what: str
    clock: str
    width: int
    height: int
    base: int
    tokens: int
    layout: str
    regions: int


@dataclass(frozen=True)
class Cell:
    """One way in a group.

    Attributes:
        atoms: of the plan.
        rounds: that were measured.
        seconds, low, high: median and quartiles.
        ratio: of the median to plain's.
        peak: bytes of memory; 0: the system does not tell.
        beyond: those beyond plain's.
    """

    group: Group
    way: str
    atoms: int
    rounds: int
    seconds: float
    low: float
    high: float
    ratio: float
    peak: int
    beyond: int

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as `ratio` counts."""
        return (self.high - self.low) / 2 * self.ratio / self.seconds

    def row(self) -> dict[str, object]:
        """As a line of the file."""
        own = {name: value for name, value in asdict(self).items() if name != "group"}
        return {**self.group._asdict(), **own}

    @classmethod
    def of_row(cls, row: dict[str, str]) -> Cell:
        """From a line of the file. Raises `KeyError`, `TypeError` or `ValueError` where it is none."""
        group = Group(**{name: kind(row[name]) for name, kind in get_type_hints(Group).items()})
        kinds = {"way": str, "atoms": int, "rounds": int, "peak": int, "beyond": int}
        return cls(group, **{f.name: kinds.get(f.name, float)(row[f.name]) for f in fields(cls) if f.name != "group"})


COLUMNS = [*Group._fields, *(f.name for f in fields(Cell) if f.name != "group")]


class Journal:
    """A CSV file of cells, that grows by a group at a time; what an interrupted run left unfinished is dropped."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.cells: list[Cell] = []
        if not self.path.exists():
            return
        whole, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")
        for row in csv.DictReader(io.StringIO(whole)):
            try:
                self.cells.append(Cell.of_row(row))
            except (KeyError, TypeError, ValueError) as error:
                raise SystemExit(
                    f"{self.path}: is no file of this benchmark's cells ({error}); name another"
                ) from error

    def found(self, group: Group) -> dict[str, Cell]:
        """The cells of a group by their ways."""
        return {cell.way: cell for cell in self.cells if cell.group == group}

    def put(self, cells: Sequence[Cell]) -> None:
        """Write a group's cells, in place of those that it had."""
        groups = {cell.group for cell in cells}
        self.cells = [cell for cell in self.cells if cell.group not in groups] + list(cells)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(self.path.name + ".part")
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(cell.row() for cell in self.cells)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def digest(files: Iterable[Path] | None = None) -> str:
    """Of the code that is measured, and of files beside it: ten hexadecimal digits."""
    found = hashlib.sha256()
    own = [p for folder in MEASURED for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".py", ".yaml")]
    own += [ROOT / "benchmarks" / "speed" / f"{name}.py" for name in BENCHMARK]
    for path in [*own, *(files or ())]:
        found.update(path.read_bytes())
    return found.hexdigest()[:10]
