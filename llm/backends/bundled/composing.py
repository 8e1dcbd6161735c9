"""Scenes in which one thing covers another, in parts: the model lays out what stands free, and what is inside of
a thing or in front of it goes into its box by the rule of `placement.fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from strata.hierarchy.plan import Box
from strata.llm.backends.bundled.answers import Truth, caption
from strata.llm.backends.bundled.grammar.scene import Scene, fault_of
from strata.llm.backends.bundled.placement import WHOLE, Front, Inside, Tree, as_row, fit
from strata.llm.backends.bundled.world import Backdrop, Thing

_COVERS = ("inside", "front")


def parted(scene: Scene) -> tuple[Scene, list[tuple[int, ...]]] | None:
    """The scene of the things that stand free, and for each of them the things of its part, itself first.

    None where nothing is covered, or where one thing covers several.
    """
    pairs = [(ids[0], ids[-1]) for name, ids in scene.facts if name in _COVERS]
    covers = {front: back for name, ids in scene.facts if name in _COVERS for front in ids[:-1] for back in ids[-1:]}
    if not pairs or len(covers) != sum(len(ids) - 1 for name, ids in scene.facts if name in _COVERS):
        return None
    free = [i for i in range(len(scene.things)) if i not in covers]
    parts = [(i, *(j for j in range(len(scene.things)) if j != i and _root(j, covers) == i)) for i in free]
    number = {j: k for k, part in enumerate(parts) for j in part}
    if len(number) != len(scene.things):
        return None
    facts = []
    for name, ids in scene.facts:
        moved = tuple(dict.fromkeys(number[i] for i in ids))
        if len(moved) == len(ids):
            facts.append((name, moved))
    places = [next((scene.places[j] for j in part if scene.places[j]), None) for part in parts]
    things = tuple(
        replace(scene.things[i], size=None, style=None) if len(part) > 1 else scene.things[i]
        for i, part in zip(free, parts, strict=True)
    )
    return Scene(things, tuple(places), tuple(facts), scene.style), parts


def composed(
    scene: Scene, parts: Sequence[tuple[int, ...]], laid_out: Sequence[Box], ground: Backdrop
) -> Iterator[Truth]:
    """The plan of a whole scene from the boxes of its parts; none where it does not hold.

    Args:
        scene: what is asked for.
        parts: from `parted`.
        laid_out: the box of each part, on the planner's grid.
        ground: the background.
    """
    boxes: dict[int, Box] = {}
    for part, box in zip(parts, laid_out, strict=True):
        boxes |= fit(_tree(scene, part[0]), WHOLE if len(parts) == 1 and len(part) > 1 else box)
    truth = Truth(_told(scene), tuple(boxes[i] for i in range(len(scene.things))), ground, scene.style)
    if fault_of(scene, truth) is None:
        yield replace(truth, topic=caption(truth))


def _told(scene: Scene) -> tuple[Thing, ...]:
    return tuple(replace(t, style=None if t.style == scene.style else t.style) for t in scene.things)


def _root(number: int, covers: dict[int, int]) -> int:
    seen = {number}
    while number in covers and covers[number] not in seen:
        number = covers[number]
        seen.add(number)
    return number


def _tree(scene: Scene, root: int) -> Tree:
    """How what covers a thing stands: the inner in it, what is in front before its lower right corner."""
    inner = [ids[0] for name, ids in scene.facts if name == "inside" and ids[1] == root]
    fronts = [i for name, ids in scene.facts if name == "front" and ids[-1] == root for i in ids[:-1]]
    if inner and fronts:
        return root
    if inner:
        inside = _tree(scene, inner[0]) if len(inner) == 1 else as_row(inner)
        return Inside(inside, root)
    if fronts:
        return Front(_tree(scene, fronts[0]) if len(fronts) == 1 else as_row(fronts), root)
    return root
