"""The frame that people put around what they want drawn: headings, orders to check it, reports of what somebody said.

"Layout v2: …", "Verify that …", "The goal is …", "she says she wants …", "for the rating widget": nothing is drawn of
them. A frame is known by its form, not by its words: it falls away only where it has no word of a picture in it, and
none that names something that cannot be drawn.
"""

from __future__ import annotations

import re

from strata.llm.backends.bundled.reading.lexicon import TELLING, nearest
from strata.llm.backends.bundled.reading.phrases import PICTURE
from strata.llm.backends.bundled.reading.politeness import PERSON
from strata.llm.backends.bundled.reading.spoken import MARKS
from strata.llm.backends.bundled.reading.vocabulary import NAMES, NOUNS, SINGULAR
from strata.llm.backends.bundled.world import COLOURS, KINDS, PATTERNS, SIZES, STYLES, SURFACES, TONES

_SHOWN_WORDS = """
beneath underneath atop alongside within outside opposite along across
left right top bottom middle centre center above below under over beside inside between sea desert night meadow
ocean field water grass background behind front around near next upper lower stripes dots checks outline
outlined backdrop style watercolor sky paper cut pixel bit pencil sketch sketched flat neon papercut central
centered centred side sides row column grid corner corners all each everything
"""
_SHOWN = frozenset(_SHOWN_WORDS.split())
_LOOKS = frozenset((*COLOURS, *SURFACES, *SIZES, *STYLES, *TONES, *PATTERNS))
_VERB_OF_SPEECH = (
    r"(?:says?|said|saying|asks?|asked|asking|wants?|wanted|wanting|needs?|needed|requests?|requested|requesting"
    r"|whispers?|whispered|whispering|shouts?|shouted|shouting|yells?|yelled|yelling|insists?|insisted|insisting"
    r"|decides?|decided|deciding|demands?|demanded|demanding|thinks?|thought|thinking|tells?|told|telling|mentions?"
    r"|mentioned|prefers?|preferred|wishes|wished|hopes?|hoped|hoping|suggests?|suggested|suggesting|agrees?|agreed"
    r"|confirms?|confirmed|approves?|approved|signs? off|signed off|would like|would love|begs?|begged"
    r"|begging|points? out|pointed out|pointing|announces?|announced|declares?|declared|added|adds|adding|repeats?"
    r"|repeated|keeps? (?:asking|saying|begging|pointing|shouting|telling)|changed (?:his|her|their|my) minds?"
    r"|settled|picked|chose|specified|specifies|explained|explains|reckons?|swears?|promised)"
)
_SPEAKER = (
    rf"(?:he|she|they|we|i|someone|somebody|everyone|(?:my|our|the|his|her|their|this|that|one of the) (?:[\w']+ )?"
    rf"{PERSON}(?: one)?|mummy|mommy|daddy|(?:the )?(?:client|customer|stakeholders?|designers?|team|brief|spec"
    r"|ticket|user|users|marketing|legal|management|boss|little (?:one|man|fellow|lady|guy|monster)|"
    r"teacher))"
)
_AFTER_SPEECH = (
    r"(?:(?: (?:me|us|you|him|her|them|to me|to us|to you|again|loudly|now|just|only|really|please|out|at me|on"
    r"|it))*(?: (?:that|for|about|to (?:have|see|get|draw|be shown)|upon|of|if (?:you|we) (?:can|could)))?"
    r"(?: (?:it|this)(?:'s| is| should be| has to be| must be)(?= (?:an?|the|two|three|four|five|six|in|on|at"
    r"|got) ))?)"
)
_REPORTS = (
    rf"\b(?:and |but |so |then |now |well |yes |oh |ok |okay )*{_SPEAKER}(?:'s|'ve|'d|'re)?"
    rf"(?: (?:has|have|is|are|was|were|had|just|now|also|really|still|clearly|only|will|would|says|do|does))*"
    rf" {_VERB_OF_SPEECH}{_AFTER_SPEECH}(?= |$|[.,;:!?])",
    rf"\b(?:says?|said|asks?|asked|whispers?|whispered) {_SPEAKER}\b",
    rf"\b(?:per|according to|as per|courtesy of|requested by|asked for by|on behalf of|as agreed with|as requested by)"
    rf" (?:{_SPEAKER}|(?:the|our|my) [\w']+)\b",
    r"\b(?:he|she|they|we|i|you)(?:'s|'re|'m| is| are| am| was| were) (?:holding|counting|pointing|looking|nodding"
    r"|jumping|clapping|waving|smiling|laughing|giggling|crying|sitting|standing|busy|happy|excited|sure|very sure"
    r"|certain|adamant|back|done|ready|showing|sulking|only|nearly|almost|tired)"
    r"(?: (?:up|at|with|about|and|his|her|their|my|it|that|me|us|very|on|out|to|down|over|\w+ (?:years?|fingers?)"
    r"(?: old)?|fingers?|hands?|\w+ly))*(?=\s*[.,;:!?…]|$| so\b)",
    r"\b(?:so )?((?:an?|one|two|three|four|five|six|seven|eight) [\w ]+?) it is\b(?=\s*(?:[.,;:!?]|$))",
)
_CHECKS = (
    rf"^\s*(?:it|this|that|(?:the|this|my|our) {PICTURE})(?: (?:must|should|has to|needs to|will|would|shall"
    rf"|ought to|is to))+"
    r" (?:have|contain|show|include|consist of|feature)\b",
    rf"\b(?:an?|the|my|our|his|her|one|two|three|four|five|six|some)? ?(?:\w+ )?(?:old |young |little )?{PERSON}"
    rf" (?:once )?"
    r"(?:built|made|painted|drew|planted|carved|bought|dreamt of|dreamed of|imagined|described|spoke of|sang of"
    r"|wrote of"
    r"|often )*(?:told|tells|tell|telling|built|made|painted|drew|planted|carved|bought|sang|dreamt|dreamed)"
    r"(?: (?:me|us|you|them))?(?: (?:the|a|an|of) (?:old |long )?(?:tale|story|legend|song|fable))?(?: (?:of"
    r"|about))?\b",
    r"\b(?:and |so |or )?(?:as|so) (?:the |an? |my |our )?(?:old )?(?:legend|story|tale|saying|song|poets?|rumou?r|myth"
    r"|people|they|grandma|granny|bards?)s? (?:goes|go|has it|tells?(?: us| it)?|says?|said|sang|sing|told(?: us|"
    r" it)?)\b",
    r"\b(?:fell|falls?|falling|fallen) (?:deeply |madly )?(?:in love|asleep|silent)(?: with (?:each other|one"
    r" another))?\b",
    r"\b(?:in|from|through|amid|within|beneath|under) the (?:darkness|depths?|heart|midst|silence|stillness|quiet|blue"
    r"|vastness|expanse|shade|heat|glow|cool|gloom|calm|light) of (?=(?:the|an?)\b)",
    r"\b(?:dear|hello|hi|hey|ok|okay|hey there) (?:computer|machine|robot|ai|assistant|bot|app|program|siri|alexa"
    r"|artist|friend"
    r"|everyone|all|team|folks|strata)\b ?[,!.:]?",
    r"\b(?:yours (?:faithfully|truly|sincerely|ever)|(?:kind|best|warm|warmest) (?:regards|wishes)|with (?:love"
    r"|best wishes"
    r"|kind regards|thanks)|lots of love|love from|sincerely|respectfully)\b,?(?: [\w']+){0,3}\s*[.!]?\s*$",
    r" ?,? ?\b(?:no|innit|eh|huh) ?\?",
    r" ?, ?(?:(?:it )?(?:is|'s) )?(?:funny|good|nice|ok|okay|beautiful|pretty|cute|lovely|easy"
    r"|strange)? ?,? ?\b(?:no|yes|right|ok"
    r"|okay|eh|innit|isn'?t it|is it not|don'?t you think|you know) ?\?",
    r"\b(?:please |kindly |also |then |and )*(?:verif(?:y|ies|ied)|check|checks|ensure|ensures|confirm|assert|asserts"
    r"|make sure|made sure|see to it|validate|test|expect|expects|assume|note|remember|guarantee|require|suppose"
    r"|assure|insist|be sure|make certain|recall|mind you|double check|it is (?:required|expected|important|essential"
    r"|necessary|agreed|assumed)|we (?:agreed|assume|expect)|let it be (?:known|noted)|bear in mind|keep in mind)"
    r" that\b",
    r"\b(?:verify|ensure|validate|confirm|assert|expect|expecting|expected(?: result| output| outcome)?|must (?:have"
    r"|contain|show)|should (?:see|contain|show|display|have))(?= (?:an?|the|one|two|three|four|five|six|seven|eight"
    r"|exactly|that) )",
    r"\bgiven (?:an?|the) (?:empty|blank|new|fresh|clean|open)? ?(?:canvas|page|screen|scene|image|picture|document)\b"
    r"\s*,?",
    r"\b(?:renders?|displays?|appears?|shows?(?: up)?|is (?:rendered|displayed|shown|drawn|visible)|are (?:rendered"
    r"|displayed|shown|drawn|visible)|comes? out|looks?)"
    r" (?:correctly|properly|as expected|right|fine|as intended|as designed|ok|okay|without issues?)\b",
    r"\b(?:correctly|properly|as expected|as intended|as designed|as (?:discussed|agreed|requested|specified))\b",
    r"\b(?:test|use|user|edge|corner|happy|negative) ?(?:case|stor(?:y|ies)|path)? ?#?\d+\b ?[:.)-]?",
    r"\b(?:in|out of) scope\b|\bv\d+(?:\.\d+)*\b|\b(?:version|ver|rev|revision|ticket|issue|step|item|scenario|option"
    r"|variant|bug|task|req|requirement|ac|case|no|nr)\.? ?#?\d+(?:\.\d+)*\b(?= ?[:.,)-])",
    r"\bno (?:more|fewer|less)(?:(?: and| or|,)* (?:no |not )?(?:more|fewer|less))*\b(?! than)",
    r"\b(?:don'?t|do not) (?:ask|worry|laugh|judge|blame)(?: (?:me|why|about it|what for))*\b|\b(?:bc |because |cause |"
    r"and |but )?why not\b|\bwho knows(?: why)?\b|\bfor some reason\b|\bfor whatever reason\b",
    r"\b(?:(?:the|my|our) (?:[\w']+ )?(?:have|has|need|needs|get|gets|try|tries) to )?(?:say|tell|guess|decide|find out"
    r"|work out|know|choose|explain|spot|circle|see|name|point to|discuss) (?:me |us )?"
    r"(?:which|who|what|how many)(?: (?:one|is|are|it|there|thing|shape|they))* ?"
    r"(?:the )?(?:bigger|smaller|larger|biggest|smallest|largest|different|missing|odd one out|where|the same)?"
    r"(?=\s*(?:[.,;:!?]|$))",
    r"\b(?:half|partly|partially|mostly|nearly|almost) (?:in hiding|hidden|covered|visible|obscured|concealed|hiding"
    r"|out of (?:sight|view)|behind it)\b(?! (?:by|behind)\b)",
    r"\bicon (?:set|pack|sheet)s?\b",
)
_DRAWS_WORDS = """
draw put place add show make render create paint give sketch position set please
"""
_DRAWS = frozenset(_DRAWS_WORDS.split())
_CHATTER = (
    r"\b(?:oh|ah|yeah|yes|ok|okay|all|um+|uh+),? right(?= ?[,.!?])",
    r"\b(?:replace|update|refresh|redo|drop|remove|delete|clear|swap out)s? (?:the |my |our )?(?:old|previous|last"
    r"|existing|current"
    r"|whole) (?:picture|image|scene|one|drawing|version|icon|canvas)(?: (?:with|by|for))?\b",
    r"\b(?:would|will|is|would not|isn't) it (?:be )?(?:too much|asking too much|too cheeky|cheeky|rude|possible|a"
    r" bother|too late)"
    r"(?: trouble)?(?: to ask)?(?: (?:for|of you))?\b",
    r"\byou(?:'re| are) (?:such )?(?:an? )?(?:absolute |real |total )?(?:star|angel|legend|gem|treasure|lifesaver"
    r"|darling|saint|hero"
    r"|genius|wizard|dear|sweetheart|marvel|wonder|sweet|kind|the best|amazing|great)\b",
    rf"\b{_SPEAKER}(?:'s| is| are|'re|'m| am)?(?: (?:really|just|so|very|totally|always|been))* (?:into|mad about"
    rf"|crazy about"
    r"|nuts about|fond of|keen on|obsessed with|a (?:big |huge )?fan of|loves?|adores?|likes?|collects?) (?:all )?\w+s"
    r"(?=\s*(?:[,.;:!?]|so\b|and so\b))",
    r"(?:^|(?<=[.!?]))\s*(?:hmm+ |no |so )?not (?:the|an?) \w+,? (?:but )?(?=(?:the|an?) )",
    r"(?:^|(?<=[.!?,;]))\s*(?:and )?no (?:gradients?|shadows?|shading|textures?|effects?|decorations?|frills"
    r"|details?|clutter|gloss"
    r"|bevels?|extras)(?=\s*(?:[.!?,;]|$))",
    r"\b(?:this|it|that) (?:might|may|will|probably|could) (?:sound|be|seem) (?:a bit |a little |kinda |really"
    r" )?(?:weird|odd"
    r"|strange|silly|stupid|crazy|random|dumb)(?: but)?\b",
    r"\bis it (?:weird|odd|strange|silly|ok|okay|wrong|bad|too much) to (?:want|ask for|have|like)\b",
    r"\b(?:and )?(?:that|this|it)(?:'s| is) (?:really |basically )?(?:the (?:whole|entire) (?:thing|picture|idea"
    r"|request|story|lot)"
    r"|all(?: of it| there is)?|everything|the idea|the plan|the one)\b",
    r"\b(?:the |your |that )?(?:last|previous|first|other) (?:one|picture|image|try|attempt) (?:was|is|looked|looks"
    r"|came out)"
    r"(?: (?:so|really|very|pretty|just|too))* (?:great|good|nice|awesome|perfect|lovely|amazing|beautiful"
    r"|fantastic|fine"
    r"|wonderful|cool|brilliant|bad|awful|off|wrong|close|ok|okay)\b",
    r"\b(?:the|one|another|just one|a)(?: (?:last|more|other|final|funny|weird|only|quick|small))* (?:thing|point"
    r"|catch|trick"
    r"|problem|question|deal|truth)(?: is\b| was\b|(?= ?[:,]))(?: that)?(?! (?:an?|the) (?:\w+ )?(?:one"
    r"|object)\b) ?[:,]?",
    r"\b(?:oh )?(?:my (?:goodness|god|gosh|word|oh my)|good (?:heavens|lord|grief)|goodness(?: me| gracious)?|bless"
    r" (?:me|my soul)"
    r"|for (?:goodness|heaven'?s|pete'?s) sakes?)\b ?[,!.]?",
    r"\b(?:all )?(?:by|on) (?:itself|its own|themselves|their own|himself|herself|its lonesome)\b",
    r"\bso (?:very )?(?!(?:small|tiny|little|large|big|huge|enormous)\b)\w+ that (?:it|they|he|she)\b",
    r"\b(?:watch|look|gaz|star|presid|rul|reign|smil|shin)(?:s|es|ed|e|ing|d)? (?:out |down )?(?:over|on|upon|at"
    r"|across)"
    r" (?:everything|all|everyone|the world|the scene|it all|them all|the land)\b(?: below)?",
    r"\b(?:that|it|this|yours|the last(?: one)?) was (?:such )?(?:an? )?(?:really |very |so )?(?:great|good"
    r"|nice|lovely|perfect"
    r"|beautiful|brilliant|awesome|amazing|fantastic|wonderful) \w+(?=\s*[.,;!?])",
    r"\b(?:and )?(?:so )?it (?:was|happened|so happened|came to pass|is said|was said|came about|turned out"
    r"|chanced) that\b",
    rf"\b(?:{_SPEAKER} )?bets? (?:me |you |us )?(?:that )?(?:you|u|nobody|we) (?:can'?t|cannot|could never)(?:"
    rf" (?:do|draw|make))?\b",
    r"\b(?:i |he |she |they )?(?:bets?|says?|thinks?) (?:me |you |us )?(?:that )?(?:you|u|nobody|we|it) (?:can'?t"
    r"|cannot|could never"
    r"|couldn'?t|can not)(?: (?:do|draw|make))?\b",
    r"\b(?:the )?same (?:kind|sort|type|style) of (?:thing|idea|picture|stuff|deal)(?: (?:again|as before|but"
    r"|please))*(?: with)?\b",
    r"\b(?:what was it|where was i|what'?s it called|what do you call it|how do i put this|how to say|what'?s the"
    r" word|here goes"
    r"|here we go|guess what|long story short|anyway|anyhow|moving on|never mind me|don'?t mind me)\b ?[,:.!?]?",
    r"\b(?:i |we )?(?:just |really )?hope (?:you|your|this|it|all|everything|everyone)[^.!?:;]*(?=[.!?:;]|$)",
    r"\b(?:that|which|it|this|they)(?: (?:would|will|does|always|really|just|all))* reminds?(?:ed)? (?:me|us|him|her)"
    r" of [^.,;:!?]*",
    r"\b(?:just |exactly )?(?:as|like) (?:it|they|he|she|we|i|the (?:one|ones)) (?:once |we |i |they )*(?:was|were|used"
    r"|had|did|saw|knew|remember)\b[^.,;:!?]*",
    rf"(?:^|(?<=[.!?]))\s*(?:my|our) {PERSON} and (?:i|me|myself)\b[^.,;:!?]*",
    r"\b(?:there(?:'s| is) )?(?:this|an?|the|my) (?:idea|picture|image|thing|scene|vision) (?:(?:i have|that i"
    r" have|stuck)"
    r" )?(?:in|on) my (?:head|mind)\b|\b(?:in|on|at the back of|off the top of) my (?:head|mind)\b",
    r"\b(?:go|get|going) (?:a (?:bit|little) |absolutely |totally |really )?(?:nuts|crazy|wild|mad|overboard"
    r"|bananas)\b",
    r"\bhow (?:very )?(?:lovely|nice|wonderful|splendid|charming|delightful|good|kind) (?:it (?:would|will) be|if)"
    r"(?: (?:to|if) (?:see|have|get|you (?:drew|could draw)))?\b",
    r"\b(?:would|will|'d) (?:suit|please|delight|cheer|do for) (?:me|us|her|him|them)(?: up)?(?: (?:nicely|well"
    r"|very well"
    r"|fine|greatly|no end|just fine|perfectly))?\b",
    r"(?<=,) ?(?:my )?(?:(?:young|good|old|dear|little) )+(?:man|lady|fellow|chap|boy|girl|friend"
    r"|thing)(?=\s*[.,!?;]|$)",
    r"\b(?:leave|leaving) (?:the )?(?:rest|others?|colou?rs?|details?|sizes?|style|everything else) (?:up"
    r" )?(?:to|for) (?:the )?"
    r"(?:you|chance|renderer|artist|engine|model|machine|system|computer|program|software)\b",
    r"\b(?:many thanks|thanks|thank you|cheers) ?[,.!] ?[a-z]+\s*[.!]?\s*$",
    r"\b(?:everything|all|the rest)(?: else)?(?: (?:is|stays|remains|as))* (?:default|defaults|normal|standard"
    r"|unchanged"
    r"|as (?:is|usual|before))(?: (?:except|but|apart from)(?: for)?(?: that)?)? ?[:,]?",
    r"(?:^|(?<=[.!?;]))\s*(?:the )?same (?:shape|thing|object|kind|item) (?:twice|two times|three times|again) ?[:,.]",
    r"\bit(?:'s| is| was) (?:my|our|his|her|their|the) [\w']*(?: ?[\w']+)? ?(?:birthday|anniversary|party|wedding"
    r"|first day|turn)"
    r"(?: (?:today|tomorrow|soon))?\b",
)
_ASKING_WORDS = """
want wants need needs like love draw drawn make makes put give add get gets see show paint place include create
render sketch prefer fancy imagine picture wish have has try use there a an two three four five six seven eight
one
"""
_ASKING = frozenset(_ASKING_WORDS.split())
_SAYS = re.compile(
    r"\bmy \w+(?:'s| is| are| was) \w+|\b(?:i|you|we|he|she)(?:'\w+)? \w+|^\s*(?:sorry|hope|guess|bet|prove|trust"
    r"|believe|thank|wish"
    r"|not sure|no idea)\b"
)
_CLAUSES = re.compile(r"(\s*[.!?;:\n]+|,? \b(?:but|so|anyway)\b(?! that)|,)")
_DROPPED = tuple(re.compile(pattern) for pattern in (*_CHATTER, *_REPORTS, *_CHECKS))
_IDLE_REASON = re.compile(r"\b(?:because|cause|cuz|coz|cos|bc|b/c|'cause|seeing as|seeing that)\b([^.,;:!?]*)")
_NUMBER = r"(?:an?|one|two|three|four|five|six|seven|eight|\d|the)"
_HEADING = re.compile(r"(?:^|(?<=[.!?;\n]))(\s*(?:[\w'/&-]+,? ?){1,7}?):(?!\w)")
_IS = re.compile(
    r"(?:^|(?<=[.!?;\n]))(\s*(?:[\w'-]+ ){1,7}?)(?:is|are|was|were|will be|would be|should be|must be|shall be|being)"
    rf"(?: (?:just|only|simply|basically|still|now|to (?:draw|have|show|get|see|make|render)))*(?= {_NUMBER} )"
)
_PURPOSE = re.compile(
    r"\bfor (?:(?:the|our|my|this|that|his|her|their|your|an?|some|next|tomorrow's|today's) )+((?:[\w'-]+ ){0,3}?"
    r"[\w'-]+)(?=\s*(?:[.,;:!?]|$|\())"
)


def tells(word: str) -> bool:
    """Whether a word is one of a picture: a thing, a look, a place, or something of the kind that cannot be drawn."""
    name = NAMES.get(word, word)
    return (
        name in NOUNS or name in SINGULAR or name in _LOOKS or name in _SHOWN or word in TELLING or bool(nearest(word))
    )


def describes(word: str) -> bool:
    """Whether a word is a look of a thing or of the background."""
    name = NAMES.get(word, word)
    return (name in KINDS or name in _LOOKS) and word not in (
        "little",
        "plain",
        "big",
        "small",
        "large",
        "wee",
        "solid",
        "flat",
    )


def unframed(text: str) -> str:
    """A prompt in lower case without its frame."""
    for pattern in _DROPPED:
        text = pattern.sub(_dropped, text)
    pieces = _CLAUSES.split(text)
    for i in range(0, len(pieces), 2):
        if _is_chatter(pieces[i]):
            pieces[i : i + 2] = [" ", re.sub(r"but|so|anyway|,", " ", "".join(pieces[i + 1 : i + 2]))]
    text = _IDLE_REASON.sub(lambda m: m[0] if any(map(tells, _words(m[1]))) else " ", "".join(pieces))
    text = _HEADING.sub(_heading, text)
    text = _IS.sub(_subject, text)
    return _PURPOSE.sub(lambda m: m[0] if any(map(tells, _words(m[1]))) else " ", text)


def _dropped(match: re.Match[str]) -> str:
    """What a frame leaves behind: all of it where a colour, a surface or a style would be lost with it."""
    kept = f" {match[1]} " if match.re.groups and match[1] else " "
    lost = [NAMES.get(word, word) for word in _words(match[0]) if word not in ("solid", "flat")]
    told = [NAMES.get(word, word) for word in _words(kept)]
    return match[0] if any(w in (*COLOURS, *SURFACES, *STYLES) and w not in told for w in lost) else kept


def _is_chatter(clause: str) -> bool:
    """Whether somebody says something in a clause that asks for nothing and names nothing of a picture."""
    words = _words(clause)
    return bool(_SAYS.search(clause)) and not any(tells(w) or w in _ASKING or w in MARKS for w in words)


def _heading(match: re.Match[str]) -> str:
    """Nothing in the place of words before a colon that tell nothing, where a thing is named behind it."""
    return match[0] if any(map(tells, _words(match[1]))) or not _names_next(match) else " "


def _subject(match: re.Match[str]) -> str:
    """Nothing in the place of "the goal is", before a thing."""
    words = _words(match[1])
    idle = not any(map(tells, words)) and not {"it", "there", "this", "that", "they", "here", "one"} & set(words)
    return " " if idle and _names_next(match) else match[0]


def _names_next(match: re.Match[str]) -> bool:
    """Whether a thing that can be drawn is named right behind: "two small red stars"."""
    for word in _words(re.split(r"[.:;]", match.string[match.end() :])[0])[:6]:
        name = NAMES.get(word, word)
        if name in NOUNS or name in SINGULAR:
            return True
        if word in _DRAWS:
            continue
        if not (name in _LOOKS or re.fullmatch(rf"{_NUMBER}|and|exactly|single|just|only", word)):
            return False
    return False


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text)
