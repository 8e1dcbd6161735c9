"""Ordinary sentences, each with what it asks for: a file of them, and what is wrong with their plans.

```yaml
- text: a red house on the left and two trees, in watercolour
  things: [{kind: house, colour: red, place: left}, {kind: tree}, {kind: tree}]
  style: watercolour
  voice: terse
- text: a heart inside a large ring
  things: [{kind: heart}, {kind: ring, size: large}]
  relations: [[0, inside, 1]]
  background: {setting: sea}
- text: a castle on a hill
  refuse: castle
```

Relations name things by number: `[0, above, 1]` (also below, left of, right of, next to, inside, in front of, behind,
around), `[0, between, 1, 2]`, `[row, 0, 1, 2]`, `[column, 0, 1]`, `[corners, 0, 1, 2, 3]`, `[0, center]`. `voice` says
who speaks; the report counts each apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo, field_validator

from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.file_model import StrictModel, Text
from strata.hierarchy.files import parse_document, read_text
from strata.hierarchy.plan import Box, ScenePlan
from strata.hierarchy.validation import validate
from strata.llm.backends.bundled.grammar.scene import CORNERS, in_line, related, stands, surrounds
from strata.llm.backends.bundled.world import TONES, Backdrop, Thing, parse_backdrop, parse_style, parse_thing
from strata.llm.places import place_of, to_grid

RELATIONS = {
    **{word: word for word in ("above", "below", "left", "right", "beside", "inside", "front")},
    **{"left of": "left", "right of": "right", "next to": "beside", "in front of": "front"},
}


Relation = tuple[int | str, ...]


class ThingTruth(StrictModel):
    """An object that a sentence asks for; what it leaves open is None."""

    kind: Text | None = None
    colour: Text | None = None
    surface: Text | None = None
    size: Text | None = None
    style: Text | None = None
    place: Text | None = None


class GroundTruth(StrictModel):
    """The background that a sentence asks for."""

    pattern: Text | None = None
    tone: Text | None = None
    setting: Text | None = None


class Sentence(StrictModel):
    """A sentence with what it asks for, or the word for which it is to be refused."""

    text: Text
    things: tuple[ThingTruth, ...] = ()
    relations: tuple[Relation, ...] = ()
    background: GroundTruth = GroundTruth()
    style: Text | None = None
    refuse: Text | None = None
    voice: Text | None = None

    @field_validator("relations")
    @classmethod
    def _known(cls, relations: tuple[Relation, ...], info: ValidationInfo) -> tuple[Relation, ...]:
        things = len(info.data.get("things", ()))
        for relation in relations:
            match relation:
                case ["row" | "column" | "corners", *numbers] if numbers:
                    pass
                case [int() as one, "center"]:
                    numbers = [one]
                case [int() as one, "between", int() as other, int() as third]:
                    numbers = [one, other, third]
                case [int() as one, str() as word, int() as other] if word in (*RELATIONS, "behind", "around"):
                    numbers = [one, other]
                case _:
                    valid = ", ".join((*RELATIONS, "behind", "around", "between", "center", "row", "column", "corners"))
                    raise ValueError(f"{list(relation)}: no such relation; valid: {valid}")
            if strange := [n for n in numbers if not isinstance(n, int) or not 0 <= n < things]:
                raise ValueError(f"{list(relation)}: {strange[0]}: no such thing; there are {things}, from 0 on")
        return relations


class _Sentences(StrictModel):
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of a sentence: right, refused, or silently wrong, and what is wrong."""

    kind: str
    flaws: tuple[str, ...] = ()


def load_sentences(path: Path) -> tuple[Sentence, ...]:
    """The sentences of a YAML file, a list. Raises `InputError`."""
    document = parse_document("sentences:\n" + read_text(path), name=str(path), root=path.parent)
    sentences = validate(_Sentences, document).sentences
    if not sentences:
        raise InputError(f"{path}: holds no sentences")
    return sentences


def judge(sentence: Sentence, outcome: ScenePlan | StrataError) -> Verdict:
    """Whether a plan, or the refusal of one, is what a sentence asks for."""
    if isinstance(outcome, StrataError):
        said = str(outcome)
        if sentence.refuse is None:
            return Verdict("refused", (said,))
        told = said.partition('": the bundled planner ')[2] or said  # not in its quote of the sentence
        found = sentence.refuse.lower() in told.lower()
        return Verdict("right") if found else Verdict("refused", (f'does not name "{sentence.refuse}": {said}',))
    if sentence.refuse is not None:
        return Verdict("wrong", (f'is planned, "{sentence.refuse}" or not: {outcome.prompt}',))
    flaws = plan_flaws(sentence, outcome)
    return Verdict("wrong", tuple(flaws)) if flaws else Verdict("right")


def plan_flaws(sentence: Sentence, plan: ScenePlan) -> list[str]:
    """What is wrong with a plan: of the best way of giving the sentence's things to its regions."""
    flaws = _whole(sentence, plan)
    if len(plan.regions) != len(sentence.things):
        return [f"{len(plan.regions)} objects, not {len(sentence.things)}", *flaws]
    style = parse_style(plan.low or "")
    told = [parse_thing(", ".join(text for _, text in region.by_level())) for region in plan.regions]
    boxes = [to_grid(region.box or (0, 0, 1, 1), plan.width, plan.height) for region in plan.regions]
    found = _objects(sentence, told, boxes, style, range(len(told)))
    if found:
        by_kind: dict[tuple[str | None, ...], list[int]] = {}
        for i, thing in enumerate(told):
            by_kind.setdefault((thing.kind,), []).append(i)
        best = found
        for order in itertools.islice(itertools.permutations(range(len(told))), 5040):
            if all(told[j].kind == sentence.things[i].kind for i, j in enumerate(order)):
                other = _objects(sentence, told, boxes, style, order)
                best = min(best, other, key=len)
                if not best:
                    break
        found = best
    return found + flaws


def _whole(sentence: Sentence, plan: ScenePlan) -> list[str]:
    flaws = []
    texts = dict(plan.background.by_level()) if plan.background else {}
    behind = parse_backdrop(texts.get("high", texts.get("full", "")))
    tone = next((w for w in texts.get("low", "").replace(",", " ").split() if w in TONES), None)
    found = Backdrop(behind.pattern, behind.tone or tone, behind.setting)
    wanted = Backdrop(**sentence.background.model_dump())
    plain = Backdrop("plain", wanted.tone, wanted.setting)  # "on white" is a plain white background, told or not
    if found != wanted and not (wanted.tone and not wanted.pattern and found == plain):
        flaws.append(f"background: {_some(found)}, not {_some(wanted)}")
    style = parse_style(plan.low or "")
    alone = [t.style for t in sentence.things]
    told = [parse_style(", ".join(text for _, text in region.by_level())) for region in plan.regions]
    if style != sentence.style and not (
        len(alone) == 1 and {style, *told} <= {alone[0] or sentence.style, None} and told[0]
    ):
        flaws.append(f"style of the picture: {style}, not {sentence.style}")
    return flaws


def _objects(
    sentence: Sentence, told: Sequence[Thing], boxes: Sequence[Box], style: str | None, order: Sequence[int]
) -> list[str]:
    flaws = []
    for i, wanted in enumerate(sentence.things):
        thing, box = told[order[i]], boxes[order[i]]
        own = wanted.style or sentence.style or (style if len(told) == 1 else None)
        right = Thing(wanted.kind, wanted.colour, wanted.surface, own, wanted.size)
        if thing != right:
            flaws.append(f"object {i}: {_some(thing)}, not {_some(right)}")
        if wanted.place and not stands(box, wanted.place):
            flaws.append(f"object {i}: {place_of(box)}, not {wanted.place}")
    for relation in sentence.relations:
        if not _holds(relation, [boxes[j] for j in order], sentence.relations):
            flaws.append(f"not {' '.join(map(str, relation))}")
    return flaws


def _holds(relation: Relation, boxes: Sequence[Box], others: Sequence[Relation]) -> bool:
    """Whether boxes stand in a relation (see the module); `others` are those of the same sentence."""
    match relation:
        case ["row" | "column" as name, *numbers]:
            return in_line([boxes[int(i)] for i in numbers], int(name == "column"))
        case ["corners", *numbers]:
            places = [place_of(boxes[int(i)]) for i in numbers]
            return len(set(places)) == len(places) and set(places) <= set(CORNERS)
        case [int(one), "center"]:
            return stands(boxes[one], "center")
        case [int(one), "between", int(other), int(third)]:
            middles = [[boxes[i][axis] + boxes[i][axis + 2] for i in (other, one, third)] for axis in (0, 1)]
            return any(min(a, c) < b < max(a, c) for a, b, c in middles)
        case [int(one), "behind", int(other)]:
            return related(boxes[one], "front", boxes[other])
        case [int(), "around", int(other)]:
            around = [boxes[int(r[0])] for r in others if r[1:] == ("around", other)]
            return related(boxes[other], "inside", around[0]) if len(around) == 1 else surrounds(around, boxes[other])
        case [int(one), str(word), int(other)]:
            return related(boxes[one], RELATIONS[word], boxes[other])
    raise ValueError(f"{relation}: no such relation")


def _some(fact: Any) -> str:
    return " ".join(str(value) for value in vars(fact).values() if value) or "nothing"
