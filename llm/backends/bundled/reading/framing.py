"""The frame that people put around what they want drawn: headings, orders to check it, reports of what somebody said.

"Layout v2: …", "Verify that …", "The goal is …", "she says she wants …": nothing is drawn of them. Tables of patterns
for a prompt in lower case; what a pattern catches in brackets stays. `dropping.py` applies them.
"""

from __future__ import annotations

from strata.llm.backends.bundled.reading.phrases import PICTURE
from strata.llm.backends.bundled.reading.politeness import PERSON
from strata.llm.backends.bundled.world import KINDS

_VERB_OF_SPEECH = (
    r"(?:says?|said|saying|asks?|asked|asking|wants?|wanted|wanting|needs?|needed|requests?|requested|requesting"
    r"|whispers?|whispered|whispering|shouts?|shouted|shouting|yells?|yelled|yelling|insists?|insisted|insisting"
    r"|decides?|decided|deciding|demands?|demanded|demanding|thinks?|thought|thinking|tells?|told|telling|mentions?"
    r"|mentioned|prefers?|preferred|wishes|wished|hopes?|hoped|hoping|suggests?|suggested|suggesting|agrees?|agreed"
    r"|confirms?|confirmed|approves?|approved|signs? off|signed off|would like|would love|begs?|begged|begging"
    r"|points? out|pointed out|pointing|announces?|announced|declares?|declared|added|adds|adding|repeats?|repeated"
    r"|keeps? (?:asking|saying|begging|pointing|shouting|telling)|changed (?:his|her|their|my) minds?|settled|picked"
    r"|chose|specified|specifies|explained|explains|reckons?|swears?|promised)"
)
_SPEAKER = (
    rf"(?:he|she|they|we|i|someone|somebody|everyone|(?:my|our|the|his|her|their|this|that|one of the) (?:[\w']+ "
    rf")?{PERSON}(?: one)?|mummy|mommy|daddy|(?:the )?(?:client|customer|stakeholders?|designers?|team|brief|spec"
    r"|ticket|user|users|marketing|legal|management|boss|little (?:one|man|fellow|lady|guy|monster)|teacher))"
)
_AFTER_SPEECH = (
    r"(?:(?: (?:me|us|you|him|her|them|to me|to us|to you|again|loudly|now|just|only|really|please|out|at me|on"
    r"|it))*(?: (?:that|for|about|to (?:have|see|get|draw|be shown)|upon|of|if (?:you|we) (?:can|could)))?(?: (?:it"
    r"|this)(?:'s| is| should be| has to be| must be)(?= (?:an?|the|two|three|four|five|six|in|on|at|got) ))?)"
)
_REPORTS = (
    rf"\b(?:and |but |so |then |now |well |yes |oh |ok |okay )*{_SPEAKER}(?:'s|'ve|'d|'re)?(?: (?:has|have|is|are|was"
    rf"|were|had|just|now|also|really|still|clearly|only|will|would|says|do"
    rf"|does))* {_VERB_OF_SPEECH}{_AFTER_SPEECH}(?= |$|[.,;:!?])",
    rf"\b(?:says?|said|asks?|asked|whispers?|whispered) {_SPEAKER}\b",
    rf"\b(?:per|according to|as per|courtesy of|requested by|asked for by|on behalf of|as agreed with"
    rf"|as requested by) (?:{_SPEAKER}|(?:the|our|my) [\w']+)\b",
    r"\b(?:he|she|they|we|i|you)(?:'s|'re|'m| is| are| am| was| were) (?:holding|counting|pointing|looking|nodding"
    r"|jumping|clapping|waving|smiling|laughing|giggling|crying|sitting|standing|busy|happy|excited|sure|very sure"
    r"|certain|adamant|back|done|ready|showing|sulking|only|nearly|almost|tired)(?: (?:up|at|with|about|and|his|her"
    r"|their|my|it|that|me|us|very|on|out|to|down|over|\w+ (?:years?|fingers?)(?: old)?|fingers?|hands?"
    r"|\w+ly))*(?=\s*[.,;:!?…]|$| so\b)",
    r"\b(?:so )?((?:an?|one|two|three|four|five|six|seven|eight) [\w ]+?) it is\b(?=\s*(?:[.,;:!?]|$))",
)
_CHECKS = (
    rf"^\s*(?:it|this|that|(?:the|this|my|our) {PICTURE})(?: (?:must|should|has to|needs to|will|would|shall|ought to"
    rf"|is to))+ (?:have|contain|show|include|consist of|feature)\b",
    rf"\b(?:an?|the|my|our|his|her|one|two|three|four|five|six|some)? ?(?:\w+ )?(?:old |young |little )?{PERSON} "
    rf"(?:once )?"
    r"(?:built|made|painted|drew|planted|carved|bought|dreamt of|dreamed of|imagined|described|spoke of|sang of|wrote "
    r"of|often )*(?:told|tells|tell|telling|built|made|painted|drew|planted|carved|bought|sang|dreamt|dreamed)(?: "
    r"(?:me|us|you|them))?(?: (?:the|a|an|of) (?:old |long )?(?:tale|story|legend|song|fable))?(?: (?:of|about))?\b",
    r"\b(?:and |so |or )?(?:as|so) (?:the |an? |my |our )?(?:old )?(?:legend|story|tale|saying|song|poets?|rumou?r"
    r"|myth|people|they|grandma|granny|bards?)s? (?:goes|go|has it|tells?(?: us| it)?|says?|said|sang|sing|told(?: us"
    r"| it)?)\b",
    r"\b(?:fell|falls?|falling|fallen) (?:deeply |madly )?(?:in love|asleep|silent)(?: with (?:each other"
    r"|one another))?\b",
    r"\b(?:in|from|through|amid|within|beneath|under) the (?:darkness|depths?|heart|midst|silence|stillness|quiet|blue"
    r"|vastness|expanse|shade|heat|glow|cool|gloom|calm|light) of (?=(?:the|an?)\b)",
    r"\b(?:dear|hello|hi|hey|ok|okay|hey there) (?:computer|machine|robot|ai|assistant|bot|app|program|siri|alexa"
    r"|artist|friend|everyone|all|team|folks|strata)\b ?[,!.:]?",
    r"\b(?:yours (?:faithfully|truly|sincerely|ever)|(?:kind|best|warm|warmest) (?:regards|wishes)|with (?:love|best "
    r"wishes|kind regards|thanks)|lots of love|love from|sincerely|respectfully)\b,?(?: [\w']+){0,3}\s*[.!]?\s*$",
    r" ?,? ?\b(?:no|innit|eh|huh) ?\?",
    r" ?, ?(?:(?:it )?(?:is|'s) )?(?:funny|good|nice|ok|okay|beautiful|pretty|cute|lovely|easy|strange)? ?,? ?\b(?:no"
    r"|yes|right|ok|okay|eh|innit|isn'?t it|is it not|don'?t you think|you know) ?\?",
    r"\b(?:please |kindly |also |then |and )*(?:verif(?:y|ies|ied)|check|checks|ensure|ensures|confirm|assert|asserts"
    r"|make sure|made sure|see to it|validate|test|expect|expects|assume|note|remember|guarantee|require|suppose"
    r"|assure|insist|be sure|make certain|recall|mind you|double check|it is (?:required|expected|important|essential"
    r"|necessary|agreed|assumed)|we (?:agreed|assume|expect)|let it be (?:known|noted)|bear in mind"
    r"|keep in mind) that\b",
    r"\b(?:verify|ensure|validate|confirm|assert|expect|expecting|expected(?: result| output| outcome)?|must (?:have"
    r"|contain|show)|should (?:see|contain|show|display|have))(?= (?:an?|the|one|two|three|four|five|six|seven|eight"
    r"|exactly|that) )",
    r"\bgiven (?:an?|the) (?:empty|blank|new|fresh|clean|open)? ?(?:canvas|page|screen|scene|image|picture"
    r"|document)\b\s*,?",
    r"\b(?:renders?|displays?|appears?|shows?(?: up)?|is (?:rendered|displayed|shown|drawn|visible)|are (?:rendered"
    r"|displayed|shown|drawn|visible)|comes? out|looks?) (?:correctly|properly|as expected|right|fine|as intended"
    r"|as designed|ok|okay|without issues?)\b",
    r"\b(?:correctly|properly|as expected|as intended|as designed|as (?:discussed|agreed|requested|specified))\b",
    r"\b(?:test|use|user|edge|corner|happy|negative) ?(?:case|stor(?:y|ies)|path)? ?#?\d+\b ?[:.)-]?",
    r"\b(?:in|out of) scope\b|\bv\d+(?:\.\d+)*\b|\b(?:version|ver|rev|revision|ticket|issue|step|item|scenario|option"
    r"|variant|bug|task|req|requirement|ac|case|no|nr)\.? ?#?\d+(?:\.\d+)*\b(?= ?[:.,)-])",
    r"\bno (?:more|fewer|less)(?:(?: and| or|,)* (?:no |not )?(?:more|fewer|less))*\b(?! than)",
    r"\b(?:don'?t|do not) (?:ask|worry|laugh|judge|blame)(?: (?:me|why|about it|what for))*\b|\b(?:bc |because |cause "
    r"|and |but )?why not\b|\bwho knows(?: why)?\b|\bfor some reason\b|\bfor whatever reason\b",
    r"\b(?:(?:the|my|our) (?:[\w']+ )?(?:have|has|need|needs|get|gets|try|tries) to )?(?:say|tell|guess|decide"
    r"|find out|work out|know|choose|explain|spot|circle|see|name|point to|discuss) (?:me |us )?(?:which|who|what"
    r"|how many)(?: (?:one|is|are|it|there|thing|shape|they))* ?(?:the )?(?:bigger|smaller|larger|biggest|smallest"
    r"|largest|different|missing|odd one out|where|the same)?(?=\s*(?:[.,;:!?]|$))",
    r"\b(?:half|partly|partially|mostly|nearly|almost) (?:in hiding|hidden|covered|visible|obscured|concealed|hiding"
    r"|out of (?:sight|view)|behind it)\b(?! (?:by|behind)\b)",
    r"\bicon (?:set|pack|sheet)s?\b",
    rf"^\s*{PERSON}\s*,",
    r"(?<=[.!?])\s*(?:yours|love|regards|best|respectfully)\s*,\s*[\w']+\s*[.!]?\s*$",
    r"(?:^|(?<=[.;]))\s*(?:mood|tone|feeling|atmosphere|vibe|intent|audience|deadline|budget"
    r"|format) ?: ?[^.;:]*(?=[.;])",
    r"\b(?:is|are|was|were) (?:the )?(?:best |good |old |great |close )*(?:friends|pals|buddies|mates|lovers"
    r"|neighbou?rs)\b(?: and)?",
    r"\b(?:anything|whatever|any of (?:it|them)) (?:works|goes|is fine|will do|would do)\b",
    r"\b(?:and |with )?(?:nothing|nought|naught) (?:else|more|other|besides?|further)\b",
)
_CHATTER = (
    r"\b(?:oh|ah|yeah|yes|ok|okay|all|um+|uh+),? right(?= ?[,.!?])",
    r"\b(?:replace|update|refresh|redo|drop|remove|delete|clear|swap out)s? (?:the |my |our )?(?:old|previous|last"
    r"|existing|current|whole) (?:picture|image|scene|one|drawing|version|icon|canvas)(?: (?:with|by|for))?\b",
    r"\b(?:would|will|is|would not|isn't) it (?:be )?(?:too much|asking too much|too cheeky|cheeky|rude|possible"
    r"|a bother|too late)(?: trouble)?(?: to ask)?(?: (?:for|of you))?\b",
    r"\byou(?:'re| are) (?:such )?(?:an? )?(?:absolute |real |total )?(?:star|angel|legend|gem|treasure|lifesaver"
    r"|darling|saint|hero|genius|wizard|dear|sweetheart|marvel|wonder|sweet|kind|the best|amazing|great)\b",
    rf"\b{_SPEAKER}(?:'s| is| are|'re|'m| am)?(?: (?:really|just|so|very|totally|always|been))* (?:into|mad about"
    rf"|crazy about|nuts about|fond of|keen on|obsessed with|a (?:big |huge )?fan of|loves?|adores?|likes?"
    rf"|collects?)(?: very much)? (?:all )?(?:the )?\w+s(?=\s*(?:[,.;:!?]|so\b|and so\b))",
    r"(?:^|(?<=[.!?,;]))\s*(?:and )?no (?:gradients?|shadows?|shading|textures?|effects?|decorations?|frills|details?"
    r"|clutter|gloss|bevels?|extras)(?: this time| please| here)?(?=\s*(?:[.!?,;:]|$))",
    r"^\s*it(?:'s| is| (?:must|should|has to|needs to|will) be) (?=(?:an?|one) )",
    r"\b(?:this|it|that) (?:might|may|will|probably|could) (?:sound|be|seem) (?:a bit |a little |kinda "
    r"|really )?(?:weird|odd|strange|silly|stupid|crazy|random|dumb)(?: but)?\b",
    r"\bis it (?:weird|odd|strange|silly|ok|okay|wrong|bad|too much) to (?:want|ask for|have|like)\b",
    r"\b(?:and )?(?:that|this|it)(?:'s| is) (?:really |basically )?(?:the (?:whole|entire) (?:thing|picture|idea"
    r"|request|story|lot)|all(?: of it| there is)?|everything|the idea|the plan|the one)\b",
    r"\b(?:the |your |that )?(?:last|previous|first|other) (?:one|picture|image|try|attempt) (?:was|is|looked|looks"
    r"|came out)(?: (?:so|really|very|pretty|just|too))* (?:great|good|nice|awesome|perfect|lovely|amazing|beautiful"
    r"|fantastic|fine|wonderful|cool|brilliant|bad|awful|off|wrong|close|ok|okay)\b",
    r"\b(?:the|one|another|just one|a)(?: (?:last|more|other|final|funny|weird|only|quick|small))* (?:thing|point"
    r"|catch|trick|problem|question|deal|truth)(?: is\b| was\b|(?= ?[:,]))(?: that)?(?! (?:an?|the) (?:\w+ )?(?:one"
    r"|object)\b) ?[:,]?",
    r"\b(?:oh )?(?:my (?:goodness|god|gosh|word|oh my)|good (?:heavens|lord|grief)|goodness(?: me| gracious)?"
    r"|bless (?:me|my soul)|for (?:goodness|heaven'?s|pete'?s) sakes?)\b ?[,!.]?",
    r"\b(?:all )?(?:by|on) (?:itself|its own|themselves|their own|himself|herself|its lonesome)\b",
    r"\bso (?:very )?(?!(?:small|tiny|little|large|big|huge|enormous)\b)\w+ that (?:it|they|he|she)\b",
    r"\b(?:watch|look|gaz|star|presid|rul|reign|smil|shin)(?:s|es|ed|e|ing|d)? (?:out |down )?(?:over|on|upon|at"
    r"|across) (?:everything|all|everyone|the world|the scene|it all|them all|the land)\b(?: below)?",
    r"\b(?:that|it|this|yours|the last(?: one)?) was (?:such )?(?:an? )?(?:really |very |so )?(?:great|good|nice"
    rf"|lovely|perfect|beautiful|brilliant|awesome|amazing|fantastic|wonderful) (?:{'|'.join(KINDS)}|\w+)"
    r"(?=\s*[.,;!?])",
    r"\b(?:and )?(?:so )?it (?:was|happened|so happened|came to pass|is said|was said|came about|turned out"
    r"|chanced) that\b",
    rf"\b(?:{_SPEAKER} )?bets? (?:me |you |us )?(?:that )?(?:you|u|nobody|we) (?:can'?t|cannot|could never)(?: (?:do"
    rf"|draw|make))?\b",
    r"\b(?:i |he |she |they )?(?:bets?|says?|thinks?) (?:me |you |us )?(?:that )?(?:you|u|nobody|we|it) (?:can'?t"
    r"|cannot|could never|couldn'?t|can not)(?: (?:do|draw|make))?\b",
    r"\b(?:the )?same (?:kind|sort|type|style) of (?:thing|idea|picture|stuff|deal)(?: (?:again|as before|but"
    r"|please))*(?: with)?\b",
    r"\b(?:what was it|where was i|what'?s it called|what do you call it|how do i put this|how to say|what'?s the word"
    r"|here goes|here we go|guess what|long story short|anyway|anyhow|moving on|never mind me"
    r"|don'?t mind me)\b ?[,:.!?]?",
    r"\b(?:i |we )?(?:just |really )?hope (?:you|your|this|it|all|everything|everyone)[^.!?:;]*(?=[.!?:;]|$)",
    r"\b(?:that|which|it|this|they)(?: (?:would|will|does|always|really|just|all))* reminds?(?:ed)? (?:me|us|him"
    r"|her) of [^.,;:!?]*",
    r"\b(?:just |exactly )?(?:as|like) (?:it|they|he|she|we|i|the (?:one|ones)) (?:once |we |i |they )*(?:was|were"
    r"|used|had|did|saw|knew|remember)\b[^.,;:!?]*",
    rf"(?:^|(?<=[.!?]))\s*(?:my|our) {PERSON} and (?:i|me|myself)\b[^.,;:!?]*",
    r"\b(?:there(?:'s| is) )?(?:this|an?|the|my) (?:idea|picture|image|thing|scene|vision) (?:(?:i have|that i have"
    r"|stuck) )?(?:in|on) my (?:head|mind)\b|\b(?:in|on|at the back of|off the top of) my (?:head|mind)\b",
    r"\b(?:go|get|going) (?:a (?:bit|little) |absolutely |totally |really )?(?:nuts|crazy|wild|mad|overboard"
    r"|bananas)\b",
    r"\bhow (?:very )?(?:lovely|nice|wonderful|splendid|charming|delightful|good|kind) (?:it (?:would|will) be"
    r"|if)(?: (?:to|if) (?:see|have|get|you (?:drew|could draw)))?\b",
    r"\b(?:would|will|'d) (?:suit|please|delight|cheer|do for) (?:me|us|her|him|them)(?: up)?(?: (?:nicely|well"
    r"|very well|fine|greatly|no end|just fine|perfectly))?\b",
    r"(?<=,) ?(?:my )?(?:(?:young|good|old|dear|little) )+(?:man|lady|fellow|chap|boy|girl|friend|thing)(?=\s*[.,!?;]"
    r"|$)",
    r"\b(?:leave|leaving) (?:the )?(?:rest|others?|colou?rs?|details?|sizes?|style|everything else) (?:up )?(?:to"
    r"|for) (?:the )?(?:you|chance|renderer|artist|engine|model|machine|system|computer|program|software)\b",
    r"\b(?:many thanks|thanks|thank you|cheers) ?[,.!] ?[a-z]+\s*[.!]?\s*$",
    r"\b(?:everything|all|the rest)(?: else)?(?: (?:is|stays|remains|as))* (?:default|defaults|normal|standard"
    r"|unchanged|as (?:is|usual|before))(?: (?:except|but|apart from)(?: for)?(?: that)?)? ?[:,]?",
    r"(?:^|(?<=[.!?;]))\s*(?:the )?same (?:shape|thing|object|kind|item) (?:twice|two times|three times|again) ?[:,.]",
    r"\bit(?:'s| is| was) (?:my|our|his|her|their|the) [\w']*(?: ?[\w']+)? ?(?:birthday|anniversary|party|wedding"
    r"|first day|turn)(?: (?:today|tomorrow|soon))?\b",
)
FRAMES = (*_CHATTER, *_REPORTS, *_CHECKS)
"""In the order in which they are applied."""
