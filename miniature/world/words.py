"""The words that captions are made of."""

from __future__ import annotations

from strata.miniature.world import facts

KIND_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("disc",),
    "square": ("box",),
    "ring": ("hoop",),
    "house": ("cottage", "home"),
    "boat": ("sailboat", "ship"),
    "flower": ("blossom",),
    "cup": ("mug",),
    "moon": ("crescent",),
}
"""Other words for kinds."""
PLURALS = {"fish": "fish", "box": "boxes", "cross": "crosses"}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("scarlet", "crimson"),
    "yellow": ("golden",),
    "purple": ("violet",),
    "cyan": ("turquoise",),
    "pink": ("rose",),
}
SURFACE_WORDS: dict[str, tuple[str, ...]] = {
    "striped": ("stripy",),
    "dotted": ("spotted",),
    "checkered": ("checked", "chequered"),
}
SURFACE_WITH: dict[str, tuple[str, ...]] = {
    "striped": ("with stripes",),
    "dotted": ("with dots", "with spots"),
    "checkered": ("with checks",),
    "outlined": ("with a thick outline",),
}
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "flat": ("flat", "flat design", "flat illustration"),
    "pencil": ("pencil", "pencil sketch", "pencil drawing"),
    "watercolour": ("watercolour", "watercolor", "watercolour painting"),
    "neon": ("neon", "neon sign", "neon lights"),
    "pixel": ("pixel art", "pixel", "8-bit pixel art"),
    "papercut": ("paper cut-out", "papercut", "paper cut"),
}
STYLE_ADJECTIVES = {
    "flat": "flat",
    "pencil": "pencil",
    "watercolour": "watercolour",
    "neon": "neon",
    "pixel": "pixel art",
    "papercut": "paper",
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
SETTING_WORDS: dict[str, tuple[str, ...]] = {
    "meadow": ("on a meadow", "in a meadow", "on the grass", "in a field"),
    "sea": ("on the sea", "at sea", "by the sea", "on the ocean"),
    "night sky": ("under a night sky", "at night", "in the night sky", "by night"),
    "desert": ("in the desert", "in a desert", "on the sand"),
}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OPENINGS = (
    *(
        "there is",
        "there's",
        "draw",
        "paint",
        "show me",
        "i want",
        "please draw",
        "make",
        "a picture of",
        "an image of",
    ),
    *("put", "imagine", "we see", "you can see", "here is"),
)
NOISE = ("nice", "beautiful", "really", "just", "simple", "clear", "good", "lovely", "very", "high quality", "detailed")
"""Words that carry nothing."""
SHORTEST_SIDE, LONGEST_SIDE = 64, 256
"""Pixels of the canvases that the miniature was trained on."""
EIGHTHS = 8
"""Boxes of structured captions are given in eighths of the canvas's sides."""
_LINKS = (
    "a an the and or of on in at to by from with for is are it its them that this some each one other side "
    "corner corners middle center centre left right top bottom upper lower above below under over beneath "
    "beside next between behind front far near row rows line first second third background backdrop scene "
    "picture image style painted drawn made cut out art object objects shape shapes thing things both all "
    "against colored coloured floats stands sits lies hangs sails swims drives shines has have stripes dots "
    "spots checks thick outline outlined around only not no half upon top-left top-right bottom-left bottom- "
    "right lights"
)


def plural(word: str) -> str:
    """ "star" → "stars"."""
    return PLURALS.get(word, f"{word}s")


def _vocabulary() -> tuple[str, ...]:
    words: list[str] = _LINKS.split()
    for group in (OPENINGS, NOISE, NUMBERS, facts.COLOURS, facts.SURFACES, facts.PATTERNS, facts.TONES):
        words += " ".join(group).split()
    for table in (COLOUR_WORDS, SURFACE_WORDS, SURFACE_WITH, STYLE_WORDS, SIZE_WORDS, SETTING_WORDS):
        words += " ".join(" ".join(values) for values in table.values()).split()
    words += " ".join((*facts.SETTINGS, *STYLE_ADJECTIVES.values(), *facts.STYLES)).split()
    for kind in facts.KINDS:
        for word in (kind, *KIND_WORDS.get(kind, ())):
            words += [word, plural(word)]
    words += [f"<{i}>" for i in range(1, 10)] + [str(i) for i in range(EIGHTHS + 1)] + [",", ".", ":", ";"]
    return tuple(dict.fromkeys(words))


WORDS = _vocabulary()
"""All words that captions are made of."""
