"""What a prompt asks for, as facts: its things with their looks and places, and how they stand to each other.

`holds` tells whether a plan shows a scene; the things of a plan may come in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from strata.hierarchy.plan import Box
from strata.llm.backends.bundled.answers import Truth, styled
from strata.llm.backends.bundled.placement import BIG, overlap
from strata.llm.backends.bundled.world import Thing
from strata.llm.places import GRID, place_of

CORNERS = ("top left", "top right", "bottom left", "bottom right")
Fact = tuple[str, tuple[int, ...]]
"""A relation and the numbers of its things: above, below, left, right, beside, inside of two; front of some and the one
behind them; between of one and
its two neighbours; ring of one and those around it; row, column, corners of any number."""


@dataclass(frozen=True)
class Scene:
    """The facts of a prompt; what it leaves open is None."""

    things: tuple[Thing, ...]
    places: tuple[str | None, ...]
    facts: tuple[Fact, ...] = ()
    style: str | None = None
    """Of the whole picture."""

    @property
    def wanted(self) -> list[Thing]:
        """The things as regions tell them: those without a style of their own in the picture's."""
        return [replace(thing, style=thing.style or self.style) for thing in self.things]

    def standing(self, place: str | None) -> Callable[[Box, str], bool]:
        """What it is to stand at a place that so many share."""
        return stands if self.places.count(place) < (2 if place == "center" else 3) else stands_among


def stands(box: Box, place: str) -> bool:
    """Whether a box is at a place that is named."""
    if place == "center":
        return abs(box[0] + box[2] - GRID) < 0.4 * GRID and abs(box[1] + box[3] - GRID) < 0.4 * GRID
    return set(place.split()) <= set(place_of(box).split())


def stands_among(box: Box, place: str) -> bool:
    """Whether one of several that share a place is there: `stands`, or within its half or quarter of the canvas."""
    if place == "center":
        return any(abs(middle - GRID / 2) < 0.1 * GRID for middle in _middle(box))
    x1, y1, x2, y2 = BIG[place]
    return stands(box, place) or (x1 <= box[0] and y1 <= box[1] and box[2] <= x2 and box[3] <= y2)


def related(one: Box, relation: str, other: Box) -> bool:
    """Whether one box stands in a relation to another: above, below, left, right, beside, inside, front."""
    (ax, ay), (bx, by) = _middle(one), _middle(other)
    match relation:
        case "above" | "below":
            return (by - ay if relation == "above" else ay - by) > 40 and not overlap(one, other)
        case "left" | "right":
            return (bx - ax if relation == "left" else ax - bx) > 40 and not overlap(one, other)
        case "beside":
            return not overlap(one, other) and one != other
        case "inside":
            return other[0] <= one[0] and other[1] <= one[1] and one[2] <= other[2] and one[3] <= other[3]
    return overlap(one, other)


def surrounds(others: Sequence[Box], middle: Box) -> bool:
    """Whether several boxes stand on all sides of one."""
    x, y = _middle(middle)
    across, down = zip(*map(_middle, others), strict=True)
    wide, high = min(across) < x < max(across), min(down) < y < max(down)
    return (wide or high if len(others) < 3 else wide and high) and not any(overlap(o, middle) for o in others)


def in_line(boxes: Sequence[Box], axis: int) -> bool:
    """Whether boxes stand in a row (axis 0) or a column (1), in their order."""
    along = [box[axis] + box[axis + 2] for box in boxes]
    across = [box[1 - axis] + box[3 - axis] for box in boxes]
    return along == sorted(set(along)) and max(across) - min(across) < 200


def true_of(fact: Fact, boxes: Sequence[Box]) -> bool:
    """Whether the boxes of a fact's things, in its order, stand as it says."""
    name = fact[0]
    match name:
        case "row" | "column":
            return in_line(boxes, int(name == "column"))
        case "corners":
            return sorted(map(place_of, boxes)) == sorted(CORNERS)
        case "between":
            one, first, second = map(_middle, boxes)
            return any(min(first[k], second[k]) < one[k] < max(first[k], second[k]) for k in (0, 1))
        case "ring":
            return surrounds(boxes[1:], boxes[0])
        case "front":
            return all(related(box, "front", boxes[-1]) for box in boxes[:-1])
    return related(boxes[0], name, boxes[1])


def fault_of(scene: Scene, truth: Truth) -> str | None:
    """What a plan leaves out of a scene, invents or contradicts, in words; None where it shows the scene."""
    wanted, told = scene.wanted, styled(truth)
    if lost := Counter(wanted) - Counter(told):
        return f"tells no {_named(next(iter(lost)))}"
    if more := Counter(told) - Counter(wanted):
        return f"invents a {_named(next(iter(more)))}"
    first: str | None = None
    for order in _orders(scene, wanted, told, truth.boxes):
        wrong = _wrong(scene, [truth.boxes[i] for i in order])
        if wrong is None:
            return None
        first = first or wrong
    if first:
        return first
    place, thing = next((p, t) for p, t in zip(scene.places, wanted, strict=True) if p)
    return f"does not put the {thing.kind or 'object'} at the {place}, or another thing at its place"


def order_of(scene: Scene, truth: Truth) -> tuple[int, ...] | None:
    """Which thing of a plan is which of a scene's; None where the plan does not show the scene."""
    if fault_of(scene, truth) is not None:
        return None
    for order in _orders(scene, scene.wanted, styled(truth), truth.boxes):
        if _wrong(scene, [truth.boxes[i] for i in order]) is None:
            return order
    return None


def _orders(
    scene: Scene, wanted: Sequence[Thing], told: Sequence[Thing], boxes: Sequence[Box], most: int = 5040
) -> Iterator[tuple[int, ...]]:
    """Ways of giving the things of a plan to those of a scene: alike, and at their places."""
    found = 0

    def give(taken: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        nonlocal found
        if found >= most:
            return
        if len(taken) == len(wanted):
            found += 1
            yield taken
            return
        i = len(taken)
        place = scene.places[i]
        at = scene.standing(place)
        for j, thing in enumerate(told):
            if j not in taken and thing == wanted[i] and (place is None or at(boxes[j], place)):
                now = (*taken, j)
                if all(
                    max(numbers) != i or true_of((name, numbers), [boxes[now[n]] for n in numbers])
                    for name, numbers in scene.facts
                ):
                    yield from give(now)

    yield from give(())
    if not found:
        yield from _plain_order(wanted, told)


def _plain_order(wanted: Sequence[Thing], told: Sequence[Thing]) -> Iterator[tuple[int, ...]]:
    left = list(range(len(told)))
    order = []
    for thing in wanted:
        j = next(j for j in left if told[j] == thing)
        left.remove(j)
        order.append(j)
    yield tuple(order)


def _wrong(scene: Scene, boxes: Sequence[Box]) -> str | None:
    for thing, place, box in zip(scene.things, scene.places, boxes, strict=True):
        if place and not scene.standing(place)(box, place):
            return f"does not put the {thing.kind or 'object'} at the {place}"
    for name, numbers in scene.facts:
        if not true_of((name, numbers), [boxes[n] for n in numbers]):
            kinds = [scene.things[n].kind or "object" for n in numbers]
            return f"does not put the {kinds[0]} {name} the {' and the '.join(kinds[1:])}"
    within = {frozenset(numbers) for name, numbers in scene.facts if name in ("inside", "front")}
    for i, one in enumerate(boxes):
        for j in range(i):
            nested = any({i, j} <= group for group in within) or _chained(i, j, within)
            if one == boxes[j] or (overlap(one, boxes[j]) and not nested):
                return "puts two objects in one place"
    return None


def _chained(i: int, j: int, pairs: set[frozenset[int]]) -> bool:
    """Whether two things are joined by pairs of things one of which covers the other."""
    seen, todo = {i}, [i]
    while todo:
        at = todo.pop()
        for pair in pairs:
            if at in pair:
                todo += pair - seen
                seen |= pair
    return j in seen


def _named(thing: Thing) -> str:
    return " ".join(w for w in (thing.size, thing.colour, thing.surface, thing.style, thing.kind or "object") if w)


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
