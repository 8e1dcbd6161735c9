"""Prompts in the manner of code, forms and lists ("star.color = red; star above moon") as sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from strata.llm.backends.bundled.reading.field_names import (
    CALLS,
    COUNT,
    GROUND,
    HEADS,
    KIND,
    LAYOUT,
    LOOK,
    PLACE,
    STYLE,
)
from strata.llm.backends.bundled.reading.forms import (
    COMMIT,
    EACH,
    FORMS,
    LOOP,
    UNSEEN,
    each_of,
    looped,
    named_by_letters,
)
from strata.llm.backends.bundled.reading.losses import refuse_losses
from strata.llm.backends.bundled.reading.phrases import Refused
from strata.llm.backends.bundled.reading.vocabulary import NAMES, NOUNS, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, SIZES, STYLES, SURFACES

_RELATION = {
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
_WHERE = (
    r"(?:left|right|top|bottom|center|centre|middle|corners?|row\d?|column|stack|(?:top|bottom|upper|lower)_(?:left"
    r"|right))"
)
_CODE = re.compile(
    r"\b1\) (?s:.*)\b2\) |"
    r"^\w+ ?:.*\(|->|=>|\w ?\| ?\w|insert into |[={}\[\]]|\b\w+\(|\b[a-z]\w*\.[a-z]\w*|--[a-z]|&&|//|<\w+|(?:^"
    r"|\n)\s*(?:[-*#]|\d+[.)])\s|\d ?\.\. ?\d|[*x×] ?\d\b|\w+ ?: ?[^.\n]*[;\n,] ?\w+ ?:"
)


def is_notation(prompt: str) -> bool:
    """Whether a prompt is written in the manner of code or of a form."""
    return bool(_CODE.search(prompt))


def as_prose(prompt: str) -> str:
    """A prompt in lower case as sentences, where it is code or a form; else as it is."""
    prompt = named_by_letters(EACH.sub(each_of, LOOP.sub(looped, COMMIT.sub(" ", prompt))))
    if not is_notation(prompt):
        return prompt
    prose = _Reader(prompt).prose()
    refuse_losses(prompt, prose)
    return prose


@dataclass
class _Part:
    """An object as far as its fields tell."""

    kind: str = ""
    count: str = ""
    looks: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)

    def said(self) -> str:
        looks = " ".join(self.looks)
        where = f" at the {' '.join(self.places)}" if self.places else ""
        number = self.count or "a"
        noun = self.kind
        if number not in ("a", "1", "one") and noun in NOUNS:
            noun = {"fish": "fish", "cross": "crosses"}.get(noun, f"{noun}s")
        return " ".join(f"{number} {looks} {noun}{where} {' '.join(self.rest)}".split())


class _Reader:
    """Rewrites one prompt."""

    def __init__(self, prompt: str) -> None:
        self.text = prompt
        self.ending: list[str] = []
        """What is said of the whole."""
        self.called: dict[str, str] = {}
        """Names of objects, with what they are."""
        self.lines = ""

    def prose(self) -> str:
        text = re.sub(r"\((?:so|that is|i\.?e\.?)[^)]*\)", " ", self.text)
        text = re.sub(r"\b(?:object|item|shape|thing|element|obj) ?\d ?:", "\n", text)
        text = re.sub(r"\b[a-z]+ (\w+) ?= ?(?:new )?(?=[a-z]+ ?\()", r"\1 = ", text)
        text = re.sub(r"</\w+>", "\n", text)
        text = re.sub(r"<(\w+)((?:\s+[\w-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|\S+?))*)\s*/?>", _tag, text)
        for pattern, by in FORMS:
            text = re.sub(pattern, by, text)
        text = re.sub(r"[\"`]|'(?=\w)|(?<=\w)'(?!\w)", " ", text)
        if match := UNSEEN.search(text):
            raise Refused(f'the bundled planner does not understand "{match[0].strip(" .(")}"; say what is to be seen')
        text = self._outermost(text)
        text = re.sub(r"->|=>|:=|==", "=", text)
        text = re.sub(r"//|/\*|\*/|(?:^|\n)\s*#+|&&|;|\|\|", "\n", text)
        text = re.sub(
            r"\b(?:const|let|var|def|return|assert|new|self|this|print|const|if|then|import|from \w+ import)\b(?!')\.?",
            " ",
            text,
        )
        text = re.sub(r"--([a-z_]+)[ =]+([\w-]+)", r"\n\1 = \2\n", text)
        text = re.sub(
            r"\bfor ?\([^)]*< ?(\d)[^)]*\)|\bfor \w+ in range\((\d)\) ?:?|\brepeat ?\(?(\d)\)?(?: times)? ?:?",
            lambda m: f" {next(g for g in m.groups() if g)} ",
            text,
        )
        for name in re.findall(r"\b([a-z]\w*)\[\d\]", text):
            if not _noun(name):
                text = re.sub(rf"\b{name}\[(\d)\] is(?= an? )", rf"{name}_\1 =", text)
                text = re.sub(rf"\b{name}\[(\d)\]", rf"{name}_\1", text)
        text = re.sub(r"\b(?:for )?(?:each|every) corner ?:?|\bforeach corner ?:?", " in each corner ", text)
        text = re.sub(rf"\b{COUNT} ?\( ?(\w+) ?\) ?= ?(\d)", r" \2 \1 ", text)
        text = re.sub(
            r"\b(?:n|num|number|count)_?(?:of_)?([a-z]+?)s? ?[=:] ?(\d)", r"\n kind = \1 \n count = \2 \n", text
        )
        text = re.sub(r"\b([a-z]+) ?[x*×] ?(\d)\b", r"\2 \1", text)
        text = re.sub(r"\b(\d) ?[x*×] ?(?=[a-z])", r"\1 ", text)
        text = re.sub(rf"\b{CALLS} +(?=\w+ ?\()", " ", text)
        if re.search(r"\ba ?= ?\w+ ?\(", text):
            text = re.sub(r"\ba\b", "firstone", text)
        text = re.sub(
            r"\b(\w+)\[(\d)\]",
            lambda m: f"the {('first', 'second', 'third', 'fourth')[min(int(m[2]), 3)]} {m[1]}",
            text,
        )
        text = re.sub(r"(?:^|\n)\s*(\d)[.)] ?([a-z]+) ?:", self._numbered, text)
        text = re.sub(r"(?:^|\n)\s*[-*•]\s*([a-z]+) ?: ?", r"\n \1 , ", text)
        text = re.sub(r"(?:^|\n)\s*[-*•]\s+", "\n", text)
        text = self._brackets(text)
        text = self._fields(text)
        for name, what in sorted(self.called.items(), key=lambda pair: -len(pair[0])):
            text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\w)", what, text)
        text = re.sub(r"_", " ", text)
        text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
        text = re.sub(r"[{}\[\]()=]", " , ", text)
        text = re.sub(r"\s*\n\s*", " . ", text)
        for noun in re.findall(r"\bthe (\w+) is\b", text):
            first = re.search(rf"\b{noun}\b", text)
            if first and text[: first.start()].endswith("the "):
                text = re.sub(rf"\ba {noun}\b", f"the {noun}", text)
        return " . ".join([text, *self.ending])

    def _outermost(self, text: str) -> str:
        """Without the style that an outermost record gives beside its objects: that of the whole."""
        depth, found = 0, ""
        if not re.match(r"\s*\{", text) or not re.search(r"[\[{].*[\[{]", text, re.DOTALL):
            return text
        for piece in re.split(r"([\[{(\])},])", text):
            depth += piece in tuple("[{(")
            depth -= piece in tuple(")}]") and bool(piece)
            match = re.fullmatch(rf"\s*{STYLE} ?[=:] ?([\w -]+?)\s*", piece) if depth == 1 else None
            if match:
                self.ending.append(f"style {match[1]}")
            found += "" if match else piece
        return found

    def _numbered(self, match: re.Match[str]) -> str:
        self.called[match[1]] = f"the {match[2]}"
        return f"\n{match[2]} , "

    def _brackets(self, text: str) -> str:
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
                return f"\n in {_line(last)} {_list(inner)} \n"
            keep = name and not re.fullmatch(rf"{HEADS}|{LAYOUT}|{KIND}", last)
            return f"\n {name + sign if keep else ''} {_list(inner)} \n"
        both = [piece.strip() for piece in inner.split(",") if piece.strip()]
        if last in _RELATION and not owner and not sign and len(both) == 2 and match[3] == "(":
            return f"\n {both[0]} is {_RELATION[last]} {both[1]} \n"
        if last in _RELATION and owner:
            return f"\n {owner} is {_RELATION[last]} {' and '.join(inner.split(','))} \n"
        if re.match(r"(?:all|both|each)\b", inner):
            return f"{name} , {inner} ,"
        if re.fullmatch(PLACE, last) and (sign or not re.fullmatch(CALLS, last)):
            return f"{name} = {inner.replace(',', ' ')}"
        part = self._part(inner)
        alias = re.search(r"\b(\w+)\s*=\s*$", match.string[: match.start()])
        if _noun(last) and not sign:
            part.kind = part.kind or last
            if alias and not re.fullmatch(rf"{HEADS}|{LAYOUT}|{KIND}|{_WHERE}", alias[1]):
                self.called[alias[1]] = f"the {' '.join([*part.looks[:1], part.kind])}"
        elif _noun(last) and sign and not part.kind:
            seen = re.search(rf"\b{last}s?\b", match.string[: match.start()])
            looks = " and is ".join(
                filter(None, [" and ".join(part.looks), f"at the {' '.join(part.places)}" if part.places else ""])
            )
            if seen:
                return f"\n the {last} is {looks} \n"
            part.kind = last
        elif _word(last) and not sign and not part.kind:
            return f"{name} , {inner} ,"
        elif name and not re.fullmatch(rf"{CALLS}|{HEADS}|add|{KIND}|{_WHERE}", last) and sign and part.kind:
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
        if re.fullmatch(_WHERE, last):
            return f" , at the {last.replace('_', ' ')} {part.said()} , "
        joined_before = re.search(r"[a-z]\s*$", match.string[: match.start()])
        joined_after = re.match(r"\s*[a-z]", match.string[match.end() :])
        return f"{' ' if joined_before else ' , '}{part.said()}{' ' if joined_after else ' , '}"

    def _part(self, inner: str) -> _Part:
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
                self._ground(key, value)
            elif re.fullmatch(PLACE, key) or value in ("left", "right", "top", "bottom", "center", "centre", "middle"):
                part.places.append(value)
            elif re.fullmatch(STYLE, key):
                part.looks.insert(0, value)
            elif re.fullmatch(LAYOUT, key):
                self.ending.append(f"in a {value}")
            elif all(_word(w) or w in ("style", "and", "only", "outline") for w in value.split()):
                part.looks += [w for w in value.split() if w not in ("style", "and", "only")]
            elif (
                (found := re.fullmatch(r"(?:(\d|an?|one|two|three|four) )?((?:[\w-]+ )*?)([\w-]+)", value))
                and _noun(found[3])
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

    def _ground(self, key: str, value: str) -> None:
        setting = re.search(r"meadow|sea|ocean|desert|night|field|grass|water", value)
        self.ending.append(f"background {value}" if setting or "style" not in key else f"style {value}")

    def _fields(self, text: str) -> str:
        """Fields that stand alone, and those of objects by name."""
        text = re.sub(r"\b(?!(?:left|right|top|bottom|center|centre|middle) ?=)[a-z]\w* ?=\s*(?=,)", " ", text)
        text = re.sub(
            rf"(?<![\w.]){GROUND} ?[=:] ?((?:(?:gradient|plain|striped|checkered|black|white|gr[ae]y) ?,? ?)+"
            r"|[\w -]+?)(?=\s*(?:[,.;\n(]|$))",
            self._take_ground,
            text,
        )
        text = re.sub(rf"\b([a-z]\w*)\.{PLACE} ?[=:] ?([\w -]+)", r"\n the \1 is at the \2 \n", text)
        text = re.sub(rf"\b([a-z]\w*)\.{COUNT} ?[=:] ?(\d)", r"\n \2 \1 \n", text)
        text = re.sub(r"\b(?!background|canvas|bg)([a-z]\w*)\.[a-z_]+ ?[=:] ?([\w -]+)", r"\n the \1 is \2 \n", text)
        relations = "|".join(sorted(_RELATION, key=len, reverse=True))
        text = re.sub(rf"\b([a-z]\w*)\.({relations})\b", lambda m: f"{m[1]} is {_RELATION[m[2]]}", text)
        pairs = re.findall(
            rf"(?<![\w.])({KIND}|{LOOK}|{PLACE}|{COUNT}) ?[=:] ?([\w,/ -]+?)(?=\s*(?:[,;\n]? *[a-z_]+"
            r" ?[=:]|[;\n.]|$))",
            text,
        )
        if pairs and (kinds := [value for key, value in pairs if re.fullmatch(KIND, key)]) and len(kinds) == 1:
            part = self._part(",".join(f"{key}={value.replace(',', ' ')}" for key, value in pairs))
            if part.kind:
                text = re.sub(
                    rf"(?<![\w.])({KIND}|{LOOK}|{PLACE}|{COUNT}) ?[=:] ?([\w,/ -]+?)(?=\s*(?:[,;\n]? *[a-z_]+"
                    r" ?[=:]|[;\n.]|$))",
                    " ",
                    text,
                )
                text = f"{part.said()} \n {text}"
        text = re.sub(rf"(?<![\w.]){STYLE} ?[=:] ?([\w -]+?)(?=\s*(?:[,.;\n]|$))", self._take_style, text)
        text = re.sub(
            rf"(?<![\w.]){LAYOUT} ?[=:] ?(row|column|corners|line|stack|grid|side by side"
            r"|horizontal|vertical)\b ?[:,;]?",
            self._take_line,
            text,
        )
        text = re.sub(r"(?<![\w.])(row|column|line) ?[=:] ?(?:true|yes|1)\b", self._take_line, text)
        text = re.sub(
            r"(?:^|(?<=[\n.;]))\s*(row|column|corners|line|stack)\d? ?[=:]", lambda m: f"\n in {_line(m[1])} ", text
        )
        text = re.sub(rf"(?<![\w.]){LOOK} ?[=:] ?([\w -]+)", r" , \1 ", text)
        text = re.sub(rf"(?<![\w.]){PLACE} ?[=:] ?([\w -]+)", r" , at the \1 ", text)
        text = re.sub(rf"(?:^|(?<=[\n.;,]))\s*{HEADS} ?[=:]", "\n", text)
        text = re.sub(
            r"(?<![\w.])(left|right|top|bottom|center|centre|middle|(?:top|bottom|upper|lower)[ -](?:left"
            r"|right)) ?[=:]",
            r" , at the \1 ",
            text,
        )
        return re.sub(r"(?<![\w.])((?:the \w+ )?[a-z]\w*) ?[=:] ?([^\n,;:=]+)", self._assigned, text)

    def _assigned(self, match: re.Match[str]) -> str:
        name, value = match[1], match[2].strip()
        noun = name.rsplit(" ", 1)[-1]
        words = value.split()
        before = match.string[: match.start()]
        if not _noun(noun):
            plain = all(_noun(w) or _word(w) or w in ("a", "an", "the") for w in words)
            if words and _noun(words[-1]) and plain and not re.fullmatch(rf"{HEADS}|{LAYOUT}|{KIND}|{_WHERE}", noun):
                self.called[noun] = " ".join(["the", *(w for w in words if w not in ("a", "an", "the"))])
                return f" , {value if words[0] in ('a', 'an', 'the') else 'a ' + value} , "
            return match[0]
        if (
            name.startswith("the ")
            or re.search(rf"\b{noun}\b", before)
            or re.search(rf"\b{noun}\b", match.string[match.end() :])
        ):
            return f"\n {'' if name.startswith('the ') else 'the '}{name} is {value} \n"
        return f" , {noun} , {value} "

    def _take_ground(self, match: re.Match[str]) -> str:
        self._ground(match[0], match[1])
        return " "

    def _take_style(self, match: re.Match[str]) -> str:
        self.ending.append(f"style {match[1].removesuffix(' style')}")
        return " "

    def _take_line(self, match: re.Match[str]) -> str:
        if match[1] == "corners":
            return " in the corners "
        self.ending.insert(0, f"in a {_line(match[1]).removeprefix('a ')}")
        return " "


def _tag(match: re.Match[str]) -> str:
    """An element of markup as a call, or its fields."""
    fields = re.findall(r"([\w-]+)\s*=\s*(\"[^\"]*\"|'[^']*'|\S+)", match[2])
    told = [f"{key}={value.strip(chr(34) + chr(39))}" for key, value in fields]
    return f" {match[1]}({', '.join(told)}) \n" if _noun(match[1]) else "\n".join(["", *told, ""])


def _line(name: str) -> str:
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


def _noun(word: str) -> bool:
    name = NAMES.get(word, word)
    return name in NOUNS or name in SINGULAR


def _word(word: str) -> bool:
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
