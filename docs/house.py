"""The picture of the house: the packages of Strata, and who imports whom, measured from the code.

python docs/house.py -o docs/pictures/house.png     draws it
python docs/house.py --check                        only tells whether the packages import each other in a circle

A package is a folder with Python files, a sub-package too. Packages stand in the order in which they build on each
other, the highest at the top; an arrow leads from the package that imports to the one that is imported. Imports inside
functions and those for type checkers count. A package and its own sub-packages may use each other as long as their
modules form no circle; towards other packages they are one. `strata/__init__.py`, which Python loads before any module,
counts as imported by nobody.
"""

from __future__ import annotations

import argparse
import ast
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

from PIL import Image

from strata.hierarchy.style import BACKGROUND, INK, MUTED, WRONG, Colour, region_colour, tint
from strata.hierarchy.typeset import Sheet, fit

ROOT = Path(__file__).resolve().parents[1]
NO_PACKAGES = ("build", "configs", "dist", "docs", "out", "tests")
MEANINGS = {"benchmarks": "speed, memory, training and planning, measured"}
"""Of folders without an `__init__.py`; all others say theirs in the first sentence of its docstring."""


@dataclass(frozen=True, order=True)
class Import:
    """One import statement: from a module to another one, and where it stands."""

    source: str
    target: str
    place: str
    typing: bool = False
    """Whether it is for type checkers alone."""


@dataclass
class House:
    """What was measured: `packages` maps names such as "miniature/world" to their lines, `modules` to their package."""

    packages: dict[str, int] = field(default_factory=dict)
    meanings: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    imports: list[Import] = field(default_factory=list)

    def between(self) -> dict[tuple[str, str], list[Import]]:
        """The imports by pair of packages, without those inside one and between one and its own sub-packages."""
        return {pair: found for pair, found in self.pairs().items() if not _kin(*pair)}

    def order(self) -> list[str]:
        """The packages, each above all that it builds on; in a circle, as few imports climb as can be."""
        pairs = self.pairs()
        graph = _graph(p for p in pairs if not _kin(*p) or len(pairs[p]) > len(pairs.get(p[::-1], ())))
        placed: list[str] = []
        while left := [name for name in self.packages if name not in placed]:
            free = [g for g in _circles(left, graph) if not any(graph[name] & g for name in set(left) - g)]
            placed += self._fewest_climb(max(free, key=lambda g: (max(len(_reached(n, graph)) for n in g), sorted(g))))
        return placed

    def climbing(self) -> list[tuple[str, str]]:
        """The pairs of packages whose imports close a circle of packages."""
        between, found = self.between(), []
        whole = [g for g in _circles(self.packages, _graph(self.pairs())) if len({_outer(name) for name in g}) > 1]
        for group in whole or [g for g in _circles(self.packages, _graph(between)) if len(g) > 1]:
            order = self._fewest_climb(group)
            pairs = [pair for pair in between if group.issuperset(pair)]
            found += [pair for pair in pairs if order.index(pair[0]) > order.index(pair[1])] or pairs[:1]
        return found

    def circles(self) -> list[str]:
        """A line for each import that closes a circle of packages, or of modules of several packages; empty if none."""
        found = []
        for low, high in self.climbing():
            for one in self.pairs()[low, high]:
                found.append(f"{one.place}: {low} imports {one.target}, but {high} builds on {low}")
        eager = [one for one in self.imports if not one.typing]
        for group in _circles(self.modules, _graph((one.source, one.target) for one in eager)):
            if not found and len({self.modules[name] for name in group}) > 1:
                one = next(one for one in eager if {one.source, one.target} <= group)
                circle = ", ".join(sorted(group))
                found.append(f"{one.place}: {one.source} imports {one.target}, in a circle of {circle}")
        return found

    def pairs(self) -> dict[tuple[str, str], list[Import]]:
        """The imports by pair of packages."""
        found: dict[tuple[str, str], list[Import]] = defaultdict(list)
        for one in self.imports:
            found[self.modules[one.source], self.modules[one.target]].append(one)
        return {pair: imports for pair, imports in found.items() if pair[0] != pair[1]}

    def _fewest_climb(self, group: set[str]) -> list[str]:
        """The packages of a circle in the order in which the fewest imports climb (tried out for up to seven)."""
        pairs = self.pairs()

        def climbing(order: Sequence[str]) -> int:
            up = [(a, b) for n, a in enumerate(order) for b in order[:n]]
            return sum(len(pairs.get(p, ())) * (100 if _kin(*p) else 1) for p in up)

        if len(group) > 7:
            return sorted(group)
        best = min(permutations(sorted(group)), key=climbing)
        return list(best)


def _outer(name: str) -> str:
    return name.split("/")[0]


def _kin(one: str, other: str) -> bool:
    """Whether one package lies inside the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def measure_house(root: Path) -> House:
    """Reads every Python file of the packages below `root`."""
    house, trees = House(), {}
    tops = [top for top in root.iterdir() if top.is_dir() and top.name[0] != "." and top.name not in NO_PACKAGES]
    for path in sorted(path for top in tops for path in top.rglob("*.py")):
        parts = path.relative_to(root).parts
        if any(root.joinpath(*parts[:n]).is_symlink() for n in range(1, len(parts))):
            continue
        package = "/".join(parts[:-1])
        name = ".".join([*parts[:-1], path.stem] if path.stem != "__init__" else parts[:-1])
        name = name if parts[0] == "strata" else f"strata.{name}"
        text = path.read_text(encoding="utf-8")
        trees[name] = path, ast.parse(text)
        house.modules[name] = package
        house.packages[package] = house.packages.get(package, 0) + text.count("\n")
        if path.stem == "__init__":
            said = (ast.get_docstring(trees[name][1]) or "").split("\n\n")[0].replace("\n", " ")
            house.meanings[package] = said.split(". ")[0].rstrip(".").replace("`", "")
    for name, (path, tree) in trees.items():
        for node, typing in _statements(tree, False):
            for target in _targets(node, house.modules.keys()) - {name, "strata"}:
                place = f"{path.relative_to(root)}:{node.lineno}"
                house.imports.append(Import(name, target, place, typing))
    house.imports.sort()
    return house


def _statements(node: ast.AST, typing: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """All import statements below a node, and whether `if TYPE_CHECKING` holds them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, typing
        yield from _statements(child, typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)))


def _targets(node: ast.Import | ast.ImportFrom, modules: Set[str]) -> set[str]:
    """The modules that a statement imports, as far as they are of the house."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & modules
    names = {f"{node.module}.{alias.name}" for alias in node.names}  # of a package: its modules, else what it holds
    return {name if name in modules else node.module or "" for name in names} & modules


def _graph(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = defaultdict(set)
    for source, target in pairs:
        graph[source].add(target)
    return graph


def _reached(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    """All that `start` builds on, over any number of arrows; itself only where it stands in a circle."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = graph.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def _circles(names: Iterable[str], graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The names in groups that reach each other; one that stands in no circle is a group of its own."""
    reached = {name: _reached(name, graph) for name in names}
    groups = [{other for other in reached[n] if n in reached.get(other, ())} | {n} for n in names]
    return [group for n, group in enumerate(groups) if group not in groups[:n]]


# The picture ----------------------------------------------------------------------------------------------------------

ROW, GAP, WIDTH, MARGIN, ARCS = 46, 18, 640, 32, 300


def draw_house(house: House) -> Image.Image:
    """One row a package, the highest at the top; arrows lead down on the right, those that climb up on the left."""
    order = house.order()
    rank = {name: n for n, name in enumerate(order)}
    climbing = house.climbing()
    shown = house.between().keys() | {pair for pair in house.pairs() if rank[pair[0]] < rank[pair[1]]}
    graph = _graph(shown)
    tops = sorted({_outer(name) for name in order})
    colours = {name: region_colour(tops.index(_outer(name))) for name in order}
    left = MARGIN + (ARCS // 2 if any(rank[a] > rank[b] for a, b in shown) else 0)
    sheet = Sheet(left + WIDTH + ARCS + MARGIN, finer=2)
    sheet.text(left, MARGIN + 8, "The house", 24)
    note = f"{sum(house.packages.values()):,} lines of Python. An arrow leads from a package to one that it imports"
    note += ", dark where no other way leads there" + (", red where it climbs, in a circle." if climbing else ".")
    top = sheet.paragraph(left, MARGIN + 30, note, 13, MUTED, WIDTH + ARCS) + 18
    middle = {name: top + n * (ROW + GAP) + ROW / 2 for n, name in enumerate(order)}
    for name in order:
        _draw_package(sheet, left, middle[name], name, house, colours[name])
    for pair in sorted(
        shown, key=lambda pair: (pair in climbing, _direct(pair, graph), pair)
    ):  # dark and red ones last
        down = rank[pair[1]] - rank[pair[0]]
        colour = WRONG if pair in climbing else INK if _direct(pair, graph) else BACKGROUND
        reach = (ARCS if down > 0 else -ARCS / 2) * (0.15 + 0.8 * abs(down) / len(order))
        x = left + WIDTH if down > 0 else left
        _draw_arrow(sheet, x, reach, middle[pair[0]] + 7, middle[pair[1]] - 7, colour)
    return sheet.picture(middle[order[-1]] + ROW / 2 + MARGIN)


def _direct(pair: tuple[str, str], graph: Mapping[str, set[str]]) -> bool:
    """Whether no longer way leads from one package to the other."""
    return not any(pair[1] in _reached(name, graph) for name in graph[pair[0]] - {pair[1]})


def _draw_package(sheet: Sheet, x: float, middle: float, name: str, house: House, colour: Colour) -> None:
    indent = 26 * name.count("/")
    sheet.box((x + indent, middle - ROW / 2, WIDTH - indent, ROW), tint(colour, 0.12), tint(colour, 0.5), radius=7)
    sheet.box((x + indent + 10, middle - 8, 6, 16), colour, radius=3)
    sheet.text(x + indent + 26, middle - 9, f"{name}/", 16)
    sheet.text(x + WIDTH - 14, middle - 9, f"{house.packages[name]:,}", 14, MUTED, "rm")
    meaning = house.meanings.get(name) or MEANINGS.get(name, "")
    sheet.text(x + indent + 26, middle + 10, fit(meaning, 12, WIDTH - indent - 40), 12, MUTED)


def _draw_arrow(sheet: Sheet, x: float, reach: float, start: float, end: float, colour: Colour) -> None:
    """Half an ellipse from `start` to `end`, `reach` wide, with a head where it ends."""
    angles = [math.pi * n / 60 for n in range(61)]
    height, centre = (end - start) / 2, (start + end) / 2
    arc = [(x + reach * math.sin(a), centre - height * math.cos(a)) for a in angles]
    sheet.lines([(px, py) for px, py in arc if abs(px - x) > 3 or py == arc[0][1]] + [(x, end)], colour, 1.6)
    side = math.copysign(9, reach)
    sheet.lines([(x + side, end - 5), (x, end), (x + side, end + 5)], colour, 1.6)


def main(argv: list[str] | None = None) -> int:
    """Draw, or check; see `--help`. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "pictures" / "house.png")
    parser.add_argument("--check", action="store_true", help="draw nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    args = parser.parse_args(argv)
    house = measure_house(args.root)
    if not args.check:
        draw_house(house).save(args.output, optimize=True)
        print(f"{args.output}: {len(house.packages)} packages")
    circles = house.circles()
    for line in circles:
        print(f"circle: {line}", file=sys.stderr)
    return 1 if circles else 0


if __name__ == "__main__":
    sys.exit(main())
