"""The mask-free implementation against the dense definition, over layouts, overlaps, levels and schedules."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ChromaTransformer2DModel,
    Flux2Transformer2DModel,
    Flux3Transformer2DModel,
    FluxTransformer2DModel,
)
from diffusers.models.transformers.transformer_flux3 import Flux3SingleTransformerBlock
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from strata.hierarchy.errors import StrataError
from strata.hierarchy.grid import TokenGrid
from strata.hierarchy.plan import Level
from strata.injection import kernels
from strata.injection.attention import regional_attention
from strata.injection.methods.regional_prompting_flux import PublishedRun
from strata.injection.streams import Stream
from strata.layers.routing import Routing
from tests.examples import examples
from tests.injection.drawings import drawing, program_of, start
from tests.injection.oracle import (
    NEVER,
    DenseJoinedProcessor,
    DenseParallelProcessor,
    DenseProcessor,
    DenseTextProcessor,
    Scene,
    softmax_attention,
)
from tests.shows import shown

DOUBLE, SINGLE, STEPS = 2, 3, 3


SIZE: dict[str, Any] = {
    "patch_size": 1,
    "in_channels": 8,
    "num_layers": DOUBLE,
    "num_single_layers": SINGLE,
    "attention_head_dim": 8,
    "num_attention_heads": 2,
    "joint_attention_dim": 12,
    "axes_dims_rope": (2, 2, 4),
}


def tiny_transformers() -> dict[str, Any]:
    torch.manual_seed(0)
    flux = FluxTransformer2DModel(pooled_projection_dim=6, **SIZE).eval()
    chroma = ChromaTransformer2DModel(approximator_hidden_dim=16, approximator_layers=2, **SIZE).eval()
    flux2 = Flux2Transformer2DModel(**SIZE | {"axes_dims_rope": (2, 2, 2, 2), "timestep_guidance_channels": 16}).eval()
    flux3 = {
        name: Flux3Transformer2DModel(
            in_channels=8,
            cond_in_channels=8,
            num_layers=2,
            num_single_layers=DOUBLE + SINGLE,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=12,
            timestep_channels=16,
            axes_dims_rope=(2, 2, 2, 2),
            flow_map=name == "flux3 flow map",
        ).eval()
        for name in ("flux3", "flux3 flow map")
    }
    return {"flux": flux, "chroma": chroma, "flux2": flux2, **flux3}


TRANSFORMERS = tiny_transformers()

numbers = st.sampled_from([0.25, 0.5, 1.0, {"from": 1.0, "to": 0.3}, {"from": 0.0, "to": 1.0}])


@st.composite
def rules(draw: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {"level": draw(st.sampled_from(["high", "low", "full"])), "isolate": draw(st.booleans())}
    where = draw(st.sampled_from(["all", "depth", "double", "single"]))
    if where == "depth":
        rule["depth"] = draw(st.sampled_from(["0%-40%", "40%-100%", "20%-80%"]))
    elif where == "double":
        rule["double"] = draw(st.sampled_from(["0", "0-1", "1"]))
    elif where == "single":
        rule["single"] = draw(st.sampled_from(["0-2", "1", "0,2"]))
    rule["steps"] = draw(st.sampled_from(["0%-100%", "0-0", "1-2", "0-1"]))
    rule["strength"] = draw(numbers)
    return rule


@st.composite
def scenes(draw: Any, mode: str = "shared") -> tuple[Scene, TokenGrid]:
    rows, cols = draw(st.sampled_from([(4, 4), (3, 5), (2, 4)]))
    masks = np.zeros((draw(st.integers(1, 3)), rows, cols), dtype=bool)
    for mask in masks:
        y, x = draw(st.integers(0, rows - 1)), draw(st.integers(0, cols - 1))
        mask[y : draw(st.integers(y + 1, rows)), x : draw(st.integers(x + 1, cols))] = True
    names = tuple("abc"[: len(masks)])
    grid = TokenGrid(rows, cols, names, masks, ~masks.any(0))
    unrouted = draw(st.sampled_from(["plain", "open"]))
    exact = mode == "split" or unrouted == "open"
    routing = Routing.model_validate(
        {
            "name": "drawn",
            "about": "drawn by hypothesis",
            "blend": {
                "mode": mode,
                "base_ratio": draw(st.sampled_from([0.0, 0.3, 1.0, {"from": 0.6, "to": 0.0}])),
                "base_area": "canvas" if exact else draw(st.sampled_from(["canvas", "regions"])),
            },
            "unrouted": unrouted,
            "text_positions": draw(st.sampled_from(["canvas", "region"])),
            "refresh": 1 if exact else draw(st.sampled_from([1, 1, 2, 3])),
            "background": draw(st.sampled_from(["base", "none"])),
            "rules": draw(st.lists(rules(), min_size=1, max_size=3)),
        }
    )
    schedule = routing.resolve(DOUBLE, SINGLE, STEPS)
    everywhere = draw(st.booleans())
    areas = [*names, "global", *(["background"] if everywhere or grid.background.any() else [])]
    streams, lengths = [], []
    for area in areas:
        for level in draw(st.sets(st.sampled_from(["high", "low", "full"]), max_size=2)):
            weight = schedule.strength(level, area) * np.float32(draw(st.sampled_from([1.0, 1.0, 0.5])))
            if weight.any():
                reaches = everywhere and area == "background"
                streams.append(Stream(area, level, f"{area} {level}", weight, everywhere=reaches))
                lengths.append(draw(st.integers(1, 3)))
    flat = masks.reshape(len(masks), -1)
    return Scene(names, flat, streams, lengths, 4, draw(st.sampled_from([0, 0, 3])), schedule), grid


def run(
    transformer: Any,
    latents: Tensor,
    text: Tensor,
    ids: Tensor,
    masked: int | Sequence[int] = 0,
    dtype: torch.dtype = torch.bool,
    positions: Sequence[int] | None = None,
    corners: Sequence[tuple[int, int]] | None = None,
    step: int = 0,
    named: bool = False,
) -> Tensor:
    """`masked`: so many of the last text tokens, of all rows or of each, are padding in Chroma's mask, of either kind.

    `positions`: of FLUX.2's and FLUX.3's text tokens; None: they are one text. `corners`: of the image tokens from
    where each text token is seen; None: the canvas's first. `named`: the output is asked for by its
    name.
    """
    own: dict[str, Any] = {"pooled_projections": torch.ones(len(latents), 6)}
    text_ids = torch.tensor([(0.0, *each) for each in corners or [(0, 0)] * text.shape[1]])
    time = torch.full((len(latents),), 0.5 - 0.1 * step)
    if isinstance(transformer, Flux3Transformer2DModel):
        own = {"target_timestep": time - 0.1} if transformer.config.flow_map else {}
        ids, text_ids = (torch.nn.functional.pad(x, (0, 1)) for x in (ids, text_ids))
        text_ids[:, 3] = torch.tensor(positions or range(len(text_ids)))
        canvas = int((ids[:, 0] == 0).sum())
        ids, text_ids = ids * torch.tensor([0.0, 0.5, 0.5, 0.0]), text_ids * torch.tensor([0.0, 0.5, 0.5, 1.0])
        if canvas < len(ids):
            ids[canvas:] = torch.tensor([0.0, 0.5, 0.0, -1.0])
            own |= {"image_cond_hidden_states": latents[:, canvas:], "image_cond_ids": ids[canvas:]}
        latents, ids = latents[:, :canvas], ids[:canvas]
    if isinstance(transformer, Flux2Transformer2DModel):
        own = {"guidance": torch.full((len(latents),), 4.0)}
        ids, text_ids = (torch.nn.functional.pad(x, (0, 1)) for x in (ids, text_ids))
        text_ids[:, 3] = torch.tensor(positions or range(len(text_ids)))
    if isinstance(transformer, ChromaTransformer2DModel):
        mask = torch.ones(len(latents), text.shape[1] + latents.shape[1], dtype=dtype)
        padding = [masked] * len(mask) if isinstance(masked, int) else masked
        for row, count in zip(mask, padding, strict=True):
            row[text.shape[1] - count : text.shape[1]] = 0
        own = {"attention_mask": mask if any(padding) else None}
    with torch.no_grad():
        out = transformer(
            hidden_states=latents,
            encoder_hidden_states=text,
            timestep=time,
            img_ids=ids,
            txt_ids=text_ids,
            return_dict=named,
            **own,
        )
    found: Tensor = out.sample if named else out[0]
    return found


FAMILIES = ["flux", "chroma", "flux2", "flux3"]


@pytest.mark.parametrize("family", shown(FAMILIES, "regions by depth"))
@examples(12)
@given(scenes(), st.booleans(), st.integers(0, 2**31))
def test_the_whole_transformer_agrees_with_the_definition(
    family: str, drawn: tuple[Scene, TokenGrid], in_parts: bool, seed: int
) -> None:
    """With base and regional attention merged from parts, as for many tokens, and without."""
    _family_agrees(family, *drawn, in_parts, seed)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@examples(150)
@given(scenes(), st.booleans(), st.integers(0, 2**31))
def test_the_whole_transformer_agrees_with_the_definition_on_many(
    family: str, drawn: tuple[Scene, TokenGrid], in_parts: bool, seed: int
) -> None:
    _family_agrees(family, *drawn, in_parts, seed)


def _family_agrees(family: str, scene: Scene, grid: TokenGrid, in_parts: bool, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "SMALLEST", 0 if in_parts else 10**6)
        flow_map = family == "flux3" and seed % 2 == 1
        _agrees(TRANSFORMERS[f"{family} flow map" if flow_map else family], scene, grid, seed)


def _agrees(transformer: Any, scene: Scene, grid: TokenGrid, seed: int) -> None:
    masked = seed % 3 if isinstance(transformer, ChromaTransformer2DModel) else 0
    dtype = torch.float32 if seed % 2 else torch.bool
    if dtype == torch.float32:  # numbers are added to the logits: the padding stays visible
        scene = replace(scene, base_length=scene.base_length + masked, faint=masked)
    generator = torch.Generator().manual_seed(seed)
    total = scene.canvas + scene.reference
    latents = torch.randn(2, total, 8, generator=generator)
    base = torch.randn(2, scene.base_length + masked - scene.faint, 12, generator=generator)
    told = zip(scene.streams, scene.lengths, strict=True)
    texts = {s.text: torch.randn(1, n, 12, generator=generator) for s, n in told}
    starts = {s.text: (seed + n) % 7 for n, s in enumerate(scene.streams)}
    ids = torch.zeros(total, 3)
    ids[: scene.canvas, 1] = torch.arange(scene.canvas) // grid.cols
    ids[: scene.canvas, 2] = torch.arange(scene.canvas) % grid.cols
    ids[scene.canvas :, 0] = 1

    def drawn() -> list[Tensor]:
        return [run(transformer, latents, base, ids, masked, dtype, step=step) for step in range(STEPS)]

    plain = drawn()
    with drawing(transformer, program_of(grid, scene.schedule, scene.streams), texts, starts):
        found = drawn()
    assert torch.equal(torch.stack(drawn()), torch.stack(plain)), "detaching left a trace"

    stock = transformer.attn_processors
    blocks = [*getattr(transformer, "transformer_blocks", ()), *transformer.single_transformer_blocks]
    dense = [_dense(block)(scene, i) for i, block in enumerate(blocks)]
    try:
        for block, processor in zip(blocks, dense, strict=True):
            block.attn.processor = processor
        for block in getattr(transformer, "txt_mode_blocks", ()):
            block.attn.processor = DenseTextProcessor(scene, 0)
        seen = base[:, : scene.base_length]
        everything = torch.cat([seen, *(texts[s.text].expand(2, -1, -1) for s in scene.streams)], dim=1)
        positions = [*range(scene.base_length)]
        for stream, length in zip(scene.streams, scene.lengths, strict=True):
            positions += range(starts[stream.text], starts[stream.text] + length)
        for step in range(STEPS):
            for processor in dense:
                processor.step = step
            expected = run(
                transformer, latents, everything, ids, positions=positions, corners=scene.corners(grid), step=step
            )
            assert (found[step] - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))
            if not any(s.weight[step].any() for s in scene.streams):
                assert torch.equal(found[step], plain[step]), "an unrouted step is the plain model, bit for bit"
    finally:
        transformer.set_attn_processor(dict(stock))


def _dense(block: Any) -> type[DenseProcessor]:
    if isinstance(block, Flux3SingleTransformerBlock):
        return DenseJoinedProcessor
    return DenseParallelProcessor if hasattr(block.attn, "to_qkv_mlp_proj") else DenseProcessor


@examples(80)
@given(scenes(mode="split"), st.integers(0, STEPS - 1), st.integers(DOUBLE, DOUBLE + SINGLE - 1), st.integers(0, 2**31))
def test_split_attention_agrees_with_the_definition(
    drawn: tuple[Scene, TokenGrid], step: int, block: int, seed: int
) -> None:
    """Single blocks: the base attends in its own copy of the image, the image blends in what the copy received."""
    scene, grid = drawn
    program = program_of(grid, scene.schedule, scene.streams)
    assume(program.routed(step))
    total = scene.canvas + scene.reference
    ids = torch.zeros(total, 3)
    ids[: scene.canvas, 1] = torch.arange(scene.canvas) // grid.cols
    ids[: scene.canvas, 2] = torch.arange(scene.canvas) % grid.cols
    ids[scene.canvas :, 0] = 1
    lengths = zip(scene.streams, scene.lengths, strict=True)
    drawn_run = start(TRANSFORMERS["flux"], [program], {s.text: torch.zeros(1, n, 12) for s, n in lengths})
    assert isinstance(drawn_run, PublishedRun)
    drawn_run._begin({"encoder_hidden_states": torch.zeros(1, scene.base_length, 12), "img_ids": ids})
    plan = program.blocks(step)[block]
    spec = drawn_run.spec(block, drawn_run.samples[0], plan, 0)
    assert spec is not None
    layout = drawn_run.samples[0].layout
    generator = torch.Generator().manual_seed(seed)
    streams = [range(sum(scene.lengths[:i]), sum(scene.lengths[: i + 1])) for i in range(len(scene.streams))]
    spoken = sum(scene.lengths)

    def draw(n: int) -> Tensor:
        return torch.randn(1, n, 2, 8, generator=generator)

    q, k, v = ({"streams": draw(spoken), "base": draw(4), "copy": draw(total), "image": draw(total)} for _ in range(3))
    alive = [t for i in plan.alive for t in streams[i]]

    def in_order(x: dict[str, Tensor]) -> Tensor:
        """[streams alive, base, copy, image], image tokens in atom order."""
        return torch.cat(
            [x["streams"][:, alive], x["base"], x["copy"][:, layout.order], x["image"][:, layout.order]], dim=1
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "SMALLEST", 0 if seed % 2 else 10**6)
        found = regional_attention(in_order(q), in_order(k), in_order(v), spec)

    base = softmax_attention(*(torch.cat([x["base"], x["copy"]], dim=1) for x in (q, k, v)))
    weights = scene.log_weights(step, block)
    dense = softmax_attention(*(torch.cat([x["base"], x["streams"], x["image"]], dim=1) for x in (q, k, v)), weights)
    own, from_copy = dense[:, 4 + spoken :], base[:, 4:]
    doing = scene.heard(step, block)
    ratio = float(scene.schedule.base_ratio[step]) if doing != "plain" else 1.0
    image = (1 - ratio) * own + ratio * from_copy
    if scene.reference and doing != "open":
        keys = torch.tensor([0.0] * 4 + [NEVER] * spoken + [0.0] * total)
        sequences = (torch.cat([x["base"], x["streams"], x["image"]], dim=1) for x in (q, k, v))
        whole = softmax_attention(*sequences, keys[None].expand(len(keys), -1))
        image[:, scene.canvas :] = whole[:, 4 + spoken + scene.canvas :]
    images = (from_copy[:, layout.order], image[:, layout.order])
    expected = torch.cat([dense[:, 4:][:, alive], base[:, :4], *images], dim=1)
    assert (found - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("family", ["flux", "chroma", "flux2", "flux3"])
def test_what_no_later_block_sees_may_stay_or_go(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that end at different blocks are dropped there, which changes nothing; nor do any at base ratio 1."""
    grid = TokenGrid(3, 4, ("a",), np.tri(3, 4, dtype=bool)[None], ~np.tri(3, 4, dtype=bool))
    rules = "[{level: high, depth: 0%-60%}, {level: low, depth: 0%-20%}]"
    generator = torch.Generator().manual_seed(0)
    texts = {text: torch.randn(1, n, 12, generator=generator) for text, n in (("long", 5), ("short", 2))}
    ids = torch.cat([torch.zeros(12, 1), torch.cartesian_prod(torch.arange(3), torch.arange(4))], dim=1)
    inputs = torch.randn(1, 12, 8, generator=generator), torch.randn(1, 3, 12, generator=generator), ids

    def drawn(ratio: float) -> Tensor:
        written = f"{{name: a, about: a, blend: {{base_ratio: {ratio}}}, rules: {rules}}}"
        schedule = Routing.from_yaml(written).resolve(DOUBLE, SINGLE, STEPS)
        told: tuple[tuple[Level, str], ...] = (("high", "long"), ("low", "short"))
        streams = [Stream("a", level, text, schedule.strength(level, "a")) for level, text in told]
        with drawing(TRANSFORMERS[family], program_of(grid, schedule, streams), texts, {"short": 4}):
            return run(TRANSFORMERS[family], *inputs)

    torch.testing.assert_close(drawn(1), run(TRANSFORMERS[family], *inputs), atol=1e-5, rtol=1e-5)
    dropped = drawn(0.2)
    monkeypatch.setattr(Stream, "last_block", lambda stream, step: DOUBLE + SINGLE - 1)
    torch.testing.assert_close(dropped, drawn(0.2), atol=1e-5, rtol=1e-5)


def test_a_program_has_so_many_calls_and_outputs_have_names() -> None:
    grid = TokenGrid(2, 2, ("a",), np.array([[[True, False], [True, True]]]), np.array([[False, True], [False, False]]))
    schedule = Routing.from_yaml("{name: a, about: a, rules: [{level: high}]}").resolve(DOUBLE, SINGLE, STEPS)
    stream = Stream("a", "high", "text", schedule.strength("high", "a"))
    ids = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    inputs = TRANSFORMERS["flux"], torch.randn(1, 4, 8), torch.randn(1, 2, 12), ids
    with drawing(inputs[0], program_of(grid, schedule, [stream]), {"text": torch.randn(1, 1, 12)}):
        one, two, _ = run(*inputs), run(*inputs, named=True), run(*inputs)
        assert torch.equal(one, two)
        with pytest.raises(StrataError, match="more often than its 3 steps"):
            run(*inputs)
