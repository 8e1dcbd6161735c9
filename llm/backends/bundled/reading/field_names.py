"""What fields, calls and headings are called in prompts that are written like code or a form; see `notation.py`."""

KIND = (
    r"(?:shape|object|obj|kind|item|thing|type|name|element|elem|what|subject|figure|form|class|motif|content"
    r"|entity|sprite|icon|label)"
)
LOOK = (
    r"(?:colou?r|col|fill|fill_?colou?r|size|texture|pattern|surface|material|scale|finish|decoration|tint"
    r"|hue|skin|stroke|palette)"
)
STYLE = (
    r"(?:(?:art_?|image_?|render_?|drawing_?|overall_?|picture_?|global_?|default_?)?(?:style|medium|technique"
    r"|look|rendering|aesthetic|mode|filter)s?)"
)
PLACE = (
    r"(?:pos|position|at|where|loc|location|coords?|coordinates?|placement|place|align(?:ment)?|anchor|xy|side"
    r"|corner|spot|area|x|y|region)"
)
GROUND = (
    r"(?:(?:canvas|scene|page|image|picture|world|stage)[._])?(?:background|bg|backdrop|setting|scene|scenery"
    r"|world|environment|env|theme|ground|biome|surroundings)(?:[._](?:colou?r|tone|pattern|style|type))?"
)
COUNT = r"(?:count|n|number|num|qty|quantity|amount|copies|times|repeat|total|len|how_?many)"
LAYOUT = r"(?:layout|arrange(?:ment|d)?|order(?:ing)?|distribution|formation|composition|structure)"
HEADS = (
    r"(?:objects?|items?|things?|shapes?|elements?|figures?|contents?|scene|relations?|relation|relationships?"
    r"|constraints?|rules?|colou?rs?|sizes?|surfaces?|textures?|z-?order|positions?|places?|spec|prompt|picture"
    r"|image|drawing|sprites?|nodes?|children|layers?|list|note|notes|subjects?|todo|task|request|order|hero"
    r"|secondary|primary|main|foreground|extra|accent|also|focal point|focus)"
)
CALLS = (
    r"(?:draw|add|render|place|put|make|create|paint|show|object|new|append|insert|spawn|plot|push|obj|shape"
    r"|item|generate|sketch|compose|set|build)"
)
