"""The protocol of a method: how a program is drawn.

A method's run is asked at every conditional call of the transformer. It may call the stock transformer as often as it
likes, with other inputs, and stand around every block while a call lasts. What it needs to know of the model, the
family tells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from strata.hierarchy.errors import InputError, quote
from strata.injection.errors import UnsupportedError
from strata.layers.routing import DEFAULT_ROUTING, Routing

if TYPE_CHECKING:
    from torch import Tensor

    from strata.hierarchy.plan import ScenePlan
    from strata.injection.attention import AttentionSpec
    from strata.injection.facts import ModelFacts
    from strata.injection.families.base import Block, Family
    from strata.injection.intercept import Call
    from strata.injection.program import Program


ROUTING = "routing"
"""The setting that a method without regional attention ignores."""
SEVERAL, UNCONDITIONAL, OBSERVERS = "several plans", "unconditional calls", "observers"
CACHED = "a cache of references"
"""What of a call a method may refuse."""


@dataclass(frozen=True)
class Drawing:
    """What a run is made from.

    Attributes:
        family: of the model.
        programs: of the plans that are drawn at once, all of one size.
        texts: the embedding `[1, L, C]` of every stream's text.
        starts: of every text, its first token's position within the padded text; 0 where it is not named.
        steps: tells the number of denoising steps once the pipeline's loop has begun.
        compile: makes the programs anew for a pipeline that draws another size, or other steps, than was foreseen.
        levels: the noise level of each step, and behind the last, once the loop has begun; raises `UnsupportedError`
            where a step is not `latents + (next level - level) * output`.
    """

    family: Family
    programs: Sequence[Program]
    texts: Mapping[str, Tensor]
    steps: Callable[[], int]
    compile: Callable[[int, int, int], Sequence[Program]]
    starts: Mapping[str, int] = field(default_factory=dict)
    levels: Callable[[], Sequence[float]] = tuple


class BlockHooks(Protocol):
    """What stands around the blocks while a transformer call lasts."""

    def around(self, block: Block, call: Call, inputs: dict[str, Any]) -> Any:
        """Call a block; returns what it does."""

    def around_text(self, block: Block, call: Call, inputs: dict[str, Any]) -> Any:
        """The same for a block that text tokens pass by themselves (`Family.text_blocks`)."""

    def segments(self, block: Block) -> tuple[tuple[str, int], ...]:
        """What the block's attention sees of the first plan: names and token counts in order.

        A name is `AREA/LEVEL` of a stream, "base", "image", or "padding"; the canvas tokens come first in an image.
        """

    def spec(self, block: Block) -> AttentionSpec | None:
        """What its attention computes for the first plan; None: plain attention."""

    @property
    def inverse(self) -> Tensor:
        """int64 `[N]`: where each image token of the pipeline stands among the image tokens."""


Forward = Callable[..., Any]
"""Calls the stock transformer: `forward(inputs, hooks=None, watched=True)`; observers see it if it is `watched`."""


class MethodRun(ABC):
    """One drawing."""

    @abstractmethod
    def forward(self, step: int, inputs: dict[str, Any], forward: Forward) -> Any:
        """What the transformer returns at a step, counted from 0, for these inputs."""


class Method(ABC):
    """A way of drawing programs; stateless.

    Attributes:
        name: letters, digits and hyphens.
        about: it, in a line.
        source: where it was published.
        ignores: settings of a run, by their names, that change nothing; giving one is an error.
        rewrites: whether it draws another base prompt than the plan's, which is to be encoded in its place.
        refuses: `SEVERAL`, `UNCONDITIONAL`, `OBSERVERS`, `CACHED`: those that it cannot be drawn with, and why.
        keeps_texts: whether it draws a routing with `refresh` above 1.
        confines_loras: whether it draws LoRAs of regions, and such as the routing's `loras` or a ramp are for.
        routing: what it was published with, and is drawn by where none is asked for; None: the default preset.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    source: ClassVar[str | None] = None
    ignores: ClassVar[frozenset[str]] = frozenset()
    rewrites: ClassVar[bool] = False
    refuses: ClassVar[Mapping[str, str]] = {}
    routing: ClassVar[Routing | None] = None
    confines_loras: ClassVar[bool] = False
    keeps_texts: ClassVar[bool] = False

    def check_model(self, facts: ModelFacts) -> None:  # noqa: B027
        """Raise `InputError` or `UnsupportedError` for models that the method cannot draw with."""

    def drawn(self, plan: ScenePlan, facts: ModelFacts) -> tuple[ScenePlan, Sequence[str]]:
        """What is compiled in a plan's place, and a line for whatever of the plan that leaves out.

        Raises:
            InputError: the method cannot draw the plan.
        """
        return plan, ()

    def check(self, program: Program) -> None:  # noqa: B027
        """Raise `InputError` or `UnsupportedError` for what the method itself cannot draw."""

    def check_program(self, program: Program) -> None:
        """Raise `InputError` or `UnsupportedError` for what the method cannot draw."""
        refresh = program.routing.refresh
        if refresh > 1 and not self.keeps_texts and not self.unrouted:
            raise InputError(
                f"routing {quote(program.routing.name)}: refresh: {refresh}: the method {self.name} has its texts at"
                " every step; set refresh: 1, or draw with regional"
            )
        self.check(program)

    def beside(self, other: Method) -> Method:
        """This one and another at once, as `NAME+OTHER` names them. Raises `InputError` where that cannot be."""
        raise InputError(f"method '{self.name}+{other.name}': {self.name} does not go with another method")

    def check_call(self, *asked: str) -> None:
        """Raise `UnsupportedError` where one of these is among what it refuses."""
        for name in asked:
            if name in self.refuses:
                raise UnsupportedError(f"method '{self.name}': {name}: {self.refuses[name]}")

    @property
    def unrouted(self) -> bool:
        """Whether a routing has no part in its pictures."""
        return ROUTING in self.ignores

    @property
    def default_routing(self) -> Routing:
        """What it is drawn by where no routing is asked for."""
        return self.routing or Routing.load(DEFAULT_ROUTING)

    @abstractmethod
    def start(self, drawing: Drawing) -> MethodRun:
        """Begin a drawing."""
