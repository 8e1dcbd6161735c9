"""The words of a prompt in chunks: noun phrases, bare looks, places, links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from strata.llm.backends.bundled.reading.vocabulary import ARRANGED, NUMBERS, PLACE_TOKENS, RELATIONS, SIDES, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, KINDS, SIZES, STYLES, SURFACES

LOOKS: dict[str, tuple[str, str]] = {
    **{word: ("colour", word) for word in COLOURS},
    **{word: ("surface", word) for word in SURFACES},
    **{word: ("size", word) for word in SIZES},
    **{word: ("style", word) for word in STYLES},
    **{"stripes": ("surface", "striped"), "dots": ("surface", "dotted"), "checks": ("surface", "checkered")},
    **{"outline": ("surface", "outlined"), "smaller": ("size", "small"), "larger": ("size", "large")},
}
"""Each word that describes a thing, as an attribute and its value."""
COUNTS = {word: i for i, word in enumerate(NUMBERS, start=2)} | {"one": 1}
ORDINALS = ("first", "second", "third", "last")
_DETERMINERS = ("a", "the", "each", "both", "all")
_ANAPHORS = ("other", "another", "same")


@dataclass(frozen=True)
class Chunk:
    """A stretch of a prompt.

    `sort` is "noun" (a phrase with a noun, "one" or "ones"), "bare" (looks, numbers, determiners without a noun), "it",
    "place", "link" (a relation or an arrangement), "mark", or the word itself: is, with, that, in, on, at, but.
    """

    sort: str
    word: str = ""
    kind: str | None = None
    head: str = ""
    """The noun as it is said; "one", "ones"."""
    det: str = ""
    count: int | None = None
    which: str = ""
    """The one that stands at a side, or comes at a number."""
    anaphor: str = ""
    looks: tuple[tuple[str, str], ...] = field(default=())
    """Attributes and values, in order; the same attribute twice where several are told."""

    @property
    def plural(self) -> bool:
        """Whether its noun is one of several."""
        return self.head in SINGULAR or self.head == "ones"

    @property
    def clear(self) -> bool:
        """Whether it tells each attribute once."""
        return len({name for name, _ in self.looks}) == len(self.looks)


def chunks(tokens: Sequence[str]) -> list[Chunk]:
    """The chunks of a prompt, in order."""
    found, i = [], 0
    while i < len(tokens):
        token = tokens[i]
        if token in PLACE_TOKENS:
            found.append(Chunk("place", PLACE_TOKENS[token]))
        elif token in RELATIONS or token in ARRANGED:
            found.append(Chunk("link", token))
        elif token in (".", ",", ":", "and", "but"):
            found.append(Chunk("mark", token))
        elif token in ("it", "them", "its"):
            found.append(Chunk("it", token))
        elif token in ("is", "with", "that", "in", "on", "at"):
            found.append(Chunk(token, token))
        else:
            chunk, i = _phrase(tokens, i)
            found.append(chunk)
            continue
        i += 1
    return found


def _phrase(tokens: Sequence[str], i: int) -> tuple[Chunk, int]:
    """The phrase that begins at a word, and where it ends."""
    start = i
    det = which = anaphor = head = ""
    count: int | None = None
    looks: list[tuple[str, str]] = []
    while i < len(tokens):
        token = tokens[i]
        if token in _DETERMINERS and not looks and ("the" in (det, token) or not det):
            det, i = token if token != "the" or not det else det, i + 1
        elif token in COUNTS and count is None and not looks and not (token == "one" and (det or which or anaphor)):
            count, i = COUNTS[token], i + 1
        elif token in _ANAPHORS and not anaphor and not looks:
            anaphor, i = token, i + 1
        elif token in (*ORDINALS, *SIDES) and not which and not looks:
            which, i = token, i + 1
        elif token in LOOKS:
            looks += [LOOKS[token]] if LOOKS[token] not in looks else []
            i += 1
        elif token in ("and", ",") and looks and (joined := _joined(tokens, i, looks, bool(det or count), start)):
            i = joined
        else:
            break
    counted_next = (
        tokens[i : i + 1] == ["one"] and count == 1 and looks and tokens[i + 1 : i + 2] and tokens[i + 1] in LOOKS
    )
    if i < len(tokens) and (_kind(tokens[i]) or tokens[i] in ("one", "ones")) and not counted_next:
        head, i = tokens[i], i + 1
    if i == start:
        return Chunk("strange", tokens[i]), i + 1
    if det in ("each", "all", "both") and head == "one":
        head = ""
    kind = _kind(head)
    sort = "noun" if head else "bare"
    return Chunk(sort, "", kind, head, det, count, which, anaphor, tuple(looks)), i


def _joined(tokens: Sequence[str], i: int, looks: Sequence[tuple[str, str]], opened: bool, start: int) -> int | None:
    """Where a row of looks goes on after "and" or a comma, if all of it belongs to one noun."""
    j = i + 1
    j += tokens[i] == "," and tokens[j : j + 1] == ["and"]
    first, names = j, {name for name, _ in looks}
    while j < len(tokens) and (tokens[j] in LOOKS or (tokens[j] in ("and", ",") and j > first)):
        if tokens[j] in LOOKS:
            name = LOOKS[tokens[j]][0]
            if name in names:
                return None
            names.add(name)
        j += 1
    noun = j < len(tokens) and j > first and (_kind(tokens[j]) or tokens[j] in ("one", "ones"))
    at_start = start == 0 or tokens[start - 1] == "."
    return first if noun and tokens[j - 1] in LOOKS and (opened or at_start) else None


def _kind(token: str) -> str | None:
    """The kind of a noun ("object" for any)."""
    kind = SINGULAR.get(token, token)
    return kind if kind in KINDS or kind == "object" else None
