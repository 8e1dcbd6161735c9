"""Whether a plan is what its prompt asks for: everything that was read in the prompt is held against the plan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from strata.llm.backends.bundled.answers import Truth
from strata.llm.backends.bundled.grammar.scene import Scene, fault_of
from strata.llm.backends.bundled.grammar.understanding import understood
from strata.llm.backends.bundled.reading.vocabulary import CONNECT
from strata.llm.backends.bundled.reading.words import read
from strata.llm.backends.bundled.world import PATTERNS, TONES, Backdrop
from strata.llm.errors import PlanError

_SETTINGS = {"meadow": "meadow", "sea": "sea", "night": "night sky", "desert": "desert"}


def expected_ground(tokens: Sequence[str]) -> tuple[Backdrop, str | None, list[str]]:
    """The background and the style that a prompt says outright, and its words without them.

    The words "style" and "background" alone, at the end, say nothing.
    """
    backdrop, style = Backdrop(), None
    rest = list(tokens)
    for name in ("style", "background"):
        if name in rest:
            at = rest.index(name)
            said, rest = rest[at + 1 :], rest[: at - (rest[at - 1] == ".")] if at else []
            if not said:
                continue
            if name == "style":
                style = said[0]
            elif said[0] in _SETTINGS:
                backdrop = Backdrop(setting=_SETTINGS[said[0]])
            else:
                patterns, tones = ([w for w in said if w in group] for group in (PATTERNS, TONES))
                backdrop = Backdrop(patterns[0] if patterns else None, tones[0] if tones else None)
    return backdrop, style, rest


@lru_cache(maxsize=512)
def scene_of(text: str) -> tuple[Backdrop, Scene | str]:
    """The background and the scene of a prompt in the planner's words, or what is unclear in it."""
    backdrop, style, tokens = expected_ground(text.split())
    return backdrop, understood(tokens, style)


def fault(text: str, truth: Truth) -> str | None:
    """What a plan leaves out of its prompt, invents or contradicts, in words; None if nothing is found.

    Args:
        text: the prompt in the planner's words.
        truth: the plan.
    """
    backdrop, scene = scene_of(text)
    if isinstance(scene, str):
        return f"cannot be checked, as the prompt {scene}"
    if truth.backdrop != backdrop:
        return f"has another background: {_ground(truth.backdrop)}, not {_ground(backdrop)}"
    return fault_of(scene, truth)


def _ground(backdrop: Backdrop) -> str:
    return " ".join(w for w in (backdrop.setting, backdrop.pattern, backdrop.tone) if w) or "none"


def refusal(prompt: str) -> str | None:
    """Why a prompt cannot be planned, in words: it lies outside the language, or is unclear; None where it can."""
    reading = read(prompt)
    if reading.refusal:
        return reading.refusal
    _, scene = scene_of(reading.text)
    if isinstance(scene, str):
        return f'the bundled planner does not get this prompt: read as "{reading.text}", it {scene}'
    return None


def check_prompt(prompt: str) -> None:
    """Raises `PlanError` for a prompt outside the language; names what it does not know and what it does."""
    if reason := refusal(prompt):
        raise PlanError(prompt, f"{reason}; {CONNECT}")
