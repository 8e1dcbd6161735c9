"""Regions on quantised and offloaded weights: as on the same numbers in the memory, and undone like any other call."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from strata.hierarchy.plan import ScenePlan
from tests.injection.conftest import make_text_to_image
from tests.injection.test_pipelines import draw, draw_plain

pytestmark = pytest.mark.slow
BLOCK = 32
"""Numbers that share a scale in GGUF's Q8_0; layers of other widths stay as they are, as in files of FLUX."""


def to_int8(transformer: Any) -> Any:
    """torchao's int8 weights, of every linear layer; returns the same weights as plain numbers."""
    torchao = pytest.importorskip("torchao.quantization", reason="needs torchao")
    plain = copy.deepcopy(transformer)
    torchao.quantize_(transformer, torchao.Int8WeightOnlyConfig())
    for layer, same in zip(transformer.modules(), plain.modules(), strict=True):
        if isinstance(layer, nn.Linear):
            same.weight.data = layer.weight.dequantize()
    return plain


def to_gguf(transformer: Any) -> Any:
    """GGUF's Q8_0, as diffusers keeps what it reads of a .gguf file; returns the same weights as plain numbers."""
    gguf = pytest.importorskip("gguf", reason="needs gguf")
    from diffusers.quantizers.gguf.utils import GGUFParameter, _replace_with_gguf_linear, dequantize_gguf_tensor

    kind, plain, state = gguf.GGMLQuantizationType.Q8_0, copy.deepcopy(transformer), dict(transformer.state_dict())
    for name, layer in plain.named_modules():
        if isinstance(layer, nn.Linear) and layer.in_features % BLOCK == 0:
            packed = gguf.quants.quantize(layer.weight.detach().numpy(), kind)
            weight = state[f"{name}.weight"] = GGUFParameter(torch.from_numpy(packed), quant_type=kind)
            layer.weight.data = dequantize_gguf_tensor(weight).float()
    _replace_with_gguf_linear(transformer, torch.float32, state)
    for name, layer in transformer.named_modules():
        if type(layer).__name__ == "GGUFLinear":
            layer.weight = state[f"{name}.weight"]
            layer.bias = None if layer.bias is None else nn.Parameter(state[f"{name}.bias"], requires_grad=False)
    assert sum(type(layer).__name__ == "GGUFLinear" for layer in transformer.modules()) > 40
    return plain


@pytest.mark.parametrize("quantise", [to_int8, to_gguf])
def test_quantised_weights(plan: ScenePlan, quantise: Callable[[Any], Any]) -> None:
    pipe, _ = make_text_to_image()
    exact = draw(pipe, plan)
    plain = quantise(pipe.transformer)
    before = draw_plain(pipe, plan)
    regional = draw(pipe, plan)
    assert not torch.equal(regional, exact), "the weights are others"
    assert torch.equal(draw_plain(pipe, plan), before)
    pipe.transformer = plain
    torch.testing.assert_close(regional, draw(pipe, plan), atol=1e-5, rtol=1e-4)


def on_the_cpu(transformer: Any, folder: Path) -> None:
    from accelerate import cpu_offload

    cpu_offload(transformer, torch.device("cpu"))


def on_the_disk(transformer: Any, folder: Path) -> None:
    from accelerate import disk_offload

    disk_offload(transformer, str(folder), torch.device("cpu"))


def in_groups(transformer: Any, folder: Path) -> None:
    cpu = torch.device("cpu")
    transformer.enable_group_offload(cpu, cpu, offload_type="block_level", num_blocks_per_group=1)


def in_groups_on_the_disk(transformer: Any, folder: Path) -> None:
    cpu, options = torch.device("cpu"), {"offload_type": "block_level", "num_blocks_per_group": 1}
    transformer.enable_group_offload(cpu, cpu, offload_to_disk_path=str(folder), **options)


@pytest.mark.parametrize("offload", [on_the_cpu, on_the_disk, in_groups, in_groups_on_the_disk])
def test_offloaded_weights(plan: ScenePlan, tmp_path: Path, offload: Callable[[Any, Path], None]) -> None:
    """The CPU stands for the accelerator. What is read from a disk lies otherwise in memory, and rounds otherwise."""
    pipe, _ = make_text_to_image()
    regional = draw(pipe, plan)
    offload(pipe.transformer, tmp_path)
    before, again = draw_plain(pipe, plan), draw(pipe, plan)
    torch.testing.assert_close(again, regional, atol=1e-5, rtol=0)
    assert torch.equal(draw(pipe, plan), again)
    assert torch.equal(draw_plain(pipe, plan), before)
