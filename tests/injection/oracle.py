"""The definition of regional attention, computed the slow way: one dense matrix of log weights, token by token.

Nothing of the implementation's grouping is used here: no atoms, no reordering, no dropping of streams.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import _get_qkv_projections
from torch import Tensor

from strata.hierarchy.grid import TokenGrid
from strata.injection.streams import Stream
from strata.layers.schedule import Schedule

NEVER = float("-inf")


@dataclass
class Scene:
    """What the oracle needs to know: token masks [R, N] of the regions, streams with lengths, reference tokens."""

    names: tuple[str, ...]
    masks: np.ndarray
    streams: list[Stream]
    lengths: list[int]
    base_length: int
    reference: int
    schedule: Schedule
    faint: int = 0
    """Of the base prompt's last tokens: as keys they weigh 1/e, to all but each other."""

    @property
    def canvas(self) -> int:
        return self.masks.shape[1]

    def area(self, name: str) -> np.ndarray:
        if name == "global":
            return np.ones(self.canvas, dtype=bool)
        if name == "background":
            return ~self.masks.any(0)
        return self.masks[self.names.index(name)]

    def corners(self, grid: TokenGrid) -> list[tuple[int, int]]:
        """Row and column of the image token from where each text token is seen, the base prompt's first."""
        found = [(0, 0)] * self.base_length
        for stream, length in zip(self.streams, self.lengths, strict=True):
            found += [self._corner(stream, grid)] * length
        return found

    def _corner(self, stream: Stream, grid: TokenGrid) -> tuple[int, int]:
        if self.schedule.routing.text_positions == "canvas" or stream.area not in self.names:
            return 0, 0
        rows, cols = self.area(stream.area).reshape(grid.rows, grid.cols).nonzero()
        return int(rows.min()), int(cols.min())

    def heard(self, step: int, block: int) -> str:
        """What a block does: "plain", "open" or "routed"."""
        if not any(s.weight[step].any() for s in self.streams):
            return "plain"
        if not self.schedule.routed[step, block]:
            return "open" if self.schedule.unrouted == "open" else "plain"
        return "routed" if any(s.weight[step, block] > 0 for s in self.streams) else "plain"

    def base_ratio(self, step: int, image: int) -> Tensor:
        """float32 `[image]`: the base attention's weight for image tokens, those of the canvas first."""
        ratio = torch.full((image,), float(self.schedule.base_ratio[step]))
        if self.schedule.routing.blend.base_area == "regions":
            ratio[: self.canvas] *= torch.from_numpy(self.masks.any(0))
        return ratio

    def asks(self, step: int) -> bool:
        """Whether a routed step has the texts computed anew, where their keys and values are kept for other steps."""
        last = None
        for each in range(step + 1):
            if not any(s.weight[each].any() for s in self.streams):
                continue
            blocks = range(self.schedule.blocks)
            gone = last is None or any(
                s.weight[each, block] > 0 and not (s.weight[last, block:] > 0).any()
                for s in self.streams
                for block in blocks
            )
            if last is None or gone or each - last >= self.schedule.routing.refresh:
                last = each
        return last == step

    def log_weights(self, step: int, block: int) -> Tensor:
        """[L, L] over base, streams, canvas, reference: the logarithm of every key's weight for every query.

        The base's rows are left empty: they only ever take part in the base attention.
        """
        starts = np.cumsum([self.base_length, *self.lengths])
        first, end = int(starts[-1]), int(starts[-1]) + self.canvas + self.reference
        weights = np.full((end, end), NEVER, dtype=np.float32)
        texts = [slice(int(starts[i]), int(starts[i + 1])) for i in range(len(self.streams))]
        image, reference = slice(first, first + self.canvas), slice(first + self.canvas, end)
        if self.heard(step, block) == "open":
            in_use = [t for t, s in zip(texts, self.streams, strict=True) if s.weight[step].any()]
            rows = [*in_use, image, reference]
            for row in rows:
                for key in rows:
                    weights[row, key] = 0
            return torch.from_numpy(weights)
        for text, stream in zip(texts, self.streams, strict=True):
            weights[text, text] = 0
            weights[text, image] = np.where(self.area(stream.reach), 0, NEVER)
            weights[text, reference] = 0
        isolated = self.schedule.isolate[step, block]
        for i in range(self.canvas):
            row, spoken_to = first + i, False
            for text, stream in zip(texts, self.streams, strict=True):
                weight = stream.weight[step, block]
                if weight > 0 and self.area(stream.reach)[i]:
                    weights[row, text] = np.log(weight)
                    spoken_to = True
            if not spoken_to and self.schedule.routing.background == "base":
                weights[row, : self.base_length] = 0
                weights[row, self.base_length - self.faint : self.base_length] = -1
            mine = self.masks[:, i]
            for j in range(self.canvas):
                theirs = self.masks[:, j]
                together = bool((mine & theirs).any()) or (not mine.any() and not theirs.any())
                if together or not isolated:
                    weights[row, first + j] = 0
            weights[row, reference] = 0
        return torch.from_numpy(weights)


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, log_weights: Tensor | None = None) -> Tensor:
    """[B, L, H, D] each, log weights [Lq, Lk]; rows without any key give zeros."""
    logits = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    if log_weights is not None:
        logits = logits + log_weights
    return torch.einsum("bhqk,bkhd->bqhd", logits.softmax(-1).nan_to_num(0.0), v)


class DenseProcessor:
    """Joint attention of one block over [base, streams, canvas, reference], `shared` blending, by the definition."""

    def __init__(self, scene: Scene, block: int) -> None:
        self.scene, self.block, self.step = scene, block, 0
        self.kept: tuple[Tensor, Tensor] | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        q, k, v, text_q, text_k, text_v = _get_qkv_projections(attn, hidden_states, encoder_hidden_states)
        q, k, v = (x.unflatten(-1, (attn.heads, -1)) for x in (q, k, v))
        q, k = attn.norm_q(q), attn.norm_k(k)
        if encoder_hidden_states is not None:
            text_q, text_k, text_v = (x.unflatten(-1, (attn.heads, -1)) for x in (text_q, text_k, text_v))
            q = torch.cat([attn.norm_added_q(text_q), q], dim=1)
            k = torch.cat([attn.norm_added_k(text_k), k], dim=1)
            v = torch.cat([text_v, v], dim=1)
        q = apply_rotary_emb(q, image_rotary_emb, sequence_dim=1)
        k = apply_rotary_emb(k, image_rotary_emb, sequence_dim=1)
        out = self.attend(q, k, v).flatten(2)
        if encoder_hidden_states is None:
            return out
        text = encoder_hidden_states.shape[1]
        return attn.to_out[0](out[:, text:]), attn.to_add_out(out[:, :text])

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, L, H, D] each."""
        scene, length = self.scene, q.shape[1]
        text = scene.base_length + sum(scene.lengths)
        if scene.heard(self.step, self.block) != "open" and any(s.weight[self.step].any() for s in scene.streams):
            streams = slice(scene.base_length, text)
            if self.kept is None or scene.asks(self.step):
                self.kept = k[:, streams], v[:, streams]
            k, v = (
                torch.cat([x[:, : streams.start], old, x[:, text:]], 1)
                for x, old in zip((k, v), self.kept, strict=True)
            )
        first, canvas_stop = text, text + scene.canvas
        plain = torch.tensor([i < scene.base_length or i >= first for i in range(length)])
        base_weights = torch.where(plain, 0.0, NEVER)[None].repeat(length, 1)
        faint = slice(scene.base_length - scene.faint, scene.base_length)
        base_weights[:, faint] = -1
        base_weights[faint, faint] = 0
        base = softmax_attention(q, k, v, base_weights)
        regional = softmax_attention(q, k, v, scene.log_weights(self.step, self.block))
        out = torch.where(plain[None, :, None, None], base, regional)
        doing = scene.heard(self.step, self.block)
        if doing != "plain":
            stop = length if doing == "open" else canvas_stop
            ratio = scene.base_ratio(self.step, stop - first)[None, :, None, None]
            out[:, first:stop] = (1 - ratio) * regional[:, first:stop] + ratio * base[:, first:stop]
        return out


class DenseParallelProcessor(DenseProcessor):
    """The same of a block whose attention projects the MLP's part too."""

    def __call__(  # type: ignore[override]
        self, attn: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, image_rotary_emb: Any = None
    ) -> Any:
        width = attn.inner_dim
        *qkv, mlp = attn.to_qkv_mlp_proj(hidden_states).split([width, width, width, 2 * attn.mlp_hidden_dim], dim=-1)
        q, k, v = (x.unflatten(-1, (attn.heads, -1)) for x in qkv)
        q, k = (apply_rotary_emb(x, image_rotary_emb, sequence_dim=1) for x in (attn.norm_q(q), attn.norm_k(k)))
        return attn.to_out(torch.cat([self.attend(q, k, v).flatten(2), attn.mlp_act_fn(mlp)], dim=-1))


class DenseJoinedProcessor(DenseProcessor):
    """The same of FLUX.3's joint blocks, whose attention gets text and image as one."""

    def __call__(  # type: ignore[override]
        self, attn: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, image_rotary_emb: Any = None
    ) -> Any:
        linears = (attn.to_q, attn.to_k, attn.to_v)
        q, k, v = (linear(hidden_states).unflatten(-1, (attn.heads, -1)) for linear in linears)
        q, k = (apply_rotary_emb(x, image_rotary_emb, sequence_dim=1) for x in (attn.norm_q(q), attn.norm_k(k)))
        return attn.to_out[0](self.attend(q, k, v).flatten(2))


class DenseTextProcessor(DenseJoinedProcessor):
    """Of FLUX.3's text blocks: each text attends within itself."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        owner = torch.tensor([n for n, m in enumerate([self.scene.base_length, *self.scene.lengths]) for _ in range(m)])
        return softmax_attention(q, k, v, torch.where(owner[:, None] == owner[None], 0.0, NEVER))
