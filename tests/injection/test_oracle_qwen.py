"""The families around Qwen's language models against the dense definition, as `test_oracle` does it for FLUX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from diffusers import LongCatImageTransformer2DModel, QwenImageTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_qwenimage import apply_rotary_emb_qwen
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strata.hierarchy.grid import TokenGrid
from tests.examples import examples
from tests.injection.drawings import drawing, program_of
from tests.injection.oracle import DenseProcessor, DenseTextProcessor, Scene
from tests.injection.qwen import krea2_transformer
from tests.injection.test_oracle import DOUBLE, SINGLE, STEPS, scenes
from tests.shows import shown

WIDTH, CHANNELS = 12, 8


class DenseQwenProcessor(DenseProcessor):
    """Joint attention of a Qwen-Image block; every text's positions begin where the base prompt's do."""

    def __call__(  # type: ignore[override]
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> Any:
        assert encoder_hidden_states_mask is None
        image, text = image_rotary_emb
        positions = [n for length in (self.scene.base_length, *self.scene.lengths) for n in range(length)]

        def projected(linear: Any, norm: Any, x: Tensor, table: Tensor) -> Tensor:
            heads: Tensor = norm(linear(x).unflatten(-1, (attn.heads, -1)))
            return apply_rotary_emb_qwen(heads, table, use_real=False)  # type: ignore[return-value]

        of_text, of_image = (encoder_hidden_states, text[positions]), (hidden_states, image)
        q = [projected(attn.add_q_proj, attn.norm_added_q, *of_text), projected(attn.to_q, attn.norm_q, *of_image)]
        k = [projected(attn.add_k_proj, attn.norm_added_k, *of_text), projected(attn.to_k, attn.norm_k, *of_image)]
        v = [attn.add_v_proj(encoder_hidden_states), attn.to_v(hidden_states)]
        v = [x.unflatten(-1, (attn.heads, -1)) for x in v]
        out = self.attend(*(torch.cat(x, dim=1) for x in (q, k, v))).flatten(2)
        length = encoder_hidden_states.shape[1]
        return attn.to_out[0](out[:, length:]), attn.to_add_out(out[:, :length])


class DenseKreaProcessor(DenseProcessor):
    """Of a Krea 2 block: two queries a key, and a gate."""

    def __call__(  # type: ignore[override]
        self, attn: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, image_rotary_emb: Any = None
    ) -> Any:
        assert attention_mask is None
        q, k, v = (
            linear(hidden_states).unflatten(-1, (-1, attn.head_dim)) for linear in (attn.to_q, attn.to_k, attn.to_v)
        )
        q, k = attn.norm_q(q), attn.norm_k(k)
        if image_rotary_emb is not None:
            q, k = (apply_rotary_emb(x, image_rotary_emb, sequence_dim=1) for x in (q, k))
        owner = torch.arange(attn.num_heads) // (attn.num_heads // attn.num_kv_heads)
        out = self.attend(q, k[:, :, owner], v[:, :, owner]).flatten(2)
        return attn.to_out[0](out * attn.to_gate(hidden_states).sigmoid())


class DenseKreaTextProcessor(DenseKreaProcessor):
    """Of the blocks that text passes by itself."""

    attend = DenseTextProcessor.attend


@dataclass(frozen=True)
class Case:
    """A family: a tiny transformer, its call, and its attention by the definition."""

    transformer: Any
    inputs: Callable[..., dict[str, Any]]
    dense: type[DenseProcessor]
    layers: tuple[int, ...] = ()
    """Axes of a text embedding between its tokens and its channels."""
    masks: bool = False
    """Whether padding is masked, two tokens before the last."""
    counts: bool = False
    """Whether texts may begin at any position."""
    references: bool = True


def of_longcat(
    grid: TokenGrid, reference: int, positions: Sequence[int], corners: Tensor, mask: Tensor | None
) -> dict[str, Any]:
    text = torch.tensor(positions)[:, None] * torch.tensor([0.0, 1.0, 1.0]) + corners
    ids = _ids(grid, reference) + torch.tensor([1.0, 40.0, 40.0])
    return {"txt_ids": text, "img_ids": ids}


def of_qwen(
    grid: TokenGrid, reference: int, positions: Sequence[int], corners: Tensor, mask: Tensor | None
) -> dict[str, Any]:
    shapes = [(1, grid.rows, grid.cols), *([(1, 1, reference)] if reference else [])]
    return {"img_shapes": [shapes] * 2, "encoder_hidden_states_mask": mask}


def of_krea(
    grid: TokenGrid, reference: int, positions: Sequence[int], corners: Tensor, mask: Tensor | None
) -> dict[str, Any]:
    ids = torch.cat([corners, _ids(grid, 0)])
    return {"position_ids": ids, "encoder_attention_mask": mask}


def _ids(grid: TokenGrid, reference: int) -> Tensor:
    canvas = grid.rows * grid.cols
    ids = torch.zeros(canvas + reference, 3)
    ids[:canvas, 1], ids[:canvas, 2] = torch.arange(canvas) // grid.cols, torch.arange(canvas) % grid.cols
    ids[canvas:, 0] = 1
    return ids


def cases() -> dict[str, Case]:
    torch.manual_seed(0)
    size: dict[str, Any] = {"in_channels": CHANNELS, "attention_head_dim": 8, "num_attention_heads": 2}
    size |= {"joint_attention_dim": WIDTH, "axes_dims_rope": (2, 2, 4)}
    longcat = LongCatImageTransformer2DModel(**size, num_layers=DOUBLE, num_single_layers=SINGLE).eval()
    qwen = QwenImageTransformer2DModel(**size, out_channels=2, num_layers=DOUBLE + SINGLE).eval()
    krea = krea2_transformer(in_channels=CHANNELS, text_hidden_dim=WIDTH)
    return {
        "longcat": Case(longcat, of_longcat, DenseProcessor, counts=True),
        "qwen": Case(qwen, of_qwen, DenseQwenProcessor, masks=True),
        "krea2": Case(krea, of_krea, DenseKreaProcessor, layers=(2,), masks=True, references=False),
    }


CASES = cases()


@pytest.mark.parametrize("family", shown(CASES, "regions by depth"))
@examples(5)
@given(scenes(), st.integers(0, 2**31))
def test_the_whole_transformer_agrees_with_the_definition(
    family: str, drawn: tuple[Scene, TokenGrid], seed: int
) -> None:
    _agrees(family, drawn, seed)


@pytest.mark.slow
@pytest.mark.parametrize("family", CASES)
@examples(90)
@given(scenes(), st.integers(0, 2**31))
def test_over_many_scenes(family: str, drawn: tuple[Scene, TokenGrid], seed: int) -> None:
    _agrees(family, drawn, seed)


def _agrees(family: str, drawn: tuple[Scene, TokenGrid], seed: int) -> None:
    case, (scene, grid) = CASES[family], drawn
    transformer, generator = case.transformer, torch.Generator().manual_seed(seed)
    if not case.references:
        scene.reference = 0
    latents = torch.randn(2, scene.canvas + scene.reference, CHANNELS, generator=generator)
    masked = 2 if case.masks and seed % 2 else 0
    tail = int(family == "krea2")
    base = torch.randn(2, scene.base_length, *case.layers, WIDTH, generator=generator)
    garbage = torch.randn(2, masked, *case.layers, WIDTH, generator=generator)
    padded = torch.cat([base[:, : scene.base_length - tail], garbage, base[:, scene.base_length - tail :]], dim=1)
    told = list(zip(scene.streams, scene.lengths, strict=True))
    texts = {s.text: torch.randn(1, n, *case.layers, WIDTH, generator=generator) for s, n in told}
    starts = {s.text: (seed + n) % 7 if case.counts else 0 for n, s in enumerate(scene.streams)}
    mask = torch.ones(2, padded.shape[1], dtype=torch.bool)
    mask[:, scene.base_length - tail : padded.shape[1] - tail] = False

    def run(
        text: Tensor,
        step: int,
        positions: Sequence[int] | None = None,
        corners: Sequence[tuple[int, int]] | None = None,
    ) -> Tensor:
        there = torch.tensor([(0.0, *each) for each in corners or [(0, 0)] * text.shape[1]])
        hidden = mask if masked and not positions else None
        own = case.inputs(grid, scene.reference, positions or range(text.shape[1]), there, hidden)
        time = torch.full((2,), 0.5 - 0.1 * step)
        with torch.no_grad():
            out: Tensor = transformer(
                hidden_states=latents, encoder_hidden_states=text, timestep=time, return_dict=False, **own
            )[0]
        return out

    plain = [run(padded, step) for step in range(STEPS)]
    with drawing(transformer, program_of(grid, scene.schedule, scene.streams), texts, starts):
        found = [run(padded, step) for step in range(STEPS)]
    assert torch.equal(run(padded, 0), plain[0]), "detaching left a trace"

    stock = dict(transformer.attn_processors)
    blocks = [*transformer.transformer_blocks, *getattr(transformer, "single_transformer_blocks", ())]
    dense = [case.dense(scene, n) for n in range(len(blocks))]
    try:
        for block, processor in zip(blocks, dense, strict=True):
            block.attn.processor = processor
        for block in transformer.text_fusion.refiner_blocks if family == "krea2" else ():
            block.attn.processor = DenseKreaTextProcessor(scene, 0)
        everything = torch.cat(
            [base, *(texts[s.text].expand(2, *texts[s.text].shape[1:]) for s in scene.streams)], dim=1
        )
        positions = [*range(scene.base_length)]
        for stream, length in told:
            positions += range(starts[stream.text], starts[stream.text] + length)
        for step in range(STEPS):
            for processor in dense:
                processor.step = step
            expected = run(everything, step, positions, scene.corners(grid))
            assert (found[step] - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))
            if not any(s.weight[step].any() for s in scene.streams):
                assert torch.equal(found[step], plain[step]), "an unrouted step is the plain model, bit for bit"
    finally:
        transformer.set_attn_processor(stock)
