"""What a base prompt says of one area, found in it and said otherwise: "a red striped boat" at sea.

A phrase is found by the words of the area's own texts, and put together of its subject (a boat) and its detail: words
in front of it (red, striped), or behind it (made of glass; with white sails).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from strata.hierarchy.plan import Level, ScenePlan

_INDEFINITE = ("a", "an")
_DEFINITE = ("the", "this", "that", "these", "those", "his", "her", "its", "their")
_COUNTS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "some", "several", "many")
DETERMINERS = frozenset((*_INDEFINITE, *_DEFINITE, *_COUNTS))
"""Words that begin what is said of an object."""
_POSITIONS = (
    *("of", "on", "in", "at", "by", "with", "without", "from", "for", "to", "into", "onto", "over", "under", "near"),
    *("off", "behind", "before", "beside", "between", "above", "below", "against", "through", "along", "like", "as"),
)
FUNCTION = frozenset(
    (*DETERMINERS, *_POSITIONS, "and", "or", "is", "are", "was", "has", "have", "there", "which", "who", "while")
)
"""Words that say nothing of an object, and end what is said of one."""
_BEHIND = frozenset((*_POSITIONS, "made", "covered", "painted", "lit", "dressed", "filled", "decorated", "wearing"))
"""First words of detail that stands behind its subject."""
LINKING = frozenset(
    ("and", "are", "for", "from", "has", "into", "its", "near", "off", "one", "over", "the", "their", "under", "with")
)
"""Words of texts that say nothing of an object."""
EDGES = " \n\t,;:."
"""Characters at the ends of a text that do not belong to a phrase."""
_PRONOUNS = frozenset(("he", "she", "it", "they", "his", "her", "its", "their"))
_MOST_IN_FRONT = 4
"""Words of detail in front of a subject."""
_CONSONANT = re.compile(r"uni(?!n|m)|us[eu]|euro?|ewe|one\b|once\b", re.IGNORECASE)
_VOWEL = re.compile(r"[aeiou]|hour|hono|honest|heir", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words(text: str) -> list[str]:
    """The words of a text of three letters and more, in lower case, each once."""
    return [word for word in dict.fromkeys(re.findall(r"\w+", text.lower())) if len(word) > 2]


def article(word: str) -> str:
    """ "a" or "an", as the word behind it sounds."""
    return "an" if _VOWEL.match(word) and not _CONSONANT.match(word) else "a"


@dataclass(frozen=True)
class _Phrase:
    """Words of a prompt that speak of one area. `start` and `end` are characters, the article among them."""

    start: int
    end: int
    det: str
    other: str
    """Words of nobody's texts between the article and what the area's texts say: "big"."""
    own: list[str]
    """The words that are the area's, from the first to the last."""
    text: str
    """Those in the prompt, with what stands between them."""


@dataclass(frozen=True)
class Change:
    """What is said of one area, before and after.

    Attributes:
        old: what the area's texts were, by level.
        new: what they are.
        others: what the texts of the other areas were.
    """

    old: Mapping[Level, str]
    new: Mapping[Level, str]
    others: Sequence[str]

    @property
    def shared(self) -> set[str]:
        """Words of the other areas, in lower case."""
        return {word.lower() for text in self.others for word in _WORD.findall(text)}


def retold_prompt(before: ScenePlan, after: ScenePlan) -> str:
    """The base prompt of a plan, as far as it speaks of one area alone, as the area's texts in another plan say it.

    That is where the noun of its old content stands, with words in front of it and behind it that its old texts say
    too; among them at least one that no other text of the plan says.

    Args:
        before: the plan, with the base prompt.
        after: the same areas, some of them with other texts.
    """
    return retold(before.prompt, _changes(before, after))


def old_words(before: ScenePlan, after: ScenePlan, area: str) -> list[str]:
    """Words of an area's old texts, and not of its new ones, which the base prompt of the changed plan still says.

    Without those that it says of another area, where it has been told anew of this one.
    """
    prompt, new = words(after.prompt), _by_area(after)
    said = set(telling_words(new.get(area, {}).values()))
    if after.prompt != before.prompt and retold(before.prompt, _changes(before, after, area)) != before.prompt:
        said |= {word for other in new if other != area for word in telling_words(new[other].values())}
    own = telling_words(_by_area(before).get(area, {}).values())
    return [word for word in own if word in prompt and word not in said]


def _by_area(plan: ScenePlan) -> dict[str, dict[Level, str]]:
    found: dict[str, dict[Level, str]] = {}
    for text in plan.descriptions():
        found.setdefault(text.area, {})[text.level] = text.text
    return found


def _changes(before: ScenePlan, after: ScenePlan, only: str | None = None) -> list[Change]:
    """What differs between two plans, area by area; or in one area only."""
    old, new = _by_area(before), _by_area(after)
    return [
        Change(texts, new[area], [text for other in old if other != area for text in old[other].values()])
        for area, texts in old.items()
        if only in (None, area) and area in new and new[area] != texts
    ]


def telling_words(texts: Iterable[str]) -> list[str]:
    """Words of texts that say something of an object."""
    return [word for word in dict.fromkeys(word for text in texts for word in words(text)) if word not in LINKING]


def told_together(subject: str, detail: str | None) -> str:
    """A subject with its detail in one phrase: "a boat" and "red, made of glass" is "a red boat made of glass".

    Detail in sentences, or too much of it to stand in front, follows behind a comma.
    """
    subject = subject.strip(EDGES)
    first = _first(subject)
    subject = subject[:1].lower() + subject[1:] if first in DETERMINERS else subject
    detail = (detail or "").strip(EDGES)
    if not detail:
        return subject
    det, rest = _divided(subject)
    front, behind, _ = _placed(detail)
    sentences = re.search(r"[.;!?]", detail) or {word.lower() for word in _WORD.findall(detail)} & _PRONOUNS
    if sentences or len(front.split()) > _MOST_IN_FRONT or not subject.isascii():
        return f"{subject}, {detail}"
    said = f"{front} {rest}".strip()
    det = article(said) if det in _INDEFINITE else det
    return f"{det} {said}{behind}".strip()


def retold(prompt: str, changes: Sequence[Change]) -> str:
    """A prompt that says the new texts of areas where it said the old ones, as far as it speaks of one alone.

    All are found in the prompt as it was: two areas may change places.
    """
    told = (change for change in changes if change.old != change.new)
    found = [(phrase, said) for change in told for phrase, said in _told(prompt, change)]
    end = len(prompt)
    for phrase, said in sorted(found, key=lambda one: one[0].start, reverse=True):
        if phrase.end > end:
            continue
        end = phrase.start
        before = prompt[: phrase.start]
        if re.search(r"\b(?:with|in)\s+$", before) and _first(said) in _BEHIND:
            before = re.sub(r"\w+\s+$", "", before)
        said = said[:1].upper() + said[1:] if prompt[phrase.start].isupper() and not before.strip() else said
        prompt = _joined(before, said, prompt[phrase.end :])
    return prompt


def _told(prompt: str, change: Change) -> Iterator[tuple[_Phrase, str]]:
    """The phrases that speak of one area alone, with what is said there instead.

    Detail that stands by itself in several parts ("oil painting, of a boat, moody") is said anew at the first.
    """
    first: set[str] = set()
    shared, heads = change.shared, _heads(_subject(change.old))
    for phrase in _phrases(prompt, list(change.old.values()), shared):
        said = _said_anew(phrase, prompt, change, shared)
        own = {word.lower() for word in phrase.own}
        alone = not heads & own
        if said is None or (alone and first and own != first):
            continue
        first = own if alone else first
        yield phrase, said


def _joined(before: str, said: str, after: str) -> str:
    """Parts of a prompt, with the article before them as the first word asks for."""
    following = _WORD.match((said or after).lstrip())
    found = re.search(r"\b([Aa])n?(\s+)$", before)
    if found is not None and following is not None:
        kept = article(following[0])
        before = before[: found.start()] + found[1] + kept[1:] + found[2]
    return before + said + after


# Finding --------------------------------------------------------------------------------------------------------------


def _phrases(prompt: str, own: Sequence[str], shared: Collection[str]) -> Iterator[_Phrase]:
    tokens = list(_WORD.finditer(prompt))
    said = [token[0].lower() for token in tokens]
    known = [[word.lower() for word in _WORD.findall(text)] for text in own]
    mine = {word for text in known for word in text}
    pairs = {pair for text in known for pair in pairwise("a" if word == "an" else word for word in text)}

    def between(left: int) -> str:
        return prompt[tokens[left].end() : tokens[left + 1].start()].strip()

    first = 0
    while first < len(tokens):
        if said[first] not in mine or said[first] in FUNCTION:
            first += 1
            continue
        last = first
        while last + 1 < len(tokens):
            following = "a" if said[last + 1] == "an" else said[last + 1]
            goes_on = {following, said[last + 1]} & {*mine, "and"} or (said[last], following) in pairs
            parted = between(last) not in ("", ",", "-") or following in DETERMINERS
            if not goes_on or (parted and (said[last], following) not in pairs):
                break
            last += 1
        while said[last] in FUNCTION:
            last -= 1
        last = _without_neighbours(first, last, said, between, shared)
        yield _phrase(prompt, tokens, first, last)
        first = last + 1


def _without_neighbours(first: int, last: int, said: Sequence[str], between: object, shared: Collection[str]) -> int:
    """The last word of a phrase, without those behind an "and" that begin what is said of another area."""
    if last + 1 < len(said) and said[last + 1] not in FUNCTION and "and" in said[first:last]:
        cut = last - said[first : last + 1][::-1].index("and")
        if all(word in shared for word in said[cut + 1 : last + 1]):
            return cut - 1
    return last


def _phrase(prompt: str, tokens: Sequence[re.Match[str]], first: int, last: int) -> _Phrase:
    """With the article before it, and up to two words between."""
    start, det, other = tokens[first].start(), "", ""
    for back in range(1, min(3, first) + 1):
        token = tokens[first - back]
        if prompt[token.end() : tokens[first - back + 1].start()].strip():
            break
        if token[0].lower() in DETERMINERS:
            start, det, other = token.start(), token[0], prompt[token.end() : tokens[first].start()].strip()
        if token[0].lower() in FUNCTION:
            break
    end = tokens[last].end()
    own = [token[0] for token in tokens[first : last + 1]]
    return _Phrase(start, end, det, other, own, prompt[tokens[first].start() : end])


# Saying ---------------------------------------------------------------------------------------------------------------


def _said_anew(phrase: _Phrase, prompt: str, change: Change, shared: Collection[str]) -> str | None:
    """The phrase with the new texts; None where it is not the area's alone, or not of what has changed."""
    old, new, after = change.old, change.new, prompt[phrase.end :]
    subject, detail, now = _subject(old), old.get("low", ""), new.get("low", "")
    of_subject = {word.lower() for word in _WORD.findall(subject)} - FUNCTION
    content = [word.lower() for word in phrase.own if word.lower() not in FUNCTION]
    if not set(content) - set(shared):
        return None
    if not _heads(subject) & set(content):
        alone = now and now != detail and not of_subject & set(content)
        return _detail_alone(phrase, prompt, detail, now, subject) if alone else None
    places = list(_WORD.finditer(phrase.text))
    found = [place for place in places if place[0].lower() in of_subject]
    front, behind = phrase.text[: found[0].start()].strip(" ,-"), phrase.text[found[-1].end() :]
    core = phrase.text[found[0].start() : found[-1].end()]
    among = [word for word in _WORD.findall(core) if word.lower() not in (*of_subject, *FUNCTION)]
    told = front or among or behind or "low" not in old
    det, closing = phrase.det, ""
    if _subject(new) != subject:
        det, core = _subject_anew(phrase.det, subject, _subject(new))
        front = " ".join(filter(None, (front, *among)))
        among = []
    if ("full" in old) != ("full" in new):
        front = behind = ""
    if now and now != detail and told:
        if behind.startswith(","):
            behind = f", {_listed(now)}"
        else:
            front, behind, closing = _placed(now)
        if among:
            core, front = _in_place(core, among, front), ""
    said = " ".join(filter(None, (phrase.other, front, core)))
    if det.lower() in _INDEFINITE:
        det = det[0] + article(said)[1:]
    ended = not after.strip() or not after[0].isspace()
    return f"{det} {said}{behind}".strip() + ("" if ended else closing)


def _in_place(core: str, old: Sequence[str], new: str) -> str:
    """A subject with other words where detail stands in the midst of it: "an old red boat", "a cat with a red hat"."""
    first, *rest = old
    core = re.sub(rf"\b{re.escape(first)}\b", lambda _: new, core, count=1)
    for word in rest:
        core = re.sub(rf"(?:\s*,|\s+and)?\s*\b{re.escape(word)}\b", "", core, count=1)
    core = re.sub(r"\s+", " ", core)
    return re.sub(r"\b([Aa])n? (?=(\w+))", lambda found: f"{found[1]}{article(found[2])[1:]} ", core)


def _detail_alone(phrase: _Phrase, prompt: str, old: str, low: str, subject: str) -> str | None:
    """Where the prompt says the detail without its subject: "one is red", "a red one"; None where no other fits."""
    before, after = prompt[: phrase.start], prompt[phrase.end :]
    front, behind, _ = _placed(low)
    attributive = after[:1].isspace() and _first(after) not in FUNCTION.difference(_COUNTS) | {""}
    leading = _first(low) in _BEHIND
    if attributive:
        adjectives = {part.strip().lower() for part in re.split(r",|\band\b", old)}
        own = {word.lower() for word in phrase.own} - FUNCTION
        if behind or not own <= adjectives:  # "red clay stands": the noun itself
            return None
    elif phrase.det and (leading or (subject and _first(after) != "of")):
        return None  # "an orange on the left"; but "an oil painting of it"
    preposition = _last(before) if not phrase.det else ""
    stripped = leading and preposition in ("with", "in")
    if (preposition == "of" or (preposition in _POSITIONS and not attributive)) and not stripped:
        return None
    said = " ".join(filter(None, (phrase.other, front if attributive else _listed(low))))
    det = phrase.det[0] + article(said)[1:] if phrase.det.lower() in _INDEFINITE else phrase.det
    return f"{det} {said}".strip()


def _last(text: str) -> str:
    """The word at the very end of a text, in lower case."""
    found = re.search(r"(\w+)\s*$", text)
    return "" if found is None else found[1].lower()


def _first(text: str) -> str:
    """The first word of a text, in lower case."""
    found = _WORD.match(text.lstrip())
    return "" if found is None else found[0].lower()


def _subject(texts: Mapping[Level, str]) -> str:
    return texts.get("full") or texts.get("high") or ""


def _divided(text: str) -> tuple[str, str]:
    """The article of a text, or its number, and the rest."""
    first = _WORD.match(text)
    if first is None or first[0].lower() not in DETERMINERS:
        return "", text
    return first[0].lower(), text[first.end() :].strip()


def _heads(text: str) -> set[str]:
    """The noun that a text is about; two words where that may be either: "a ship sailing"."""
    found: list[str] = []
    for part in re.split(r"[,;:.]", _divided(text)[1])[0].split():
        for word in _WORD.findall(part.lower()):
            if word in _BEHIND or word in FUNCTION:
                return set(found[-1:]) | set(found[-2:-1] if found and found[-1].endswith("ing") else ())
            found.append(word)
    return set(found[-1:])


def _subject_anew(det: str, old: str, new: str) -> tuple[str, str]:
    """The article and the rest of a new subject, in the place of an old one that stood behind `det`."""
    own, rest = _divided(new)
    if own in _INDEFINITE and (det.lower() in _DEFINITE):
        return det, rest
    if own:
        return own, rest
    plural = rest.split(" ")[0:1] != [] and next(iter(_heads(rest)), "").endswith("s")
    return ("" if det.lower() in (*_INDEFINITE, *_COUNTS) and plural else det), rest


def _parts(low: str) -> list[str]:
    return [part.strip() for part in low.strip(" .").split(",") if part.strip()] or [low]


def _placed(low: str) -> tuple[str, str, str]:
    """Detail before its subject, behind it, and what ends it: "red, made of glass" is "red" and " made of glass"."""
    front: list[str] = []
    bare: list[str] = []
    with_: list[str] = []
    apart: list[str] = []
    for part in _parts(low):
        said = [word.lower() for word in _WORD.findall(part)]
        plural = len(said) > 1 and re.search(r"[^su]s$", said[-1]) is not None
        if said and said[0] in _BEHIND:
            (with_ if said[0] == "with" else bare).append(part.removeprefix("with "))
        elif plural and not set(said) & (FUNCTION - {"and"}):
            with_.append(part)
        elif len(said) <= 4 and not set(said) & (FUNCTION - {"and"}):
            front.append(part)
        else:
            apart.append(part)
    behind = "".join(f" {part}" for part in bare) + (f" with {_listed(', '.join(with_))}" if with_ else "")
    return " ".join(front), behind + "".join(f", {part}" for part in apart), "," if apart else ""


def _listed(low: str) -> str:
    """ "red, striped, old" as "red, striped and old"."""
    *most, last = _parts(low)
    return f"{', '.join(most)} and {last}" if most else last
