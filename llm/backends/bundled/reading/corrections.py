"""What is taken back or said again: "a red car, no wait, a blue one", "a boat, a big boat"."""

from __future__ import annotations

from collections.abc import Sequence

from strata.llm.backends.bundled.reading import chunks
from strata.llm.backends.bundled.reading.spoken import NAMELY, OTHER_WAY, TAKEN_BACK
from strata.llm.backends.bundled.reading.vocabulary import ARRANGED, NOUNS, NUMBERS, PLACE_TOKENS, RELATIONS, SINGULAR
from strata.llm.backends.bundled.world import TONES

LOOKS = {**chunks.LOOKS, **{tone: ("colour", tone) for tone in TONES}}
"""What is taken back may be what cannot be drawn: "white, no, blue"."""
_ARTICLES = ("a", "the", "one", *NUMBERS)


def corrected_words(tokens: list[str]) -> list[str]:
    """The words of a prompt with what was taken back left out."""
    while OTHER_WAY in tokens:
        at = tokens.index(OTHER_WAY)
        tokens = [*tokens[: _clause(tokens, at)], *tokens[at + 1 :]]
    while TAKEN_BACK in tokens or NAMELY in tokens:
        at = min(tokens.index(mark) for mark in (TAKEN_BACK, NAMELY) if mark in tokens)
        mark, before, after = tokens[at], tokens[:at], tokens[at + 1 :]
        while before and before[-1] in (",", ".", "and", ":", "but"):
            before.pop()
        while after and after[0] in (",", ".", "and", "but", TAKEN_BACK, NAMELY, "is", "it", "them", "that"):
            after.pop(0)
        tokens = _mended(_finished(before), after, mark)
    return tokens


def _finished(before: list[str]) -> list[str]:
    """What was said, without the beginning of a phrase that never came to its noun: "a red, no, a blue house"."""
    end = len(before)
    while end and (before[end - 1] in _ARTICLES or before[end - 1] in LOOKS):
        end -= 1
    opened = end < len(before) and before[end] in _ARTICLES and not (end and _singular(before[end - 1]) in NOUNS)
    return before[:end] if opened and "one" not in before[end:] else before


def _clause(tokens: Sequence[str], at: int) -> int:
    """Where the sentence of a word begins."""
    while at and tokens[at - 1] != ".":
        at -= 1
    return at


def _mended(before: list[str], after: list[str], mark: str) -> list[str]:
    """What was said, with what is said next in the place of its like."""
    end = _phrase(after)
    said = after[:end]
    noun = next((_singular(t) for t in said if _singular(t) in NOUNS), None)
    ones = any(t in ("one", "ones") for t in said[1:]) or (said[:1] == ["ones"])
    looks = [t for t in said if t in LOOKS]
    if mark == NAMELY and noun and before[-2:-1] == ["the"] and noun != _singular(before[-1]):
        return [*before, *after]
    if noun or ones or (said and said[0] in NUMBERS and not looks):
        return _instead(before, after, end, noun)
    if looks:
        return _other_looks(before, after, end, looks)
    if after and after[0] in PLACE_TOKENS:
        places = [i for i, t in enumerate(before) if t in PLACE_TOKENS]
        if places:
            return [*before[: places[-1]], after[0], *before[places[-1] + 1 :], *_goes_on(after[1:])]
    if after and after[0] in (*RELATIONS, *ARRANGED):
        links = [i for i, t in enumerate(before) if t in (*RELATIONS, *ARRANGED)]
        if links and len(after) > 1 and after[1] not in (".", ",", "and"):
            return [*before[: links[-1]], *after]
        if links:
            return [*before[: links[-1]], after[0], *before[links[-1] + 1 :], *after[1:]]
    return [*before, ",", *after]


def _phrase(tokens: Sequence[str]) -> int:
    """Where the noun phrase at the start of what is said next ends."""
    end = 0
    while end < len(tokens) and (tokens[end] in (*_ARTICLES, "all", "both", "in", "another") or tokens[end] in LOOKS):
        if tokens[end] in _ARTICLES and any(t in LOOKS for t in tokens[:end]):
            break
        end += 1
    if end < len(tokens) and (_singular(tokens[end]) in NOUNS or tokens[end] in ("one", "ones")):
        end += 1
    return end


def _instead(before: list[str], after: list[str], end: int, noun: str | None) -> list[str]:
    """A phrase in the place of the last of its kind, or of the last at all."""
    said = after[:end]
    nouns = [i for i, t in enumerate(before) if _singular(t) in NOUNS]
    alike = [i for i in nouns if noun and _singular(before[i]) == noun] or nouns
    if not alike:
        return [*before, *after]
    at = alike[-1]
    first = _begins(before, at)
    if (
        noun
        and at != nouns[-1]
        and _singular(before[at]) == noun
        and after[end : end + 1] in (["and"], [","], ["with"])
    ):
        return [*before[:first], *after]
    old = before[first : at + 1]
    numbers = [t for t in said if t in (*NUMBERS, "a", "one")]
    looks = list(dict.fromkeys(t for t in said if t in LOOKS))
    while (more := _phrase(after[end:])) and after[end + more - 1] == "one" and after[end] == "a":
        looks += [t for t in after[end : end + more] if t in LOOKS]
        end += more
    names = {LOOKS[t][0] for t in looks}
    kept = [t for t in old if t in LOOKS and LOOKS[t][0] not in names] if noun in (None, _singular(before[at])) else []
    count = numbers[0] if numbers and not (numbers[0] == "one" and len(numbers) == 1 and noun is None) else None
    count = numbers[-1] if len(numbers) > 1 and numbers[-1] in NUMBERS else count
    article = count or next((t for t in old if t in _ARTICLES), "a")
    kind = noun or _singular(before[at])
    many = article in NUMBERS
    plural = next((p for p, s in SINGULAR.items() if s == kind), kind)
    phrase = [article, *kept, *looks, plural if many else kind]
    rest = before[at + 1 :]
    return [*before[:first], *phrase, *rest, *_goes_on(after[end:], rest)]


def _other_looks(before: list[str], after: list[str], end: int, looks: list[str]) -> list[str]:
    """Looks in the place of those of the same attribute in the last phrase, or of all where "all" says so."""
    everyone = any(t in ("all", "both") for t in after[:end])
    out = list(before)
    for look in looks:
        name = LOOKS[look][0]
        told = [i for i, t in enumerate(out) if t in LOOKS and LOOKS[t][0] == name]
        if everyone and told:
            at = min(told)
            first = at
            while first and out[first - 1] in ("one", "all", "both", ",", "and", "a"):
                first -= 1
            tail = [
                t
                for i, t in enumerate(out)
                if i > at and i not in told and not (t in ("one", "and", "a") and i < max(told))
            ]
            group = out[:first]
            if any(t in NOUNS or t in SINGULAR for t in group):
                out = [*group, *tail, ",", "all", look]
                continue
            for i in told:
                out[i] = look
        elif told:
            out[told[-1]] = look
        else:
            nouns = [i for i, t in enumerate(out) if _singular(t) in NOUNS]
            if nouns:
                out.insert(nouns[-1], look)
    return [*out, *_repeated(out, after[end:])]


def _repeated(before: Sequence[str], after: list[str]) -> list[str]:
    """What goes on, without a phrase that only says the last one again."""
    while after and after[0] in (",", "that"):
        after = after[1:]
    end = _phrase(after)
    noun = next((_singular(t) for t in after[:end] if _singular(t) in NOUNS), None)
    last = next((_singular(t) for t in reversed(before) if _singular(t) in NOUNS), None)
    looks = [t for t in after[:end] if t in LOOKS]
    if end and noun and noun == last and after[0] != "the" and all(t in before for t in looks):
        return _goes_on(after[end:])
    return _goes_on(after)


def _goes_on(after: list[str], rest: Sequence[str] = ()) -> list[str]:
    """What follows a corrected phrase, without a relation or a place that stands there already."""
    for size in (3, 2, 1):
        if rest and list(rest[:size]) == after[:size] and len(rest) >= size:
            return after[size:]
    if after and after[0] not in (
        ".",
        ",",
        "and",
        ":",
        "with",
        "in",
        "that",
        "is",
        *PLACE_TOKENS,
        *RELATIONS,
        *ARRANGED,
    ):
        return [",", *after]
    return after


def _begins(tokens: Sequence[str], noun: int) -> int:
    first = noun
    while first and (tokens[first - 1] in LOOKS or tokens[first - 1] in (*_ARTICLES, "another")):
        first -= 1
    return first


def _singular(token: str) -> str:
    return SINGULAR.get(token, token)
