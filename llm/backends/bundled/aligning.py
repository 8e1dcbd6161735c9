"""What is above or below another thing stands over or under it, not diagonally off: moved as far as the rest allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from strata.hierarchy.plan import Box
from strata.llm.backends.bundled.answers import Truth, caption
from strata.llm.backends.bundled.grammar.scene import Scene, fault_of, order_of
from strata.llm.places import GRID


def aligned(scene: Scene, truth: Truth) -> Truth:
    """The plan with each thing that is above or below another one in line with it: they share half of a width at least.

    One of the two is moved sideways, its middle to the other's, or as near as the canvas and the other things allow;
    where that cannot be, it is widened. All that the scene says holds afterwards; where nothing helps, boxes stay.

    Args:
        scene: what is asked for; the plan shows it.
        truth: the plan.
    """
    order = order_of(scene, truth)
    if order is None:
        return truth
    pairs = [(order[a], order[b]) for name, (a, b, *_) in scene.facts if name in ("above", "below")]
    for pair in pairs:
        if not _in_line(truth, pair):
            before = sum(_in_line(truth, other) for other in pairs)
            for changed in _candidates(truth, pair):
                if sum(_in_line(changed, other) for other in pairs) > before and fault_of(scene, changed) is None:
                    truth = replace(changed, topic=caption(changed))
                    break
    return truth


def _in_line(truth: Truth, pair: tuple[int, int]) -> bool:
    one, other = (truth.boxes[i] for i in pair)
    shared = min(one[2], other[2]) - max(one[0], other[0])
    return 2 * shared >= min(one[2] - one[0], other[2] - other[0])


def _candidates(truth: Truth, pair: tuple[int, int]) -> Iterator[Truth]:
    """The plan with one of two things moved, then widened, the best first."""
    ways = [(i, truth.boxes[i], truth.boxes[j]) for i, j in (pair, pair[::-1])]
    for off in sorted(range(-GRID, GRID, 25), key=abs):
        for i, box, other in ways:
            width = box[2] - box[0]
            x1 = min(max((other[0] + other[2] - width) // 2 + off, 0), GRID - width)
            yield _with(truth, i, (x1, box[1], x1 + width, box[3]))
    for i, box, other in ways:
        yield _with(truth, i, (min(box[0], other[0]), box[1], max(box[2], other[2]), box[3]))


def _with(truth: Truth, number: int, box: Box) -> Truth:
    return replace(truth, boxes=(*truth.boxes[:number], box, *truth.boxes[number + 1 :]))
