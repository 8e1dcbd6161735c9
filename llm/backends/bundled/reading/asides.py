"""What people say around what they want drawn: thanks, reasons, hours of the day, who the picture is for.

Nothing is drawn of it. Tables of patterns, in the order in which they are applied to a prompt in lower case, before
words are looked up; `dropping.py` applies them.
"""

from __future__ import annotations

from strata.llm.backends.bundled.reading.politeness import ARTICLE, PERSON, SHEET, WE

_OCCASION = (
    r"(?:birthdays?|anniversar(?:y|ies)|christmas|easter|wedding|party|holidays?|fridge|wall|nursery|bedroom|kitchen"
    r"|living room|blog|newsletter|school|work|office|fun|now|today|tonight|tomorrow|starters|me|us|you|him|her|them"
    r"|a change|a start|a laugh|practice|example|instance|sure|real|free|christening|retirement|memory|garden club"
    r"|vocabulary|maths?|english|science|geometry|art|reading|spelling|counting|sorting)"
)
_TIME = (
    r"(?:morning|mornings|evening|evenings|afternoon|afternoons|noon|day|days|week|weeks|month|months|year|years"
    r"|hours?|minutes?|seconds?|moments?|time|times|ages|centur(?:y|ies)|weekends?|mondays?|tuesdays?|wednesdays?"
    r"|thursdays?|fridays?|saturdays?|sundays?|bedtime)"
)

ASIDES: tuple[str | tuple[str, str], ...] = (
    # who it is for, and what on
    rf"\b(?:for|with|to show(?: to)?|to please|to give(?: to)?|as a gift for) (?:my|our|the|his|her|their|your"
    rf"|a)(?: [\w']+){{0,3}}? (?:{PERSON}|{_OCCASION})(?:'s)?(?: (?:{_OCCASION}|{SHEET}|to (?:look at|see|count"
    rf"|colou?r(?: in)?|find|enjoy|learn|copy|name|compare|read|trace|describe)|please|class|page))*(?= |$|[.,;:!?])",
    rf"\bfor (?:{_OCCASION}|{PERSON})(?: (?:page|sheet|purposes?|class|lesson))?(?=\s*(?:[.,;:!?]|$))",
    rf"\bso (?:that )?(?:the |my |our )?(?:{PERSON}|{WE}|it) (?:can|could|may|might|will|know|learn|see)\b[^.!?;]*"
    r"?(?=[.!?;]|$)",
    rf"\b(?:so )?that makes {ARTICLE} \w+ (?:altogether|in total|in all)\b"
    r"|\bso (?:\w+) in total\b|\b(?:in total|altogether|all told|in all)\b",
    rf"\b(?:let|show|give|get|help|ask|have|tell) (?:the |my |our )?{PERSON}(?: (?:to )?(?:see|find|look at"
    r"|count|have|spot|colou?r|notice))?(?: which one is different)?\b",
    r"\b(?:on|in|of|across) (?:this|the|our|my|a|an) (?:[\w']+ )?(?:(?:work)?sheet|card|page|booklet|cover|slide|board"
    r"|handout|poster|worksheet|flashcard|book)\b(?! (?:background|should|has|shows))",
    r"\b(?:in|for|on) (?:exercise|question|task|lesson|activity|chapter|step|part|frame|panel|figure|fig|slide|page"
    r"|number|level) \d+\b",
    rf"(?:^|(?<=[.!?]))\s*(?:the|this|our|my|today's|each|a|every)?\s*(?:[\w']+ ){{0,3}}?{SHEET}(?: (?:\d+"
    r"|of the [\w']+|(?:for|of|on) [\w']+|for \"[^\"]*\"))* (?:shows?|has|have|needs?|should (?:have|show|be|contain"
    r"|feature)|must (?:have|show)|contains?|features?|wants?|depicts?|consists? of|includes?|will have|will show"
    r"|is about|reads|with)\b",
    rf"(?:^|(?<=[.!?]))\s*(?:the|this|our|today's|my)? ?(?:[\w']+ ){{0,2}}?{SHEET}(?: (?:on|about|for|of|in)"
    r" [\w' ]+?)?\s*:(?! \w+\s*$)",
    rf"\b(?:the |my |our |all )?{PERSON} (?:(?:must|should|can|will|have to|need to|are to|may|to) )?(?:see"
    r"|sees|find|finds|look at|looks at|count|counts|read|reads|draw|draws|have|has|spot|spots|notice|name"
    r"|colou?r)(?: from)?\b",
    r"\bto (?:look at|see|count|find|name|trace|copy|compare|admire|enjoy)\b(?=\s*(?:[.,;:!?]|$))",
    r"\b(?:count|let's count|we count|counting) (?:up )?to \w+(?: with me| together)?\s*[:,.]?",
    rf"\b(?:sorting|matching|counting|adding|reading|writing|spelling|shape|colou?r|number|maths?|vocabulary|grammar"
    rf"|memory|phonics|opposites?|prepositions?|warm ?up|starter|plenary|revision) (?:{SHEET}|time)(?: \d+)?\s*[:.,]?",
    r"\b(?:my|our|the|today's) (?:new |key |special )?(?:word|lesson|topic|theme|letter)(?: (?:of the day|for today"
    r"|of the week|today))?(?: is)? (?:\"[^\"]*\"|opposites|shapes|colou?rs|numbers|prepositions"
    r"|patterns)\s*[,.:]?(?: so| and)?",
    r"\"[^\"]*\" is (?:our|the|my) (?:new |key )?word\b[^,.]*[,.]?(?: so)?",
    r"\b(?:for|to (?:teach|show|learn|practi[sc]e|explain|illustrate|demonstrate)|the (?:card|sheet|page|slide) for"
    r"|about) \"[^\"]*\"\s*,?",
    r"\b(?:the |this |our )?(?:number|counting|time) line\b(?: needs| has| with| shows)?",
    r"\bthe (?:one|number|answer|picture|scene|image|drawing|composition|design|layout)(?: (?:is|should be|must be"
    r"|will be|'s)) (?=(?:an?|one|two|three|four|five|six|seven|eight) )",
    # hours and stories
    r"\b(?:once upon a time|long,? long ago|long ago|a long time ago|once(?= (?:there|a)\b)|(?<=there was )once"
    r"|(?<=lived )once|there once|one fine|in days of old|in (?:a|the) (?:far ?away|distant|magical|strange"
    r"|faraway) (?:land|place|kingdom|realm|country|world)|in a land far away|far,? far away|in the middle of nowhere"
    r"|and so|the end|at the end of the (?:day|story)|legend has it(?: that)?|they say(?: that)?|it is said that"
    r"|they lived happily(?: ever after)?|deep in thought)\b,?",
    r"\b(?:as|when|while|until|till|before|after|since|every|each|one|that|this|next|last|the following"
    r"|the next)(?: the| a| an| that| one)?(?: late| early| cold| warm| quiet| long| lazy| bright| fine| sunny"
    r"| same)* (?:dawn|dusk|twilight|daybreak|sunrise|sunset|summer|winter|spring|autumn)(?: (?:fell|came|comes|broke"
    r"|arrived|passed|ended|began))*\b,?",
    r"\b(?:as|when|while|until|till|before|after|since|by|towards?|at|in|during|from|through|all|every|each|one|that"
    r"|this|next|last|late|early|on|the following|the next|some|another|both)(?: the| a| an| that| one)?(?: \w+ing"
    r"| late| early| cold| warm| quiet| long| lazy| bright| fine| sunny| whole| same| single| other| first| very)*"
    rf" {_TIME}(?: (?:fell|came|comes|broke|arrived|passed|went by|ended|began|long|before|after|later|long"
    r"|and \w+|was over|is over|drew near))*\b(?!\s*(?:background|backdrop|sky|scene))(?: ,)?,?",
    r"\bfor (?:a |an |the |many |several |some |one |two |three |ten |\w+ )*(?:hundreds?|thousands?|dozens?"
    rf"|hundred|thousand)? ?(?:of )?{_TIME}\b",
    r"\b(?:all (?:the )?night(?: long)?|all day(?: long)?|night and day|day and night|day by day|night after night"
    r"|(?:as|when) night (?:fell|came|falls)|that day|one day|the other day|these days|because (?:it'?s|its"
    r"|it is) (?:bedtime|late|dark|night)[^.,]*|because [^.,;]*)(?=[ .,;:!?]|$)",
    r"\b(?:it|he|she|they|you|we|nobody|somebody|someone|no one|anyone)(?: (?:could|would|can|did|had|who|just"
    r"|once))* (?:barely |hardly |scarcely )?(?:see|saw|knew|know|seen|noticed?|find|found|guessed?)(?: (?:it|that"
    r"|them|whose (?:it|they) (?:was|were|is)|who|why|what|how))*\b",
    r"\band nobody [^.,;]*",
    (
        r"\bso (tiny|small|little|huge|big|large|enormous) (?:that )?(?:you|it|one|nobody"
        r"|they)\b(?: \w+)*?(?= ?[.,;!?]|$)",
        r" that is \1 ",
    ),
    (r"\bso (tiny|small|little|huge|big|large|enormous)(?= *[.,])", r" \1 "),
    r"\b(?:who|that|which) (?:had |has |was |were |is )?(?:once |always |never |only |just )?(?:loved?|dream(?:ed|t)"
    r"|wish(?:ed)?|want(?:ed)?|believed|thought|knew|liked|hoped|longed|sang|laughed|smiled|cried|slept|waited|forgot"
    r"|remembered)(?: (?:of|to|for|about|that))?(?: (?:\w+ing|sleep|fly|swim|sail|dance|play|shine|sing|be (?:happy"
    r"|free|alone)))?(?= *[.,;]|$)",
    (
        r"\b(?:decided|thought|believed|dream(?:ed|t)|knew|felt|wished|pretended|imagined|declared|announced|said"
        r"|feared) (?:that )?(?:it|he|she|they|itself) (?:was|were|is|had|would|could|might) (?:the |a |an )?(?:king"
        r"|queen|ruler|lord|master|boss|hero|star of the show|alone|lost|late|happy|sad|home|safe)(?: of)?\b",
        " at ",
    ),
    r"\bthe (?:king|queen|prince|princess|hero|heroine|ruler|captain|boss|chief|leader|winner|guest of honou?r"
    r"|star of the show) (?:was|is|were) (?=an? |the |one )",
    (
        r"\b(the|an?|my|our|his|her) (?:king|queen|prince|princess|captain|fisherman|sailor|farmer|wizard|witch|baker"
        r"|teacher|neighbou?r|giant|old man|old woman|family|grandma|grandpa|mum|mom|dad|sister|brother|friend)(?:'s"
        r"|s') ",
        r" \1 ",
    ),
    (
        r"\b(?:(two|three|four|five|six|seven|eight|2|3|4|5|6|7|8) )?(?:best |old |good |little |happy "
        r"|great )*(?:friends|pals|buddies|companions|neighbou?rs|brothers|sisters|siblings|twins|travell?ers"
        r"|strangers|heroes|mates)(?= ?[,:] ?(?:an?|one|two|the)\b)",
        r" \1 objects : ",
    ),
    r"\b(?:mummy|mommy|mama|daddy|papa|mother|father|parent) (?=\w+ (?:that|thats|that's|is|who))",
    (
        r"\b(mummy|mommy|mama|daddy|papa|mother|father|parent) (?=(?:fish|boat|house|tree|star|car|cup|cloud|heart"
        r"|flower|moon|sun|circle|square|triangle|ring|cross)\b)",
        " big ",
    ),
    (
        r"\bbaby (?=(?:fish|boat|house|tree|star|car|cup|cloud|heart|flower|moon|sun|circle|square|triangle|ring"
        r"|cross)\b)",
        " small ",
    ),
    (
        r"\b(?:i|we|you) (?:drawed|drew|made|did|have drawn|painted) (.*?),? (?:now|so|and) (?:you|your turn|u) (?:do"
        r"|draw|make|try|go)(?: it| one| them)*(?: but)?",
        r" \1 , ",
    ),
    r"\b(?:for|of|with|after|on behalf of) (?:the|a|my|our|his|her) (?:third|second|first|last) time\b",
    r"\b(?:guarded|ruled|filled|lit up|lit|watched over|covered|crossed|brightened|saved|explored|left|loved"
    r"|visited) (?:the |all the |this |that |her |his )?(?:kingdom|world|land|realm|valley of dreams|whole picture"
    r"|page|town|city|village)\b",
    r"\bnothing (?:else )?(?:in )?between(?: them)?\b",
    r"\bnothing (?:at all )?(?:in|on|at) the (?:middle|centre|center|left|right|top|bottom|background"
    r"|corners?)(?: (?:left|right))?\b",
    (
        r"\b(?:in |and |with )?(?:its|their|the) (?:walls?|sides?|surfaces?|roof|petals?|sails?|skin|scales|bod(?:y"
        r"|ies)|bricks|shell|outside|hull|tail|fins|edges?|face)(?: (?:is|are|was|were|all|been|had"
        r"|has))*(?: (?:covered|painted|decorated|patterned|adorned|done))? (?:in|with|has|have|had)\b",
        " with ",
    ),
    (
        r"\b(?:swam|came|sailed|drove|drifted|floated|went|rolled|moved|flew|crept|wandered|ran|got|hurried)(?:"
        r" \w+ly)?(?: up| over| close| right| near)? to(?:wards?)? (?=(?:the|an?) )(?!the (?:left|right|top|bottom))",
        " beside ",
    ),
    (r"\b(around|above|below|behind|beside|near|under|over|by|inside|beneath|of) (?:her|him)\b", r"\1 it"),
    (r"\b(?:and )?(?:he|she)\b", " it "),
    (
        r"\bthe whole (?:world|thing|picture|scene|lot) (?:looked|looks|seemed|was|is|felt|feels)(?: like"
        r"| as if it were| as though it were| as if)?\b",
        " everything is ",
    ),
    r"\band (?:it|he|she|they|everyone|everybody) (?:was|were|is|are) (?:so |very |all )?(?:happy|glad|pleased|sad"
    r"|alone|lonely|safe|home|quiet)\b",
)
