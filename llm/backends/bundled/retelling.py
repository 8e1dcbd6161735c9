"""A scene in the words that the model was taught best: one pattern of its lessons, or every thing with its place.

Where the answer to a prompt disagrees with it, the model is asked with these.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from strata.hierarchy.plan import Box
from strata.llm.backends.bundled.answers import Truth
from strata.llm.backends.bundled.grammar.scene import Fact, Scene, fault_of, true_of
from strata.llm.backends.bundled.placement import CELLS, Column, Front, Inside, Row, Tree, arrange, as_row, fit, sized
from strata.llm.backends.bundled.reading.vocabulary import NUMBERS, PLACE_TOKENS, PLURAL_OF
from strata.llm.backends.bundled.world import Backdrop, Thing

_TOKENS = {place: token for token, place in PLACE_TOKENS.items()}
_MOST_TRIED = 3000
"""Ways of placing things that are tried, at most."""


def retold(scene: Scene, form: str) -> list[str]:
    """The scene in other words, the most natural first, each true of the layout that the model was taught for it.

    Args:
        scene: what is asked for.
        form: of the canvas, see `canvas_form`.
    """
    found = [text for text, tree in _patterns(scene) if _holds(scene, _boxes(scene, tree))]
    if not any(name in ("inside", "front") for name, _ in scene.facts) and (places := _placed(scene, form)):
        texts = [f"{said(thing)} {_TOKENS[place]}" for thing, place in zip(scene.things, places, strict=True)]
        found.append(_listed(texts))
    return found


def laid_out(scene: Scene, form: str) -> list[Box] | None:
    """Boxes of a scene's things by the rule of `placement`, such that all that is said holds, if any are found.

    Args:
        scene: what is asked for.
        form: of the canvas, see `canvas_form`.
    """
    for _, tree in _patterns(scene):
        if _holds(scene, boxes := _boxes(scene, tree)):
            return boxes
    if any(name in ("inside", "front") for name, _ in scene.facts) or not (places := _placed(scene, form)):
        return None
    found = arrange(places, form)
    return [sized(box, thing.size) for box, thing in zip(found, scene.things, strict=True)]


def said(thing: Thing, count: int = 1) -> str:
    """A thing, or so many alike, in the planner's words."""
    kind = thing.kind or "object"
    looks = [w for w in (thing.size, thing.colour, thing.surface, thing.style) if w]
    return " ".join(["a", *looks, kind] if count == 1 else [NUMBERS[count - 2], *looks, PLURAL_OF[kind]])


def _listed(texts: Sequence[str]) -> str:
    return " and ".join([*([" , ".join(texts[:-1])] if len(texts) > 1 else []), texts[-1]])


def _patterns(scene: Scene) -> Iterator[tuple[str, Tree]]:
    """Texts of the lessons' patterns, with how they are laid out."""
    things, numbers = scene.things, tuple(range(len(scene.things)))
    texts = [said(thing) for thing in things]
    for name, ids in scene.facts:
        if name in ("row", "column") and len(ids) == len(things):
            alike = len(set(things)) == 1
            line: Tree = (Row if name == "row" else Column)(ids)
            of, order = ("rowof", "ltr") if name == "row" else ("columnof", "ttb")
            yield (
                (
                    f"a {of} {said(things[0], len(things))}".removeprefix("a ")
                    if alike
                    else f"{order} : {_listed([texts[i] for i in ids])}"
                ),
                line,
            )
        if name == "row" and len(ids) == len(things) - 1 and len({things[i] for i in ids}) == 1:
            other = next(i for i in numbers if i not in ids)
            row = f"rowof {said(things[ids[0]], len(ids))}"
            yield f"{row} above {texts[other]}", Column((Row(ids), other))
            yield f"{row} below {texts[other]}", Column((other, Row(ids)))
    yield from _covered(scene, texts)
    if len(things) in (4, 5, 6, 7, 8):
        for cut in (len(things) // 2, -(-len(things) // 2)):
            upper, lower = numbers[:cut], numbers[cut:]
            rows = f"toprow {_listed([texts[i] for i in upper])} . bottomrow {_listed([texts[i] for i in lower])}"
            yield rows, Column((as_row(upper), as_row(lower)))


def _covered(scene: Scene, texts: Sequence[str]) -> Iterator[tuple[str, Tree]]:
    """One thing inside of another, or in front of it, and what stands beside the two."""
    pairs: list[Fact] = [fact for fact in scene.facts if fact[0] in ("inside", "front")]
    if len(pairs) == 2 and len(texts) == 3:
        (name, (a, *_, b)), (other, (c, *_, d)) = pairs
        for (first, one, two), (second, three, four) in itertools.permutations(((name, a, b), (other, c, d))):
            if two == three and first == second:
                link = "inside" if first == "inside" else "front"
                make = Inside if first == "inside" else Front
                yield f"{texts[one]} {link} {texts[two]} {link} {texts[four]}", make(make(one, two), four)
    if len(pairs) != 1 or len(pairs[0][1]) != 2:
        return
    name, (one, two) = pairs[0]
    link = "inside" if name == "inside" else "front"
    tree: Tree = Inside(one, two) if name == "inside" else Front(one, two)
    pair = f"{texts[one]} {link} {texts[two]}"
    rest = [i for i in range(len(texts)) if i not in (one, two)]
    if not rest:
        yield pair, tree
    if len(rest) == 1:
        yield f"{pair} . {texts[rest[0]]}", Row((tree, rest[0]))
        yield f"{texts[rest[0]]} , {pair}", Row((rest[0], tree))


def _boxes(scene: Scene, tree: Tree) -> list[Box]:
    found = fit(tree)
    return [found[i] for i in range(len(scene.things))]


def _holds(scene: Scene, boxes: Sequence[Box]) -> bool:
    return fault_of(scene, Truth(scene.things, tuple(boxes), Backdrop(), scene.style)) is None


def _placed(scene: Scene, form: str) -> list[str] | None:
    """A place for every thing such that all that is said holds; None where there is none."""
    count = len(scene.things)
    order = ("left", "right", "top", "bottom", "center", "top left", "top right", "bottom left", "bottom right")
    cells = order if count < 4 else (*order[5:], *order[:5])

    def place(taken: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if len(taken) == count:
            yield taken
            return
        i = len(taken)
        wanted = scene.places[i]
        for cell in (wanted,) if wanted and wanted not in taken and scene.places.count(wanted) == 1 else cells:
            if cell in taken or (wanted and not set(wanted.split()) <= set(cell.split())):
                continue
            now = (*taken, cell)
            if all(max(ids) != i or true_of((name, ids), [CELLS[now[n]] for n in ids]) for name, ids in scene.facts):
                yield from place(now)

    for found in itertools.islice(place(()), _MOST_TRIED):
        boxes = [sized(box, t.size) for box, t in zip(arrange(found, form), scene.things, strict=True)]
        if _holds(scene, boxes):
            return list(found)
    return None
