"""What a drawing of a schedule shows: each level, split where rules treat areas differently, and each kind of LoRAs."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from strata.hierarchy.plan import Level
from strata.layers.schedule import Schedule

MEANING: dict[Level, str] = {"high": "content", "low": "detail", "full": "undivided text"}


@dataclass(frozen=True, eq=False)
class View:
    """The strengths of one level, or of rules for the same LoRAs, `float32[T, B]`, for areas that are treated alike."""

    level: Level | None
    """None: LoRAs."""
    name: str
    """The level and what it is of: "low detail, anchored"; or which LoRAs."""
    areas: str
    """Names of the areas, or "all areas", "all other areas"."""
    strength: npt.NDArray[np.float32]
    anchored: bool
    """Whether these texts stand behind their areas' high texts."""

    @classmethod
    def of_level(cls, level: Level, areas: str, strength: npt.NDArray[np.float32], anchored: bool) -> Self:
        """That of a level's texts."""
        name = f"{level} {MEANING[level]}{', anchored' if anchored else ''}"
        return cls(level, name, areas, strength, anchored)


ANCHORED = "anchored: a low text stands behind the high text of its area (“a boat, red”), where there is one"
"""What it means, for a legend."""


def views(schedule: Schedule) -> list[View]:
    """The views of every level in use, in the order of the levels, then of LoRAs. Areas without a visible text are left
    out."""
    named = dict.fromkeys(name for resolved in schedule.rules for name in resolved.rule.regions or ())
    found: list[View] = []
    for level in schedule.levels:
        others = schedule.strength(level, "")  # no area is called "": areas that no rule names
        alike: list[tuple[list[str], npt.NDArray[np.float32]]] = []
        for name in named:
            strength = schedule.strength(level, name)
            if np.array_equal(strength, others):
                continue
            for names, known in alike:
                if np.array_equal(strength, known):
                    names.append(name)
                    break
            else:
                alike.append(([name], strength))
        anchored = schedule.anchors(level)
        for names, strength in alike:
            if strength.any():
                found.append(View.of_level(level, ", ".join(names), strength, anchored and names != ["global"]))
        if others.any():
            found.append(View.of_level(level, "all other areas" if alike else "all areas", others, anchored))
    return found + _lora_views(schedule)


def _lora_views(schedule: Schedule) -> list[View]:
    """A view for all rules that name the same LoRAs and areas."""
    found: dict[tuple[str, str], npt.NDArray[np.float32]] = {}
    for resolved in schedule.lora_rules:
        of = resolved.rule.whose, ", ".join(resolved.rule.regions or ("all areas",))
        strength = resolved.strength[:, None] * resolved.blocks
        found[of] = np.maximum(found[of], strength) if of in found else strength
    return [View(None, name, areas, strength, False) for (name, areas), strength in found.items()]


def title(schedule: Schedule) -> str:
    """The facts of a schedule in one line."""
    routing = schedule.routing
    facts = [
        f"{schedule.double_blocks} double + {schedule.single_blocks} single blocks",
        f"{schedule.steps} step{'s' if schedule.steps > 1 else ''}",
        f"{routing.blend.mode} blend",
    ]
    if routing.blend.base_prompt == "composed":
        facts.append("base prompt composed")
    if routing.blend.base_area == "regions":
        facts.append("base attention in regions alone")
    if routing.overlap == "split":
        facts.append("overlaps split")
    if routing.text_positions == "region":
        facts.append("texts at their regions")
    if routing.refresh > 1:
        facts.append(f"texts ride along at every {ordinal(routing.refresh)} step")
    if schedule.rescaled and routing.model is not None:
        facts.append(f"block ranges rescaled from {routing.model.double} + {routing.model.single}")
    return ", ".join(facts)


def ordinal(number: int) -> str:
    """2nd, 3rd, 11th, 21st, …"""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def tick_stride(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, … that is at least `least`: how many cells from one number to the next."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least:
                return factor * power
        power *= 10
