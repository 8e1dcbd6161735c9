"""FLUX.3's prompt upsampler as the planner's language model: one question, whose answer is a caption and a table.

The question is diffusers' own (`modular_pipelines/flux3/prompt_upsampler.py`, mode t2i_bbox; the system text, in
`flux3_instructions/`, is by Black Forest Labs, Apache-2.0). What a draft says of regions goes along as the boxes that
the upsampler must keep, and is put back into its answer in any case. The answer, repaired where that is safe, is read
as a caption of FLUX.3 (`strata.hierarchy.native_flux3`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import read_text
from strata.hierarchy.native import one_text, unfenced
from strata.hierarchy.native_flux3 import FORM, ids_of
from strata.hierarchy.plan import LEVELS, LONGEST_NAME, ScenePlan
from strata.llm.answer import MOST_REGIONS
from strata.llm.attempts import Record, usable
from strata.llm.draft import Draft, DraftRegion
from strata.llm.errors import AnswerError, LlmError
from strata.llm.grounding import content_words, lacking
from strata.llm.protocol import Message, Question
from strata.llm.reading import cleaned, read_box, refuse_depth, said

if TYPE_CHECKING:
    from strata.llm.planner import Request

SYSTEM = Path(__file__).with_name("flux3_instructions") / "t2i_bbox.md"
MOST_TOKENS = 3584
"""Of an answer, as diffusers asks for."""
SAME = 0.9
"""Intersection over union of boxes from which on an element is the user's own under another id, as diffusers has it."""
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CITED = re.compile(rf" ?<({_ID.pattern})>")
_ORDER = "y_min, x_min, y_max, x_max"
_KEPT = {"strength", "priority", "mask_threshold"}
"""Of a draft's region, as they are."""
_MOST_STARTS = 40
"""Places, counted from the end, where a table is looked for."""


@dataclass(frozen=True)
class Row:
    """An element of the table; the box is y_min, x_min, y_max, x_max on the grid of 0 to 1000."""

    id: str
    bbox: tuple[int, int, int, int]
    desc: str

    def as_data(self) -> dict[str, Any]:
        """In the order of the form's keys."""
        return {"id": self.id, "bbox": list(self.bbox), "desc": self.desc}


@cache
def system_text() -> str:
    """What the upsampler is told first."""
    return read_text(SYSTEM).strip()


def instructions() -> dict[str, Any]:
    """For a plan's provenance, as `Instructions.as_data`."""
    digest = hashlib.sha256(system_text().encode()).hexdigest()
    return {"name": "flux3 t2i_bbox", "version": 1, "sha256": digest[:16]}


def upsampled(
    prompt: str, request: Request, attempts: int, record: Record
) -> Generator[Question, str | LlmError, ScenePlan]:
    """The upsampler's plan of a prompt, with the draft's boxes: its regions stand first, in the draft's order.

    Args:
        prompt: on one line, or a list.
        request: what is asked.
        attempts: how often at most.
        record: of what it took.

    Raises:
        InputError: a region of the draft has no area.
        PlanError: no usable answer came.
    """
    locked = locked_rows(request)
    turns = Message("system", system_text()), Message("user", user_turn(prompt, request, locked))

    def read(reply: str) -> tuple[ScenePlan, list[str]]:
        plan, repairs = read_upsampled(reply, request.width, request.height, locked, request.regions)
        asked, told = content_words(f"{prompt} {request.style or ''}"), content_words(" ".join(_told(plan)))
        if len(asked) > 1 and len(lacking(told, asked)) == len({*told}):
            raise AnswerError("the answer has nothing to do with the prompt")
        return plan, repairs

    question = Question("caption", turns, None, max_tokens=MOST_TOKENS)
    plan, repairs = yield from usable(prompt, question, read, attempts, record, "the caption and the table")
    record.repairs += repairs
    return plan


def with_draft(read: ScenePlan, request: Request) -> dict[str, Any]:
    """The data of a plan: what a draft gives stands as it is, and the answer fills the rest."""
    draft = request.draft or Draft()
    placed = {region.name: region for region in draft.canvas(request.width, request.height).regions}
    regions = []
    for index, region in enumerate(read.regions):
        made = region.model_dump(include={"name", "box", *LEVELS}, exclude_none=True)
        if index < len(draft.regions):
            given, answered = draft.regions[index], one_text(region)
            made = {key: getattr(given, key) for key in _KEPT & given.model_fields_set}
            made |= placed[str(index + 1)].model_dump(include={"box", "polygon", "mask"}, exclude_none=True)
            texts = {level: text for level in LEVELS if (text := getattr(given, level))}
            if not texts:
                texts = dict(region.by_level())
            elif "full" not in texts and len(texts) == 1 and answered != described(given):
                texts["low" if "high" in texts else "high"] = answered
            made |= texts | {"name": given.name or region.name}
        regions.append(made)
    ground = draft.background or read.background
    return {
        "width": request.width,
        "height": request.height,
        "prompt": read.prompt,
        "negative_prompt": draft.negative_prompt,
        "high": draft.high or read.high,
        "low": request.style or draft.style or read.low,
        "regions": _called_apart(regions, len(draft.regions)),
        "overlap": draft.overlap,
        "grid": draft.grid,
    } | ({"background": dict(ground.by_level())} if ground is not None else {})


def _called_apart(regions: list[dict[str, Any]], first: int) -> list[dict[str, Any]]:
    """The regions with names of their own; the `first` ones keep theirs."""
    taken = {region["name"] for region in regions[:first]}
    for region in regions[first:]:
        name, number = region["name"], 1
        while region["name"] in taken:
            number += 1
            region["name"] = f"{name} {number}"
        taken.add(region["name"])
    return regions


def _told(plan: ScenePlan) -> list[str]:
    return [plan.prompt, plan.high or "", plan.low or "", *(text.text for text in plan.descriptions())]


# What is asked ------------------------------------------------------------------------------------------------------


def locked_rows(request: Request) -> list[Row]:
    """The regions of a request's draft as rows of the table, with ids by their names or contents.

    Raises:
        InputError: one has no area, so that the form cannot tell it.
    """
    draft = request.draft or Draft()
    boxes = [known.box for known in draft.known(request.width, request.height)]
    for index, box in enumerate(boxes):
        if box is None:
            raise draft.error(("regions", index), "has no area, which the form flux3 cannot tell; give it a box")
    ids = ids_of(_names(draft.regions))
    rows = zip(ids, boxes, draft.regions, strict=True)
    return [Row(own, (box[1], box[0], box[3], box[2]), described(region)) for own, box, region in rows if box]


def described(region: DraftRegion) -> str:
    """All that a draft says of a region."""
    return region.full or ", ".join(text for text in (region.high, region.low) if text)


def _names(regions: Sequence[DraftRegion]) -> list[str]:
    names: list[str] = []
    for region in regions:
        words = re.findall(r"[A-Za-z]+", region.content or "")
        name = region.name or (words[-1].lower() if words else "element")[:LONGEST_NAME]
        number, free = 1, name
        while free in names:
            number += 1
            free = f"{name[: LONGEST_NAME - 4]} {number}"
        names.append(free)
    return names


def user_turn(prompt: str, request: Request, locked: Sequence[Row]) -> str:
    """The request as the upsampler was trained on it."""
    common = gcd(request.width, request.height)
    style = request.style or (request.draft.style if request.draft else None)
    lines = [f"TARGET CANVAS: {request.width // common}:{request.height // common}", prompt]
    lines += [f"Style: {style}"] if style else []
    lines += [f"Exactly {request.regions} elements in the table."] if request.regions else []
    asked = "\n".join(lines)
    if not locked:
        return asked
    rows = json.dumps([row.as_data() for row in locked], ensure_ascii=False)
    return (
        f"ORIGINAL PROMPT:\n{asked}\n\n"
        "LOCKED BOUNDING-BOX ANNOTATIONS ([y_min, x_min, y_max, x_max] on a 0-1000 canvas, with (0, 0) at "
        "the top-left). This is an authoritative JSON list of dictionaries; preserve every supplied identity, "
        f"provenance value, null, and coordinate exactly:\n{rows}"
    )


# What is answered ---------------------------------------------------------------------------------------------------


def read_upsampled(
    text: str, width: int, height: int, locked: Sequence[Row] = (), count: int | None = None
) -> tuple[ScenePlan, list[str]]:
    """The plan that an answer describes, and what was changed to make it usable, in words.

    Repaired and reported: thinking, fences and text behind the table; boxes that are fractions, leave the canvas or
    have their corners swapped; rows that are damaged, doubled, too many or cited nowhere, and citations of no row.
    Locked rows keep their id and box, whatever the answer makes of them, and stand first.

    Args:
        text: the answer.
        width: of the canvas, in pixels.
        height: of the canvas, in pixels.
        locked: rows that were given.
        count: exactly so many rows; None: any number.

    Raises:
        AnswerError: anything else; the message can be shown to the model.
    """
    repairs: list[str] = []
    caption, data = _split(said(text, repairs), repairs)
    rows = _reconciled([row for item in data if (row := _row(item, repairs))], locked, repairs)
    renamed = {old: row.id for old, row in rows.items() if old != row.id}
    caption = _CITED.sub(lambda m: f"{m[0][: m[0].index('<')]}<{renamed.get(m[1], m[1])}>", caption)
    kept = _cited_rows(caption, list(rows.values()), {row.id for row in locked}, repairs)
    if count is not None and len(kept) != count:
        raise AnswerError(f"the table has {len(kept)} elements that can be used, but {count} are asked for")
    ids = {row.id for row in kept}
    if strange := {m[1] for m in _CITED.finditer(caption)} - ids:
        repairs.append(f"left out citations of no row: {', '.join(sorted(strange)[:5])}")
        caption = _CITED.sub(lambda m: m[0] if m[1] in ids else "", caption)
    for row in kept:
        if f"<{row.id}>" not in caption:
            repairs.append(f"cited <{row.id}> behind the caption, which does not name it")
            caption = f"{caption} {row.id.rpartition('_')[0].replace('_', ' ') or row.id} <{row.id}>"
    try:
        table = json.dumps([row.as_data() for row in kept], ensure_ascii=False)
        read = FORM.read(f"{caption} {table}", width, height, "the answer")
    except InputError as error:
        raise AnswerError(str(error)) from error
    return read.plan, list(dict.fromkeys(repairs))


def _split(text: str, repairs: list[str]) -> tuple[str, list[Any]]:
    """The caption on one line, and the table."""
    bare = unfenced(text)
    if bare != text.rstrip():
        repairs.append("left out fences of code")
    for match in list(re.finditer(r"\[\s*[{\]]", bare))[-_MOST_STARTS:]:
        refuse_depth(bare[match.start() :])
        try:
            rows, stop = json.JSONDecoder(strict=False).raw_decode(bare, match.start())
        except (ValueError, RecursionError):
            continue
        if bare[stop:].strip():
            repairs.append("left out text behind the table")
        return _caption(bare[: match.start()]), rows
    raise AnswerError('the answer ends with no table, such as [{"id": "boat_1", "bbox": [500, 0, 900, 400], …}]')


def _caption(text: str) -> str:
    """On one line, without control characters and markup, but with its citations."""
    parts = re.split(rf"(<{_ID.pattern}>)", text)
    edges = [(" " * part[:1].isspace(), " " * part[-1:].isspace()) for part in parts]
    kept = [
        part if n % 2 else f"{edge[0]}{cleaned(part)}{edge[1]}"
        for n, (part, edge) in enumerate(zip(parts, edges, strict=True))
    ]
    return " ".join("".join(kept).split())


def _row(item: Any, repairs: list[str]) -> Row | None:
    """One row; None where it cannot be used."""
    own = item.get("id") if isinstance(item, dict) else None
    if not isinstance(own, str) or not _ID.fullmatch(own) or len(own) > LONGEST_NAME:
        repairs.append("dropped a row without a usable id")
        return None
    box = read_box(item.get("bbox"), f"{own}: bbox", repairs, _ORDER)
    desc = item.get("desc")
    desc = cleaned(desc) if isinstance(desc, str) else ""
    if box is None or max(box) <= 1:
        repairs.append(f"dropped {own}, whose box has no area")
        return None
    return Row(own, (box[0], box[1], box[2], box[3]), desc)


def _reconciled(found: Sequence[Row], locked: Sequence[Row], repairs: list[str]) -> dict[str, Row]:
    """The rows by the ids that the answer has for them, the locked ones first: as diffusers' `reconcile_boxes`."""
    answered: dict[str, Row] = {}
    for row in found:
        if row.id in answered:
            repairs.append(f"dropped a second {row.id}")
        answered.setdefault(row.id, row)
    rows: dict[str, Row] = {}
    names = {row.id for row in locked}
    for lock in locked:
        own = answered.get(lock.id)
        if own is None:
            alike = (r for r in answered.values() if r.id not in names and r.id not in rows)
            own = next((row for row in alike if _iou(row.bbox, lock.bbox) >= SAME), None)
        if own is not None and own.bbox != lock.bbox:
            repairs.append(f"moved {own.id} back to its box")
        desc = (own.desc if own is not None else "") or lock.desc
        if not desc:
            raise AnswerError(f"{lock.id}: has no row with a desc")
        rows[own.id if own is not None else lock.id] = replace(lock, desc=desc)
    for row in answered.values():
        if row.id not in rows and row.desc:
            rows[row.id] = row
        elif row.id not in rows:
            repairs.append(f"dropped {row.id}, which has no desc")
    return rows


def _cited_rows(caption: str, rows: Sequence[Row], locked: set[str], repairs: list[str]) -> list[Row]:
    """The rows that the caption cites, and the locked ones, as many as a plan may have."""
    kept = []
    for row in rows:
        if row.id in locked or f"<{row.id}>" in caption:
            kept.append(row)
        else:
            repairs.append(f"dropped {row.id}, which the caption does not cite")
    if len(kept) > MOST_REGIONS:
        repairs.append(f"dropped {len(kept) - MOST_REGIONS} elements beyond the first {MOST_REGIONS}")
    return kept[:MOST_REGIONS]


def _iou(one: Sequence[int], other: Sequence[int]) -> float:
    tall = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    wide = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return tall * wide / (sum(areas) - tall * wide)
