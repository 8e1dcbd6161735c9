"""What Strata needs to know of a model, all of it known before a weight is read."""

from __future__ import annotations

from dataclasses import dataclass

from strata.hierarchy.native import Form


@dataclass(frozen=True)
class Stack:
    """A run of blocks of one kind, in execution order.

    Attributes:
        name: "double" or "single", as routing files name blocks; other names are of stacks that nothing is routed in.
        blocks: how many.
        routed: whether image and text tokens meet in its blocks, so that a routing counts them.
    """

    name: str
    blocks: int
    routed: bool = True


@dataclass(frozen=True)
class ModelFacts:
    """One model.

    Attributes:
        family: the name of its family.
        stacks: its blocks, in execution order.
        token_size: pixels that one image token covers, along each side.
        text_length: tokens of a text at most.
        guidance: the guidance scale where none is asked for; None where the model takes none.
        negative_scale: the pipeline's option that weighs a negative prompt ("true_cfg_scale", "guidance_scale"); None
            where the model takes none.
        unguided: the scale of guidance up to which there is none.
        text_window: every text is padded to a multiple of so many tokens, all of which the model sees; None: the base
            prompt alone is padded, to `text_length`, unless a routing asks for all of it.
        steps: denoising steps that a distilled model was trained for; None: as many as one likes.
        form: of the structured captions that the model was trained on; None where it is not known to be.
    """

    family: str
    stacks: tuple[Stack, ...]
    token_size: int
    text_length: int
    guidance: float | None = None
    negative_scale: str | None = "true_cfg_scale"
    unguided: float = 1.0
    text_window: int | None = None
    steps: int | None = None
    form: Form | None = None

    @property
    def block_counts(self) -> tuple[int, int]:
        """The numbers of double and single blocks that a routing counts."""
        return self._count("double"), self._count("single")

    def _count(self, name: str) -> int:
        return sum(stack.blocks for stack in self.stacks if stack.routed and stack.name == name)

    def padded(self, tokens: int) -> int:
        """Tokens of a text of so many, with its padding."""
        if self.text_window is None:
            return self.text_length
        return min(-(-tokens // self.text_window) * self.text_window, self.text_length)

    def __str__(self) -> str:
        routed = ", ".join(f"{stack.blocks} {stack.name}" for stack in self.stacks if stack.routed)
        others = ", ".join(f"{stack.blocks} {stack.name} blocks" for stack in self.stacks if not stack.routed)
        behind = f" behind {others}, which no routing counts" if others else ""
        return f"{self.family} ({routed} blocks{behind}; a token is {self.token_size}×{self.token_size} pixels)"
