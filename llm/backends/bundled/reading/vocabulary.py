"""The planner's vocabulary: the words that the model is given, and what users write for them."""

from __future__ import annotations

from strata.llm.backends.bundled.world import COLOURS, KINDS, PATTERNS, SETTINGS, SIZES, STYLES, SURFACES, TONES

MOST_THINGS = 8
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight")
CONNECT = "for other prompts connect a real LLM: --llm http://host:port/v1 (strata serve-llm MODEL starts one)"
_WORDS: dict[str, str] = {
    "circle": "circle disc disk",
    "square": "square box",
    "triangle": "triangle",
    "star": "star",
    "heart": "heart",
    "ring": "ring hoop",
    "cross": "cross",
    "house": "house cottage home",
    "tree": "tree",
    "boat": "boat sailboat ship sailingboat rowboat",
    "car": "car automobile",
    "fish": "fish",
    "flower": "flower blossom",
    "cup": "cup mug teacup",
    "moon": "moon crescent",
    "sun": "sun",
    "cloud": "cloud",
    "object": "object shape thing item figure",
    "red": "red scarlet crimson reddish",
    "green": "green greenish",
    "blue": "blue bluish",
    "yellow": "yellow golden gold yellowish",
    "purple": "purple violet",
    "orange": "orange",
    "cyan": "cyan turquoise",
    "pink": "pink rose pinkish rosy magenta fuchsia",
    "solid": "solid",
    "striped": "striped stripy stripey stripped",
    "dotted": "dotted spotted spotty dotty",
    "checkered": "checkered checked chequered checkerboard chequerboard checkboard",
    "outlined": "outlined",
    "stripes": "stripes stripe",
    "dots": "dots dot spots spot",
    "checks": "checks",
    "outline": "outline outlines contour",
    "small": "small little tiny mini miniature smallish teeny wee",
    "large": "large big huge giant enormous gigantic massive great-big oversized",
    "smaller": "smaller",
    "larger": "larger bigger",
    "white": "white",
    "grey": "grey gray",
    "black": "black",
    "plain": "plain",
    "gradient": "gradient",
    "background": "background backdrop bg backgrounds",
    "a": "a an",
    "one": "one",
    "ones": "ones",
    "the": "the",
    "two": "two couple pair both-of",
    "three": "three trio",
    "four": "four quartet",
    "five": "five",
    "six": "six",
    "seven": "seven",
    "eight": "eight",
    "and": "and plus n",
    "with": "with has have having bearing holding",
    "in": "in",
    "on": "on",
    "at": "at",
    "it": "it",
    "them": "them they these those",
    "that": "that which",
    "is": "is are was were being",
    "each": "each every",
    "both": "both",
    "all": "all everything",
    "other": "other others",
    "another": "another",
    "same": "same likewise ditto",
    "but": "but except-for",
    "first": "first former",
    "second": "second latter",
    "third": "third",
    "last": "last",
}
"""The planner's words for what users write; plurals are added."""
NAMES = {word: canonical for canonical, words in _WORDS.items() for word in words.split() if "-" not in word}
NOUNS = (*KINDS, "object")
PLURAL_OF = {kind: {"fish": "fishes", "cross": "crosses"}.get(kind, f"{kind}s") for kind in NOUNS}
SINGULAR = {plural: kind for kind, plural in PLURAL_OF.items()}
for _word, _kind in list(NAMES.items()):
    if _kind in NOUNS:
        NAMES[{"box": "boxes", "cross": "crosses", "fish": "fishes"}.get(_word, f"{_word}s")] = PLURAL_OF[_kind]
PLACE_TOKENS = {
    f"at{place.replace(' ', '')}": place
    for place in ("left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right", "center")
}
SIDES = ("left", "right", "top", "bottom", "center", "topleft", "topright", "bottomleft", "bottomright")
"""Said of the one that stands there: "the left one"."""
RELATIONS = ("above", "below", "leftof", "rightof", "beside", "inside", "front", "behind", "between", "around")
_ARRANGED = (
    "inrow inrows incolumn ltr ttb rowof rowsof columnof columnsof incorners eitherside"
    " surrounded flanked toprow bottomrow"
)
ARRANGED = _ARRANGED.split()
_OTHERS = "meadow sea night desert style , . :"
VOCABULARY: frozenset[str] = frozenset(
    (*_WORDS, *SINGULAR, *PLACE_TOKENS, *SIDES, *RELATIONS, *ARRANGED, *STYLES, *_OTHERS.split())
)
"""Every word that the model is given."""

CONTENT = frozenset((*KINDS, *COLOURS, *SURFACES, *SIZES, *STYLES, *PATTERNS, *TONES, *" ".join(SETTINGS).split()))
