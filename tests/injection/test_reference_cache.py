"""FLUX.2 klein's reference cache: regions with it against a dense definition that has no cache."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import Flux2Transformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2KVAttnProcessor, Flux2KVParallelSelfAttnProcessor
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from strata.hierarchy.grid import TokenGrid
from strata.hierarchy.plan import ScenePlan
from strata.injection import kernels
from strata.injection.attention import regional_attention
from strata.injection.errors import UnsupportedError
from strata.injection.methods.regional_prompting_flux import PublishedRun
from strata.injection.pipeline import RegionalPipeline
from tests.examples import examples
from tests.injection.drawings import drawing, program_of, seen_calls, start
from tests.injection.flux2 import make_klein_kv, reference
from tests.injection.oracle import DenseParallelProcessor, DenseProcessor, Scene, softmax_attention
from tests.injection.test_calls import random_plan
from tests.injection.test_oracle import DOUBLE, SINGLE, STEPS, TRANSFORMERS, scenes
from tests.shows import shows

CACHED = 3
"""Reference tokens, of two pictures."""
CALL: dict[str, Any] = {"num_inference_steps": 2, "output_type": "pt", "max_sequence_length": 24}


def caching_transformer() -> Any:
    """With the processors that the pipeline sets."""
    torch.manual_seed(1)
    found: Any = Flux2Transformer2DModel.from_config(TRANSFORMERS["flux2"].config).eval()
    for block in found.transformer_blocks:
        block.attn.set_processor(Flux2KVAttnProcessor())
    for block in found.single_transformer_blocks:
        block.attn.set_processor(Flux2KVParallelSelfAttnProcessor())
    return found


TRANSFORMER = caching_transformer()


class DenseCaching(DenseProcessor):
    """The definition: references stand among the tokens at every step, between text and canvas, and see themselves."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        text = self.scene.base_length + sum(self.scene.lengths)
        own = slice(text, text + CACHED)
        q, k, v = (torch.cat([x[:, :text], x[:, own.stop :], x[:, own]], dim=1) for x in (q, k, v))
        out = super().attend(q, k, v)
        references = softmax_attention(q[:, -CACHED:], k[:, -CACHED:], v[:, -CACHED:])
        return torch.cat([out[:, :text], references, out[:, text:-CACHED]], dim=1)


class DenseCachingParallel(DenseCaching, DenseParallelProcessor):
    """The same of single blocks."""


class Calls:
    """Transformer calls of a drawing, with the same latents every time."""

    def __init__(self, scene: Scene, grid: TokenGrid, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.latents = torch.randn(STEPS, 2, scene.canvas, 8, generator=generator)
        self.reference = torch.randn(2, CACHED, 8, generator=generator)
        self.base = torch.randn(2, scene.base_length, 12, generator=generator)
        told = zip(scene.streams, scene.lengths, strict=True)
        self.texts = {s.text: torch.randn(1, n, 12, generator=generator) for s, n in told}
        self.ids = torch.zeros(CACHED + scene.canvas, 4)
        self.ids[:CACHED] = torch.tensor([[10.0, 0, 0, 0], [10, 0, 1, 0], [20, 0, 0, 0]])
        self.ids[CACHED:, 1] = torch.arange(scene.canvas) // grid.cols
        self.ids[CACHED:, 2] = torch.arange(scene.canvas) % grid.cols

    def call(
        self,
        step: int,
        text: Tensor,
        positions: list[int],
        corners: Sequence[tuple[int, int]] = (),
        **options: Any,
    ) -> Any:
        text_ids = torch.zeros(text.shape[1], 4)
        if corners:
            text_ids[:, 1:3] = torch.tensor(corners)
        text_ids[:, 3] = torch.tensor(positions)
        extract = options["kv_cache_mode"] == "extract"
        latents = self.latents[step]
        with torch.no_grad():
            return TRANSFORMER(
                hidden_states=torch.cat([self.reference, latents], dim=1) if extract else latents,
                encoder_hidden_states=text,
                timestep=torch.full((2,), 0.5 - 0.1 * step),
                guidance=torch.full((2,), 4.0),
                img_ids=self.ids if extract else self.ids[CACHED:],
                txt_ids=text_ids,
                num_ref_tokens=CACHED if extract else 0,
                **options,
            )

    def drawn(self, named: bool) -> list[Tensor]:
        """As the pipeline calls: the first step fills the cache, the others read it."""
        found, cache, positions = [], None, [*range(self.base.shape[1])]
        for step in range(STEPS):
            mode = "extract" if step == 0 else "cached"
            out = self.call(step, self.base, positions, kv_cache_mode=mode, kv_cache=cache, return_dict=named)
            if step == 0:
                cache = out.kv_cache if named else out[1]
                assert cache.num_ref_tokens == CACHED
            found.append(out.sample if named else out[0])
        return found


@shows("flux2", "reference pictures")
@examples(10)
@given(scenes(), st.booleans(), st.integers(0, 2**31))
def test_the_whole_transformer_agrees_with_the_definition(
    drawn: tuple[Scene, TokenGrid], in_parts: bool, seed: int
) -> None:
    """With base and regional attention merged from parts, as for many tokens, and without."""
    _agrees(*drawn, in_parts, seed)


@pytest.mark.slow
@examples(150)
@given(scenes(), st.booleans(), st.integers(0, 2**31))
def test_it_agrees_in_many_scenes(drawn: tuple[Scene, TokenGrid], in_parts: bool, seed: int) -> None:
    _agrees(*drawn, in_parts, seed)


def _agrees(scene: Scene, grid: TokenGrid, in_parts: bool, seed: int) -> None:
    scene.reference = CACHED
    calls, named = Calls(scene, grid, seed), in_parts
    starts = {s.text: (seed + n) % 7 for n, s in enumerate(scene.streams)}
    plain = calls.drawn(named)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "SMALLEST", 0 if in_parts else 10**6)
        with drawing(TRANSFORMER, program_of(grid, scene.schedule, scene.streams), calls.texts, starts):
            found = calls.drawn(named)
    assert torch.equal(torch.stack(calls.drawn(named)), torch.stack(plain)), "detaching left a trace"
    stock = TRANSFORMER.attn_processors
    blocks = [*TRANSFORMER.transformer_blocks, *TRANSFORMER.single_transformer_blocks]
    dense = [(DenseCaching if n < DOUBLE else DenseCachingParallel)(scene, n) for n in range(DOUBLE + SINGLE)]
    try:
        for block, processor in zip(blocks, dense, strict=True):
            block.attn.processor = processor
        everything = torch.cat([calls.base, *(calls.texts[s.text].expand(2, -1, -1) for s in scene.streams)], dim=1)
        positions = [*range(scene.base_length)]
        for stream, length in zip(scene.streams, scene.lengths, strict=True):
            positions += range(starts[stream.text], starts[stream.text] + length)
        routed = [any(s.weight[step].any() for s in scene.streams) for step in range(STEPS)]
        for step in range(STEPS):
            for processor in dense:
                processor.step = step
            expected = calls.call(step, everything, positions, scene.corners(grid), kv_cache_mode="extract").sample
            assert (found[step] - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))
            if not any(routed[: step + 1]):
                assert torch.equal(found[step], plain[step]), "an unrouted step is the plain model, bit for bit"
    finally:
        TRANSFORMER.set_attn_processor(dict(stock))


@examples(15)
@given(scenes(mode="split"), st.integers(0, STEPS - 1), st.integers(DOUBLE, DOUBLE + SINGLE - 1), st.integers(0, 2**31))
def test_split_attention_agrees_with_the_definition(
    drawn: tuple[Scene, TokenGrid], step: int, block: int, seed: int
) -> None:
    """The image and the base prompt's copy of it attend to the same references."""
    scene, grid = drawn
    scene.reference = CACHED
    program = program_of(grid, scene.schedule, scene.streams)
    assume(program.routed(step))
    ids = Calls(scene, grid, seed).ids[CACHED:]
    texts = {s.text: torch.zeros(1, n, 12) for s, n in zip(scene.streams, scene.lengths, strict=True)}
    run = start(TRANSFORMER, [program], texts)
    assert isinstance(run, PublishedRun)
    cache = SimpleNamespace(num_ref_tokens=CACHED)
    base = torch.zeros(1, scene.base_length, 12)
    run._begin({"encoder_hidden_states": base, "img_ids": ids, "kv_cache": cache, "kv_cache_mode": "cached"})
    visible, spoken = program.blocks(step)[block], sum(scene.lengths)
    spec = run.spec(block, run.samples[0], visible, 0)
    assert spec is not None
    order, generator = run.samples[0].layout.order, torch.Generator().manual_seed(seed)
    streams = [range(sum(scene.lengths[:i]), sum(scene.lengths[: i + 1])) for i in range(len(scene.streams))]
    alive = [t for i in visible.alive for t in streams[i]]
    counts = {"base": scene.base_length, "streams": spoken, "copy": scene.canvas, "image": scene.canvas}
    q, k, v = ({n: torch.randn(1, count, 2, 8, generator=generator) for n, count in counts.items()} for _ in range(3))
    k_ref, v_ref = (torch.randn(1, CACHED, 2, 8, generator=generator) for _ in range(2))

    def in_order(x: dict[str, Tensor], *more: Tensor) -> Tensor:
        """[streams alive, base, copy, image], image tokens in atom order."""
        return torch.cat([x["streams"][:, alive], x["base"], x["copy"][:, order], x["image"][:, order], *more], dim=1)

    found = regional_attention(in_order(q), in_order(k, k_ref), in_order(v, v_ref), spec)

    def beside(names: tuple[str, ...], weights: Tensor | None = None) -> Tensor:
        kv = (torch.cat([*(x[n] for n in names), more], dim=1) for x, more in ((k, k_ref), (v, v_ref)))
        return softmax_attention(torch.cat([q[n] for n in names], dim=1), *kv, weights)

    from_base = beside(("base", "copy"))
    dense = beside(("base", "streams", "image"), scene.log_weights(step, block)[:-CACHED])
    own, from_copy = dense[:, scene.base_length + spoken :], from_base[:, scene.base_length :]
    ratio = float(scene.schedule.base_ratio[step]) if scene.heard(step, block) != "plain" else 1.0
    image = (1 - ratio) * own + ratio * from_copy
    told = dense[:, scene.base_length :][:, alive]
    expected = torch.cat([told, from_base[:, : scene.base_length], from_copy[:, order], image[:, order]], dim=1)
    assert (found - expected).abs().max() <= 1e-5


def test_references_pass_the_blocks_in_the_first_step_alone(plan: ScenePlan) -> None:
    """By themselves where it is routed, so that no region changes what is kept of them."""
    pipe, _ = make_klein_kv()
    pictures = [reference(1, (64, 80)), reference(2)]
    with seen_calls(pipe) as seen:
        image = RegionalPipeline(pipe, "uniform")(plan, seed=0, image=pictures, **CALL).images
    assert [call["hidden_states"].shape[1] for call in seen] == [320 + 256 + 1, 96, 96]
    assert [call["kv_cache_mode"] for call in seen] == ["extract", "extract", "cached"]
    assert seen[2]["kv_cache"] is seen[1]["kv_cache"]
    assert seen[2]["kv_cache"].double_block_caches[0].k_ref is None, "the pipeline clears it"
    none = RegionalPipeline(pipe, "uniform")(plan, seed=0, **CALL).images
    assert image.shape == none.shape
    assert not torch.equal(image, none)


@pytest.mark.parametrize("method", ["rpg", "stitch", "densediffusion"])
def test_methods_that_do_not_work_with_it_refuse_it(method: str, plan: ScenePlan) -> None:
    regional = RegionalPipeline(make_klein_kv()[0], method=method)
    with pytest.raises(UnsupportedError, match=f"method '{method}': a cache of references: .* leave the picture out"):
        regional.check(plan, image=reference(1), **CALL)
    regional.check(plan, **CALL)


@pytest.mark.slow
def test_compiled_blocks(tmp_path: Path) -> None:
    """Whatever the first few plans need is enough for all."""
    torch._dynamo.reset()
    (pipe, options), (plain, _) = make_klein_kv(), make_klein_kv()
    pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    counters = torch._dynamo.utils.counters
    counters.clear()
    graphs = []
    for n in range(12):
        scene = random_plan(n, tmp_path)
        found, expected = (
            RegionalPipeline(each, ["isolate-first", "uniform", "coarse-to-fine"][n % 3])(
                scene, seed=n, **CALL, **options
            ).images
            for each in (pipe, plain)
        )
        assert (found - expected).abs().max() < 1e-3
        graphs.append(counters["stats"]["unique_graphs"])
    torch._dynamo.reset()
    assert graphs[-1] == graphs[5], f"graphs after each plan: {graphs}"
    assert graphs[-1] <= 14
