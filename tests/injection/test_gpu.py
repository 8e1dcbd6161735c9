"""On a GPU: regional attention is what its spec says, by every attention backend there, and whole steps are a CPU's.

`STRATA_GPU_DRY=1` runs them on a CPU, to try the tests themselves.
"""

import os
from functools import cache
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName

from benchmarks.speed.model import Model
from benchmarks.speed.scenes import plan_of
from benchmarks.speed.ways import Steps, Way
from strata.injection.attention import AttentionSpec, BlockAttention, regional_attention
from tests.injection.test_attention import by_tokens

DRY = bool(os.environ.get("STRATA_GPU_DRY"))
DEVICE = torch.device("cuda" if torch.cuda.is_available() and not DRY else "cpu")
pytestmark = pytest.mark.gpu
BACKENDS = [
    "native",
    "_native_flash",
    "_native_efficient",
    "_native_math",
    "_native_cudnn",
    "flash",
    "_flash_3",
    "sage",
]
NEAR = {torch.float32: 2e-3, torch.bfloat16: 3e-2}
"""float32: matrices may be multiplied in TF32."""
PIXELS = 384 if DRY else 512


@cache
def specs(way: str, layout: str) -> tuple[AttentionSpec, ...]:
    """What blocks compute in a step of six regions' plan."""
    model = Model.made("tiny", torch.device("cpu"))
    drawn = Steps(model, plan_of(layout, 8, PIXELS, PIXELS), Way.of_routing(way), tokens=5, steps=4)
    drawn.step()
    run: Any = drawn._kept
    known = [each for each in run._known.values() if isinstance(each, BlockAttention)]
    return tuple(spec for each in known for _, spec in each.samples)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Those that this machine has."""
    try:
        q = torch.randn(1, 64, 2, 64, dtype=torch.bfloat16, device=DEVICE)
        from diffusers.models.attention_dispatch import dispatch_attention_fn

        dispatch_attention_fn(q, q, q, backend=AttentionBackendName(request.param))
    except Exception as error:
        pytest.skip(f"attention backend {request.param}: {type(error).__name__}: {str(error)[:80]}")
    return str(request.param)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("layout", ["boxes", "masks"])
@pytest.mark.parametrize("way", ["isolate-first", "coarse-to-fine", "uniform", "regional-prompting-flux"])
def test_regional_attention_is_what_its_spec_says(backend: str, dtype: torch.dtype, layout: str, way: str) -> None:
    for spec in specs(way, layout):
        length = max(stop for group in spec.groups for _, stop in group.keys)
        generator = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(1, length, 2, 64, generator=generator).to(DEVICE, dtype) for _ in range(3))
        try:
            found = regional_attention(q, k, v, spec, AttentionBackendName(backend))
        except RuntimeError as error:
            if backend == "native" or "kernel" not in str(error).lower():
                raise
            pytest.skip(f"attention backend {backend} does not take {dtype}")
        expected = by_tokens(q.float().cpu(), k.float().cpu(), v.float().cpu(), spec)
        torch.testing.assert_close(found.float().cpu(), expected, atol=NEAR[dtype], rtol=NEAR[dtype])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("way", ["isolate-first", "coarse-to-fine", "uniform", "regional-prompting-flux"])
def test_a_step_is_the_cpus(way: str, compiled: bool) -> None:
    """And compiled blocks compute what eager ones do."""
    here, there = Model.made("tiny", torch.device("cpu")), Model.made("tiny", DEVICE, torch.float32)
    there.transformer.load_state_dict(here.transformer.state_dict())
    drawn, other = (
        Steps(model, plan_of("masks", 4, 256, 256), Way.of_routing(way), tokens=5, steps=4) for model in (here, there)
    )
    other.texts = {text: embedding.to(DEVICE) for text, embedding in drawn.texts.items()}
    other.inputs = {
        name: value.to(DEVICE) if isinstance(value, torch.Tensor) else value for name, value in drawn.inputs.items()
    }
    there.compile(compiled)
    torch.testing.assert_close(other.step()[0].cpu(), drawn.step()[0], atol=1e-2, rtol=1e-2)
