"""Calls, lists and records in prompts that are written like code, from the inside out; see `notation.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from strata.llm.backends.bundled.reading.field_names import CALLS, COUNT, GROUND, HEADS, KIND, LAYOUT, PLACE, STYLE
from strata.llm.backends.bundled.reading.vocabulary import NAMES, NOUNS, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, SIZES, STYLES, SURFACES

RELATIONS_CALLED = {
    name: relation
    for relation, names in {
        "above": "above over on_top_of on",
        "below": "below under beneath",
        "to the left of": "left_of leftof left",
        "to the right of": "right_of rightof right",
        "next to": "next_to nextto near",
        "beside": "beside",
        "inside": "inside in within",
        "behind": "behind",
        "in front of": "in_front_of infrontof front_of",
        "between": "between",
        "around": "around",
    }.items()
    for name in names.split()
}
WHERE = (
    r"(?:left|right|top|bottom|center|centre|middle|corners?|row\d?|column|stack|(?:top|bottom|upper|lower)_(?:left"
    r"|right))"
)


@dataclass
class _Part:
    """An object as far as its fields tell."""

    kind: str = ""
    count: str = ""
    looks: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)

    def said(self) -> str:
        """The object in words."""
        looks = " ".join(self.looks)
        where = f" at the {' '.join(self.places)}" if self.places else ""
        number = self.count or "a"
        noun = self.kind
        if number not in ("a", "1", "one") and noun in NOUNS:
            noun = {"fish": "fish", "cross": "crosses"}.get(noun, f"{noun}s")
        return " ".join(f"{number} {looks} {noun}{where} {' '.join(self.rest)}".split())


class Brackets:
    """Rewrites what stands in brackets, and keeps what it says of the whole."""

    def __init__(self) -> None:
        self.ending: list[str] = []
        """What is said of the whole."""
        self.called: dict[str, str] = {}
        """Names of objects, with what they are."""

    def inside_out(self, text: str) -> str:
        """Calls, lists and records from the inside out."""
        for _ in range(12):
            match = re.search(r"(?:([\w.]+)\s*([=:])?\s*)?([(\[{])([^()\[\]{}]*)[)\]}](?:\s*\*\s*(\d))?", text)
            if match is None:
                break
            text = f"{text[: match.start()]} {self._bracket(match)} {text[match.end() :]}"
        return text

    def _bracket(self, match: re.Match[str]) -> str:
        name, sign, inner = match[1] or "", match[2] or "", match[4].strip()
        last = name.rsplit(".", 1)[-1]
        owner = name.rsplit(".", 1)[0] if "." in name else ""
        if match[3] == "[":
            if match[5]:
                return f"\n {match[5]} {inner.strip(' ,').removeprefix('a ')} \n"
            if last in ("row", "column", "corners", "stack", "line"):
                return f"\n in {line_called(last)} {_list(inner)} \n"
            keep = name and not re.fullmatch(rf"{HEADS}|{LAYOUT}|{KIND}", last)
            return f"\n {name + sign if keep else ''} {_list(inner)} \n"
        both = [piece.strip() for piece in inner.split(",") if piece.strip()]
        if last in RELATIONS_CALLED and not owner and not sign and len(both) == 2 and match[3] == "(":
            return f"\n {both[0]} is {RELATIONS_CALLED[last]} {both[1]} \n"
        if last in RELATIONS_CALLED and owner:
            return f"\n {owner} is {RELATIONS_CALLED[last]} {' and '.join(inner.split(','))} \n"
        if re.match(r"(?:all|both|each)\b", inner):
            return f"{name} , {inner} ,"
        if re.fullmatch(PLACE, last) and (sign or not re.fullmatch(CALLS, last)):
            return f"{name} = {inner.replace(',', ' ')}"
        part = self.part(inner)
        alias = re.search(r"\b(\w+)\s*=\s*$", match.string[: match.start()])
        if is_noun(last) and not sign:
            part.kind = part.kind or last
            if alias and not re.fullmatch(rf"{HEADS}|{LAYOUT}|{KIND}|{WHERE}", alias[1]):
                self.called[alias[1]] = f"the {' '.join([*part.looks[:1], part.kind])}"
        elif is_noun(last) and sign and not part.kind:
            seen = re.search(rf"\b{last}s?\b", match.string[: match.start()])
            looks = " and is ".join(
                filter(None, [" and ".join(part.looks), f"at the {' '.join(part.places)}" if part.places else ""])
            )
            if seen:
                return f"\n the {last} is {looks} \n"
            part.kind = last
        elif is_look(last) and not sign and not part.kind:
            return f"{name} , {inner} ,"
        elif name and not re.fullmatch(rf"{CALLS}|{HEADS}|add|{KIND}|{WHERE}", last) and sign and part.kind:
            self.called[last] = f"the {' '.join([*part.looks[:1], part.kind])}"
        elif name and not part.kind and not re.fullmatch(rf"{CALLS}|{HEADS}|{KIND}", last):
            return f"{name}{sign} , {inner} ,"
        if not part.kind:
            return f" {inner} "
        before = re.search(r"\b(\w+)\s*$", match.string[: match.start()])
        if before and (
            before[1].isdigit()
            or before[1] in ("a", "an", "one", "two", "three", "four", "five", "six", "corner", "the")
        ):
            said = part.said().removeprefix("a ") if before[1] != "corner" else part.said()
            return f" {said} "
        if re.fullmatch(WHERE, last):
            return f" , at the {last.replace('_', ' ')} {part.said()} , "
        joined_before = re.search(r"[a-z]\s*$", match.string[: match.start()])
        joined_after = re.match(r"\s*[a-z]", match.string[match.end() :])
        return f"{' ' if joined_before else ' , '}{part.said()}{' ' if joined_after else ' , '}"

    def part(self, inner: str) -> _Part:
        """An object from its fields: "star, size=small, at=left"."""
        part = _Part()
        for piece in re.split(r"[,;\n]", inner):
            key, _, value = (piece if re.search(r"[=:]", piece) else f"={piece}").replace(":", "=").partition("=")
            key, value = key.strip(), value.strip().replace("-", " ").replace("_", " ")
            if not value:
                continue
            if re.fullmatch(COUNT, key):
                part.count = value
            elif re.fullmatch(GROUND, key):
                self.ground(key, value)
            elif re.fullmatch(PLACE, key) or value in ("left", "right", "top", "bottom", "center", "centre", "middle"):
                part.places.append(value)
            elif re.fullmatch(STYLE, key):
                part.looks.insert(0, value)
            elif re.fullmatch(LAYOUT, key):
                self.ending.append(f"in a {value}")
            elif all(is_look(w) or w in ("style", "and", "only", "outline") for w in value.split()):
                part.looks += [w for w in value.split() if w not in ("style", "and", "only")]
            elif (
                (found := re.fullmatch(r"(?:(\d|an?|one|two|three|four) )?((?:[\w-]+ )*?)([\w-]+)", value))
                and is_noun(found[3])
                and not part.kind
            ):
                part.kind, part.count = found[3], part.count or (found[1] or "")
                part.looks += found[2].split()
            elif (
                not part.kind
                and (re.fullmatch(KIND, key) or not key)
                and re.fullmatch(r"[a-z ]+", value)
                and not part.looks
            ):
                part.kind = value
            else:
                part.rest.append(value)
        return part

    def ground(self, key: str, value: str) -> None:
        """Takes down what is said of the background."""
        setting = re.search(r"meadow|sea|ocean|desert|night|field|grass|water", value)
        self.ending.append(f"background {value}" if setting or "style" not in key else f"style {value}")


def line_called(name: str) -> str:
    """What a line or grid is called in words."""
    return {
        "corners": "the corners",
        "stack": "a column",
        "line": "a row",
        "grid": "a grid",
        "side by side": "a row",
        "horizontal": "a row",
        "vertical": "a column",
    }.get(name, f"a {name}")


def _list(inner: str) -> str:
    return ", ".join(piece.strip() for piece in inner.split(",") if piece.strip())


def is_noun(word: str) -> bool:
    """Whether a word names a thing that can be drawn."""
    name = NAMES.get(word, word)
    return name in NOUNS or name in SINGULAR


def is_look(word: str) -> bool:
    """Whether a word names a look of a thing."""
    return NAMES.get(word, word) in (
        *COLOURS,
        *SURFACES,
        *SIZES,
        *STYLES,
        "stripes",
        "dots",
        "checks",
        "outline",
        "watercolor",
    )
