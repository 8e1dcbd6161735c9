"""What the bundled planner understands, word by word.

A prompt outside its language is refused before it is asked, and an answer that leaves out or invents a shape, a colour
or a surface after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from strata.llm.backends.bundled.placement import MOST_THINGS
from strata.llm.errors import PlanError
from strata.miniature.world.language import COLOURS, PATTERNS, SHAPES, SURFACES, TONES

CONNECT = "for other prompts connect a real LLM: --llm http://host:port/v1 (strata serve-llm MODEL starts one)"
NUMBER_WORDS = {"two": 2, "three": 3, "four": 4, "2": 2, "3": 3, "4": 4}
_MEANT: dict[str, str] = {
    **{word: word for word in (*SHAPES, *COLOURS, *SURFACES, *PATTERNS, *TONES, "shape")},
    **{"gray": "grey", "disc": "circle", "disk": "circle", "stripy": "striped", "stripes": "striped"},
    **{"spotted": "dotted", "dots": "dotted", "dot": "dotted", "checked": "checkered", "chequered": "checkered"},
    **{"checks": "checkered", "checkerboard": "checkered", "filled": "solid", "object": "shape", "thing": "shape"},
}
"""What a word means of a thing or a background."""
_PLURALS = {f"{word}es" if word == "cross" else f"{word}s": word for word in (*SHAPES, "disc", "disk")}
_PLURALS |= {f"{word}s": word for word in ("shape", "object", "thing")}
_OTHER_WORDS = """
a above against all an and are at backdrop background below beneath beside both bottom by can canvas center centre
color colour corner create draw drawing each four front generate give half hand i image in is it its left like lower
make me middle next of on one other over paint part pattern picture please polka right scene see show side surface
that the there three to top two under underneath upper want we which with would you 2 3 4
"""
_PLACE_WORDS = {
    *("above", "below", "beneath", "beside", "bottom", "center", "centre", "left", "lower", "middle", "next", "over"),
    *("right", "side", "top", "under", "underneath", "upper"),
}
VOCABULARY: frozenset[str] = frozenset(_OTHER_WORDS.split()) | frozenset(_MEANT) | frozenset(_PLURALS)
"""Every word that the planner knows, lower case; hyphens part words."""
UNDERSTOOD = (
    f"one to four of {', '.join(SHAPES)}; {', '.join(COLOURS)}; {', '.join(SURFACES)}; positions such as left, top"
    f" right, center, above, next to; {', '.join(PATTERNS)} backgrounds in {', '.join(TONES)}"
)
"""What the planner understands, in a line."""
_WORD = re.compile(r"\w+|[^\w\s]")
_MARKS = frozenset(",.;:!?-")
_BACKDROP_WORD = rf"(?:{'|'.join(w for w, m in _MEANT.items() if m in (*PATTERNS, *TONES))}|and|,)"
_TINTED = re.compile(rf"\b({'|'.join(COLOURS)}) (?:(?!, ){_BACKDROP_WORD} )*?(?:background|backdrop) ")
_BACKDROP_PHRASE = re.compile(
    rf"(?:{_BACKDROP_WORD} )*(?:background|backdrop) (?:(?:is|:) (?:a )?(?:{_BACKDROP_WORD} )*)?"
    rf"|(?:{_BACKDROP_WORD} )*(?:background|backdrop) "
)
_GROUP = re.compile(
    rf"(?:^| )({'|'.join(NUMBER_WORDS)}) ((?:[a-z-]+ |, )*?)({'|'.join(sorted(_PLURALS, key=len, reverse=True))}) "
)
_INTRODUCED = re.compile(rf"(?:^| )(?:{'|'.join(NUMBER_WORDS)}) (?:shapes|objects|things) : ")
_LOOK = "|".join(word for word, meant in _MEANT.items() if meant in (*COLOURS, *SURFACES))
_SHAPE = "|".join(word for word, meant in _MEANT.items() if meant in SHAPES)
_MENTION = re.compile(rf"(?:^| )(?:(the|an?|one) )?((?:(?:{_LOOK}|,|and) )*)({_SHAPE})(?= )")
_NOT_UNDERSTOOD = re.compile(r" (?:of it|(?:both|all)(?! (?:on|against|in front))) ")
_UPRIGHT_OF = {"top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom"}
_CORNER = re.compile(r"(?=\b(top|upper|bottom|lower) (left|right)\b)")
_VALUES: dict[str, tuple[str, ...]] = {
    "shape": (*SHAPES, "shape"),
    "colour": COLOURS,
    "surface": tuple(dict.fromkeys((*SURFACES, *PATTERNS))),
    "tone": TONES,
}


@dataclass(frozen=True)
class Counted:
    """How often a text names each shape ("shape" where it names none), colour, surface or pattern, and tone."""

    words: Counter[str]
    ground: bool
    """Whether it mentions a background."""

    def of(self, kind: str) -> Counter[str]:
        """Those of one kind: shape, colour, surface, tone."""
        return Counter({word: n for word, n in self.words.items() if word in _VALUES[kind]})

    @property
    def things(self) -> int:
        """How many things it names."""
        return self.of("shape").total()


def counted(text: str) -> Counted:
    """Counts the words of a text that describe what is seen; "two red circles" counts twice."""
    flat = " ".join(_WORD.findall(text.lower().replace("-", " "))) + " "
    flat = _INTRODUCED.sub(" ", flat)
    words: Counter[str] = Counter()

    def take(group: re.Match[str]) -> str:
        found = [*group[2].split(), _PLURALS[group[3]]]
        for word in found:
            if word in _MEANT:
                words[_MEANT[word]] += NUMBER_WORDS[group[1]]
        return " "

    flat = _GROUP.sub(take, flat)
    words.update(_MEANT[word] for word in flat.split() if word in _MEANT)
    return Counted(words, bool({"background", "backdrop"} & set(flat.split())))


def named_shapes(text: str) -> list[str]:
    """The shapes that a text names ("shape" where it names none), in its order; plurals twice."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if word in _PLURALS:
            found += [_MEANT[_PLURALS[word]]] * 2
        elif _MEANT.get(word) in _VALUES["shape"]:
            found.append(_MEANT[word])
    return found


def names_places(text: str) -> bool:
    """Whether a text names a place."""
    return bool(_PLACE_WORDS & set(_WORD.findall(text.lower())))


def unknown(text: str) -> list[str]:
    """The words and marks of a text that are outside the planner's language, each once."""
    found = _WORD.findall(text.lower())
    return list(dict.fromkeys(word for word in found if word not in VOCABULARY and word not in _MARKS))


def refusal(prompt: str) -> str | None:
    """Why the planner does not understand a prompt, in words; None if it does."""
    if words := unknown(prompt):
        shown = ", ".join(f'"{word}"' for word in words[:6]) + (", …" if len(words) > 6 else "")
        return f"the bundled planner does not know {shown}"
    asked = counted(prompt)
    if asked.things == 0:
        return "names no object that the bundled planner knows"
    if asked.things > MOST_THINGS:
        return f"names {asked.things} objects; the bundled planner places at most {MOST_THINGS}"
    flat = " ".join(_WORD.findall(prompt.lower().replace("-", " "))) + " "
    flat = _INTRODUCED.sub(" ", flat)
    if back := _refers_back(flat):
        return f'refers back to "{back}"; the bundled planner takes every mention for another object'
    if match := _NOT_UNDERSTOOD.search(flat):
        return f'the bundled planner does not understand "{match[0].strip()}" here'
    corners = Counter(f"{_UPRIGHT_OF[up]} {across}" for up, across in _CORNER.findall(flat))
    if crowded := [corner for corner, count in corners.items() if count > 1]:
        return f"puts two objects in the {crowded[0]} corner"
    if uncounted := [word for word in _GROUP.sub(" ", flat).split() if word in _PLURALS]:
        return f'does not say how many "{uncounted[0]}"'
    if tinted := _TINTED.search(flat):
        return f"asks for a background in {tinted[1]}; the bundled planner knows {', '.join(TONES)}"
    rest = _BACKDROP_PHRASE.sub(" ", flat).split()
    if stray := [word for word in rest if _MEANT.get(word, "") in (*TONES, "plain", "gradient")]:
        return f'the bundled planner knows "{stray[0]}" of backgrounds only'
    return None


def check_prompt(prompt: str) -> None:
    """Raises `PlanError` for a prompt outside the language; names what it does not know and what it does."""
    if reason := refusal(prompt):
        raise PlanError(prompt, f"{reason}; it understands {UNDERSTOOD}; {CONNECT}")


def _refers_back(flat: str) -> str | None:
    """The words of a mention with "the" that fit an object named before."""
    seen: list[tuple[str, set[str]]] = []
    for article, adjectives, noun in _MENTION.findall(flat):
        shape = _MEANT.get(noun, noun)
        look = {_MEANT[word] for word in adjectives.split() if word in _MEANT}
        if article == "the" and any(shape == known and look <= words for known, words in seen):
            return f"the {adjectives}{noun}".strip()
        seen.append((shape, look))
    return None


def difference(asked: Counter[str], answered: Counter[str]) -> str | None:
    """What `answered` leaves out or invents, in words; None if the two agree."""
    if asked == answered:
        return None
    parts = []
    for verb, words in (("leaves out", asked - answered), ("invents", answered - asked)):
        if words:
            parts.append(f"{verb} {', '.join(sorted(words.elements()))}")
    return " and ".join(parts)


def lost(prompt: str, contents: Sequence[str], looks: Sequence[tuple[str, str]] | None = None) -> str | None:
    """What a finished set of objects leaves out of its prompt or invents, in words; None if nothing.

    Args:
        prompt: what was asked.
        contents: each object's content, in which shapes are looked for.
        looks: each object's colour and texture; None where they are not known yet. One pattern may be missing where
            the prompt mentions a background: it can be the background's.
    """
    asked = counted(prompt)
    answered = {"shape": _all(contents)}
    if looks is not None:
        answered |= {"colour": _all(colour for colour, _ in looks), "surface": _all(texture for _, texture in looks)}
    for kind, words in answered.items():
        wanted, found = asked.of(kind), Counter({w: n for w, n in words.items() if w in _VALUES[kind]})
        missing = wanted - found
        if kind == "surface" and asked.ground and missing.total() == 1 and set(missing) <= set(PATTERNS):
            found += missing
        if fault := difference(wanted, found):
            return fault
    return None


def _all(texts: Iterable[str]) -> Counter[str]:
    return sum((counted(text).words for text in texts), Counter())
