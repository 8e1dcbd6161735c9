"""The routing file: which level acts in which blocks, at which steps, how strongly, beside how much base.

```yaml
name: coarse-to-fine
blend: {mode: shared, base_ratio: 0.2}
rules:
  - {level: low,  depth: 0%-33%,   steps: 0%-50%}
  - {level: high, depth: 33%-100%, steps: 0%-50%, isolate: true}
```
"""

import math
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.hierarchy.file_model import LONGEST_TEXT, FileModel, StrictModel
from strata.hierarchy.files import Document, KeyPath, dump_yaml, read_document
from strata.hierarchy.plan import LONGEST_NAME, Level, Region, ScenePlan
from strata.hierarchy.ramp import Ramp
from strata.layers.arrays import Key, rules_of_arrays
from strata.layers.balance import Balance, mean_area
from strata.layers.fields import IndicesField, PercentField, RatioField, StepsField, StrengthField
from strata.layers.lora_rules import LoraRule
from strata.layers.ranges import Indices, Percent
from strata.layers.schedule import Schedule, resolve, rule_places, select_blocks
from strata.layers.selecting import Selecting

DEFAULT_ROUTING = "isolate-first"
"""The preset that is used where none is named."""
MOST_RULES = 1000
"""Rules of a routing, and entries of its balance."""


_ABOUT = "name", "about", "source", "model", "evidence"
"""Fields that tell of a routing and decide nothing."""
MOST_REFRESH = 1000
"""Steps from one ride of the texts to the next."""


class ModelSize(StrictModel):
    """The block counts that a routing's exact ranges were written for."""

    double: Annotated[int, Field(ge=0, strict=True)]
    single: Annotated[int, Field(ge=0, strict=True)]

    @model_validator(mode="after")
    def _has_blocks(self) -> Self:
        if self.double + self.single == 0:
            raise ValueError("a model has at least one block")
        return self


class Blend(StrictModel):
    """How regional and base attention meet: `(1 - base_ratio) * regional + base_ratio * base`.

    `shared` keeps one image stream; both attentions read the same queries. `split` gives the base its own copy of the
    image tokens from the first single block on, as Regional-Prompting-FLUX does (arXiv 2411.02395). A ramp of the base
    ratio runs from the first to the last step in which anything is routed.

    `base_area`: whose output the base attention is blended into, that of all image tokens of the `canvas`, or of those
    of `regions` alone; the others then hear the background's texts (the base prompt where there are none), and no
    object that the base prompt puts there.

    `base_prompt`: what the base attention reads, the plan's prompt as it is, or, `composed`, with every region in it
    that it does not tell of as it is (`strata.hierarchy.composing`).
    """

    mode: Literal["shared", "split"] = "shared"
    base_ratio: RatioField = 0.2
    base_area: Literal["canvas", "regions"] = "canvas"
    base_prompt: Literal["plan", "composed"] = "plan"

    @model_validator(mode="after")
    def _has_an_own_copy_everywhere(self) -> Self:
        if self.mode == "split" and self.base_area == "regions":
            raise ValueError("base_area regions goes with mode shared alone")
        return self

    if TYPE_CHECKING:  # what may be given, as routing files write it

        def __init__(
            self,
            *,
            mode: Literal["shared", "split"] = "shared",
            base_ratio: float | Ramp | Mapping[str, float] = 0.2,
            base_area: Literal["canvas", "regions"] = "canvas",
            base_prompt: Literal["plan", "composed"] = "plan",
        ) -> None: ...


class Rule(Selecting):
    """One level, visible in some blocks at some steps. A rule without a selector holds in every block at every step.

    Attributes:
        level: whose texts are visible.
        depth: percent range of all blocks, double then single ("0%-33%"). Not beside `double` or `single`.
        double: exact double blocks ("0-18", "0-3,7", 17, [0, 1, 17], "all"). Without `single`: no single blocks.
        single: exact single blocks, likewise.
        every: keep only blocks whose index within their family is a multiple of this.
        steps: percent range ("0%-50%"), exact steps ("0-9"), or a number n: the first n steps, or all of a shorter
            run. None: all.
        strength: in (0, 1], or a ramp over the rule's steps.
        isolate: image tokens attend only to image tokens that share a region with them.
        regions: the areas the rule is for (region names, "background", "global"). None: all.
    """

    level: Level
    depth: PercentField | None = None
    double: IndicesField | None = None
    single: IndicesField | None = None
    every: Annotated[int, Field(ge=1, strict=True)] = 1
    steps: StepsField | None = None
    strength: StrengthField = 1.0
    isolate: Annotated[bool, Field(strict=True)] = False
    regions: tuple[str, ...] | None = None

    if TYPE_CHECKING:  # what may be given, as routing files write it

        def __init__(
            self,
            *,
            level: Level,
            depth: Percent | str | None = None,
            double: Indices | str | int | Sequence[int] | None = None,
            single: Indices | str | int | Sequence[int] | None = None,
            every: int = 1,
            steps: Percent | Indices | str | int | None = None,
            strength: float | Ramp | Mapping[str, float] = 1.0,
            isolate: bool = False,
            regions: Sequence[str] | None = None,
        ) -> None: ...


class Routing(FileModel):
    """A routing file.

    Attributes:
        name: what it is called.
        about: what it does, for people.
        source: where the idea was published.
        model: the block counts that exact ranges were written for; on models with other counts they are rescaled.
            None: exact ranges are taken literally.
        blend: how regional and base attention meet.
        unrouted: what a block without a matching rule does in a step in which others are routed: "plain" is base
            attention only, "open" is regional attention without any mask (as published).
        background: what image tokens of no region attend to where the plan gives no background texts: the base
            prompt, or nothing ("none", as published).
        background_in_regions: whether the background's texts are visible to the image tokens of regions too, so that
            what lies around an object in its region is the background.
        pad: "full" keeps the padding tokens of the texts (as published), "none" drops them.
        anchor: whether an area's low text stands behind its high text ("a circle, red, striped"), so that the
            model knows what the detail is of. Global texts are left as they are.
        overlap: what holds where regions of a plan overlap that does not say it itself; see `ScenePlan.overlap`.
        text_positions: where a region's texts stand, for the rotary embedding: where the model puts a prompt, as seen
            from the corner of the "canvas", or of their own "region", which is then to them a picture of its own.
        refresh: texts ride along at every so many steps, and in between the image attends to what they were when they
            did last: a text's part of the cost falls to a share of it. 1: at every step, which is exact.
        rules: which level is visible where. Where rules of one level overlap, the strongest counts.
        balance: other base ratios and steps, by the number and size of a plan's regions; the first entry that fits
            holds, without one the routing as written. `balanced` applies it.
        loras: where and when the plan's LoRAs act; without any, in every block at every step.
        evidence: what was measured for the routing, and on what; without effect on pictures.
    """

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    about: Annotated[str, Field(max_length=LONGEST_TEXT)] = ""
    source: Annotated[str, Field(max_length=LONGEST_TEXT)] | None = None
    model: ModelSize | None = None
    blend: Blend = Blend()
    unrouted: Literal["plain", "open"] = "plain"
    background: Literal["base", "none"] = "base"
    background_in_regions: Annotated[bool, Field(strict=True)] = False
    pad: Literal["none", "full"] = "none"
    anchor: Annotated[bool, Field(strict=True)] = False
    overlap: Literal["union", "split"] = "union"
    text_positions: Literal["canvas", "region"] = "canvas"
    refresh: Annotated[int, Field(ge=1, le=MOST_REFRESH, strict=True)] = 1
    rules: Annotated[tuple[Rule, ...], Field(max_length=MOST_RULES)]
    balance: Annotated[tuple[Balance, ...], Field(max_length=MOST_RULES)] = ()
    loras: Annotated[tuple[LoraRule, ...], Field(max_length=MOST_RULES)] = ()
    evidence: dict[str, Any] | None = None

    if TYPE_CHECKING:  # what may be given, as routing files write it

        def __init__(
            self,
            *,
            name: str,
            about: str = "",
            source: str | None = None,
            model: ModelSize | Mapping[str, int] | None = None,
            blend: Blend | Mapping[str, Any] = ...,
            unrouted: Literal["plain", "open"] = "plain",
            background: Literal["base", "none"] = "base",
            background_in_regions: bool = False,
            pad: Literal["none", "full"] = "none",
            anchor: bool = False,
            overlap: Literal["union", "split"] = "union",
            text_positions: Literal["canvas", "region"] = "canvas",
            refresh: int = 1,
            rules: Sequence[Rule | Mapping[str, Any]],
            balance: Sequence[Balance | Mapping[str, Any]] = (),
            loras: Sequence[LoraRule | Mapping[str, Any]] = (),
            evidence: Mapping[str, Any] | None = None,
        ) -> None: ...

    @field_validator("rules")
    @classmethod
    def _has_rules(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if not rules:  # checked here, after the rules, so that a lone rule's own mistake is what is reported
            raise ValueError("must have at least one rule")
        return rules

    @field_validator("evidence", mode="plain")
    @classmethod
    def _is_plain(cls, evidence: Any) -> dict[str, Any] | None:
        if evidence is not None and not isinstance(evidence, Mapping):
            raise ValueError("must be a mapping")
        plain: dict[str, Any] | None = _plain(evidence)
        return plain

    def __hash__(self) -> int:  # evidence has none of its own
        return hash((self.name, self.blend, self.rules, self.balance, self.loras))

    @classmethod
    def load(cls, source: str | os.PathLike[str]) -> Self:
        """Load a preset by its name, or a routing file by its path.

        Raises:
            InputError: there is no such preset or file, or its content is wrong; a plan is called one.
        """
        if isinstance(source, str) and not Path(source).suffix and os.sep not in source and "/" not in source:
            names = presets()
            if source not in names:
                hint = did_you_mean(source, names)
                raise InputError(f"routing {quote(source)}: {hint}must be a .yaml file or one of {', '.join(names)}")
            text = (_preset_folder() / f"{source}.yaml").read_text(encoding="utf-8")
            return cls.from_yaml(text, f"{source}.yaml")
        try:
            return super().load(source)
        except InputError as error:
            if _is_plan(source):
                raise InputError(f"{os.fspath(source)}: is a plan, not a routing (name, rules, …)") from error
            raise

    @classmethod
    def from_arrays(
        cls,
        name: str,
        levels: Mapping[Key, npt.ArrayLike],
        double_blocks: int,
        *,
        isolate: npt.ArrayLike | None = None,
        **settings: Any,
    ) -> Self:
        """A routing that resolves to these arrays, for a model with their number of blocks and runs of their steps.

        Args:
            name: what it is called.
            levels: `float[T, B]` for a level ("high", "low", "full"), or for a level and an area (`("low", "boat")`):
                how strongly its texts act at each step in each block, double blocks first; 0 hides them.
            double_blocks: how many of the B blocks are double ones.
            isolate: `bool[T, B]`, where image tokens attend only to image tokens that share a region with them.
            **settings: the other keys of a routing, `blend` and `anchor` for instance.

        Raises:
            InputError: an array has another shape or values outside [0, 1], nothing is visible, or isolation is asked
                for where nothing is; a setting is unknown.

        Example:
            >>> low = np.zeros((20, 57)); low[::2, 10:30] = np.linspace(1, 0.5, 20)
            >>> Routing.from_arrays("mine", {"high": np.ones((20, 57)), "low": low}, double_blocks=19)
        """
        rules = rules_of_arrays(levels, double_blocks, isolate)
        blocks = np.asarray(next(iter(levels.values()))).shape[1]
        size = {"double": double_blocks, "single": blocks - double_blocks}
        data = {"name": name, **settings, "model": size, "rules": rules}
        return cls.from_yaml(dump_yaml(data), f"routing {name}")

    @classmethod
    def _from_document(cls, document: Document) -> Self:
        routing = super()._from_document(document)
        if routing.model is not None:  # else exact ranges can be judged only once the model is known
            for place in rule_places(routing):
                select_blocks(routing, place, routing.model.double, routing.model.single)
        for later, entry in enumerate(routing.balance):
            for earlier, other in enumerate(routing.balance[:later]):
                if other.covers(entry):
                    message = f"never holds: balance[{earlier}] comes first and is for the same plans"
                    raise routing.error(("balance", later), message)
        return routing

    def resolve(self, double_blocks: int, single_blocks: int, steps: int) -> Schedule:
        """The routing as arrays, for a model with these block counts and a run of so many denoising steps.

        Raises:
            InputError: a rule names a block or step that does not exist, or matches no block; file, line, rule, value
                and the model's counts are named.
        """
        return resolve(self, double_blocks, single_blocks, steps)

    def balanced(self, regions: int, area: float) -> Self:
        """The routing for plans with so many regions, whose mean share of the canvas is `area` (0 to 1).

        The first entry of `balance` that fits is applied; the result has no `balance`.
        """
        fitting = (index for index, entry in enumerate(self.balance) if entry.fits(regions, area))
        return self.with_balance(next(fitting, None))

    def balanced_for(self, plan: ScenePlan) -> Self:
        """The routing for a plan. Raises `InputError` where a mask file of the plan cannot be used."""
        needs_area = any(entry.area is not None for entry in self.balance)
        return self.balanced(len(plan.regions), mean_area(plan) if needs_area else 0.0)

    def with_balance(self, index: int | None) -> Self:
        """The routing with one entry of `balance` applied, or with none; the result has no `balance`."""
        if index is None:
            return self.model_copy(update={"balance": ()})
        entry = self.balance[index]
        blend = self.blend
        if entry.base_ratio is not None:
            blend = blend.model_copy(update={"base_ratio": entry.base_ratio})
        rules = tuple(entry.laid(rule) for rule in self.rules)
        return self.model_copy(update={"balance": (), "blend": blend, "rules": rules})

    def isolating(self, areas: Sequence[str]) -> Self:
        """The routing with these areas isolated wherever one of their texts is visible."""
        more = []
        for rule in self.rules:
            own = tuple(area for area in areas if rule.regions is None or area in rule.regions)
            if own and not rule.isolate:
                more.append(rule.model_copy(update={"isolate": True, "regions": own}))
        return self.model_copy(update={"rules": (*self.rules, *more)})

    def with_base_prompt(self, base_prompt: Literal["plan", "composed"]) -> Self:
        """The routing with another `base_prompt` of its blend."""
        return self.model_copy(update={"blend": self.blend.model_copy(update={"base_prompt": base_prompt})})

    def error(self, path: KeyPath, message: str) -> InputError:
        """An `InputError` about the field at `path`, with file and line where the routing was read from a file."""
        document = self._document or Document(None, f"routing {quote(self.name)}", Path(), {})
        return document.error(path, message)


def routing_only() -> dict[str, str]:
    """Fields that routing files have and plans have not, by their names; each as messages write its place."""
    places = {name: f"rules[].{name}" for name in Rule.model_fields}
    places |= {name: f"blend.{name}" for name in Blend.model_fields}
    places |= {name: name for name in Routing.model_fields}
    others = {*_ABOUT, *ScenePlan.model_fields, *Region.model_fields}
    return {name: place for name, place in places.items() if name not in others}


def _is_plan(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds a plan, by its keys."""
    try:
        keys = read_document(path).data.keys()
    except InputError:
        return False
    return "prompt" in keys and len(keys & ScenePlan.model_fields.keys()) > len(keys & Routing.model_fields.keys())


def _plain(value: Any) -> Any:
    """A copy of what YAML and JSON can both hold. Raises `ValueError` on anything else."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise ValueError(
        f"{quote(value)}: must be plain data: mappings with text keys, lists, text, finite numbers, true, false"
    )


def presets() -> list[str]:
    """The names of the bundled routings, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _preset_folder().iterdir() if entry.is_file())


def _preset_folder() -> Any:
    return files("strata.configs") / "routings"
