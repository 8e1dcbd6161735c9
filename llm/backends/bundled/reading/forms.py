"""Single forms of code that become simpler ones before `notation.py` reads the rest."""

from __future__ import annotations

import re
from collections.abc import Callable

from strata.llm.backends.bundled.reading.brackets import RELATIONS_CALLED
from strata.llm.backends.bundled.reading.dropping import without_loss
from strata.llm.backends.bundled.reading.field_names import CALLS, GROUND, LOOK, PLACE, STYLE
from strata.llm.backends.bundled.reading.vocabulary import NAMES, NOUNS, PLURAL_OF, SINGULAR
from strata.llm.backends.bundled.world import COLOURS

COMMIT = re.compile(
    r"^\s*(?:(?:feat|fix|chore|docs|refactor|test|build|ci|perf|wip|hotfix|add|update)(?:\([\w -]*\))?"
    r"|style\([\w -]*\))!?: "
)
"""The type of a change at the start of its message."""
UNSEEN = re.compile(
    r"!==?|<>|≠|\.(?:remove|delete|pop|clear|hide|destroy)\w* ?\(|\bfor \w+ in \d+ ?\.\.|\bvisible ?[=:] ?(?:false|0"
    r"|no)\b|\bhidden ?[=:] ?(?:true|1|yes)\b|[=:] ?[a-z]\w*\.(?:colou?r|size|style|surface|texture)\b(?! ?[=:(])"
)
"""Code that says what is not to be seen, a look by way of another thing, or a number that is counted in two ways."""
_COLOUR = rf"(?:{'|'.join(COLOURS)})"
EACH = re.compile(
    rf"\b(?:(?:loop|iterate|go|map)(?: over| through)?|for (?:each|every|all)(?: colou?rs?)?(?: (?:of|in))?"
    rf"|for \w+ in) \[?((?:{_COLOUR}(?:,? and |, ?| |(?= ?[\]:])))+)\]? ?[:,]?(?: ?(?:and|then|do))*(?: (?:draw|add"
    rf"|place|put|make|create|render|do))* ?(?:an?|one) ((?:\w+ ){{0,2}}?)(\w+)(?:,? (?:for |in )?each(?: (?:one"
    rf"|colou?r|of them))?| in that colou?r)?(?=\s*(?:[.,;:\n]|$))"
)
""" "loop over red, green, blue and draw one square for each"."""
_LETTER_IS = re.compile(r"(?<![\w'])([a-z]|(?:object|shape|item|thing) [a-z\d]) (?:is|=|being) (an? [^.,;:\n]*)")


def each_of(match: re.Match[str]) -> str:
    """One of a kind in each colour."""
    colours = re.findall(_COLOUR, match[1])
    noun = NAMES.get(match[3], match[3])
    return ", ".join(f"a {match[2]}{colour} {match[3]}" for colour in colours) if noun in NOUNS else match[0]


def named_by_letters(text: str) -> str:
    """Things that are called by a letter, "A is a red car, B is a boat. A is left of B", by what they are."""
    called: dict[str, str] = {}
    for letter, said in _LETTER_IS.findall(text):
        noun = next((w for w in reversed(re.findall(r"[a-z]+", said)) if NAMES.get(w, w) in NOUNS), None)
        if noun:
            colour = next((w for w in re.findall(r"[a-z]+", said) if w in COLOURS), "")
            called[letter] = f"the {colour} {noun}"
    if len(called) < 2:
        return text
    text = _LETTER_IS.sub(lambda m: m[2] if m[1] in called else m[0], text)
    for letter, what in called.items():
        ends = (
            r"(?=\s*(?:[.,;:\n]|$)|(?: \w+)? (?:is|are|and|above|below|over|under|beside|next|left|right|inside|behind"
            r"|in)\b)"
        )
        text = re.sub(rf"(?<![\w'])(?:the )?{letter}(?![\w']){ends if letter == 'a' else ''}", what, text)
    return text


LOOP = re.compile(
    r"\b(?:(?:loop|repeat|iterate|do(?: this| it)?)(?: over| through)? )?(\d|two|three|four|five|six|seven"
    r"|eight) ?(?:times|iterations?)\b ?[:,]?(?: and)?(?: do)?(?: (?:draw|add|place|put|make|create|render))? (?:an?"
    r"|one) ((?:\w+ ){0,3}?)(\w+)(?: each(?: time)?)?(?=\s*(?:[.,;:\n]|$))"
)
""" "loop 3 times and draw a pink fish each time"."""


def looped(match: re.Match[str]) -> str:
    """So many of them."""
    noun = NAMES.get(match[3], match[3])
    return f"{match[1]} {match[2]}{PLURAL_OF[noun]}" if noun in NOUNS else match[0]


def _counted(match: re.Match[str]) -> str:
    name = NAMES.get(match[1], match[1])
    return f"{match[2]} {match[1]}" if name in NOUNS or name in SINGULAR else match[0]


def _of_one(match: re.Match[str]) -> str:
    """ "stars[0].color = red": of one of several."""
    noun = SINGULAR.get(match[1], NAMES.get(match[1], match[1]))
    if noun not in NOUNS or int(match[2]) > 3:
        return match[0]
    return f"\nthe {('first', 'second', 'third', 'fourth')[int(match[2])]} {noun} is {match[3]}\n"


def _command(match: re.Match[str]) -> str:
    return without_loss(match, "\n", strict=True)


def _listed(match: re.Match[str]) -> str:
    """A list on one line, as prompts arrive, with its items on lines of their own."""
    sign = {"-": "-", "*": r"\*"}.get(match[1], r"\d[.)]")
    text = re.sub(rf"\s+(?={sign} \S)", "\n", match[0])
    text = re.sub(r"\((?:in )?([a-z]+(?: (?:art|cut|style))?)\)", r"in \1", text)  # of this one alone
    return re.sub(r"(?<=[\w]) (?=[a-z_]+: )", "\n" if ": - " not in match[0] else ", ", text) if sign == "-" else text


def _chained(match: re.Match[str]) -> str:
    """ "cup().at(left).colour(red)": what is called on a thing one after the other, as words behind it."""
    said = []
    for name, value in re.findall(r"\.\s*(\w+)\(([^()]*)\)", match[1]):
        if re.fullmatch(PLACE, name):
            said.append(f" at the {value.replace(',', ' ')}")
        elif re.fullmatch(rf"{LOOK}|{STYLE}", name):
            said.append(f", {value}")
        else:
            return match[0]
    return f") {' '.join(said)} "


def _ground(match: re.Match[str]) -> str:
    """ "background: {tone: white, pattern: plain}": the values alone."""
    if not all(
        re.fullmatch(rf"tone|colou?r|{LOOK}|{STYLE}|type|kind", key) for key in re.findall(r"(\w+) ?[=:]", match[1])
    ):
        return match[0]
    return f"background = {' '.join(re.findall(r'[=:] ?([a-z ]+)', match[1]))}"


def _enumerated(match: re.Match[str]) -> str:
    return re.sub(r"\s*\b[1-8]\)\s+", "\n", match[0])


_RELATION = "|".join(sorted((name.replace("_", "[_ ]") for name in RELATIONS_CALLED), key=len, reverse=True))
FORMS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (rf"\[?\b([\w ]+?)\]?\s*[-=]+>?\s*({_RELATION})\s*[-=]+>\s*\[?([\w ]+?)\b\]?(?=\s*(?:[;,.\n]|$))", r"\1 is \2 \3"),
    (rf"\b(?:{GROUND}) ?[=:] ?\{{([^{{}}]*)\}}", _ground),
    (r"\.(stripes|dots|checks|outline|striped|dotted|checkered|outlined) ?[=:] ?(?:true|yes|on|1)\b", r".texture = \1"),
    (r"\b1\) (?s:.*)\b2\) (?s:.*)$", _enumerated),
    (rf"\b({'|'.join(SINGULAR)}) ?[=:] ?([2-8])\b", r"\2 \1"),
    (r"\b(?:layout )?grid 1 ?[x×] ?[2-8] ?:", "in a row :"),
    (r"\b(?:layout )?grid [2-8] ?[x×] ?1 ?:", "in a column :"),
    (r"(?<=[-*]) \[[ x]?\](?= )", ""),
    (r"\b\d+(?:\.\d+)?(?:px|%|em)? ?\((tiny|small|little|big|large|huge)\)", r"\1"),
    (rf"(?:(?:\b(?:html|body|main|div)|(?<!\w)[.#](?!(?:{'|'.join(NOUNS)})\b)\w+)\s*,?\s*)+(?=\{{)", ""),
    (r"^\s*[>$%]\s+", ""),
    (r"\b(?:<?img\b[^\"]*?)?\b(?:alt|caption|prompt|desc(?:ription)?) ?[=:] ?\"([^\"]*)\"", r"\1"),
    (r"\b([a-z]+)\[(\d)\]\.[a-z_]+ ?= ?[\"']?([\w -]+?)[\"']?(?=\s*(?:[;,\n]|$))", _of_one),
    (r"^\s*(?:#+ [\w ]+ )?([-*]|1[.)]) (?s:.*)$", _listed),
    (r"(?<=\w)\]\s*\[(?=\w+\])", ", "),
    (r"\b(?:fill|filled|background_fill) ?[=:] ?(?:none|transparent|no|false|null|empty|0|off)\b", "texture=outlined"),
    (r"\b([a-z]+)[ _.-](?:count|qty|number|num|amount|total) ?[=:] ?(\d)", _counted),
    (r"\b(?:new )?array ?\( ?(\d) ?\)\.fill ?\(([^()]*)\)", r"[\2] * \1"),
    (r"\)((?:\s*\.\s*\w+\([^()]*\))+)", _chained),
    (r"\binsert into \w+ ?(?:\([^)]*\))? ?values ?\(", "add("),
    (r"(?<=\)) ?, ?\((?=[^()]*\))", "; add("),
    (rf"\b{CALLS}_?({'|'.join((*NOUNS, *SINGULAR))})(?= ?\()", r"\1"),
    (rf"\b{CALLS}_([a-z]+)(?= ?\()", r"\1"),
    (r"(?<=\w)[ \t]+(?=[a-z]\w*\.[a-z_]+ ?[=:])", "\n"),
    (r"\b(?:two|three|four|five|six|seven|eight|\d) (?:objects|items|shapes|things|elements) ?:(?= ?\w+\[)", "\n"),
    (r"^\s*(?:[$>%] ?)?(?:(?!--)[\w./-]+ ){1,4}(?=--[a-z])", _command),
    (r"(?:^|\n)\s*\d+[.)]\s+(?=\w)(?![a-z]+ ?:)", "\n"),
    (r"(?<=\w) ?\| ?(?=\w)", ", "),
)
"""In the order in which they are applied."""
