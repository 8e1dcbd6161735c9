"""Speech and short messages written down: spoken punctuation, words that take back, letters left out.

Two marks go on to the words: `TAKEN_BACK` where what follows stands instead of what was said, `NAMELY` where it tells
more of it; `corrections.py` resolves them.
"""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.vocabulary import NAMES, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, KINDS, SIZES, SURFACES

TAKEN_BACK, NAMELY, OTHER_WAY = "takenback", "namely", "otherway"
MARKS = (TAKEN_BACK, NAMELY, OTHER_WAY)

_SHORT = """
    w=with wi=with w/=with n=and nd=and &=and @=at r=are u=you lrg=large lg=large bg.=background sml=small sm=small
    med= tny=tiny btm=bottom bttm=bottom botm=bottom tp=top lft=left rgt=right rt=right rite=right ctr=center
    cntr=center centr=center mid=middle arnd=around rnd=around abv=above ovr=over undr=under blw=below btwn=between
    btw.=between bw=between b/w=between nxt=next bhnd=behind bhind=behind infront=in_front insd=inside frnt=front
    crnr=corner abt=about grn=green blu=blue rd=red ylw=yellow yllw=yellow prpl=purple purp=purple pnk=pink
    orng=orange org=orange wht=white blk=black gry=grey cyn=cyan bckgrnd=background bkgd=background bkg=background
    backgrnd=background bgd=background pic=picture pics=picture pix=picture img=image nite=night nyt=night wtr=water
    pxl=pixel sq=square sqr=square tri=triangle circ=circle hse=house em=them 'em=them thats=that_is theres=there_is
    its'=its wanna= gimme= whats=what_is shes=she_is hes=he_is theyre=they_are dont=do_not wont=will_not
    cant=can_not isnt=is_not arent=are_not 1st=first 2nd=second 3rd=third fishy=fish fishie=fish fishies=fish
    housey=house starfishes=starfish teensy=tiny itsy=tiny bitsy= ginormous=huge humongous=huge gr8=great cutted=cut
    drawed=drawn greyish=grey auto=car spotz=spots stripey=striped
"""
SHORT = {short: said.replace("_", " ") for short, _, said in (pair.partition("=") for pair in _SHORT.split())}
"""What is written for short, by chat and by hand."""

_TOPS = (
    (r"\bl of\b", "left of"),
    (r"\br of\b", "right of"),
    (r"\b(next|close) 2\b", r"\1 to"),
    (r"\b2 (the|his|her|its|me)\b", r"to \1"),
    (r"\b(\d) ?(?:x|×|pcs?|pieces?)\b(?= [a-z])", r"\1"),
    (r"\b([a-z]+) ?[x×] ?(\d)\b(?= |$|,)", r"\2 \1"),
    (r"\bbtw (?=(?:2|two|the two|both|them)\b)", "between "),
    (r"\bw/ ?(?=\w)", "with "),
    (r"\bw/o\b", "without"),
    (
        r"\b(big|huge|large|small|tiny|little|teeny|wee|very) (?:(?:big|huge|large|small|tiny|little|teeny|weeny|wee"
        r"|very) )*(?=(?:big|huge|large)\b)",
        "",
    ),
    (r"\b(?:(?:big|huge|small|tiny|little|teeny|teensy|weeny|wee|very) )+(?=(?:small|tiny|little|teensy)\b)", ""),
)

_SINGLE = "|".join(name for name in NAMES if NAMES[name] in KINDS)
_PLURAL = "|".join(name for name in NAMES if NAMES[name] in SINGULAR)
_NO_THING = (
    r"(?:(?<=\bis )|(?<=\bare )|(?<=\bwith )|(?<=\band )|(?<=\bbut )|(?<=\bhas )|(?<=\bhave ))no(?= (?:(?:second|third"
    rf"|other|further|{'|'.join((*COLOURS, *SURFACES, *SIZES))}) )?(?:{_SINGLE})\b)"
    rf"|(?:(?<=[.;!?])|(?<=[.;!?] ))no(?= (?:{_SINGLE})\s*(?:[.,;!?]|$|and\b|but\b))|\bno(?= (?:{_PLURAL})\b)"
)
"""What is absent and takes nothing back: "a car. no sun", "there is no car", "no trees"."""
_PUNCTUATION = (
    (_NO_THING, "without"),
    (
        r"\b(?:new ?line|new paragraph|next line|full stop|period|exclamation (?:mark|point)|question mark"
        r"|end of (?:prompt|message|note)|stop dictation|over and out)\b",
        " . ",
    ),
    (r"\bstop\b(?=\s*(?:$|\n|[A-Z]))|(?<= )stop(?= (?:new|next|then|background|style)\b)", " . "),
    (r"(?<!\bthe )(?<!\ba )\bcomma\b", " , "),
    (r"\b(?:semi ?colon)\b", " ; "),
    (r"(?<!\ba )\bcolon\b", " : "),
    (
        r"\b(?:open|close|begin|end|un)? ?(?:quote|quotes|quotation marks?|bracket|brackets|paren(?:theses"
        r"|thesis)?)\b(?! from)",
        " ",
    ),
    (r"\bnew (?:picture|image|drawing|note|prompt|scene)\b\s*[:,.]?", " "),
)

_BACK = (
    r"(?:(?:oh |um |uh |er |ah |and |but |or )*(?:no+(?! (?:more|fewer|less|fill|filling|text|words?|letters|patterns?"
    r"|other|others|background|border|frame|people|outline|shadows?|shading|one|need|rush|hurry|problem|worries"
    r"|trouble|stress|biggie|idea|clue|style|gaps?|overlap|particular|colou?r|matter)\b)|nope|wait|hang on|hold on"
    r"|sorry|apologies|scratch that|scrap that|strike that|cancel that|delete that|forget that|correction|i mean(?:t)?"
    r"|i meant to say|make (?:that|it|them)|change (?:that|it|them) to|turn (?:it|them) into|or rather|rather|oops"
    r"|whoops|my bad|my mistake|never ?mind|on second thoughts?|let me rephrase|i take that back|actually|not that"
    r"|let's (?:say|make (?:it|that|them)))(?:[\s,.…!;:-]|$)+)"
)
_SURE = (
    r"(?:no+|nope|wait|hang on|hold on|sorry|scratch|scrap|strike|cancel|delete|forget|correction|i mean|make that"
    r"|change that|actually|or rather|oops|whoops|my bad|my mistake|never ?mind|second thought|rephrase|take that back"
    r"|let's)"
)

_SPOKEN = (
    (r"^\W*(?:no+[\s,]+)+not (?:an?|the) (?:\w+ ){0,2}?\w+[\s,.]+(?:but )?(?=(?:an?|the) )", " "),
    (
        r"(?:\b(?:wait|hang on|hold on|oh|sorry|hmm+|no)[, ]+)?\b(?:is|was|would|isn't) (?:that|it|this"
        r"|there)(?: be)?(?: (?:too|a bit|a little|really|very|so|not))* (?:boring|much|many|weird|silly|odd|strange"
        r"|ok|okay|hard|difficult|easy|enough|allowed|possible|fine|alright|good|bad|dull|plain|simple|complicated"
        r"|crazy)(?: (?:for you|to ask|or not))? ?\?",
        " . ",
    ),
    (
        rf"^.*\b{_SURE}.*[\s,.;]so(?: (?:it's|that's|it is|that is|just|basically|in short|we have|there's|there are))*"
        r" (?=(?:two|three|four|five|six|seven|eight|an?|one|\d) \w+)",
        " ",
    ),
    (
        r"\b(and|then|so|with|also|plus|or|between|above|below|under|over|behind|beside|inside|around|by|near|of|in|on"
        r"|at|to|an?|the)[\s,.…]+(?:um+|uh+|er|erm+|hmm+)\b[\s,.…]*",
        r"\1 ",
    ),
    (rf"(?<=\w)[\s,.…;:–—-]+(?:{_BACK})*(?:the )?other way (?:round|around|about)[\s,.:;]+", f" {OTHER_WAY} "),
    (
        rf"(?<=[\w,])[\s,.…;:–—-]+(?={_BACK}*{_SURE})(?:{_BACK})+(?:(?:not an? (?:\w+ )?\w+[\s,]+|yes|yeah|um|uh"
        rf"|please|put|draw|it should be|it is|it's|i want|i'd like|it needs to be|put)[\s,]+)*",
        f" {TAKEN_BACK} ",
    ),
    (
        r"(?<=\w)[\s,.…?!]+(?:yeah|yes|yep|you know|that is to say|in fact)[\s,]+(?=(?:an?|the|one|two|three|\d) )",
        f" {NAMELY} ",
    ),
    (
        r"(?<=\w)[\s,]+(?:um+|uh+|er|erm+)[\s,]+(?=(?:an?|two|three|four|five|six|\d|blue|red|green|yellow|pink|purple"
        r"|orange|cyan)\b)",
        f" {NAMELY} ",
    ),
    (r"\bi mean\b,?", f" {NAMELY} "),
    (r"(?<=\w)[, ]+(?:i'?m thinking|i was thinking|preferably|ideally)(?: of)? (?=an? )", f" {NAMELY} "),
    (
        r"\boh i don'?t know\b|\bi don'?t know\b|\bi dunno\b|\blet me think\b|\bwhat else\b|\bwhere was i\b"
        r"|\blet's say\b|\bsay(?= (?:green|red|blue|yellow|pink|purple|orange|cyan|an?|two|three)\b)",
        " ",
    ),
    (
        r"\b(\w+) (?:right|okay|ok|yeah) (?=(?:an?|one|two|three|four|five|six|seven|eight|\d) (?:\w+ )?(?:\1"
        r"|of them)\b)",
        rf"\1 {NAMELY} ",
    ),
)


_HESITATES = re.compile(
    r"\b(?:nah|hmm+|actually|i guess|i think|like|haha|lol|wait|um+|uh+|erm+|er|comma|i mean|yeah|you know|full stop"
    r"|scratch that|period)\b"
)
_AGAIN = re.compile(
    r"\b(an?|one) (?!(?:and|with|or|is|of|in|on|at|to|by|above|below|beside|next)\b)(\w+)(?:,| comma)?(?: um+"
    r"| uh+)? (?=(?:an?|one) (?:(?!(?:and|or|with)\b)\w+ ){1,3}?(?:\2|one)\b)"
)


def written_out(text: str) -> str:
    """A prompt in lower case with its short forms written out and its spoken marks set."""
    if _HESITATES.search(text):
        text = _AGAIN.sub(rf"\1 \2 {NAMELY} ", text)
    for pattern, by in (*_PUNCTUATION, *_SPOKEN):
        text = re.sub(pattern, by, text)
    text = re.sub(r"([a-z])\1{2,}(?=\b)", r"\1", text)
    words = [SHORT.get(word, word) for word in re.findall(r"w/o|w/|b/w|[\w']+|[^\w\s]|\s+", text)]
    text = "".join(words)
    for pattern, by in _TOPS:
        text = re.sub(pattern, by, text)
    return text
