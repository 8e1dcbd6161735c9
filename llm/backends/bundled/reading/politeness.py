"""What people say to be polite, or only to say something: thanks, trouble, hopes, fillers of speech.

A table of patterns for a prompt in lower case, in the order in which they are applied; `dropping.py` applies them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

PERSON = (
    r"(?:class|children|child|kids?|pupils?|students?|learners?|teachers?|toddlers?|(?:grand)?(?:daughters?|sons?"
    r"|children|child|mothers?|fathers?|ma|pa|mas|pas)|mum|mummy|mom|mommy|dad|daddy|sisters?|brothers?|aunt|aunts"
    r"|uncle|uncles|cousins?|nieces?|nephews?|wife|husband|partner|boyfriend|girlfriend|friends?|neighbou?rs?|boss"
    r"|colleagues?|clients?|customers?|family|parents?|grandparents?|everyone|everybody|readers?|viewers?|audience"
    r"|guests?|members?|group|team|grandma|grandpa|granny|nan|nana|grandad|granddad|baby|twins|little (?:ones?|boy"
    r"|girl)|boy|girl|doctor|choir|club|church)"
)
SHEET = (
    r"(?:(?:work|answer |counting |colou?ring |spelling |spread)?sheets?|(?:flash|post|birthday |greeting |greetings "
    r")?cards?|pages?|booklets?|covers?|books?|slides?|boards?|handouts?|exercises?|questions?|tasks?|activit(?:y|ies)"
    r"|games?|lessons?|quiz(?:zes)?|screens?|banners?|homework|tests?|labels?|stickers?|posters?|puzzles?|prompts?"
    r"|revisions?|workbooks?|leaflets?|invitations?|projects?|presentations?|decks?|designs?|mock ?ups?|compositions?"
    r"|wallpapers?|thumbnails?|headers?|websites?|homepages?|posts?|stor(?:y|ies)|chapters?|topics?|examples?|drills?"
    r"|brief|specs?|versions?|concepts?|sums?|problems?|sentence|request|collection|calendar|scrapbook|album)"
)
CAN = r"(?:could|can|would|will|might|may|should|must|shall|do|does|did|were|are|is|was)"
WE = r"(?:i|we|you|he|she|they|one)"
ARTICLE = r"(?:an?|one|two|three|four|five|six|seven|eight|\d|the|some|my|our)"
MUCH = r"(?:so |very |ever |too |awfully |terribly |really |most |quite |rather |just |much |kindly |all |also )*"

_OPEN = (
    r"(?<=[.,;])\s*(?:and )?(?:the )?(\w+) (?:is |can be |in )?(?:any|whatever|whichever) (?:colou?r|size|kind"
    r"|style)s?(?: (?:is|are|will|would|you|u|do|s|fine|ok|okay|like|want|goes|works?|be))*(?=\s*(?:[.,;!?]|$))"
)


def _open(match: re.Match[str]) -> str:
    """Nothing in the place of "the flower any colour", where the flower was named before."""
    return " " if re.search(rf"\b{match[1]}\b", match.string[: match.start()]) else f" , {match[1]} "


POLITENESS: tuple[str | tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (_OPEN, _open),
    (r"\b(?:and |but )*(?:don'?t|do not|never) (?:forget|omit|leave out|skip|miss)(?: to \w+)?\b(?! about)", " and "),
    r",? ?(?:but |and )?not (?:too|very|that|so|overly) (?:big|large|huge|small|tiny|little)\b",
    r"\bmy (?:\w+'s )?favou?rite (?:colou?r|shape|thing|animal)s? (?:is|are) (?:the )?\w+(?:,? and)?(?:,? so)?\b",
    (r", *(?:yeah|yes|right|ok|okay|alright|eh|innit|hm+|huh|see|got it|get it|you know|deal|cool) *\?", " . "),
    (r"\b(?:yeah|okay|alright|innit|huh) *\?", " . "),
    r"\bdear sirs?(?: or madam)?\b|\bto whom it may concern\b|\byours (?:sincerely|faithfully|truly)\b",
    (r"\b(?:all|both) (?:of |in |with )?(?:the |one )?same (?:colou?r|size|kind|pattern|style)s?\b", " all "),
    r"\b(?:of |in |with )?(?:the |one )?(?:exact |very )?(?:same|equal) (?:size|shape|height|width)s?\b",
    r"\b(?:one|two|three|four|five|six|\d)[ -](?:up|column|panel|part|piece)(?: (?:layout|grid|design"
    r"|arrangement))?\s*:",
    r"\b(?:kept|keeps|keeping|stood|stands|standing) (?:watch|guard|still|tall|proud|by)\b|\btook (?:a nap|a rest"
    r"|shelter)\b|\bpicture this\b",
    r"\b(?:be so (?:very )?(?:kind|good)(?: as)?(?: to)?|so (?:kind|good) as to|have the goodness to|be a dear and)\b",
    r"\b(?:the )?many thanks\b|\bcheers\b|\bmuch obliged\b|\bsincerely\b|\bregards\b",
    r"\bi(?:'m| am) (?:\d+|five|six|seven|eight|four|three|nine|ten)(?: years? old)?(?: and a half)?(?: so| and)?\b"
    r"|\bi (?:like|love) \w+(?=(?: so| and)\b)(?: so| and)?",
    rf"(?:^|(?<=[.,;:!?]))\s*(?:on|in|for|with|at) (?:this|the|our|my|that|today's|a|an"
    rf"|each) (?:[\w']+ ){{0,3}}?{SHEET}(?: \d+)?(?! of\b)\s*,?",
    (
        r"\b(?:the |this |our |my )?(?:[\w']+ ){0,2}?(?:cover|front|page|poster|card|flashcard|worksheet|sheet|slide"
        r"|banner)(?: of the [\w']+)? (?:has|shows|needs|features) ([^.;]*?) on it\b",
        r" \1 ",
    ),
    (
        r"\b(?:in |at |on )?(each|every|all four|the four|all) corners?(?: of (?:the|this|my|our) \w+)? (?:has|have"
        r"|holds?|contains?|gets?|shows?|is|are|needs?|should (?:have|hold|show)) ([^.,;:]*?)(?: in (?:it"
        r"|them))?(?=[.,;:]|$)",
        r" \2 in \1 corner ",
    ),
    # greetings, thanks
    r"\b(?:good (?:morning|afternoon|evening|day|night|grief)|howdy|greetings|dear (?:sir|madam)|sir|madam)\b",
    r"\b(?:oh |my )*(?:thank|thanks)(?: you)?(?: (?:kindly|again|a lot|lots|a million|a bunch|very|ever|so|much|team"
    r"|folks|everyone|everybody|guys|people|in advance|for (?:asking|your (?:\w+ )?(?:help|time|patience|kindness)"
    r"|everything|helping|this|that)|to you|all))*\b",
    r"\b(?:many|much|lots of|very|kind|best|warm|with) (?:thanks|regards|wishes|appreciated)\b|\bmuch appreciated\b",
    r"\b(?:pretty |yes |and )*(?:please|pls|plz|plse|pleas|plis|pleaz|plea+se+|ple+ase+)(?: and thank you| thanks)?\b",
    r"\b(?:pardon|excuse|forgive|bear with|trust|humou?r|believe|remind|tell) me\b(?! (?:the|a)\b)",
    r"\b(?:god |)bless you\b|\bdear\b|\bdarling\b|\bmy love\b|\bsweetie\b|\bhoney\b|\bdude\b|\bbro\b|\bmate\b"
    r"|\bbuddy\b|\bguys?\b",
    # trouble, possibility
    rf"\b(?:and |but |so )*if (?:it|that|this|you|possible|poss|at all|i|we|need|not|allowed|that's)\b(?: [\w']+)*?"
    r"(?: (?:trouble|bother|ok|okay|alright|possible|poss|please|kind|good|can|could|may|will|would|doable|fine|well"
    r"|manage it|manage|like|want|mind|wish|allowed|time|be))+(?: (?:to|too|that|it|at all|for me))*(?=\s*"
    rf"(?:[.,;:!?]|$|{ARTICLE}\b|to\b))",
    r"\bif (?:you please|you wish|you like|you can|you could|you would|you will|you don'?t mind|possible|poss|need be"
    r"|at all possible|it pleases you|i may|i might|we may|that (?:makes sense|helps|works|is clear))\b",
    r"\b(?:it's |it is |that's |)(?:no|not|isn't|is not|wasn't) (?:any |a |too much |much of a |really )*(?:trouble"
    r"|bother|problem|rush|hurry|big deal|worries|worry|pressure|prob|biggie|sweat)(?: at all)?\b",
    rf"\b(?:{CAN} it be|is it|it is|it's|it would be) (?:at all |ever )?(?:possible|doable|okay|ok|alright"
    r"|nice|lovely|great|good|best|wonderful|fun|cool|helpful)(?: (?:to|if|for you to|for))*(?: (?:you|i"
    r"|we))?(?: (?:could|can|would|will))?(?: (?:have|get|see))?\b",
    rf"\b(?:i|we) (?:wonder|was wondering|were wondering|am wondering|ask|hope|think|thought|guess|suppose|believe"
    rf"|reckon|feel|imagine)(?: that)?(?: (?:if|whether))?(?: {WE} {CAN})?\b",
    rf"\b(?:{CAN} {WE}|{WE} {CAN}|{WE}'d) {MUCH}(?:please )?(?:mind|trouble you for|bother you for|bother"
    r" you to|trouble you to|ask for|ask you for|ask you to|be so (?:kind|good)(?: as)?(?: to)?|be willing to|care to"
    r"|manage|possibly)\b",
    rf"\b(?:i|we)(?: would| should|'d|'d be|am|'m)? {MUCH}(?:be )?{MUCH}(?:grateful|obliged|delighted|happy|pleased"
    rf"|thrilled|glad|thankful|appreciative)(?: (?:to (?:have|see|get)|for|if {WE} {CAN}|if {WE}'d"
    rf"|if {WE}))?(?: (?:just|please|kindly))?\b",
    rf"\b{WE}(?: would| should|'d|do|did)? {MUCH}(?:love|like|enjoy|adore|fancy|prefer|dearly like|wish|want"
    r"|need|require|be after)(?:d|s)?(?: (?:to (?:have|see|get|order|request|be shown)|for|it if you (?:could"
    r"|would)))?\b(?! (?:it|that|this|them)\b)",
    r"\b(?:would|'d) (?:dearly |really |very much )*(?:love|like|appreciate)\b",
    rf"\b(?:my|our|the) {PERSON} (?:tells?|told|says?|said|thinks?|thought|asks?|asked|wants?|wanted|reckons?"
    rf"|would like|would love)(?: (?:me|us))?(?: that)?(?: {WE} (?:can|could))?(?: draw)?\b",
    rf"\b(?:my|our) (?:\w+ )?{PERSON} (?:was|is|were|are|has|had|will|would|loves?|loved|likes?|liked|adores?"
    r"|adored|always|used) [^.!?]*?(?=[.!?]|$|,? so\b|, and\b)",
    r"\b(?:i|we) (?:do |really |just |only )*(?:hope|trust|know|think|mean|promise|swear|guess|believe)(?: (?:that"
    r"|this|it|you))*(?:'s| is| are| makes?| helps?| will do| works?| can do| understand| knows?)?(?: (?:clear|ok|okay"
    r"|fine|enough|sense|alright|good|it|this))*(?=\s*(?:[.,;!?]|$))",
    r"\bsounds? (?:good|great|ok|okay|fun|fine|like fun)\b|\bdoes that (?:make sense|work|help|sound \w+)\b"
    r"|\bmake sense\b|\byou know what(?:'d be| would be)? (?:fun|nice|cool|good|great)?\b|\byou know\b"
    r"|\bany chance of\b|\bwhat do you (?:think|say)\b|\bwhat (?:about|if there (?:was|were|is))\b|\bhow about\b"
    r"|\bhow hard can it (?:be|b)\b|\bis that (?:ok|okay|alright|fine|possible)\b|\b(?:let me|let's) (?:see|think"
    r"|try)\b|\bi'?m thinking(?: of)?\b|\bi was thinking(?: of)?\b|\bi'?m after\b|\bi fancy\b",
    r"\b(?:would|will|'d) be (?:a )?(?:cool|nice|lovely|great|good|fun|fine|perfect|wonderful|awesome|ideal|best"
    r"|dreamy|sweet|delightful)\b",
    r"\b(?:any|whatever|whichever) (?:colou?rs?|size|style|kind)(?: (?:is|are|will|would|you|do|s|fine|ok|okay|like"
    r"|want|honestly|goes|works?|be|please))*\b",
    r"\b(?:the|its) (?:rest|remainder|details|colou?rs?) (?:is|are) (?:all )?up to you\b|\bup to you\b"
    r"|\byour (?:choice|call)\b|\bsurprise me\b",
    r"\b(?:i |we )?(?:don'?t|do not|dont) (?:mind|care)(?: (?:about|what|which|the|any|how))*(?: (?:colou?rs?|sizes?"
    r"|style|rest))?\b|\b(?:dont|don't) (?:mind|care about) the (?:colou?rs?|sizes?)\b|\bidc(?: (?:abt"
    r"|about) (?:the )?\w+)?\b",
    r"\b(?:the )?\w+ does(?:n'?t| not) matter\b(?: (?:what|which) (?:colou?r|size))?",
    r"\b(?:nothing|no) (?:too )?(?:fancy|special|complicated|crazy|else needed)\b|\bnothing (?:else|more|other)\b"
    r"|\b(?:that|this|it)(?:'s| is) (?:it|all|everything|enough)\b|\b(?:that's|thats|that is) (?:it|all|everything)\b"
    r"|\beverything else (?:stays?|is|remains?|should be|can be|left) (?:empty|blank|clear|open|plain|free)\b",
    r"\b(?:leave|keep) (?:the )?(?:rest|everything else|remainder)(?: of (?:it|the \w+))? (?:empty|blank|clear|free"
    r"|open)\b",
    r"\bsame sort of (?:thing|idea)(?: again)?\b(?=[^.!?]*\bbut this time\b)|\bbut this time\b|\bthis time\b"
    r"|\bhi again\b|\bhey again\b|\bme again\b",
    r"\b(?:okay|ok|final|last|next|wild|new|another|one more|crazy|random|quick|silly|simple|here's|here is|here comes"
    r"|my)(?: (?:one|idea|request|try|thought|go|question|thing))+(?: i promise| please| for you"
    r"| then)?(?=\s*(?:[:,.–—-]|lol|haha|pls|please))",
    r"\bhere'?s (?:one|another|an idea|the idea|my idea|what i want|what i need)\b",
    r"^\W*(?:right|so|now|well|okay|ok|alright|all right|yeah|yes|hmm+|hm+|um+|uh+|erm+|ooh+|oh|ah|aha|haha+|hehe|lol"
    r"|yo|hey|hi+|hiya|heya|hello|sure|look|listen|great|good|cool|fine|and|but)(?:\W+(?:right|so|now|well|okay|ok"
    r"|alright|yeah|yes|then|there|again|hey|hi|um+|uh+|and|but))*\W+(?=\w)",
    (
        r"(?<=[.!?,;:])\s*(?:right|now|well|okay|ok|alright|yeah|yes|hmm+|um+|uh+|erm+|so),?(?=\s+(?:so|then|now|and|there"
        r"|an?|one|the|let|i|we|it|put|make|draw|two|three|four)\b)",
        lambda m: m[0] if "right" in m[0] and "left" in m.string else " ",  # a side, not "right, …"
    ),
    r"\b(?:um+|uh+|erm+|er|hmm+|hm+|mhm|ugh+|argh+|lol|lmao|haha+|hehe+|omg|wow|yay|woo+|ooh+|aw+|yep|yup|nah|duh|meh"
    r"|tbh|imo|idk|btw|rn|asap|fr|ngl|k|kk|ty|tysm|thx|tnx|thanx|ta|ur welcome|ofc|obv|deffo|defo|plss*|pleasee*|imho"
    r"|afaik|fwiw|smh|pretty please|no cap|lowkey|highkey|kinda|sorta|hehehe|teehee|bye|goodbye|cya|see ya|see you|xx+"
    r"|xo+|cmon|c'mon|come on|hurry(?: up)?|quick(?:ly)?|go(?=\W*$)|alrdy|already|2day|today(?!'s)|tonight|tomorrow"
    r"|yesterday|nowadays|eh|huh|innit|obviously|obvs|honestly|literally|basically|seriously|apparently|naturally"
    r"|of course|anyway|anyways|whatever|or something|or so|and stuff|and so on|etc|as usual|at last|at least|for once"
    r"|for ever|forever|ever after|happily|you see|i say|as it were|so to speak|in other words|like i said)\b",
)
"""Patterns that fall away, or with what stands instead."""
