"""A routing resolved for one model and step count: what is visible in which block at which step, as plain arrays.

Axes: T denoising steps, B blocks in execution order (the D double blocks, then the S single blocks).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from strata.hierarchy.errors import InputError, did_you_mean, printable, quote
from strata.hierarchy.plan import LEVELS, Level
from strata.layers.ramp import over_steps
from strata.layers.ranges import Indices, Mask, Percent, compact, named_blocks

if TYPE_CHECKING:
    from strata.layers.lora_rules import LoraRule
    from strata.layers.routing import Routing, Rule
    from strata.layers.selecting import Selecting

Family = Literal["double", "single"]
Array = TypeVar("Array", Mask, npt.NDArray[np.float32])

Place = tuple[Literal["rules", "loras"], int]
"""A rule within its routing."""
SPECIAL_AREAS = ("background", "global")


R = TypeVar("R", bound="Selecting")


@dataclass(frozen=True, eq=False)
class ResolvedRule(Generic[R]):
    """One rule's matches: `strength[t]` in every block of `blocks`, 0 at steps that the rule does not select."""

    rule: R
    blocks: Mask
    strength: npt.NDArray[np.float32]

    @property
    def visible(self) -> Mask:
        """`bool[T, B]`: where the rule's level is visible."""
        visible: Mask = np.outer(self.strength > 0, self.blocks)
        return visible


@dataclass(frozen=True, eq=False)
class Schedule:
    """A resolved routing. All arrays are read-only.

    Attributes:
        routing: what was resolved.
        double_blocks: D.
        single_blocks: S.
        steps: T.
        rescaled: whether exact block ranges were carried over from a model with other block counts.
        levels: the levels in use, in the order of `LEVELS`.
        isolate: `bool[T, B]`, where image tokens attend only to image tokens that share a region with them.
        routed: `bool[T, B]`, where some level is visible.
        routed_steps: `bool[T]`, steps in which any block is routed; the others are plain FLUX.
        base_ratio: `float32[T]`, the weight of the base attention; 0 at unrouted steps, where there is no blend.
    """

    routing: "Routing"
    double_blocks: int
    single_blocks: int
    steps: int
    rescaled: bool
    levels: tuple[Level, ...]
    isolate: Mask = field(repr=False)
    routed: Mask = field(repr=False)
    routed_steps: Mask = field(repr=False)
    base_ratio: npt.NDArray[np.float32] = field(repr=False)
    rules: "tuple[ResolvedRule[Rule], ...]" = field(repr=False)
    lora_rules: "tuple[ResolvedRule[LoraRule], ...]" = field(repr=False, default=())

    @property
    def blocks(self) -> int:
        """B, the number of all blocks."""
        return self.double_blocks + self.single_blocks

    @property
    def unrouted(self) -> Literal["plain", "open"]:
        """What a block that no rule matches does in a step in which other blocks are routed."""
        return self.routing.unrouted

    def anchors(self, level: Level) -> bool:
        """Whether this level's texts stand behind the high texts of their areas; those of the whole canvas never do."""
        return self.routing.anchor and level == "low" and level in self.levels

    def strength(self, level: Level, area: str) -> npt.NDArray[np.float32]:
        """`float32[T, B]`: how strongly the area's text of this level acts, 0 where it is not visible.

        Where several rules match, the strongest counts. Any region name is an area, and so are "background" and
        "global"; rules without `regions` hold for all of them.
        """
        return self._strongest(
            resolved
            for resolved in self.rules
            if resolved.rule.level == level and (resolved.rule.regions is None or area in resolved.rule.regions)
        )

    def lora_strength(self, area: str, name: str) -> npt.NDArray[np.float32]:
        """`float32[T, B]`: how strongly an area's adapter of this name acts, before its own scale.

        Where several of the routing's `loras` match, the strongest counts; without any at all it is 1.
        """
        if not self.lora_rules:
            return np.ones((self.steps, self.blocks), dtype=np.float32)
        return self._strongest(resolved for resolved in self.lora_rules if resolved.rule.is_for(area, name))

    def _strongest(self, matching: "Iterable[ResolvedRule[Any]]") -> npt.NDArray[np.float32]:
        strongest = np.zeros((self.steps, self.blocks), dtype=np.float32)
        for resolved in matching:
            np.maximum(strongest, np.outer(resolved.strength, resolved.blocks), out=strongest)
        return strongest

    def check_loras(self, adapters: Iterable[tuple[str, str]]) -> None:
        """Raise `InputError` if a rule for LoRAs is for none of the plan's: an area and a name each."""
        known = list(adapters)
        for index, resolved in enumerate(self.lora_rules if known else ()):
            names, areas = resolved.rule.names, resolved.rule.regions
            for name in names or ():
                if all(name != other for _, other in known):
                    hint = did_you_mean(name, [other for _, other in known])
                    valid = ", ".join(dict.fromkeys(other for _, other in known))
                    message = f"{quote(name)}: the plan has no such LoRA; {hint}valid: {valid}"
                    raise self.routing.error(("loras", index, "names"), message)
            for area in areas or ():
                if all(area != other for other, _ in known):
                    valid = ", ".join(dict.fromkeys(other for other, _ in known))
                    message = f"{quote(area)}: has no LoRA in the plan; those that have: {valid}"
                    raise self.routing.error(("loras", index, "regions"), message)

    def check_areas(self, names: Iterable[str]) -> None:
        """Raise `InputError` if a rule names a region that is not among `names` (the plan's regions)."""
        known = (*names, *SPECIAL_AREAS)
        for index, resolved in enumerate(self.rules):
            for name in resolved.rule.regions or ():
                if name not in known:
                    hint = did_you_mean(name, known)
                    message = f"{quote(name)}: the plan has no such region; {hint}valid: {', '.join(known)}"
                    raise self.routing.error(("rules", index, "regions"), message)

    def summary(self) -> list[str]:
        """One line a rule, such as "low: blocks double 0-3, steps 0-9 of 20, strength 1"; those of LoRAs last."""
        texts = [self._summarise(each.rule.level, each, self._manner(each.rule)) for each in self.rules]
        return [*texts, *(self._summarise(each.rule.whose, each) for each in self.lora_rules)]

    def _manner(self, rule: "Rule") -> list[str]:
        isolated = ["regions isolated"] if rule.isolate else []
        anchored = ["anchored"] if self.anchors(rule.level) and rule.regions != ("global",) else []
        return [*isolated, *anchored, *([f"refresh {self.routing.refresh}"] if self.routing.refresh > 1 else [])]

    def _summarise(self, whose: str, resolved: ResolvedRule[Any], manner: Sequence[str] = ()) -> str:
        rule = resolved.rule
        strength = f"{rule.strength:g}" if isinstance(rule.strength, float) else str(rule.strength)
        parts = [
            f"{whose}: blocks {named_blocks(resolved.blocks, self.double_blocks)}",
            f"steps {compact(resolved.strength > 0)} of {self.steps}",
            f"strength {strength}",
            *manner,
        ]
        if rule.regions is not None:
            parts.append(f"only {', '.join(rule.regions)}")
        return printable(", ".join(parts))


def resolve(routing: "Routing", double_blocks: int, single_blocks: int, steps: int) -> Schedule:
    """Resolve `routing` for a model with these block counts and a run of `steps` denoising steps.

    A percent range that is shorter than a step selects the step in which its centre lies, so that no rule is lost in a
    run of few steps.

    Raises `InputError` where a rule names a block or step that does not exist, or matches no block.
    """
    if double_blocks < 0 or single_blocks < 0 or double_blocks + single_blocks < 1:
        raise InputError(f"model: {double_blocks} double and {single_blocks} single blocks: needs at least one block")
    if steps < 1:
        raise InputError(f"steps: {steps}: must be at least 1")

    def resolved(kind: Literal["rules", "loras"], rules: Sequence[R]) -> tuple[ResolvedRule[R], ...]:
        return tuple(
            ResolvedRule(
                rule=rule,
                blocks=_frozen(select_blocks(routing, (kind, index), double_blocks, single_blocks)),
                strength=_frozen(over_steps(rule.strength, _select_steps(routing, (kind, index), steps))),
            )
            for index, rule in enumerate(rules)
        )

    rules = resolved("rules", routing.rules)
    nowhere = np.zeros((steps, double_blocks + single_blocks), dtype=bool)
    routed = np.logical_or.reduce([nowhere, *(each.visible for each in rules)])
    isolate = np.logical_or.reduce([nowhere, *(each.visible for each in rules if each.rule.isolate)])
    routed_steps = routed.any(axis=1)
    return Schedule(
        routing=routing,
        double_blocks=double_blocks,
        single_blocks=single_blocks,
        steps=steps,
        rescaled=_is_rescaled(routing, double_blocks, single_blocks),
        levels=tuple(level for level in LEVELS if any(rule.level == level for rule in routing.rules)),
        isolate=_frozen(isolate),
        routed=_frozen(routed),
        routed_steps=_frozen(routed_steps),
        base_ratio=_frozen(over_steps(routing.blend.base_ratio, routed_steps)),
        rules=rules,
        lora_rules=resolved("loras", routing.loras),
    )


def rule_places(routing: "Routing") -> Iterator[Place]:
    """Where its rules stand: those of levels, then those of LoRAs."""
    yield from (("rules", index) for index in range(len(routing.rules)))
    yield from (("loras", index) for index in range(len(routing.loras)))


def _rule(routing: "Routing", place: Place) -> "Selecting":
    found: Selecting = getattr(routing, place[0])[place[1]]
    return found


def select_blocks(routing: "Routing", place: Place, double_blocks: int, single_blocks: int) -> Mask:
    """`bool[B]`: the blocks that a rule selects. Raises `InputError` if that is none, or one is out of range."""
    rule = _rule(routing, place)
    model = f"{double_blocks} double and {single_blocks} single blocks"
    if rule.depth is not None or (rule.double is None and rule.single is None):
        blocks = np.concatenate([np.arange(count) % rule.every == 0 for count in (double_blocks, single_blocks)])
        if rule.depth is not None:
            blocks &= rule.depth.select(double_blocks + single_blocks)
    else:
        counts: dict[Family, int] = {"double": double_blocks, "single": single_blocks}
        blocks = np.concatenate([_select_family(routing, place, name, n, model) for name, n in counts.items()])
    if not blocks.any():
        selectors = {"depth": rule.depth, "double": rule.double, "single": rule.single}
        every = f" with every: {rule.every}" if rule.every > 1 else ""
        key, value = next((key, str(value)) for key, value in selectors.items() if value is not None)
        absent = {"double": double_blocks, "single": single_blocks}.get(key) == 0
        hint = "name other blocks, or a depth" if absent else "choose a wider range"
        message = f"{quote(value)}{every}: matches no block of a model with {model}; {hint}"
        raise routing.error((*place, key), message)
    return blocks


def _select_family(routing: "Routing", place: Place, family: Family, count: int, model: str) -> Mask:
    """`bool[count]`: the blocks of one family that a rule with exact ranges selects."""
    rule = _rule(routing, place)
    indices: Indices | None = getattr(rule, family)
    if indices is None:
        return np.zeros(count, dtype=bool)
    written_for: int | None = getattr(routing.model, family, None)
    try:
        if written_for is not None and written_for != count:
            return indices.rescaled(written_for, count, rule.every)
        selected = indices.select(count)
        selected[np.arange(count) % rule.every != 0] = False
        return selected
    except ValueError as error:
        if routing.model is not None:
            own = routing.model
            where = f"the model that the routing is for, with {own.double} double and {own.single} single blocks"
        else:
            where = f"a model with {model}; `model: {{double: D, single: S}}` in the routing makes its ranges rescale"
        message = f"{quote(str(indices))}: {error} in {where}"
        raise routing.error((*place, family), message) from None


def _select_steps(routing: "Routing", place: Place, steps: int) -> Mask:
    """`bool[T]`: the steps that a rule selects, never none. Raises `InputError` if one is out of range."""
    chosen = _rule(routing, place).steps
    if chosen is None:
        return np.ones(steps, dtype=bool)
    if isinstance(chosen, int):
        first: Mask = np.arange(steps) < chosen
        return first
    try:
        selected = chosen.select(steps)
    except ValueError as error:
        raise routing.error((*place, "steps"), f"{quote(str(chosen))}: {error} in {steps} steps") from None
    if isinstance(chosen, Percent) and not selected.any():  # it is shorter than a step: so short a run has that step
        selected[int(chosen.centre / 100 * steps)] = True
    return selected


def _is_rescaled(routing: "Routing", double_blocks: int, single_blocks: int) -> bool:
    counts: dict[Family, int] = {"double": double_blocks, "single": single_blocks}
    changed = [family for family, count in counts.items() if getattr(routing.model, family, count) != count]
    selectors = (getattr(rule, family) for rule in (*routing.rules, *routing.loras) for family in changed)
    return any(indices is not None and indices.spans is not None for indices in selectors)


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array
