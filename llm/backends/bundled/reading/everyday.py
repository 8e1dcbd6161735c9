"""Everyday ways of saying what the planner's words say plainly: short forms, orders ("pin …"), ways around.

A table of patterns for a prompt in lower case, in the order in which they are applied.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from strata.llm.backends.bundled.reading.vocabulary import SINGULAR
from strata.llm.backends.bundled.world import COLOURS, KINDS, SURFACES

_ALL_LOOKS = "|".join(
    (*COLOURS, *SURFACES, "small", "large", "big", "tiny", "little", "huge", "dotty", "spotted", "stripy", "checked")
)
_UPDOWN = {"up": ("top", "above"), "down": ("bottom", "below")}
_PREPOSITIONS = "between|behind|around|under|above|below|inside|beside|near|over|beneath|underneath|within"
_ANY = r"(?:an?|one|two|three|four|five|six|seven|eight|\d|the|each|every|them)"


_AS = {"within": "inside", "around": "inside", "behind": "in front of"}
_AS |= dict.fromkeys(("over", "on top of", "below", "under", "beneath"), "above")


def _inner_and_outer(match: re.Match[str]) -> str:
    """ "one inside the other, the outer one red": the first and the second."""
    first, second = {
        "inside": ("inner|inside|innermost|enclosed", "outer|outside|outermost|surrounding|enclosing"),
        "in front of": ("front|nearer|closer|foremost", "back|rear|hind|farther|further|one behind"),
        "above": ("upper|top|higher|one above", "lower|bottom|one below"),
    }[_AS.get(match[2], match[2])]
    if match[2] in ("around", "behind", "below", "under", "beneath"):
        first, second = second, first
    rest = re.sub(rf"\bthe (?:{first})(?: one)?\b(?! \w+ one)", "the first one", match[4])
    rest = re.sub(rf"\bthe (?:{second})(?: one)?\b(?! \w+ one)", "the second one", rest)
    return match[1] + match[2] + match[3] + rest


def _so_many(match: re.Match[str]) -> str:
    """ "stars, five of them": five stars, where they have no number yet."""
    before = match[1] or ""
    if before in (*_NUMBERED, "the", "all", "both", "of") or before.isdigit() or before in _ALL_LOOKS.split("|"):
        return match[0]
    return f"{before} {match[4]} {match[2]}{match[3]}"


def _alternating(match: re.Match[str]) -> str:
    """ "six stars alternating red and yellow": each in its turn."""
    count = int(match[1]) if match[1].isdigit() else 2 + _NUMBERED.index(match[1])
    turns = (match[3], match[4]) if match[5] != match[4] else (match[4], match[3])
    return f"{match[1]} {match[2]} : " + " , ".join(turns[i % 2] for i in range(count)) + " "


_NUMBERED = ("two", "three", "four", "five", "six", "seven", "eight")
SPELLED: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\b(?:pattern of squares|squares? pattern|chess ?board pattern|chess pattern)\b", "checkered pattern"),
    (
        r"\b(strip\w+|dots?|dotted|checks|checkered|checked|spots?|spotted|lines|pattern)((?: on (?:it"
        r"|them))?) ?,? ?(?:just )?like (?:an? |the |on an? )?\w+",
        r"\1\2",
    ),
    (r"\b(has|have|with|having) (?:the |some )?lines (?:on|over|across) (?:it|them)\b", r"\1 stripes"),
    (
        rf"\b(?:and |with )?(?:its|their) (?:walls?|sides?|surface|petals?|bod(?:y|ies)|hull|skin|bricks|scales) (?:is"
        rf"|are|was|were) (?:all )?(?=(?:{_ALL_LOOKS})\b)",
        " it is ",
    ),
    (r"\bpolka[ -]dot(?:s|ted)? (?=(?:pattern|finish|surface|texture|design|print|look)\b)", "dotted "),
    (rf"\bof (?:the|a) ({_ALL_LOOKS}) (?:sort|kind|variety|type|persuasion|colou?r)\b", r" in \1 "),
    (r"\b(?:just |only )?(?:an? |the )?outlines? of (?:an?|the|one) (?=\w)", "an outlined "),
    (
        rf"(\w+)? ?\b((?:(?:{_ALL_LOOKS}) )*)({'|'.join(p for p in SINGULAR)}) ?[:,]+ ?({'|'.join(_NUMBERED)}|[2-8]) of"
        r" (?:them|those|these)\b",
        _so_many,
    ),
    (rf"\b(?:the )?same ({'|'.join(KINDS)}) ({'|'.join(_NUMBERED)}|[2-8]) times\b", r"\2 \1s"),
    (rf"\bthe one (?=(?:{_ALL_LOOKS})\b[^.]*\bthe other)", "one "),
    (r"\b(with (?:an?|one|the) [^.,;:]*?) about (?=(?:it|them)\b)", r"\1 around "),
    (r"\b(?:monochrome|monochromatic|uniformly|uniform) (?=(?:in )?(?:{})\b)".format("|".join(COLOURS)), "all "),
    (r"\b(?:at|by|on) (?:the |one )?side of\b", "beside"),
    (r"\bflanks? (it|the \w+)(?: left and right| on \w+ sides?)?(?! (?:with|by)\b)", r" on either side of \1 "),
    (r"(?<!the )\b(down|up) of (?=(?:it|the|this|that|an?)\b)", lambda m: f"{_UPDOWN[m[1]][1]} "),
    (r"\b(?:on |in |at )?(?:the )?sky of (?:the )?night\b", "on a night sky"),
    (r"\bby (?:the )?(?=water ?colou?rs?\b|pencil\b)", "in "),
    (
        rf"\b(?:half |partly |partially |mostly |nearly |almost )*(?:hidden|hiding|covered|obscured|concealed|blocked"
        rf"|eclipsed) (?:by|behind) (?=(?:an? |the |one |two |three )?(?:\w+ ){{0,2}}?(?:{'|'.join(KINDS)})s?\b)",
        "behind ",
    ),
    (
        r"\b(?:(?:down|low)(?: \w+)? (?:in|at|on|into) (?:the |its )?|lower )(left|right)(?: hand)? corner\b",
        r"in the bottom \1 corner",
    ),
    (
        r"\b(?:up|high up|high)(?: \w+)? (?:in|at|on|into) (?:the |its )?(left|right)(?: hand)? corner\b",
        r"in the top \1 corner",
    ),
    (r"\b((?:on|against|with|over) (?:an? |the )?(?:[\w]+ ){1,3}(?:background|backdrop|canvas)) ?:", r"\1 , "),
    (
        rf"\b({'|'.join(KINDS)}) (?:sprite|primitive|glyph|symbol|graphic|instance|object|element|node|component|entity"
        r"|shape|motif)(s?)\b",
        r"\1\2",
    ),
    (rf"\b({_PREPOSITIONS}) (?:of|to|from|at)\b(?! the (?:left|right|top|bottom))", r"\1"),
    (
        r"\b(?:in|at|on|to) (?:the )?(up|down)(?:side|ward| side| part)?(?: of (?:the |this )?(?:picture|page|image"
        r"|scene|drawing))?(?= [^a-z]|,| there| is| an?\b| one)",
        lambda m: f" at the {_UPDOWN[m[1]][0]} ",
    ),
    (r"\b(up|down)(?:per)? (left|right)\b", lambda m: f"{_UPDOWN[m[1]][0]} {m[2]}"),
    (
        r"\b(?:over|up|down|off|out|way|right|back) (?=(?:on|to|at|in|by) the (?:far |very |upper |lower )?(?:left"
        r"|right|top|bottom|corner|middle|centre|center)\b)",
        "",
    ),
    (
        r"(?:^|(?<=[.!?,] ))\s*it(?:'s| is| was| must be| should be| has to be| will be| needs to be"
        r"| would be) (?=(?:night|a picture|the picture|two|three|four|five|six|seven|eight|\d|all about) ?)",
        " ",
    ),
    (
        r"\bwith (?:(?:an?|one|two|three|four|the|\d) |(?=(?:\w+ ){0,2}\w+ to the left (?:and|n|,) (?:\w+ ){1,3}to "
        r"the right))[^.,;:]*? to the (?:left|right)(?! of| hand)(?:[^.,;:]*? to the (?:left|right)(?! of| hand))?",
        lambda m: re.sub(r"to the (left|right)", r"to its \1", m[0]),
    ),
    (
        r"\b(?:in (?:this|that|the following) order,? ?)?(?:starting |reading |counting "
        r"|going )?from the top(?: down(?:wards)?)?(?= ?[:,])",
        " from top to bottom ",
    ),
    (
        r"\b(?:in (?:this|that|the following) order,? ?)?(?:starting |reading |counting |going )?from the left(?: on"
        r"| across)?(?= ?[:,])",
        " from left to right ",
    ),
    (r"\bin (?:this|that|the following) order\b", " "),
    (r"\ban? other\b", "another"),
    (
        r"\b(?:an?|another|the|its) (?:identical|exact|duplicate|matching twin|perfect) (?:one|copy|twin|match"
        r"|double)(?: of (?:it|that))?\b|\bits (?:twin|double|copy)\b|\b(?:a|another) (?:copy|duplicate|twin)(?: of "
        r"(?:it|that))?\b|\b(?:an?|another) one (?:exactly |just )?(?:like|the same as|identical to) (?:it|that)\b",
        " same ",
    ),
    (
        rf"\b({'|'.join(_NUMBERED)}|\d) (?:pieces|elements|motifs|symbols|icons|graphics|assets|glyphs|components"
        rf"|parts)(?= ?(?:[:,.]|$))",
        r"\1 objects",
    ),
    (
        r"\b(?:with |and )?(?:no|without (?:any|a)?) ?fill(?:ing)?\b|\b(?:unfilled|not filled(?: in)?)\b|\b(?:just"
        r"|only) (?:the |its |a )?(?:strokes?|contours?|outlines?|edges?|border)\b|\bstroke only\b",
        " , outlined ",
    ),
    (
        r"\b(?:and )?all (?:about|around|round) (?:them|it|both)(?: is| was| lies| are)?(?= (?:the "
        r"|an? )?(?:\w+ )?(?:sea|ocean|desert|meadow|water|sand|grass|field))",
        " on ",
    ),
    (
        rf"\b(?:one|a|1) ((?:\w+ ){{0,2}}?)({'|'.join(KINDS)}) (?:per|on each|on either|at each|for each|each) side"
        r"(?= ?(?:[:.,]|$))",
        r"two \1\2s , left and right , ",
    ),
    (rf"\bgreat (?=(?:{'|'.join((*COLOURS, *SURFACES))}|{'|'.join(KINDS)})\b)", "large "),
    (
        r"\b((?:two|2|(?:a )?(?:pair|couple) of) (?:\w+ )*?\w+,? ?(?:with )?one )(inside|within|around|in front of"
        r"|behind|above|over|on top of|below|under|beneath)( (?:of )?the other\b)(.*)",
        _inner_and_outer,
    ),
    (
        r"\b(?:look|gaz|star|shin|smil|beam|watch)(?:s|es|ed|e|ing|d)? down (?:up)?on (?=(?:an?|the|two|three|four"
        r"|five) )",
        "above ",
    ),
    (r"\bcorner(?:,| of(?: the)?)? (top|bottom|upper|lower)[ -](left|right)\b", r"\1 \2 corner"),
    (
        r"\b(?:can|could|may|might|should|shall|would|will) (the \w+|it|they|both|everything|all of (?:it"
        r"|them))(?: please)? be\b",
        r"\1 is",
    ),
    (
        rf"\b({'|'.join(KINDS)}) (?:once )?(?:met|meets|greets|greeted|joins|joined|kisses|kissed|follows|followed"
        rf"|chases|chased|visits|visited|married|found|hugs|hugged|accompanies|accompanied) (?=(?:an?|the|another) )",
        r"\1 and ",
    ),
    (
        rf"\b(?:which|that|what) (inside|above|below|under|over|beside|behind) (?:it |of it )?(?:has|have|is having"
        rf"|there is|holds) ({_ANY} [^.,;:!?]*)",
        r" with \2 \1 it ",
    ),
    (rf"\b(?:{'|'.join(_NUMBERED)}) (?:equal |even |vertical )?columns ?(?=:)", " in a row "),
    (
        r"(?:^|(?<=[.;!?]))\s*stack(?:ed)?(?: (?:them|these|those|everything|up|vertically"
        r"|all))* ?(?=[:,])(?!.*top to bottom)",
        " in a column ",
    ),
    (
        r"(?:^|(?<=[.;!?]))\s*(?:line up|stack|arrange|order|list)(?: (?:them|these|those|everything|up|vertically"
        r"|horizontally|all))* ?,? ?(?=(?:from )?(?:the )?(?:left to right|top to bottom))",
        " ",
    ),
    (r"\b(?:default|global|overall|general|common|base) (?=style|background)", ""),
    (
        r"\b(above|over|on top of|under|below|beneath|beside|near|next to|behind) (?:its|their|the \w+'s) (?:roof"
        r"|chimney|mast|sail|top|rim|branches|petals|hull|deck|peak|tip|base|trunk|stem|foot)\b",
        r"\1 it ",
    ),
    (
        r"\b(?:all )?(?:on|over|across|around|along|upon)(?: all)? (?:of )?(?:the|its|their|his|her) (?:(?:whole"
        r"|entire) )?(?:body|sides?|surface|outside|skin|walls?|hull|sails?|bodywork|exterior)\b",
        " ",
    ),
    (r"\bthe (?:pair|two|couple) of (?:them|these|those)\b", "both"),
    (r"\bthe (?:lot|trio|three|four|five|whole lot|bunch) of (?:them|these|those)\b", "all"),
    (
        r"\ban? (?:second|third|fourth|fifth|further|extra|additional)"
        rf" (?=(?:(?:{_ALL_LOOKS}) )*(?:{'|'.join(KINDS)}|one)\b)",
        "another ",
    ),
    (
        r"\b(?:balance|pair|match|complement|counter|offset|combine|contrast|accompany|follow|finish|complete|round off"
        r"|echo|answer|mirror|juxtapose|weigh|support)(?:s|ed)? (?:it|this|that|them) (?:off |up |out )?(?:with|by)\b",
        " and ",
    ),
    (rf"\bouter two\b((?: (?:is|are|in|being))*(?: (?:{_ALL_LOOKS}))+)", r"first\1 , last\1"),
    (
        rf"\b({'|'.join(_NUMBERED)}|[2-8]) ([^.,;:]*?)[,:]? (?:that |which )?(?:alternat(?:e|ing|es|ed|ely)"
        rf"|in alternating colou?rs:?)(?: between| in)? ({'|'.join((*COLOURS, *SURFACES))})(?: and |, | / |/)"
        rf"({'|'.join((*COLOURS, *SURFACES))})\b(?:,? (?:starting|beginning|start|begin) (?:with|from|on|at)(?: the)?"
        r" (\w+)(?: one)?(?: (?:at|on|from) the (?:left|top))?)?",
        _alternating,
    ),
    (rf"\b({'|'.join(KINDS)}) what (?=(?:is|has|are)\b)", r"\1 that "),
    (
        rf"\b(?:(?:one|a|1) ({'|'.join(KINDS)}),? )((?:(?:{'|'.join(_NUMBERED)}) "
        rf"\1s,? )*)(?=(?:{'|'.join(_NUMBERED)}) \1s)",
        "",
    ),
    (
        r"\b(the (?:\w+ )?(?:first|second|third|last|left|right|top|bottom|middle|other)(?: one)?|the other"
        r"|(?<=, )(?:first|second|third|last|other)(?: one)?) (?:gets?|has|uses?|with|in|takes?|is|having)? ?(?:the "
        r"|a )?style:? (?=\w+)",
        r"\1 in ",
    ),
    (r"\b(?:overrides?|replaces?) (?:it|this|that|the style) (?:with|by)\b", " is "),
    (r"\b(?:square |neat |\d ?[x×] ?\d |two by two |four )*grid ?:", " "),
    (r"\b(?:can|could|may|might|should|would) it be (?=an? )", " "),
    (r"\bin sky\b", "in the sky"),
    (r"\b(?:in|on|at) (?:picture|image|drawing|scene|page)\b", " "),
    (
        r"\bin the (middle|centre|center) of (?=(?:an? |the )?(?:plain |white |black |gr[ae]y |gradient |striped "
        r"|checkered )+(?:page|canvas|background|paper|sheet|screen))",
        "in the center on ",
    ),
    (r"\bwithout (?:any |a )?patterns?\b|\bno patterns?\b", " plain "),
    (r"\b(?:and |with |of )?(?:the|its|their) colou?rs? (?:is|are|should be|must be|was|will be) ", " , "),
    (
        r"(?:^|(?<=[.,;:!?]))\s*(?:and )?(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|next|finally|lastly|then)(?:"
        rf" of all)?,?(?= (?:(?:is|are) (?:an?|the|one|two|three|{'|'.join(KINDS)})\b|an?|the|one|two|three|there"
        rf"|draw|put|add|i|we|comes?)\b)(?! one (?:is|are|above|below|under|over|behind|in|on|to|next|beside"
        rf"|inside|at|has)\b)",
        " ",
    ),
    (
        r"\b(?:make|paint|colou?r|draw|do|have|keep|leave|turn) (it|them|the \w+|both|all|each|everything|all of"
        rf" them|both of them)(?: be)? (?=(?:all |both |in )?(?:{_ALL_LOOKS})\b)",
        r" , \1 is ",
    ),
    (
        r"(?:^|(?<=[.,;:!?]))\s*(?:and |then |please |now )*(?:frame|surround|encircle|enclose|ring|circle|encompass"
        rf"|wrap|border)s? ({_ANY} [^.,;]*?) (?:with|by|in|using) (?={_ANY} )",
        r" \1 surrounded by ",
    ),
    (
        rf"(?:^|(?<=[.,;:!?]))\s*(?:and |then |please |now )*flank ({_ANY} [^.,;]*?) (?:with|by) (?={_ANY} )",
        r" \1 flanked by ",
    ),
    (
        rf"(?:^|(?<=[.,;:!?]))\s*(?:and |then |please |now )*(?:top|crown|cap) ({_ANY} [^.,;]*?) with (?={_ANY} )",
        r" \1 , above it ",
    ),
    (
        r"(?:^|(?<=[.,;:!?]))\s*(?:stack|put|place|arrange|line|lay|group|set|order|sort) (?:them|these|those"
        r"|everything|it all)(?: all| up| out)*\s*:",
        " ",
    ),
    (
        r"(?:^|(?<=[.,;:!?])|\band|\bthen)\s*(?:anchor|pin|park|stack|layer|inset|float|drop|stick|fix|nest|tuck|plant"
        r"|seat|hang|mount|stamp|lay|align|center|centre|position|balance|scatter|perch|nestle|situate|rest|land|set"
        r"|station|slot|slide|superimpose|overlay|snap|dock|pop|stick|whack|bung|shove|sling|chuck|throw"
        rf"|hide|arrange)(?: up| down| out)? (?={_ANY}\b)",
        " ",
    ),
    (
        r"\bthe (?:central|middle|centre|center) (?:element|object|shape|subject|motif|figure|feature|piece"
        r"|item)(?: (?:is|should be|being))?\b:?",
        " in the center ",
    ),
    (
        r"\b(?:the )?(?:main|hero|key|only|single|sole|focal|primary|secondary|supporting|lone) (?:element|object"
        r"|shape|subject|motif|figure|feature|piece|item|focus|point)(?: (?:is|should be|being))?\b:?",
        " ",
    ),
    (r"\b(?:elements?|motifs?)\b", " object "),
    (
        r"\b(stripes|dots|checks|spots|pattern|patterns|polka dots|stripy|dotted|striped) (?:all )?(?:on|over) (?:it"
        r"|them|its \w+|the top)\b",
        r"\1",
    ),
    (r"\b(pattern|patterned|design|print|texture)(?: all)? (?:on|over) (?:it|them)\b", r"\1"),
    (
        r"\b(?:whole |entire |complete )?(?:piece|composition|artwork|layout|work|design)(?= (?:as|in|should|is|must"
        r"|to))",
        "picture",
    ),
    (r"\btreat (?:the )?(?=picture|whole|entire|everything|it)", "make the "),
    (r"\bmake the (everything|it)\b", r"make \1"),
    (
        r"\b(?:treatment|throughout|overall|across the board|all over|all the way through|in general|feel|vibes?"
        r"|aesthetic)\b",
        " ",
    ),
    (r"\b(?:minecraft|game ?boy|nintendo|mario|arcade|lego) (?=pixel)", " "),
    (
        r"\bin (?:each|every|all) its own corner\b|\b(?:each |all |every one )?(?:in|at) (?:its|their|a|his) (?:own"
        r"|different|separate) corners?\b|\b(?:each|one|each one) (?:to|per|in|at|for) (?:a|its own|each) corner\b"
        r"|\bper corner\b|\ba corner each\b",
        " in each corner ",
    ),
    (
        r"\b(?<!of )(?<!the )(?<!each )(?<!four )(?<!all )(?:the )?(?:four |4 |all )*corners(?= *(?:[:,.=;]|$))",
        " in the corners ",
    ),
    (
        r"\b(?:in )?(?:the )?(?:one |a |single |straight |horizontal |long |neat )*(?:row"
        r"|line ?up)(?: only)?(?= *(?:[:,.;]|$))(?<!top row)(?<!bottom row)(?<!upper row)(?<!lower row)(?<!first "
        r"row)(?<!second row)(?<!last row)",
        " in a row ",
    ),
    (
        r"\b(?:in )?(?:the )?(?:one |a |single |straight |vertical |tall |neat )*(?:column|stack)(?= *(?:[:,.;]|$))",
        " in a column ",
    ),
    (
        r"\b(?:a |one )?(row|column) (?:with|containing|made (?:up )?of|consisting of|showing|that has|including)\b",
        r" a \1 of ",
    ),
    (
        r"\b((?:plain |light |dark )?(?:white|grey|gray|black|gradient|checkered|checked|striped)(?: (?:white|grey"
        r"|gray|black|gradient))?) (?:behind|in the back|at the back)(?: (?:it|them|everything|all|that"
        r"|this))?(?: as (?:a|the) (?:background|backdrop))?(?= ?(?:[.,;!]|$))",
        r" \1 background ",
    ),
    (
        r"\b(on|against) (?:an? )?((?:black|white|gr[ae]y) (?:gradient|checks|stripes))(?= ?(?:[.,;!]|$))",
        r" \1 a \2 background ",
    ),
    (
        r"\b(sky|sea|ocean|water|desert|meadow|field|grass|dunes|waves) (?:behind|at the back|in the back|below"
        r"|beneath|underneath|all around)(?: (?:it|them|everything|all))?(?= ?(?:[.,;!]|$))",
        r"\1 background",
    ),
    (r"can't|cannot|won't|don't|doesn't|isn't|aren't|shouldn't|mustn't", " not "),
    (r"(?<=\w)n't", " not "),
    (r"(there|here|it|that|he|she|what|one|this)'s", r"\1 is"),
    (r"(they|you|we)'re", r"\1 are"),
    (r"(\w)'(?:d|ll|ve|m)\b", r"\1"),
    (r"(\w+)'s\b", r"\1 "),
    (r"['\"]", " "),
    (r"[()\[\]{}]|\s[-–—]+\s|[–—;]|\u2026|\.\.+", " , "),
    (r"[!?\n]+", " . "),
    (r"\b(?:please|thank you|thanks|thank|pls|plz|kindly|cheers)\b", " "),
    (r"\b(?:should|must|shall|has to|have to|needs? to|ought to) (?:all |both )?be\b", " is "),
    (r"\b(?:i|we)(?: would| d)? love(?: to)?\b|\bwould love(?: to)?\b|\bi d\b", " "),
    (r"&|\+", " and "),
    (r"[/|\\]", " . "),
    (r"(?<=\w)-(?=\w)", " "),
    (r"([.,:])", r" \1 "),
)
_LOOK = "|".join((*COLOURS, *SURFACES, "small", "large", "big"))
UNNAMED = re.compile(rf"\b(?:something|anything) ((?:(?:{_LOOK})(?: and)? )*(?:{_LOOK}))\b")
"""Something of which only the look is said: "something red". It is looked for when slips of the pen are mended."""
