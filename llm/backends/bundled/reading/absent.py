"""What is said not to be in the picture: "no sun", "don't add a tree", "neither cars nor boats".

Nothing is drawn of what is absent, so it is left out of the prompt, but only where the prompt does not name the same
kind of thing elsewhere: "a red house, no house" stays, and is refused.
"""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.vocabulary import NAMES, NOUNS, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, KINDS, SIZES, SURFACES

_KIND = rf"(?:{'|'.join(sorted((n for n in NAMES if NAMES[n] in (*KINDS, *SINGULAR)), key=len, reverse=True))})"
_ONE = rf"(?:(?:an?|the|any|one|single|more|other|further|{'|'.join((*COLOURS, *SURFACES, *SIZES))}) )*{_KIND}"
_THINGS = rf"(?P<things>{_ONE}(?:(?: ,)?(?: and| or| nor) {_ONE}| , {_ONE}(?= (?:and|or|nor|,) ))*)"
_HERE = (
    r"(?: (?:at all|anywhere|whatsoever|this time|today|in (?:it|here|there|sight|the (?:picture|scene|image))"
    r"|from (?:the|my|our|your) (?:last|previous|earlier|first|old) \w+))*"
)
_ENDS = (
    r"(?: (?:above|below|beside|behind|next to|near|inside|around|under|over|between) (?:it|them|the \w+))?"
    r"(?= (?:[.,:]|and|but|so|just|only) | $)"
)
_DOES = r"(?:want|add|draw|put|include|show|need|give me|paint|place|have|use|like|make)"
_TAKES = r"(?:leave out|leave off|omit|skip|remove|delete|lose|scrap|forget(?: about)?|leave away|take out|take away)"
_ABSENT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?: (?:and|but|with|so|,|there is|there are|it has|also))* (?:no|not any|without(?: any)?"
        rf"|minus) {_THINGS}{_HERE}{_ENDS}",
        rf"(?: (?:and|but|,|please|whatever you do|i|we|so))* (?:do|does|did|would"
        rf"|should)? ?not {_DOES} {_THINGS}{_HERE}{_ENDS}",
        rf"(?: (?:and|but|,|please|would you|could you|be a|a|so|also|you can))* {_TAKES} {_THINGS}{_HERE}{_ENDS}",
        rf" (?:with |it is )?neither {_THINGS}{_HERE} ?:?{_ENDS}",
        rf" (?:and|but|,) not {_THINGS}{_ENDS}",
        rf"(?:(?<=[.:,] )|(?<=^ ))(?:the |an? |two |three |four )?(?P<things>(?!it |{_KIND} (?:is"
        rf"|are) out)\w+) (?:(?:is|are)"
        rf" (?:out|off limits|banned|not (?:wanted|needed|allowed))|(?:(?:is|are) )?off the table){_ENDS}",
        rf"(?:(?<=[.:] )|(?<=^ ))(?:no )*not {_THINGS}(?: ,)?(?: but| i said| i say| i mean| rather)*(?= (?:an?"
        rf"|the|one|{_KIND}) )",
        rf" (?:my|our|the|his|her) \w+ (?:hates|dislikes|can not stand|is tired of|is sick of"
        rf"|does not like) {_THINGS}(?: ,)?(?: so)?",
    )
)
_APART = re.compile(
    r"(?: (?:,|and|but))* (?:(?:never|not|without|no|do not|must not|should not|let nothing) (?:ever )?(?:overlap"
    r"|touch)\w*|overlap nothing|keep them (?:well )?apart|(?:well )?apart from each other)(?: (?:each other"
    r"|one another|anything|them|at all))*"
)
_AROUND = re.compile(
    rf"(?: (?:,|and|with|there is))* nothing (?:else )?(?:is )?(?:around|inside|in|behind|above|below|beside|next to"
    rf"|near|under|over|on|between) (?:it|them|the {_KIND}){_ENDS}"
)
"""Things keep apart, and stand alone, where nothing else is said."""
_NOT_SO = re.compile(rf"(?: (?:and|but|[.,]))* the {_KIND}(?: is| are| does| do| has| have)? not(?= [.,:])")


def without_absent(text: str) -> str:
    """A prompt in the planner's names, with spaces around its words and marks, without what it says is not there."""
    text = _NOT_SO.sub(lambda m: " " if _kinds(m[0]) <= _kinds(m.string[: m.start()]) else m[0], text)
    text = _AROUND.sub(" , ", _APART.sub(" ", text))
    for pattern in _ABSENT:
        for match in reversed(list(pattern.finditer(text))):
            rest = f"{text[: match.start()]} , {text[match.end() :]}"
            if not _kinds(match["things"]) & _kinds(rest):
                text = re.sub(r" instead(?= (?:[.,:]|$))", " ", rest)
    return text


def _kinds(text: str) -> set[str]:
    names = (NAMES.get(word, word) for word in text.split())
    return {kind for kind in (SINGULAR.get(name, name) for name in names) if kind in NOUNS}
