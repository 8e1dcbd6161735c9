"""FLUX.3: a caption that cites every element as `<boat_1>`, and the table of their boxes and descriptions.

The form is that of the model's own prompt upsampler in diffusers (`modular_pipelines/flux3/prompt_upsampler.py`, the
system prompt `t2i_bbox`): the caption, a space, and a JSON list of `{"id", "bbox", "desc"}`. An id is a class noun and
a number, a description opens with what the element is, and every id is cited, and no other.

A plan's parts stand in the caption in this order, each where there is one:

    Style: LOW; Composition: HIGH; Scene: PROMPT; Elements: HIGH <boat_1>; HIGH <sun_1>; Background: HIGH; …

A region without a high text is mentioned by its name: "the boat <boat_1>".
A caption in another arrangement is prose: it becomes the base prompt, and each description a full text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import count, islice
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.hierarchy.file_model import AnyText, StrictModel
from strata.hierarchy.files import Document, parse_document
from strata.hierarchy.native import (
    FRONT,
    PART,
    Form,
    GridBox,
    ReadCaption,
    boxed,
    from_grid,
    front,
    joined,
    on_grid,
    plan_of,
    read_front,
    renamed,
    sections,
    spaced,
    to_grid,
    unfenced,
)
from strata.hierarchy.plan import LONGEST_NAME, MOST_REGIONS, RESERVED_NAMES, Region, ScenePlan, Texts
from strata.hierarchy.validation import validate

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_CITED = re.compile(rf"<({_ID.pattern})>")
_LONGEST_ID = LONGEST_NAME + len("_1")
_ELEMENTS = "Elements"
_END = {"Background": "high", "Background details": "low", "In the background": "full"}
_MOST_STARTS = 20
"""Places where the table of a damaged caption is looked for."""
_NOUN_FOLLOWS = re.compile("an?|the|one|this|that|some|its|their|of|with|by|and|or|in|on|at|under|over|behind|beside")
"""Words that no noun ends with."""
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "'": "", "’": ""}
)
"""Letters that Unicode does not take apart, and what is left out."""
_EXAMPLE = '[{"id": "boat_1", "bbox": [500, 0, 900, 400], "desc": "a boat, red"}]'


def _id(text: str) -> str:
    if not _ID.fullmatch(text) or len(text) > _LONGEST_ID:
        raise ValueError(f"must be a letter, then letters, digits and _, at most {_LONGEST_ID}: boat_1")
    return text


class _Row(StrictModel):
    id: Annotated[str, AfterValidator(_id)]
    bbox: GridBox
    desc: AnyText


class _Table(StrictModel):
    table: Annotated[tuple[_Row, ...], Field(max_length=MOST_REGIONS)]


class Flux3(Form):
    """Captions of FLUX.3."""

    name = "flux3"
    about = "FLUX.3: a caption that cites its elements, and a table of their boxes"

    def held(self, plan: ScenePlan) -> tuple[ScenePlan, list[str]]:
        """All but what no form holds (`boxed`), full texts beside high ones, some names, and breaks of lines."""
        plan, notes = boxed(plan)
        plan = renamed(on_grid(plan, notes), names_of(ids_of([region.name for region in plan.regions])), notes)
        levels = [_two_places(region, notes) for region in plan.regions]
        ground = dict(plan.background.by_level()) if plan.background is not None else {}
        told = [plan.prompt, plan.high, plan.low, *ground.values(), *(texts["high"] for texts in levels)]
        if any(text != _citable(text) for text in told):
            notes.append("the caption is one line and cites by <…>: line breaks become spaces, and <word> ‹word›")
        regions = [
            region.model_copy(update=texts | {"high": _citable(texts["high"])})
            for region, texts in zip(plan.regions, levels, strict=True)
        ]
        changes: dict[str, Any] = {key: _citable(getattr(plan, key)) for key in ("prompt", "high", "low")}
        changes["background"] = Texts(**{level: _citable(text) for level, text in ground.items()}) if ground else None
        held = plan.model_copy(update=changes | {"regions": tuple(regions)})
        return held, notes

    def write(self, plan: ScenePlan) -> str:
        """The caption, and the table on the same line."""
        ids = ids_of([region.name for region in plan.regions])
        mentions, rows = [], []
        for region, own in zip(plan.regions, ids, strict=True):
            assert region.box is not None
            mention, desc = _mention_and_description(region, region.name)
            mentions.append(f"{mention} <{own}>".lstrip())
            rows.append({"id": own, "bbox": to_grid(region.box, plan.width, plan.height), "desc": desc})
        parts = front(plan, FRONT)
        parts += [f"{_ELEMENTS}: {'; '.join(mentions)}"] if mentions else []
        if plan.background is not None:
            texts = dict(plan.background.by_level())
            parts += [f"{marker}: {texts[level]}" for marker, level in _END.items() if level in texts]
        return f"{joined(parts)} {json.dumps(rows, ensure_ascii=False)}".lstrip()

    def read(self, text: str, width: int, height: int, name: str = "<text>") -> ReadCaption:
        """As of `Form.read`; a caption in another arrangement than `write` gives it is read as prose."""
        caption, rows, document = _split(text, name)
        ids = [row.id for row in rows]
        _check_citations(caption, ids, document, name)
        parts = _parts_of(caption, ids)
        notes = []
        if parts is None:
            parts = {"prompt": _uncited(caption), "mentions": dict.fromkeys(ids)}
            notes.append("the caption is prose: it is the base prompt, and every description a full text")
        mentions = parts.pop("mentions")
        regions = []
        for index, (row, called) in enumerate(zip(rows, names_of(ids), strict=True)):
            if not row.desc and not mentions[row.id]:
                raise document.error(("table", index, "desc"), "must not be empty")
            texts = {"full": row.desc} if mentions[row.id] is None else _texts(mentions[row.id], row.desc, called)
            regions.append({"name": called, "box": from_grid(row.bbox, width, height), **texts})
        plan = plan_of({"width": width, "height": height, **parts, "regions": regions}, name)
        return ReadCaption(plan, tuple(notes))


FORM = Flux3()


def _uncited(caption: str) -> str:
    """Prose without its citations: "a boat <boat_1>" is "a boat", and so is "a <boat_1>", whose noun is in the id."""

    def noun(match: re.Match[str]) -> str:
        word = re.search(r"(\w*) *$", caption[max(match.start() - 20, 0) : match.start()])
        bare = word is None or not word[1] or _NOUN_FOLLOWS.fullmatch(word[1].lower())
        return match[0][: -len(match[0].lstrip())] + " ".join(match[1].split("_")[:-1] or [match[1]]) if bare else ""

    return re.sub(rf" ?{_CITED.pattern}", noun, caption).strip()


# Ids ----------------------------------------------------------------------------------------------------------------


def ids_of(names: Sequence[str]) -> list[str]:
    """Ids of regions: `boat` is `boat_1`, and where there are several, `star 2` is `star_2`.

    Names of other characters than letters, digits and single spaces are spelt as well as they can be.
    """
    natural = [_numbered(name) if not re.search(r" \d+$", name) else name.replace(" ", "_") for name in names]
    if all(map(_ID.fullmatch, natural)) and len({*natural}) == len(natural) and names_of(natural) == list(names):
        return natural
    taken = {*filter(_holdable, names), *RESERVED_NAMES}
    ids = []
    for name in names:
        if not _holdable(name):
            plain = re.sub("[^A-Za-z0-9]+", " ", _spelt(name)).strip()[: LONGEST_NAME // 2].strip()
            plain = plain if _ID.match(plain) else f"region {plain}".strip()
            name = next(new for i in count(1) if (new := f"{plain} {i}" if i > 1 else plain) not in taken)
            taken.add(name)
        ids.append(_numbered(name))
    return ids


def _spelt(name: str) -> str:
    """A name in Latin letters without accents, as far as it has them."""
    latin = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    return "".join(letter for letter in latin if not unicodedata.combining(letter))


def _numbered(name: str) -> str:
    return f"{name.replace(' ', '_')}_1"


def _holdable(name: str) -> bool:
    return _ID.fullmatch(_numbered(name)) is not None and names_of([_numbered(name)]) == [name]


def names_of(ids: Sequence[str]) -> list[str]:
    """Names of regions by their ids: `boat_1` is "boat" where it is the only boat; never one that is reserved."""
    parts = [re.fullmatch(r"(.+)_(\d+)", own) for own in ids]
    nouns = Counter(part[1] for part in parts if part)
    alone = [part[1] if part and part[2] == "1" and nouns[part[1]] == 1 else None for part in parts]
    short = [noun or own for noun, own in zip(alone, ids, strict=True)]
    for choice in (short, ids):
        names = [own.replace("_", " ").strip() for own in choice]
        if len({*names}) == len(names) and not {*names} & {"", *RESERVED_NAMES}:
            return names
    return [f"region {number}" for number in range(1, len(ids) + 1)]


# Texts --------------------------------------------------------------------------------------------------------------


def _two_places(region: Region, notes: list[str]) -> dict[str, str | None]:
    """The texts of a region as a mention and a description hold them: high and low, or one of them, or full."""
    if region.full is None or (region.high is None and region.low is None):
        return {"high": region.high, "low": region.low, "full": region.full}
    if region.high is None:
        notes.append(f"{quote(region.name)}: its full text stands as the high one of its low text")
        return {"high": region.full, "low": region.low, "full": None}
    notes.append(f"{quote(region.name)}: has a high text, so its full one is left out")
    return {"high": region.high, "low": region.low, "full": None}


def _citable(text: str | None) -> str | None:
    """A text of the caption: on one line, and without what would be read as a citation."""
    return None if text is None else _CITED.sub(r"‹\1›", spaced(text)).strip()


def _mention_and_description(texts: Texts, name: str) -> tuple[str, str]:
    """What the caption and the table say of an element; `_texts` reads it back.

    Both name the element: by its high text, or where it has none by the region's name.
    """
    if texts.high is not None:
        return texts.high, ", ".join(text for text in (texts.high, texts.low) if text is not None)
    noun, mentions = _named(name)
    if texts.full is None:
        return mentions[0], f"{noun}: {texts.low}"
    alone = {"full": texts.full}
    return next((m for m in mentions if _texts(m, texts.full, name) == alone), mentions[0]), texts.full


def _named(name: str) -> tuple[str, tuple[str, ...]]:
    """The noun in a region's name, and how it is mentioned: with an article, but for those of people and places."""
    noun = re.sub(r"(?<=.) \d+$", "", name)
    mentions = noun, f"the {noun}"
    return noun, mentions if noun[0].isupper() else mentions[::-1]


def _texts(mention: str, desc: str, name: str) -> dict[str, str]:
    """The texts of a region by what the caption and the table say of it."""
    noun, mentions = _named(name)
    if not mention:
        return {"low": desc}
    if mention == mentions[0] and desc.startswith(f"{noun}: "):
        return {"low": desc.removeprefix(f"{noun}: ")}
    if desc in ("", mention):
        return {"high": mention}
    if desc.startswith(f"{mention}, "):
        return {"high": mention, "low": desc.removeprefix(f"{mention}, ")}
    if mention in (*mentions, name, f"the {name}"):
        return {"full": desc}
    return {"high": mention, "low": desc}


# The caption --------------------------------------------------------------------------------------------------------


def _parts_of(caption: str, ids: Sequence[str]) -> dict[str, Any] | None:
    """The parts of a caption as `Flux3.write` arranges them, with the mention of every id; None where it is prose."""
    cited = list(_CITED.finditer(caption))
    mentions: dict[str, str] = {}
    if not cited:
        end = re.search(rf"{PART}(?=(?:{'|'.join(_END)}): )", caption)
        ahead, behind = (caption[: end.start()], caption[end.end() :]) if end else (caption, "")
    else:
        starts = list(re.finditer(rf"{PART}{_ELEMENTS}: ", caption[: cited[0].start()]))
        if not starts or len(cited) != len(ids):
            return None
        ahead, position = caption[: starts[-1].start()], starts[-1].end()
        for number, match in enumerate(cited):
            between = caption[position : match.start()]
            if number:
                if not between.startswith("; "):
                    return None
                between = between[2:]
            if between and not between.endswith(" "):
                return None
            mentions[match[1]] = between[:-1].strip()
            position = match.end()
        behind = caption[position:]
        if behind and not behind.startswith("; "):
            return None
        behind = behind[2:]
    background = sections(behind, _END) if behind else {}
    if background is None or mentions.keys() != set(ids):
        return None
    return {**read_front(ahead, FRONT), "background": background or None, "mentions": mentions}


def _split(text: str, name: str) -> tuple[str, tuple[_Row, ...], Document]:
    """The caption on one line, the rows of the table, and the table as a document with its lines."""
    failed: list[tuple[int, int]] = []  # how far each start was read
    behind = ""
    text = unfenced(text)
    for match in islice(re.finditer(r"\[\s*[{\]]", text), _MOST_STARTS):
        try:
            _, stop = json.JSONDecoder().raw_decode(text, match.start())
            if behind := text[stop:].strip():
                continue
            start = match.start()
            break
        except (RecursionError, ValueError) as error:
            failed.append((getattr(error, "pos", 0), match.start()))
    else:
        if behind:
            line = text.count("\n", 0, text.rindex(behind)) + 1
            raise InputError(f"{name}:{line}: {quote(behind)}: stands behind the table, which must end the caption")
        if not failed:
            raise InputError(f"{name}: ends with no table of its elements, such as {_EXAMPLE}")
        start = max(failed)[1]
    lines = "\n" * text.count("\n", 0, start)
    document = parse_document(f'{lines}{{"table": {text[start:].rstrip()}}}', name, syntax="json")
    caption = text[:start].strip()
    return spaced(caption), validate(_Table, document).table, document


def _check_citations(caption: str, ids: Sequence[str], document: Document, name: str) -> None:
    """Raises `InputError` unless every id is there once, and cited, and no other is."""
    first: dict[str, int] = {}
    for index, own in enumerate(ids):
        if own in first:
            raise document.error(("table", index, "id"), f"{quote(own)}: already the id of table[{first[own]}]")
        first[own] = index
    cited = dict.fromkeys(match[1] for match in _CITED.finditer(caption))
    for own in cited:
        if own not in first:
            known = f"{did_you_mean(own, ids)}ids there: {', '.join(ids) or 'none'}"
            raise InputError(f"{name}: caption: <{quote(own)[1:-1]}>: is not in the table; {known}")
    for own, index in first.items():
        if own not in cited:
            raise document.error(("table", index, "id"), f"{quote(own)}: is cited nowhere in the caption, as <{own}>")
