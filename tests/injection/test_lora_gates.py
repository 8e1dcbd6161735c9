"""LoRAs of areas against their definition, token by token, over drawn layouts, schedules and scales."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ChromaPipeline, Flux2Pipeline, FluxPipeline
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from strata.hierarchy.grid import TokenGrid
from strata.hierarchy.loras import Lora
from strata.injection.attach import Attachment, attached
from strata.injection.families import family_of
from strata.injection.lora_adapters import Adapter, loaded
from strata.injection.lora_files import read_lora
from strata.injection.lora_gates import LoraGates, weights_of
from strata.layers.routing import Routing
from strata.layers.schedule import Schedule
from tests.examples import examples
from tests.injection.drawings import program_of, start
from tests.injection.loras import Weights, make_weights, save_weights
from tests.injection.oracle import Scene
from tests.injection.test_oracle import DOUBLE, SINGLE, STEPS, TRANSFORMERS, _dense, run, scenes
from tests.shows import shown

PIPELINES = {"flux": FluxPipeline, "chroma": ChromaPipeline, "flux2": Flux2Pipeline}
TEXT_LAYERS = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "ff_context")


class Pipe(SimpleNamespace):
    """As much of a pipeline as loads a LoRA."""

    def load_lora_weights(self, path: str, adapter_name: str) -> None:
        self.transformer.load_lora_adapter(path, adapter_name=adapter_name)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], tuple[Path, Weights]]:
    folder, found = tmp_path_factory.mktemp("loras"), {}
    for family in PIPELINES:
        for n in range(2):
            weights = make_weights(TRANSFORMERS[family], seed=n, rank=n + 1)
            found[family, n] = save_weights(folder / f"{family}{n}.safetensors", weights), weights
    return found


scales = st.sampled_from([1.0, 0.5, -0.7, {"from": 1.5, "to": 0.0}, {"from": 0.2, "to": 0.9}])
lora_rules = st.fixed_dictionaries(
    {"strength": st.sampled_from([1.0, 0.4, {"from": 1.0, "to": 0.2}])},
    optional={
        "names": st.sampled_from([["one"], ["two"], ["one", "two"]]),
        "depth": st.sampled_from(["0%-50%", "50%-100%"]),
        "steps": st.sampled_from(["0-0", "1-2", "50%-100%"]),
    },
)


@contextmanager
def by_definition(transformer: Any, scene: Scene, adapters: Any) -> Iterator[list[int]]:
    """Every layer adds `m s B A x` over [base, streams, canvas, reference]; the yielded list holds the step."""
    now, handles = [0], []
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]

    def mask(area: str, kind: str) -> Tensor:
        if area == "global":
            return torch.ones(1)
        text = [torch.zeros(scene.base_length)]
        text += [torch.full((n,), float(s.area == area)) for s, n in zip(scene.streams, scene.lengths, strict=True)]
        image = [torch.from_numpy(scene.area(area).astype(np.float32)), torch.zeros(scene.reference)]
        return torch.cat({"text": text, "image": image, "both": text + image}[kind])[:, None]

    def add(number: int, name: str, kind: str) -> Any:
        def hook(module: Any, args: Any, output: Tensor) -> Tensor:
            for area, weights, by_place in adapters:
                down, up = weights[name]
                delta = args[0] @ down.T @ up.T * float(by_place[now[0], number])
                output = output + mask(area, kind) * delta
            return output

        return hook

    for name, module in transformer.named_modules():
        if name in adapters[0][1]:
            kind = "text" if any(part in name for part in TEXT_LAYERS) else "image"
            kind = "both" if name.startswith("single") else kind
            number = next(n for n, block in enumerate(blocks) if any(module is m for m in block.modules()))
            handles.append(module.register_forward_hook(add(number, name, kind)))
    try:
        yield now
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("family", shown(PIPELINES, "LoRA by region"))
@examples(2)
@given(data=st.data(), drawn=scenes(), seed=st.integers(0, 2**31))
def test_agrees_with_the_definition(
    family: str, data: Any, drawn: tuple[Scene, TokenGrid], seed: int, files: dict[Any, Any]
) -> None:
    _agrees(family, data, drawn, seed, files)


@pytest.mark.slow
@pytest.mark.parametrize("family", PIPELINES)
@examples(60)
@given(data=st.data(), drawn=scenes(), seed=st.integers(0, 2**31))
def test_agrees_with_the_definition_in_many_more_cases(
    family: str, data: Any, drawn: tuple[Scene, TokenGrid], seed: int, files: dict[Any, Any]
) -> None:
    _agrees(family, data, drawn, seed, files)


def _agrees(family: str, data: Any, drawn: tuple[Scene, TokenGrid], seed: int, files: dict[Any, Any]) -> None:
    scene, grid = drawn
    assume(scene.schedule.routing.unrouted == "plain")
    rules = data.draw(st.lists(lora_rules, max_size=2))
    routing = Routing.model_validate(scene.schedule.routing.model_dump() | {"loras": rules})
    schedule = routing.resolve(DOUBLE, SINGLE, STEPS)
    areas = [*scene.names, *(["background"] if grid.background.any() else []), "global"]
    placed = data.draw(st.lists(st.tuples(st.sampled_from(areas), st.integers(0, 1), scales), min_size=1, max_size=3))
    transformer, kind = TRANSFORMERS[family], PIPELINES[family]
    adapters = [
        Adapter(area, Lora(file=("one", "two")[n], scale=scale), read_lora(files[family, n][0], kind))
        for area, n, scale in placed
    ]
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, scene.canvas + scene.reference, 8, generator=generator)
    base = torch.randn(2, scene.base_length, 12, generator=generator)
    told = zip(scene.streams, scene.lengths, strict=True)
    texts = {s.text: torch.randn(1, n, 12, generator=generator) for s, n in told}
    ids = torch.zeros(scene.canvas + scene.reference, 3)
    ids[: scene.canvas, 1] = torch.arange(scene.canvas) // grid.cols
    ids[: scene.canvas, 2] = torch.arange(scene.canvas) % grid.cols
    ids[scene.canvas :, 0] = 1

    def steps() -> Tensor:
        return torch.stack([run(transformer, latents, base, ids, step=step) for step in range(STEPS)])

    plain, modules = steps(), [(name, id(module)) for name, module in transformer.named_modules()]
    program, pipe = program_of(grid, schedule, scene.streams), Pipe(transformer=transformer)
    gates = LoraGates(adapters, schedule)
    attachment = Attachment(
        family_of(transformer), start(transformer, [program], texts), gates=lambda at: gates.follow(at, program)
    )
    with (
        loaded(pipe, attachment.family, adapters) as layers,
        gates.attached(pipe, attachment.family, layers),
        attached(transformer, attachment),
    ):
        found = steps()
    assert torch.equal(steps(), plain), "detaching left a trace"
    assert [(name, id(module)) for name, module in transformer.named_modules()] == modules
    assert not hasattr(transformer, "peft_config")

    stock = transformer.attn_processors
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    dense = [_dense(block)(scene, i) for i, block in enumerate(blocks)]
    everything = torch.cat([base, *(texts[s.text].expand(2, -1, -1) for s in scene.streams)], dim=1)
    corners = scene.corners(grid)
    positions = [*range(scene.base_length), *(n for length in scene.lengths for n in range(length))]
    own = [
        (a.area, files[family, n][1], weights_of(a, schedule)) for a, (_, n, _) in zip(adapters, placed, strict=True)
    ]
    try:
        for block, processor in zip(blocks, dense, strict=True):
            block.attn.processor = processor
        with by_definition(transformer, scene, own) as now:
            for step in range(STEPS):
                now[0] = step
                for processor in dense:
                    processor.step = step
                expected = run(transformer, latents, everything, ids, positions=positions, corners=corners, step=step)
                assert (found[step] - expected).abs().max() <= 2e-5 * max(1.0, float(expected.abs().max()))
    finally:
        transformer.set_attn_processor(dict(stock))


def schedule_of(loras: str = "[]", steps: int = 5) -> Schedule:
    text = f"{{name: a, rules: [{{level: high, steps: 0%-40%}}], loras: {loras}}}"
    return Routing.from_yaml(text).resolve(1, 3, steps)


class Nothing:
    """No file is needed to tell when an adapter acts."""


@pytest.mark.parametrize(
    ("loras", "scale", "expected"),
    [
        ("[]", 0.5, [[0.5] * 4] * 5),
        ("[]", {"from": 1, "to": 0}, [[x] * 4 for x in (1, 0.75, 0.5, 0.25, 0)]),
        ("[{depth: 50%-100%, steps: 0-1}]", 2, [[0, 0, 2, 2]] * 2 + [[0] * 4] * 3),
        ("[{steps: 1-3, single: 0}]", {"from": 1, "to": 0}, [[0, x, 0, 0] for x in (0, 1, 0.5, 0, 0)]),
        ("[{steps: 2-2}]", {"from": 1, "to": 0}, [[x] * 4 for x in (0, 0, 0.5, 0, 0)]),
        ("[{strength: {from: 0.5, to: 1}, double: 0}]", 2, [[x, 0, 0, 0] for x in (1, 1.25, 1.5, 1.75, 2)]),
        ("[{names: [other]}, {regions: [left], strength: 0.5, steps: 1}]", 1, [[0.5] * 4] + [[0] * 4] * 4),
        ("[{strength: 0.2}, {strength: 0.8, steps: 2}]", 1, [[0.8] * 4] * 2 + [[0.2] * 4] * 3),
        ("[{regions: [right]}]", 1, [[0] * 4] * 5),
    ],
)
def test_when_an_adapter_acts(loras: str, scale: Any, expected: list[list[float]]) -> None:
    adapter = Adapter("left", Lora(file="style", scale=scale), Nothing())  # type: ignore[arg-type]
    assert weights_of(adapter, schedule_of(loras)) == pytest.approx(np.array(expected, dtype=np.float32))
