"""Prompts in the manner of code, forms and lists ("star.color = red; star above moon") as sentences."""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.brackets import (
    RELATIONS_CALLED,
    WHERE,
    Brackets,
    is_look,
    is_noun,
    line_called,
)
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

_CODE = re.compile(
    r"\b1\) (?s:.*)\b2\) |^\w+ ?:.*\(|->|=>|\w ?\| ?\w|insert into |[={}\[\]]|\b\w+\(|\b[a-z]\w*\.[a-z]\w*|--[a-z]|&&"
    r"|//|<\w+|(?:^|\n)\s*(?:[-*#]|\d+[.)])\s|\d ?\.\. ?\d|[*x×] ?\d\b|\w+ ?: ?[^.\n]*[;\n,] ?\w+ ?:"
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


class _Reader(Brackets):
    """Rewrites one prompt."""

    def __init__(self, prompt: str) -> None:
        super().__init__()
        self.text = prompt

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
            if not is_noun(name):
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
        text = self.inside_out(text)
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
        relations = "|".join(sorted(RELATIONS_CALLED, key=len, reverse=True))
        text = re.sub(rf"\b([a-z]\w*)\.({relations})\b", lambda m: f"{m[1]} is {RELATIONS_CALLED[m[2]]}", text)
        pairs = re.findall(
            rf"(?<![\w.])({KIND}|{LOOK}|{PLACE}|{COUNT}) ?[=:] ?([\w,/ -]+?)(?=\s*(?:[,;\n]? *[a-z_]+"
            r" ?[=:]|[;\n.]|$))",
            text,
        )
        if pairs and (kinds := [value for key, value in pairs if re.fullmatch(KIND, key)]) and len(kinds) == 1:
            part = self.part(",".join(f"{key}={value.replace(',', ' ')}" for key, value in pairs))
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
            r"(?:^|(?<=[\n.;]))\s*(row|column|corners|line|stack)\d? ?[=:]",
            lambda m: f"\n in {line_called(m[1])} ",
            text,
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
        if not is_noun(noun):
            plain = all(is_noun(w) or is_look(w) or w in ("a", "an", "the") for w in words)
            if words and is_noun(words[-1]) and plain and not re.fullmatch(rf"{HEADS}|{LAYOUT}|{KIND}|{WHERE}", noun):
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
        self.ground(match[0], match[1])
        return " "

    def _take_style(self, match: re.Match[str]) -> str:
        self.ending.append(f"style {match[1].removesuffix(' style')}")
        return " "

    def _take_line(self, match: re.Match[str]) -> str:
        if match[1] == "corners":
            return " in the corners "
        self.ending.insert(0, f"in a {line_called(match[1]).removeprefix('a ')}")
        return " "


def _tag(match: re.Match[str]) -> str:
    """An element of markup as a call, or its fields."""
    fields = re.findall(r"([\w-]+)\s*=\s*(\"[^\"]*\"|'[^']*'|\S+)", match[2])
    told = [f"{key}={value.strip(chr(34) + chr(39))}" for key, value in fields]
    return f" {match[1]}({', '.join(told)}) \n" if is_noun(match[1]) else "\n".join(["", *told, ""])
