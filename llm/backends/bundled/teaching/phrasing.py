"""The prompts that the bundled planner is trained on and scored with: scenes, worded in many ways.

A prompt is made of patterns (`lists.py`, `relations.py`, `remarks.py`, `arrangements.py`), each of which says in words
what it means as things and places, in one voice (`voice.py`), and of what is said of the whole picture.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from strata.llm.backends.bundled.answers import ScenePrompt
from strata.llm.backends.bundled.teaching.arrangements import Arrangements
from strata.llm.backends.bundled.teaching.voice import SIZE_WORDS, STYLES_SAID, Part
from strata.llm.backends.bundled.world import (
    COLOURS,
    HELD_OUT,
    PATTERNS,
    SETTINGS,
    SIZES,
    STYLES,
    SURFACES,
    TONES,
    Backdrop,
)

OPENINGS = (
    *(
        "draw",
        "show me",
        "please draw",
        "paint",
        "i want",
        "a picture of",
        "an image with",
        "there is",
        "there's",
        "put",
    ),
    *("make", "can you draw", "i'd like", "give me", "we see", "imagine", "let's have"),
)
ENDINGS = ("", "", "", "", ".", ".", ".", "!", " please", ", thanks", "?")
SETTINGS_SAID = {
    "meadow": ("on a meadow", "in a meadow", "on the grass", "in a field", "standing in a green field"),
    "sea": ("on the sea", "at sea", "by the sea", "on the ocean", "on the water"),
    "night sky": ("at night", "in the night sky", "under a starry sky", "against a night sky"),
    "desert": ("in the desert", "in a sandy desert", "on the sand", "among dunes"),
}


class _Speaker(Arrangements):
    """All patterns, and what is said of the whole picture."""

    def alike(self, part: Part) -> Part:
        """Said of all at the end: "all of them striped"; where nothing of the kind was said before."""
        name = self.pick(("colour", "surface", "surface", "size"))
        if any(getattr(t, name) for t in part.things) or len(part.things) < 2:
            return part
        if "the same" in part.text or "another" in part.text:
            return part
        value = self.pick({"colour": COLOURS, "surface": SURFACES, "size": SIZES}[name])
        word = self.pick(SIZE_WORDS[value]) if name == "size" else value
        things = tuple(replace(t, **{name: value}) for t in part.things)
        if not self.held_out and any(t.combination in HELD_OUT for t in things):
            return part
        alls: tuple[str, ...] = (
            "all of them {}",
            "all {}",
            "all are {}",
            "they are all {}",
            "everything {}",
            "each of them {}",
            "they're {}",
            "each one {}",
            "each {}",
        )
        if len(things) == 2:
            alls = ("both {}", "both of them {}", "both are {}", "all {}", "they are {}", "they are both {}")
        if self.chance(0.15):
            head = self.pick(
                ("all {}", "everything {}", "all in {}" if name == "colour" else "all {}", "everything should be {}")
            )
            return replace(part, text=f"{head.format(word)}: {part.text}", things=things)
        text = self.pick(alls).format(f"in {word}" if name == "colour" and self.chance(0.3) else word)
        return replace(part, text=f"{part.text}{self.pick((', ', ', ', '. ', '; '))}{text}", things=things)

    def ground(self) -> tuple[Backdrop, str, str]:
        """A background, and its words to go before the things or after them."""
        if self.chance(0.5):
            setting = self.pick(SETTINGS)
            words = self.pick(SETTINGS_SAID[setting])
            if self.chance(0.25):
                return Backdrop(setting=setting), f"{words}{self.pick((' ', ', ', ' there is '))}", ""
            if self.chance(0.15):
                return Backdrop(setting=setting), "", f", {setting}{self.pick((' background', ''))}"
            return Backdrop(setting=setting), "", f" {words}"
        backdrop = Backdrop("plain" if self.chance(0.4) else self.pick(PATTERNS), self.pick(TONES))
        if self.chance(0.5):
            backdrop = replace(backdrop, **{"pattern" if self.chance(0.75) else "tone": None})
        words = " ".join(w for w in (backdrop.pattern, backdrop.tone) if w)
        form = self.rng.randrange(6)
        if form == 0:
            return backdrop, f"on a {words} background{self.pick((', ', ' '))}", ""
        if form == 1:
            return backdrop, "", f". {self.pick(('the background is', 'background:'))} {words}"
        if form == 2:
            return backdrop, "", f", {words} background"
        return backdrop, "", f" {self.pick(('on', 'against', 'in front of'))} a {words} background"

    def styled(self, part: Part) -> tuple[Part, str | None, str, str]:
        """Styles: of the picture (with its words before or after) or of single things."""
        style = self.pick(STYLES)
        words = self.pick(STYLES_SAID[style])
        form = self.rng.randrange(8)
        if form == 0:
            text = {"pencil": "a pencil drawing of ", "watercolour": "a watercolour painting of "}.get(
                style, f"{words} of "
            )
            return part, style, text, ""
        if form <= 2:
            return (
                part,
                style,
                "",
                self.pick(
                    (
                        f". make it look like {words}",
                        f", in the style of {words}",
                        f", {words}",
                        f". everything in {words}",
                    )
                ),
            )
        if form <= 5 and "one " not in part.text[-12:]:
            return part, style, "", self.pick((f" in {words}", f" drawn in {words}", f" as {words}", f" in {words}"))
        return part, style, "", f", {words}"


PATTERNS_OF_PROMPTS: dict[str, tuple[int, Callable[[_Speaker], Part]]] = {
    "list": (30, lambda v: v.list_of(v.rng.choices((1, 2, 3, 4, 5, 6), (24, 36, 20, 12, 5, 3))[0])),
    "groups": (12, _Speaker.groups),
    "pair": (15, _Speaker.pair),
    "chain": (7, _Speaker.chain),
    "within": (2, _Speaker.within),
    "between": (7, _Speaker.between),
    "around": (3, _Speaker.around),
    "corners": (5, _Speaker.corners),
    "row": (6, _Speaker.row),
    "rows": (3, _Speaker.rows),
    "distributed": (7, _Speaker.distributed),
    "shares": (2, _Speaker.shares),
    "pointed": (2, _Speaker.pointed),
    "same": (4, _Speaker.same),
    "later": (6, _Speaker.later),
    "terse": (3, _Speaker.terse),
    "anchored": (5, _Speaker.anchored),
    "object styles": (4, lambda v: _object_styles(v)),
}
"""Patterns of prompts, with how often they come among a hundred or so."""


def _object_styles(voice: _Speaker) -> Part:
    """Things in styles of their own."""
    count = 2 if voice.chance(0.75) else 3
    styles: list[str | None] = list(voice.rng.sample(STYLES, count))
    if voice.chance(0.3):
        styles[voice.rng.randrange(1, count)] = None
    things = [replace(voice.thing(), style=style) for style in styles]
    texts = [voice.said(t) for t in things]
    if count == 2 and voice.chance(0.4):
        relation = voice.pick(("above", "below", "left", "right", "beside"))
        return Part(f"{texts[0]} {voice.link(relation)} {texts[1]}", tuple(things), voice.related(relation, [0], [1]))
    if voice.chance(0.4):
        places = tuple(voice.places(count))
        texts = [f"{text} {voice.at(place)}" for text, place in zip(texts, places, strict=True)]
        return Part(voice.listed(texts), tuple(things), None, places)
    return Part(voice.listed(texts), tuple(things), None, (None,) * count)


def random_prompt(rng: random.Random, pattern: str | None = None, held_out: bool = False) -> ScenePrompt:
    """A scene worded in a random way.

    Args:
        rng: the source of chance.
        pattern: one of `PATTERNS_OF_PROMPTS`; chosen where None.
        held_out: things of combinations kept out of training, else of the others.
    """
    if pattern is None:
        pattern = rng.choices(list(PATTERNS_OF_PROMPTS), [weight for weight, _ in PATTERNS_OF_PROMPTS.values()])[0]
    voice = _Speaker(rng, held_out)
    part = PATTERNS_OF_PROMPTS[pattern][1](voice)
    while not held_out and any(thing.combination in HELD_OUT for thing in part.things):
        part = PATTERNS_OF_PROMPTS[pattern][1](voice)
    if part.tree is not None and rng.random() < 0.1:
        part = voice.loose(part)
    if pattern != "object styles" and rng.random() < 0.08:
        part = voice.alike(part)
    style: str | None = None
    before = after = ""
    if not any(t.style for t in part.things) and rng.random() < 0.22:
        part, style, before, after = voice.styled(part)
    backdrop = Backdrop()
    text = part.text
    if rng.random() < 0.33:
        backdrop, ahead, behind = voice.ground()
        text = f"{ahead}{text}{behind}"
    text = f"{before}{text}{after}"
    if not before and rng.random() < 0.25:
        text = f"{rng.choice(OPENINGS)} {text}"
    text += rng.choice(ENDINGS)
    return ScenePrompt(text, part.things, part.places if part.tree is None else (), part.tree, backdrop, style)
