"""Fixed phrases of users ("in the upper left-hand corner of the picture") and what they mean in the planner's words."""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.lexicon import EMPTY
from strata.llm.backends.bundled.reading.vocabulary import NOUNS, PLURAL_OF
from strata.llm.backends.bundled.world import COLOURS, KINDS, STYLES, SURFACES, TONES


class Refused(Exception):
    """Why a prompt is refused."""


STYLE = f"({'|'.join(STYLES)})"
PICTURE = (
    r"(?:picture|image|scene|drawing|painting|canvas|page|frame|screen|illustration|photo|artwork|view|paper|sheet|set"
    r"|piece|collection|composition|poster|board)"
)
_MADE = (
    r"(?:drawn|painted|made|done|rendered|shown|sketched|depicted|created|illustrated|designed|cut|drawing|painting)"
)
_TAIL = (
    r"(?: (?:style|styled|drawing|drawn|painting|painted|sketch|sketched|illustration|picture|image|art|artwork|look"
    r"|looking|effect|design|version|technique|graphics?|graphic|rendering|scene|like|colou?rs|lines?|poster|print"
    r"|composition|card|banner))*"
)
STYLE_PHRASES: tuple[tuple[str, str], ...] = (
    (rf"\b(?:(?:graphite |lead )?pencil(?:s|led|ed)?{_TAIL}|sketchy)\b", " pencil "),
    (r"(?<=\bas )(?:a )?sketch\b|(?<=\ba )sketch(?= of\b)|\bsketch style\b", " pencil "),
    (rf"\b(?:water colou?rs?|watercolou?r(?:s|ed)?|aquarelle)(?: wash)?{_TAIL}\b", " watercolour "),
    (rf"\b(?:glowing )?neon(?: (?:signs?|lights?|tubes?|glow|glowing|lit|lamps?|lighting))*{_TAIL}\b", " neon "),
    (
        rf"\b(?:(?:8|16|eight) bit |retro )?pixel(?:ated|s|led|lated)?(?: (?:game|video game))?{_TAIL}\b|\b(?:8|16"
        rf"|eight) bit(?: (?:game|video game))?{_TAIL}\b",
        " pixel ",
    ),
    (
        rf"\b(?:paper cuts?(?: outs?)?|papercuts?(?: outs?)?|paper cutouts?|cut (?:outs? )?paper|cut ?outs? (?:of|from"
        rf"|in|out of) (?:coloured |colored )?paper|paper crafts?|papercraft|(?:cut|made)(?: out)? (?:of"
        rf"|from) (?:coloured |colored |construction )?paper){_TAIL}\b|\bpaper(?= "
        rf"(?:{'|'.join((*KINDS, *COLOURS, *SURFACES))}|small|large|sailboat|object|shape|thing|one)s?\b)",
        " papercut ",
    ),
    (rf"\bflat(?: (?:vector|2d|minimal|minimalist))?{_TAIL}\b", " flat "),
)
STYLE_PHRASES = (
    *STYLE_PHRASES,
    (
        r"(?<= in| as) ((?:an? )?)(?:(?:soft|gentle|delicate|bold|simple|rough|quick|nice|loose|crisp|clean|classic"
        rf"|retro|modern|cute|lovely|proper|beautiful|pretty|dreamy|fine) +)+(?={'|'.join(STYLES)})",
        r" \1",
    ),
)
"""Words for styles, each to its name."""
OUTRIGHT = re.compile(
    r"\b(?:make|have|do|draw|paint|render|show|create|want|keep|get) (?:it|this|that|everything|all|all of"
    r" (?:it|this"
    rf"|them)|the (?:whole |entire )?(?:thing|{PICTURE}|lot))(?: all)?(?: to)?(?:"
    rf" (?:look|looking|appear|be|seem|feel))?"
    rf"(?: like| as| in| into| as if it (?:were|was)| as though it (?:were"
    rf"|was))*(?: {_MADE})?(?: (?:in|as|like|with|of))*"
    rf"(?: an?| the)?(?: style(?: of)?)?(?: an?)? {STYLE}\b"
    rf"|\b(?:everything|all of it|the (?:whole |entire )?(?:thing|{PICTURE}|lot)|it all|whole (?:thing|{PICTURE}))"
    rf"(?: (?:is|should|must|shall|has|to|be|look|looks|looking|all|like|as|in|{_MADE}"
    rf"|with|the|a|style|of))* {STYLE}\b"
    rf"|\b(?:it|this) (?:is|should|must|shall|has to|looks)(?: (?:be|look|like|as"
    rf"|in|{_MADE}|a|the|style|of))* {STYLE}\b"
    rf"|\b(?:all|everything)(?: {_MADE})? (?:in|as|like|with)(?: an?| the)?(?: style of)?(?: an?)? {STYLE}\b"
    rf"|\b(?:draw|sketch|paint|make|do|render|show|give|have|see|create)(?: (?:me|us))? in {STYLE}(?= (?:an?|the"
    rf"|one|two|three) )"
    rf"|(?<!the )\b(?:an? )?{STYLE}(?= (?:meadow|field|sea|ocean|desert|night ?sky|starry sky)\b)"
    rf"|(?:\b(?:as|in) |(?<=^ ))(?:an? )?{STYLE}(?= :)|\ban? {STYLE}(?= :)"
    rf"|\b(?:set |make |keep )?the style (?:of|for) (?:the )?(?:whole |entire |overall )*(?:thing|{PICTURE}|lot)"
    rf" (?:to|as|is|should be|:)(?: an?)? {STYLE}\b|\b(?:try|do|go with|go for|use) {STYLE}(?: again)?(?= [.:;,])"
    rf"|\b{STYLE} (?:for|on|across|over|throughout|to) (?:it all|everything|all of (?:it|them)|all|the"
    rf" (?:whole |entire )*(?:thing|lot|{PICTURE}))\b"
    rf"|\b(?:in|with|using|as) (?:the |a )?(?:manner|style|look|fashion) of(?: an?)? {STYLE}\b"
    rf"|\b(?:the |its |in )?(?:art )?style(?: is| :| should be| of)?(?: an?)? {STYLE}\b"
    rf"|(?:(?<=^ )|(?<=[.:;,] ))(?:an? |the )?(?:{_MADE} )?(?:in |as |as an? )?{STYLE}(?="
    rf" (?:of|showing|with|that shows) )"
    rf"|(?:(?<=^ )|(?<=[.:;] ))(?:an? |some )?(?:all )?(?:{_MADE} )?(?:in |as |as an? )?{STYLE}(?= [.:;,?] )"
    rf"|(?<=[.:;,] )(?:all |everything |and |please )?(?:{_MADE} )?(?:in |as |as an? |like |like an? |with )?{STYLE}"
    rf"(?= $| [.:;]| , [^,.]*(?:background|night|sea|meadow|desert|field|grass|ocean)\b[^,.]*(?:$|[.,]))"
)
"""A style of the whole picture, said outright."""

_H = r"(?: hand)?(?: (?:side|half|part|edge|end|third|portion|area|margin|border|space))?"
_UPS = {"upper": "top", "lower": "bottom"}
_ONE = (
    rf"(?=(?:hand |most )?(?:ones?|{'|'.join(sorted((*PLURAL_OF.values(), *NOUNS), key=len, reverse=True))}"
    rf"|{'|'.join(COLOURS)})\b)"
)


def _corner(match: re.Match[str]) -> str:
    words = [_UPS.get(word, word) for word in match.groups() if word]
    words.sort(key=lambda word: word in ("left", "right"))
    return f" at{''.join(words)} "


def _corner_one(match: re.Match[str]) -> str:
    return f" the {_corner(match).strip().removeprefix('at')} "


_UP, _ACROSS = "(top|upper|bottom|lower)", "(left|right)"
_CORNER_END = r"(?: hand)?(?: (?:side|corner|quarter|quadrant|part|area|edge|region|section))*"
_TO = (
    r"(?:(?:up |down |over |way |right |tucked |placed )*(?:in|at|on|into|to|near|towards?|by) )?(?:the "
    r"|its )?(?:very |far )?"
)
PHRASES: tuple[tuple[re.Pattern[str], object], ...] = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\b(?:a |the )?(?:pair|couple) of\b", " two "),
        (r"\ba (?:pair|couple)\b|\bcouple\b", " two "),
        (r"\b(?:a |the )?trio of\b", " three "),
        (r"\bhalf a dozen\b", " six "),
        (r"\b([2-8]) ?x\b", r" \1 "),
        (
            r"\b(?:all|each|both|every one|everyone|each one|every single one|the lot) of (?:them|these|those|it"
            r"|the two|which)\b",
            " all ",
        ),
        (r"\b(one|two|three|four|five|six|first|second|third) of (?:them|these|those|which)\b", r" \1 "),
        (r"\b(?:the )?rest\b", " the other "),
        (r"\bone another\b", "each other"),
        (r"\b(?:some |a )?(?:kind|sort|type) of\b", " "),
        # what stands where, of all of the picture
        (rf"\b(?:of|in|on|within|to|across|from) (?:the|this|my|our|your) (?:whole |entire )?{PICTURE}\b", " "),
        (
            rf"\b(?:(?:a|an|the|this|my|one|some) )?(?:(?:{'|'.join(sorted(EMPTY))}|quick|little"
            rf"|small) )*{PICTURE}s? (?:of|with|showing|shows|that shows|containing|contains"
            r"|that contains|where|in which|featuring|has|which has|which shows)\b",
            " , ",
        ),
        (
            r"\b(?:in|at|on) (?:all |each (?:of )?|every |all of )?(?:the )?(?:four |4 |all |different "
            r"|opposite )*corners?(?! of an? )\b",
            " incorners ",
        ),
        (rf"\b{_TO}(?:each|every) corner\b|\b(?:one|1)? ?(?:in|at|for|per) (?:each|every) corner\b", " incorners "),
        (r"\b(?:top|upper|first) row(?: (?:has|have|is|:|with|of|contains?))?\b", " toprow "),
        (r"\b(?:bottom|lower|second|last) row(?: (?:has|have|is|:|with|of|contains?))?\b", " bottomrow "),
        (r"\b(?:in |on |at )?(?:the |a )(toprow|bottomrow)\b", r" \1 "),
        (r"\b(?:in |on )(toprow|bottomrow)\b", r" \1 "),
        (r"\bfrom (?:the )?left to (?:the )?right\b|\bleft to right\b", " ltr "),
        (r"\bfrom (?:the )?(?:top to bottom|top down|top to the bottom|upper to lower)\b|\btop to bottom\b", " ttb "),
        (r"\b(?:arranged |lined up |placed )?(?:in|into|on) two (?:equal |neat )?rows(?! of)\b", " inrows "),
        (r"\b(?:a )?(?:(?:two|2) (?:by|x) (?:two|2) )?grid of\b", " "),
        (r"\brows of\b", " rowsof "),
        (r"\bcolumns of\b", " columnsof "),
        (
            r"\b(?:a |one |the )?(?:straight |neat |horizontal |single |long )*(?:row|line|lineup|line up|string"
            r"|chain) of\b",
            " rowof ",
        ),
        (
            r"\b(?:a |one |the )?(?:vertical |straight |neat |single |tall )*(?:column|stack|tower|pile) of\b",
            " columnof ",
        ),
        (
            r"\b(?:all |arranged |lined up |placed |standing |sitting |lying |set |put )*(?:in|into|on|as) (?:a "
            r"|one )(?:straight |neat |single |horizontal |nice |long )*(?:row|line|lineup)(?! of)\b|\b(?:right |just "
            r"|directly )*(?:side by side|lined up|in line|in order|(?:next to|beside) each other|shoulder to shoulder"
            r"|horizontally|one after the other|one after another)\b",
            " inrow ",
        ),
        (
            r"\b(?:all |arranged |placed |stacked |standing |put )*(?:in|into|as) (?:a |one )(?:vertical |straight "
            r"|single |neat )*(?:column|stack|tower|pile|vertical line|vertical row)(?! of)\b"
            r"|\b(?:stacked(?: up)?(?: (?:vertically|on top of each other|above each other|on each other))?"
            r"|(?:one )?(?:on top of|above|over|below|under|underneath) (?:each|the) other|one (?:above|over|on top of"
            r"|below|under) (?:the other|another)|vertically)\b",
            " incolumn ",
        ),
        # beside something
        (r"\b(?:in|at|inside) its (?:very )?center\b", " inside it "),
        (r"\b(?:(?:that|which) )?(?:surrounds|encircles|encloses|contains|goes around|wraps around)\b", " around "),
        (
            r"\b(?:(?:on|to|at|with one on|one on) )?(?:either|both|each|every|the two|two)(?: of)?(?: the"
            r"| its)? (?:side|sides|end|ends)(?: of)?\b",
            " eitherside ",
        ),
        (r"\bon (?:the )?sides? of\b", " eitherside "),
        (r"\bboth (?:left and right|to the left and (?:to the )?right) of\b", " eitherside "),
        (r"\bflanked (?:by|with)\b|\bflanked\b|\bbetween (?=two |2 )", " flanked "),
        (r"\b(?:surrounded|encircled|ringed|encompassed|enclosed|circled|framed) (?:by|with|in)\b", " surrounded "),
        (r"\b(?:all |right )?round(?= (?:it|them|the|an?|each|both|one|two|three|four)\b)", " around "),
        (r"\bbetween (?:those|these|them|the|both)(?: other)? two\b(?! \w)", " between them "),
        (r"\b(?:all )?(?:around|surrounding|encircling|circling)\b", " around "),
        (
            rf"\b(?:on|to|at|off to)? ?(?:the |its )?(?:immediate |far |direct )?{_ACROSS}(?: hand)?(?: side)? of\b",
            r" \1of ",
        ),
        (rf"\b(?:on|to|at) (?:its|their|his|her) (?:immediate )?{_ACROSS}(?: hand)?(?: side)?\b", r" \1of it "),
        (rf"\b{_ACROSS} (?:next to|beside) (?:it|that)\b", r" \1of it "),
        (
            r"\b(?:directly |right |just |immediately |placed |up |high )*(?:on top of|on the top of|atop|above|over"
            r"|higher than|up above)\b",
            " above ",
        ),
        (
            r"\b(?:directly |right |just |immediately |placed |down )*(?:underneath|beneath|under|below|lower than"
            r"|at the (?:foot|bottom) of (?=an?|the|it))\b",
            " below ",
        ),
        (
            r"\b(?:right |just |directly )*(?:next to|next door to|beside|besides|alongside|along side|close to"
            r"|near to|near|nearby|adjacent to|by the side of|next|by)\b",
            " beside ",
        ),
        (r"\banother (?=(?:two|three|four|five|six|[2-6])\b)", " "),
        (r"\b(?:right |just |directly )*(?:in front of|before)\b", " front "),
        (r"\b(?:right |just |directly )*(?:behind|in back of|at the back of)\b", " behind "),
        (r"\bin (?:the )?(?:middle|center|between) of (?:the two|them|both|the other two)\b", " between them "),
        (
            r"\b(?:in between|sandwiched between|right between|exactly between|halfway between|in the middle between"
            r"|between)\b",
            " between ",
        ),
        (
            r"\bbetween (?:the two|both|the others?|the other two|each other|these|those|they)(?= [.,:]| $| (?:is"
            r"|there|a|an|put|and))",
            " between them ",
        ),
        (
            r"\b(?:in|at|on|into) (?:the |its )?(?:very |exact |dead )?(?:middle|center) of (?=an? |one |the |it\b"
            r"|that\b)",
            " inside ",
        ),
        (r"\b(?:inside of|inside|within|in the inside of|contained (?:in|by)|enclosed in|into)\b", " inside "),
        (r"\bcontaining\b|\bthat contains\b", " with inside "),
        (
            r"\b(above|below|beside|behind|leftof|rightof|around) (?:both|the two|the others?|all|all of them"
            r"|both of them)(?= [.,:]| $| (?:a|an|is|there|one|two|three|four|put|and)\b)",
            r" \1 them ",
        ),
        # places of the picture
        (rf"\bthe {_UP} {_ACROSS} {_ONE}", _corner_one),
        (rf"\bthe (left|right|top|bottom|center) (?:hand |most )?{_ONE}", r" the \1 "),
        (r"\bthe (left|right|top|bottom)most\b", r" the \1 "),
        (rf"\b{_TO}{_UP} {_ACROSS}{_CORNER_END}\b", _corner),
        (rf"\b{_TO}{_ACROSS} (?:hand )?{_UP}{_CORNER_END}\b", _corner),
        (rf"\b(?:at|in) the {_UP} (?:at|on|to|,) the {_ACROSS}\b", _corner),
        (rf"\b{_TO}{_UP}(?: (?:center|middle))(?: part| area)?\b", lambda m: f" at{_UPS.get(m[1], m[1])} "),
        (rf"\b{_TO}(?:center|middle) {_UP}\b", lambda m: f" at{_UPS.get(m[1], m[1])} "),
        (rf"\b{_TO}(?:(?:center|middle) {_ACROSS}|{_ACROSS} (?:center|middle)){_H}\b", lambda m: f" at{m[1] or m[2]} "),
        (
            rf"\b(?:off |over |way |out |all the way |far |up |down )*(?:on|at|in|to|towards?|along|near|by"
            rf"|over) (?:the |its )?(?:far |very |extreme )?{_ACROSS}{_H}(?! one)\b",
            r" at\1 ",
        ),
        (
            rf"\b(?:off |over |way |out |all the way |far |up |down |high )*(?:at|on|in|along|near|to|towards?|by"
            rf"|across) (?:the |its )?(?:very )?{_UP}{_H}\b",
            lambda m: f" at{_UPS.get(m[1], m[1])} ",
        ),
        (
            r"\b(?:up )?(?:high )?(?:in|across) the (?:blue )?sky\b|\b(?:up )?in the air\b|\bup top\b|\boverhead\b"
            r"|\bhigh up\b|\bup high\b",
            " attop ",
        ),
        (r"\bdown below\b|\bat the foot\b", " atbottom "),
        (
            r"\b(?:right |smack |bang |dead |exactly )*(?:in|at|on|into|to) (?:the |its )?(?:very |exact "
            r"|dead )?center(?: (?:area|part|spot))?\b|\bcenter stage\b",
            " atcenter ",
        ),
        (r"\b(?:centered|centred|centrally|central)\b", " atcenter "),
        (rf"\b{_UP}{_H}(?= )(?! {_ONE})", lambda m: f" at{_UPS.get(m[1], m[1])} "),
        (rf"\b(?:the )?{_ACROSS}{_H}(?! ones?\b)(?= )", r" at\1 "),
        (r"\bthe center(?= [.,:]| $| is\b)|\bcenter(?= [.,:]| $| a\b| in )", " atcenter "),
        # odds and ends
        (r"\b(?:facing |opposite |from |to |with )?each other\b", " "),
        (r"\bon the (?:ground|floor|earth|land)\b", " "),
        (r"\b(?:far )?(?:in|into) the (?:background|distance)\b", " behind it "),
        (r"\bin (?:the )?colou?rs?\b", " in "),
        (
            r"\b(?:with|in) (?:a |an )?(?:bold |thick |thin |clear |heavy |black |white )*(?:outline|outlines|contour"
            r"|border)\b",
            " with outline ",
        ),
        (r"(?<!\bwith )\b(?:just |only )?(?:an |the )?outline(?: only| of)?\b", " outlined "),
        (
            r"\b(?:with|in|has|have|having|covered (?:in|with|by)) (?:a |an )?(striped|dotted|checkered|solid"
            r"|outlined)(?: (?:pattern|surface|texture|design|finish|fill|look|skin))\b",
            r" \1 ",
        ),
        (
            r"\b(?:with|in|has|have|having|covered (?:in|with|by)) (?:the )?(?:white |bold |thick |thin |big |little "
            r"|small |large )*(stripes|dots|checks)\b",
            r" with \1 ",
        ),
        (r"\bpolka (?:dots?|dotted)(?= (?:[.,:]|and|on|in|at|above|below|$))", " dots "),
        (r"\bpolka (?:dots?|dotted)\b", " dotted "),
        (r"\bpolka\b", " "),
        (
            r"\b(?:the )?(?:exact |very )?same(?: (?:thing|one|again|object|shape|kind|here|as before|as that))?\b",
            " same ",
        ),
        (r"\b(?:just )?(?:like|as) (?:it|that|the first|the other)(?: one)?\b", " same "),
        (
            r"\bas well as\b|\balong with\b|\btogether with\b|\baccompanied by\b|\bfollowed by\b|\bplus\b|\bas well\b"
            r"|\band then\b",
            " and ",
        ),
        (r"\b(?:half|full|crescent) moon\b", " moon "),
        (r"\b(?:sailing|rowing|sail|row|fishing) (boats?)\b", r" \1 "),
        (r"\blove (hearts?)\b", r" \1 "),
        (r"\bmotor (cars?)\b", r" \1 "),
        (r"\b(coffee|tea) (cups?|mugs?)\b", r" \2 "),
        (
            r"\b(above|below|beside|behind|leftof|rightof|inside|between|around|front) (?:that|this|which)(?= [.,:]| $"
            r"| (?:a|an|is|there|one|two|three|four|five|put|the)\b)",
            r" \1 it ",
        ),
        (r"\b(above|below|beside|behind|leftof|rightof)(?= [.,:]| $| and\b)", r" \1 it "),
    )
)

NOT = re.compile(
    rf"\b((?:scratch|remove|delete|forget|skip|scrap|lose|undo) the|not|no|without|nor|neither|none|never|except"
    rf"|instead|minus|lacking|or|unless|(?:any|every|all)\w* but|(?:more|less|fewer) than (?:two|three|four|five|six"
    rf"|seven|eight|\d)|an? (?:matching|similar|identical|different) \w+|(?:turn|transform|morph|melt|chang|evolv)(?:s"
    rf"|ed|ing|es|e) into|(?:fac|point|head|aim|look|lean|turn|tilt)(?:ing|ed"
    rf"|s) (?:(?:off )?to(?:wards?)? )?(?:the )?(?:left|right|down)(?:wards?)?(?! of)|(?:in|of|with) (?:(?:all|two"
    rf"|three|four|five) )?(?:different|various|assorted|mixed|another|other) (?:colou?r|size|pattern|style)s?"
    rf"|every (?:second|other|third)|out of (?:the )?water|upside down|rotated|flipped|back to front|otherwise"
    rf"|overlap\w*(?![^.;]*(?:in front of|behind|over|on top))|align\w* [^.,;]*?\bwith (?:an? "
    rf"|the )(?:\w+ )?(?:{'|'.join(KINDS)})|used to be|no longer|(?:is|are|has|have|was|were) (?:gone|missing|vanished"
    rf"|disappeared|removed)|(?:(?:look|shape|form|buil)\w* like|shape of|size of|made of|out of|as \w+ as) (?:an? "
    rf"|the |one )?(?:\w+ )?(?:{'|'.join(KINDS)})s?)\b"
)
"""What is said of a picture by what it is not, or by what it is like."""
VAGUE = re.compile(
    r"\b(several|many|some|few|lots|plenty|multiple|various|dozens?|dozen|bunch|group|loads|tons|numerous)\b"
)
TOO_MANY = {"nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "twenty": 20, "hundred": 100, "thousand": 1000}


BY_TIMES = re.compile(r"\b(?:x ?\d+|twice|thrice|times|double|triple)\b")
STRIPES = re.compile(
    rf"\b(?:with|in|and) (?:(?:thick|thin|bold|big|small|large|little"
    rf"|wide) )*(?P<tones>(?:(?:{'|'.join((*COLOURS, *TONES))}|and|,) )+)(?:polka )?(?P<what>stripes|dots|checks"
    rf"|outline)\b"
)


def in_one_tone(match: re.Match[str]) -> str:
    """Stripes have no colour of their own."""
    if coloured := [word for word in match["tones"].split() if word in COLOURS]:
        raise Refused(f'draws {match["what"]} in one tone only, not "{coloured[0]}"')
    return f"with {match['what']}"
