"""The picture of the house: the packages of Strata, and who imports whom, measured from the code.

python docs/house.py -o docs/pictures/house.png     draws it
python docs/house.py --check                        only tells whether the packages import each other in a circle

A package is a folder with Python files, a sub-package too. The picture shows the folders of the root as layers, each
above all that it builds on, with their sub-packages in them; arrows lead from who imports to what is imported, where no
longer way leads there. Imports inside functions and those for type checkers count. A package and its own sub-packages
may use each other as long as their modules form no circle; towards other packages they are one. `strata/__init__.py`,
which Python loads before any module, counts as imported by nobody.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

from PIL import Image

from strata.hierarchy.style import INK, MUTED, WRONG, Colour, region_colour, tint
from strata.hierarchy.typeset import Rect, Sheet, fit, line_height, measure, wrap

ROOT = Path(__file__).resolve().parents[1]
NO_PACKAGES = ("build", "configs", "dist", "docs", "out", "tests")
MEANINGS = {
    "benchmarks": "Speed, memory, training and planning, measured",
    "examples": "Short scripts to copy",
}
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

WIDTH, MARGIN, GAP, PADDING, ARROWS, PART = 880, 20, 16, 14, 40, 23
"""Pixels of the page: its width, around all, between folders, inside them, between layers, of a sub-package."""


def draw_house(house: House) -> Image.Image:
    """The folders of the house as layers, each above all that it imports; their sub-packages stand in them.

    An arrow leads from a folder to one that it imports, where no longer way leads there: all lead down. Folders that
    import each other in a circle share a layer, with a red arrow for each import between them that closes it.
    """
    folders = _folders(house)
    graph = _graph(folders)
    names = sorted({_outer(name) for name in house.packages})
    groups = _circles(names, graph)
    shown = [pair for pair in sorted(folders) if _direct(pair, graph)]
    layers = _untangled(_layers(names, graph, groups), shown)
    climbing = {(_outer(one), _outer(other)) for one, other in house.climbing()}
    sheet = Sheet(WIDTH, finer=2)
    sheet.text(MARGIN, MARGIN + 10, "The house", 24)
    note = f"{sum(house.packages.values()):,} lines of Python. A folder imports those that its arrows lead to,"
    note += " and may import what is below them" + ("; red: in a circle." if climbing else "; nothing leads up.")
    top = sheet.paragraph(MARGIN, MARGIN + 32, note, 15, MUTED, WIDTH - 2 * MARGIN) + 14
    boxes: dict[str, Rect] = {}
    for layer in layers:
        across = _across(layer)
        height = max(_folder_height(house, name, width) for name, (_, width) in across.items())
        boxes |= {name: (x, top, width, height) for name, (x, width) in across.items()}
        top += height + ARROWS
    for pair in shown:
        if pair not in climbing:
            _draw_arrow(sheet, pair, boxes, INK)
    for name, area in boxes.items():
        _draw_folder(sheet, area, name, house, region_colour(names.index(name)))
    for pair in sorted(climbing & folders.keys()):
        _draw_arrow(sheet, pair, boxes, WRONG)
    return sheet.picture(top - ARROWS + MARGIN)


def _folders(house: House) -> dict[tuple[str, str], int]:
    """How many imports lead from one folder of the house to another."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for (one, other), imports in house.between().items():
        if _outer(one) != _outer(other):
            found[_outer(one), _outer(other)] += len(imports)
    return found


def _layers(names: Sequence[str], graph: Mapping[str, set[str]], groups: Sequence[set[str]]) -> list[list[str]]:
    """The folders in layers from the top, each as low as what it imports lets it be; a circle shares one."""
    group_of = {name: n for n, group in enumerate(groups) for name in group}

    def height(number: int) -> int:
        below = {group_of[other] for name in groups[number] for other in graph.get(name, ())} - {number}
        return 1 + max(map(height, below), default=0)

    heights = {name: height(group_of[name]) for name in names}
    return [[n for n in names if heights[n] == level] for level in sorted(set(heights.values()), reverse=True)]


def _across(layer: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Where each folder of a layer begins, and its width."""
    width = (WIDTH - 2 * MARGIN - GAP * (len(layer) - 1)) / len(layer)
    return {name: (MARGIN + n * (width + GAP), width) for n, name in enumerate(layer)}


def _untangled(layers: Sequence[list[str]], shown: Sequence[tuple[str, str]]) -> list[list[str]]:
    """The layers, from the lowest up each in the order in which the most arrows can be upright."""
    found: list[list[str]] = []
    places: dict[str, tuple[float, float]] = {}
    for layer in reversed(layers):

        def slanted(order: Sequence[str], below: Mapping[str, tuple[float, float]] = dict(places)) -> int:
            here = _across(order)
            return sum(_shared(here[a], below[b]) is None for a, b in shown if a in here and b in below)

        best = list(min(permutations(layer), key=slanted)) if len(layer) < 8 else layer
        places |= _across(best)
        found.insert(0, best)
    return found


def _shared(one: tuple[float, float], other: tuple[float, float]) -> float | None:
    """The middle of what two folders share of the width; None where that is less than an arrow needs."""
    low, high = max(one[0], other[0]), min(one[0] + one[1], other[0] + other[1])
    return (low + high) / 2 if high - low > 2 * PADDING else None


def _direct(pair: tuple[str, str], graph: Mapping[str, set[str]]) -> bool:
    """Whether no longer way leads from one folder to the other."""
    return not any(pair[1] in _reached(name, graph) for name in graph[pair[0]] - {pair[1]})


def _parts(house: House, name: str) -> list[str]:
    return sorted(package for package in house.packages if package.startswith(f"{name}/"))


def _meaning(house: House, name: str) -> str:
    return house.meanings.get(name) or MEANINGS.get(name, "")


def _folder_height(house: House, name: str, width: float) -> float:
    inner = width - 2 * PADDING
    lines = len(wrap(_meaning(house, name), 14, inner))
    return 2 * PADDING + 26 + lines * line_height(14) + len(_parts(house, name)) * PART


def _draw_folder(sheet: Sheet, area: Rect, name: str, house: House, colour: Colour) -> None:
    """A folder with its meaning, its lines and its sub-packages with theirs."""
    x, y, width, _ = area
    inner = width - 2 * PADDING
    sheet.box(area, tint(colour, 0.14), tint(colour, 0.6), radius=8)
    sheet.text(x + PADDING, y + PADDING + 8, f"{name}/", 19)
    lines = sum(count for package, count in house.packages.items() if _outer(package) == name)
    sheet.text(x + width - PADDING, y + PADDING + 8, f"{lines:,}", 14, MUTED, "rm")
    below = sheet.paragraph(x + PADDING, y + PADDING + 24, _meaning(house, name), 14, MUTED, inner) + PART / 2
    for part in _parts(house, name):
        label, indent = f"{part.split('/')[-1]}/", 16 * (part.count("/") - 1)
        sheet.text(x + PADDING + indent, below, label, 14)
        start = indent + measure(label, 14) + 12
        sheet.text(x + PADDING + start, below, _said(house.meanings.get(part, ""), inner - start), 13, MUTED)
        below += PART


def _said(meaning: str, room: float) -> str:
    """As many of a sentence's clauses as there is room for; of a long one, its beginning."""
    ends = [match.start() for match in re.finditer(r"[,:;] ", meaning)]
    said = [meaning, *(meaning[:end] for end in reversed(ends))]
    return next((text for text in said if measure(text, 13) <= room), fit(meaning, 13, room))


def _draw_arrow(sheet: Sheet, pair: tuple[str, str], boxes: Mapping[str, Rect], colour: Colour) -> None:
    """From a folder's lower edge down to the upper one of a folder that it imports, upright if one is above the other.

    In a circle, from side to side in a layer, or up.
    """
    (x1, y1, w1, h1), (x2, y2, w2, h2) = boxes[pair[0]], boxes[pair[1]]
    if y1 >= y2:
        level = y1 == y2
        start = (x1 + w1 if x1 < x2 else x1, y1 + h1 / 2) if level else (x1 + w1 / 2, y1)
        end = (x2 if x1 < x2 else x2 + w2, y2 + h2 / 2) if level else (x2 + w2 / 2, y2 + h2)
        sheet.lines([start, end], colour, 2.5)
        return
    x = _shared((x1, w1), (x2, w2))
    if x is not None:
        sheet.lines([(x, y1 + h1), (x, y2)], colour, 2)
    else:
        out, x = (x1 + 2 * PADDING, x2 + w2 - 2 * PADDING) if x1 > x2 else (x1 + w1 - 2 * PADDING, x2 + 2 * PADDING)
        bend = y2 - ARROWS / 2
        sheet.lines([(out, y1 + h1), (out, bend), (x, bend), (x, y2)], colour, 2)
    sheet.lines([(x - 6, y2 - 9), (x, y2), (x + 6, y2 - 9)], colour, 2)


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
