"""How designers give orders of layout ("flush left", "a 2x2 grid of …", "in the left column") in everyday words.

A table of patterns for a prompt in lower case, applied before those of `everyday.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from strata.llm.backends.bundled.reading.vocabulary import SINGULAR

_SIDE = r"(left|right|top|bottom)"
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_NUMBER = rf"([1-8]|{'|'.join(_NUMBERS)})"
_PART = r"(?:edge|margin|side|border|third|half|gutter|rail)"


def _grid(match: re.Match[str]) -> str:
    """ "a 2x3 grid of stars": two rows of three."""
    down, across = (int(n) if n.isdigit() else 1 + _NUMBERS.index(n) for n in (match[1], match[2]))
    return f" {_NUMBERS[down - 1]} rows of {_NUMBERS[across - 1]} " if down > 1 else f" a row of {across} "


def _column(match: re.Match[str]) -> str:
    place = {"first": "left", "last": "right", "second": "right"}.get(match[1], match[1])
    return f" on the {place} side " if place in ("left", "right") else " in the center "


def _two_corners(match: re.Match[str]) -> str:
    """ "a cross in the bottom corners": one in each of the two."""
    side = next(group for group in (match[1], match[4], match[5]) if group)
    said = next(group for group in (match[2], match[3], match[6]) if group)
    found = re.fullmatch(
        r"(\W*(?:and |with |there "
        r"(?:is|are) )*)(?:(?:an?|two|2|one) )?((?:[\w-]+ )*?)([\w-]+?)(?:,? ?(?:one )?(?:in )?each)?\s*",
        said,
    )
    if found is None:
        return match[0]
    across = ("left", "right") if side in ("top", "bottom") else ("top", "bottom")
    one = f"a {found[2]}{SINGULAR.get(found[3], found[3])}"
    places = [f"the {side} {end}" if side in ("top", "bottom") else f"the {end} {side}" for end in across]
    return f" {found[1]} {one} in {places[0]} corner and {one} in {places[1]} corner "


_COMPASS = {
    "north": ("above", "top"),
    "south": ("below", "bottom"),
    "east": ("to the right of", "right"),
    "west": ("to the left of", "left"),
}
_DIRECTION = "left|right|north|south|east|west"
DESIGNING: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (
        rf"\b(to the (?:{_DIRECTION}) of (?:the|an?) (?:\w+ )??)(\w+)(\b[^.]*?[,;] (?:and )?to the (?:{_DIRECTION}))"
        r"(?! (?:of|hand|side|edge))\b",
        r"\1\2\3 of the \2",
    ),
    # compass points: north is up
    (r"\b(?:to |on |at )?(?:the )?(north|south|east|west) of\b", lambda m: f" {_COMPASS[m[1]][0]} "),
    (
        r"(?<=[\w,;.] )(?:and )?(?:to|on|at) (?:the|its) (north|south|east|west)(?= ?,? (?:an?|the|one|two|three"
        r"|stands?|is|are)\b)",
        lambda m: f" {_COMPASS[m[1]][0]} it ",
    ),
    (
        r"\b(?:in|to|at|on|towards) the (north|south)[ -]?(east|west)(?:ern)?(?: corner)?\b",
        lambda m: f" in the {_COMPASS[m[1]][1]} {_COMPASS[m[2]][1]} corner ",
    ),
    (r"\b(?:in|to|at|on|towards) the (north|south|east|west)\b", lambda m: f" at the {_COMPASS[m[1]][1]} "),
    (
        r"(?<=\w)( ?[,;] ?(?:and )?| and )to the (left|right)(?! (?:of|hand|side|edge))(?=,? (?:(?:is|sits|stands|lies"
        r"|goes|comes|put|place|there is) )?(?:an?|one|two|three) )",
        r"\1to its \2",
    ),
    (r"\bone (?:right |just |directly )?(?:beside|next to|by|near) (?:the other|another)(?: one)?\b", " in a row "),
    (rf"\b(?:a |one )?(row|column|line|stack) of {_NUMBER} ?:", r"\2 objects in a \1 :"),
    (
        r"^((?:(?!\b(?:rows?|columns?|lines?|stack|top|bottom|left|right|above|below|under|over|beside"
        r"|next)\b).)*)\bin (?:this|that) order\b",
        r"\1 in a row ",
    ),
    (
        r"\b(?:placement|position|location|placed)(?: is| in| at)? (?=(?:top|bottom|upper|lower|left|right|cent)\w*\b)",
        "at the ",
    ),
    (r"\b(?:in |of |with )?(?:diff(?:erent)?|various|assorted|separate) (?:colou?rs|sizes|patterns) ?:", ":"),
    (
        r"(?:^|(?<=[.;] ))all (?:the |my |of the )?(?:shapes|objects|things|items|figures|elements) (?:are|is|in)\b",
        "all",
    ),
    (r"(?:^|(?<=[.;,] ))\s*same for all ?:", " all "),
    (r"\b((?:plain |solid )?(?:white|black|gr[ae]y)) (?:field|void|surroundings|plane)\b", r"\1 background"),
    (
        r"\b(on|against|over|with|before) (an? )?(?:(?:soft|subtle|gentle|smooth|simple|clean|light"
        r"|quiet) )+(?=(?:black|white|gr[ae]y)\b)",
        r"\1 \2",
    ),
    (
        r"(?:^|(?<=[.;] ))\s*(?:ground|bg|behind) ?: ?(?=(?:plain |solid )?(?:white|black|gr[ae]y|gradient"
        r"|striped|checkered)\b)",
        " background : ",
    ),
    (r"\bcolou?r (?:throughout|everywhere|overall|of all|for all) ?: ?", "all "),
    (r"\bthe back (?:is|should be|must be|in) (?:all )?(black|white|gr[ae]y)(?: all| only)?\b", r"\1 background"),
    (
        r"\b(?:plenty of |lots of |some |enough |generous |ample |with |and |leave |keep |a bit of "
        r"|more )*(?:white ?space|breathing (?:room|space)|negative space|room to breathe|empty space|padding"
        r"|clear ?space|even (?:gaps|margins|spacing)|equal (?:gaps|margins|spacing))(?: (?:all )?(?:around|between"
        r"|about|on all sides)(?: (?:it|them|each|everything|both))?)?\b",
        " ",
    ),
    (
        rf"\b(?:and |with |leave |keep )*(?:the )?(?:{_SIDE}|middle|cent(?:er|re)|rest|remaining|other|outer)"
        r"(?: (?:third|half|column|row|part|cell|area|side|two thirds|cells|thirds|corners?))? (?:(?:stays?|remains?"
        r"|is left|are left|left|is|are|kept|to be) )*(?:empty|blank|clear|free|open)\b",
        " ",
    ),
    (
        r"\b(?:an? |the )?(?:symmetric(?:al)?|balanced|asymmetric(?:al)?|minimal|simple|tight|clean|airy|centred"
        r"|centered|classic|formal) (?:composition|layout|arrangement|design|grid|page)(?= ?[,:.;])",
        " ",
    ),
    (
        r"\b(?:keep|make|hold) the (?:palette|colou?rs?|layout|composition|spacing|grid|page) (?:tight|simple|clean"
        r"|minimal|limited|restrained|airy|balanced|even)\b ?[,:.;]?",
        " ",
    ),
    (
        rf"\b(?:an? )?(?:{_NUMBER} ?(?:x|by|×) ?{_NUMBER})(?: layout)? (?:grid|matrix|array|table) (?:of"
        rf"|with)(?! (?:{_NUMBER})\b)",
        _grid,
    ),
    (
        r"\b(?:in |on |into |for |at )?(?:the |its )?(left|right|first|second|last|middle|cent(?:er"
        r"|re))(?:[ -]hand)?[ -]column\b(?! of)",
        _column,
    ),
    (
        rf"\b(?:flush|ranged?|justif(?:y|ied)|align(?:ed)?|hard|snapped?|pinned|docked|tight"
        rf"|bleeding off)(?:(?: up)? (?:to|with|against|at|on))?(?: the)?[ -]{_SIDE}(?: {_PART})?\b",
        r" at the \1 ",
    ),
    (rf"\b{_SIDE}[ -](?:aligned|justified|ranged|flush|align)\b", r" at the \1 "),
    (rf"\bcent(?:er|re)[ -]align(?:ed)?\b(?= (?:{_NUMBER}|them|all)\b)", " "),
    (r"\bcent(?:er|re)[ -]align(?:ed)?\b", " in the center "),
    (
        r"\b(?:at |on |near |in )?(?:the )?(upper|lower|top|bottom)[ -](left|right) (?:intersection|third|power point"
        r"|quadrant|cell|point|crossing|zone|slot|tile|module|grid (?:point|cell))\b",
        r" in the \1 \2 corner ",
    ),
    (
        r"\bfill (?:(?:in )?all |each |every |the |both |in )*(?:four |4 )*corners? (?:with"
        r"|using) ([^.,;:]*)(?:, ?one (?:each|per corner|in each))?",
        r" \1 in the four corners ",
    ),
    (r"(?:^|(?<=[.;]))\s*(?:in the )?foreground ?[:,]", " "),
    (
        rf"\b(?:line|lined|lining) up ((?:{_NUMBER}|the|an?) [^.,;:]*?)(?: in (?:a|one) (?:row|line))?(?=\s*(?:[.,;:]"
        rf"|$))",
        r" a row of \1 ",
    ),
    (r"\b(?:line|lined|lining) up\b(?=[^.;]*\bin (?:a|one) (?:row|line)\b)", " "),
    (r"\b(?:get|gets|has|have|take|takes|is|are) (?:the|a) colou?r (?=\w)", " is "),
    (r"\b(?:the )?(?:pattern|colou?r|look|texture) (?:on|of|in|for) the background\b", "the background"),
    (
        rf"\b(?:in|at|on) the {_SIDE} (?:two )?corners ([^.,;:]*)|([^.,;:]*?) (?:in|at|on) (?:each of "
        rf"|both )?the {_SIDE} (?:two )?corners\b|(?:^|(?<=[.;]))\s*{_SIDE} corners ?: ?([^.;]*)",
        _two_corners,
    ),
    (r"\b(?:optical|visual|geometric|exact|true) (?=cent(?:er|re)\b)", ""),
    (r"\bheader row\b", "top row"),
    (r"\bfooter row\b", "bottom row"),
    (r"\b(?:in|at|for|as) the (?:header|masthead)\b", "at the top"),
    (r"\b(?:in|at|for|as) the footer\b", "at the bottom"),
    (
        r"(?:^|(?<=[.;,]))\s*(?:and )?(?:just |directly |right )?(above|over|below|under|beneath|underneath|beside"
        r"|inside|behind) ?:",
        r" \1 it ",
    ),
    (
        rf"(?:^|(?<=[.;,:]))\s*(?:and )?(?:evenly |equally )?(?:space|distribute|spread|scatter)(?: out)?(?: evenly"
        rf"| equally)? (?={_NUMBER} )",
        " ",
    ),
)
