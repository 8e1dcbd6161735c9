"""A FLUX transformer of random weights, and the call of one denoising step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor

from strata.injection.facts import ModelFacts, Stack
from strata.injection.families.base import Canvas
from strata.injection.families.flux import Flux

TOKEN = 16
"""Pixels of an image token's side."""


class Size(NamedTuple):
    """How large a model is; `text` is the width of its text embeddings, `base` the base prompt's tokens."""

    double: int
    single: int
    heads: int
    head: int
    text: int
    base: int


SIZES = {
    "full": Size(19, 38, 24, 128, 4096, 512),
    "wide": Size(2, 4, 6, 128, 512, 512),
    "tiny": Size(1, 2, 2, 16, 32, 16),
}
"""`full` is FLUX.1-dev's own configuration."""


def _axes(head: int) -> tuple[int, int, int]:
    """Rotary channels of each position axis; FLUX.1's 16, 56, 56 of 128."""
    first = max(head // 8, 4)
    return first, (head - first) // 2, (head - first) // 2


class KnownCanvas(Flux):
    """FLUX.1 whose token grid is told, not read from position ids: on the meta device they have no values."""

    def __init__(self, rows: int, cols: int) -> None:
        self.size = Canvas(rows, cols, rows * cols)

    def canvas(self, inputs: Any) -> Canvas:
        """See `Family`."""
        return self.size


@dataclass(frozen=True, eq=False)
class Model:
    """A transformer on a device."""

    name: str
    size: Size
    transformer: Any
    device: torch.device
    dtype: torch.dtype
    _compiled: list[Any] = field(default_factory=list)

    @classmethod
    def made(cls, name: str, device: torch.device, dtype: torch.dtype | None = None, base: int | None = None) -> Model:
        """Of a size, with random weights; bfloat16 unless it is for the CPU. `base`: another number of base tokens."""
        size = SIZES[name] if base is None else SIZES[name]._replace(base=base)
        if dtype is None:
            dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        torch.manual_seed(0)
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with torch.device(device):
                transformer = FluxTransformer2DModel(
                    guidance_embeds=True,
                    num_layers=size.double,
                    num_single_layers=size.single,
                    num_attention_heads=size.heads,
                    attention_head_dim=size.head,
                    joint_attention_dim=size.text,
                    axes_dims_rope=_axes(size.head),
                )
        finally:
            torch.set_default_dtype(before)
        return cls(name, size, transformer.eval().requires_grad_(False), device, dtype)

    @property
    def facts(self) -> ModelFacts:
        """What Strata knows of it; a text that keeps its padding is as long as the base prompt."""
        stacks = Stack("double", self.size.double), Stack("single", self.size.single)
        return ModelFacts("flux", stacks, token_size=TOKEN, text_length=self.size.base)

    @property
    def million(self) -> float:
        """Parameters."""
        return sum(p.numel() for p in self.transformer.parameters()) / 1e6

    def compile(self, on: bool) -> None:
        """Let calls go through blocks that are compiled, once and for all of them, or not."""
        blocks = [*self.transformer.transformer_blocks, *self.transformer.single_transformer_blocks]
        if on and not self._compiled:
            import torch._dynamo

            limit = torch._dynamo.config.recompile_limit
            torch._dynamo.config.recompile_limit = max(limit, 64)  # sequences of many lengths
            self.transformer.compile_repeated_blocks(fullgraph=True)
            self._compiled.extend(block._compiled_call_impl for block in blocks)
        for n, block in enumerate(blocks):
            block._compiled_call_impl = self._compiled[n] if on else None

    def family(self, width: int, height: int) -> KnownCanvas:
        """For pictures of so many pixels."""
        return KnownCanvas(height // TOKEN, width // TOKEN)

    def text(self, tokens: int) -> Tensor:
        """A text embedding `[1, tokens, C]`."""
        return torch.randn(1, tokens, self.size.text, device=self.device, dtype=self.dtype)

    def inputs(self, width: int, height: int) -> dict[str, Any]:
        """The arguments of a call for a picture of so many pixels."""
        rows, cols, at = height // TOKEN, width // TOKEN, {"device": self.device, "dtype": self.dtype}
        ids = torch.zeros(rows, cols, 3, device=self.device)
        ids[..., 1] += torch.arange(rows, device=self.device)[:, None]
        ids[..., 2] += torch.arange(cols, device=self.device)[None]
        return {
            "hidden_states": torch.randn(1, rows * cols, 64, **at),
            "encoder_hidden_states": self.text(self.size.base),
            "pooled_projections": torch.zeros(1, 768, **at),
            "timestep": torch.full((1,), 0.5, **at),
            "img_ids": ids.flatten(0, 1),
            "txt_ids": torch.zeros(self.size.base, 3, device=self.device),
            "guidance": torch.full((1,), 3.5, **at),
            "return_dict": False,
        }
