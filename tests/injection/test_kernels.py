"""Parts of attention are computed as they are defined, in one launch or many; a kernel that does not is not used."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from strata.injection import kernels
from strata.injection.kernels import Cell, LoopKernel, Packing, VarlenKernel, agrees, cpu

CPU = torch.device("cpu")


def defined(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> tuple[Tensor, Tensor]:
    """As a flash kernel on a GPU gives it: sums padded."""
    out, lse = cpu(q_BHLD, k_BHLD, v_BHLD)
    return out, torch.nn.functional.pad(lse, (0, 3))


def many(q_THD: Tensor, k_THD: Tensor, v_THD: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """What `torch.nn.attention.varlen` documents, sequence by sequence: it runs on GPUs alone."""
    outs, sums = [], []
    queries = list(pairwise(packing.queries.tolist()))
    assert max(stop - start for start, stop in queries) == packing.longest_query
    assert int(packing.lengths.max()) == packing.longest_key
    assert packing.keys.dtype == packing.queries.dtype == packing.lengths.dtype == torch.int32
    assert len(packing.keys) == len(packing.queries)
    for (start, stop), first, length in zip(queries, packing.keys.tolist(), packing.lengths.tolist(), strict=False):
        keys = slice(first, first + length)
        out, lse = cpu(*(x[None].transpose(1, 2) for x in (q_THD[start:stop], k_THD[keys], v_THD[keys])))
        outs.append(out[0].transpose(0, 1))
        sums.append(lse[0].transpose(0, 1))
    return torch.cat(outs), torch.cat(sums)


@pytest.mark.parametrize("kernel", [LoopKernel(cpu), LoopKernel(defined), VarlenKernel(defined, many)])
def test_a_kernel_does_what_the_definition_says(kernel: kernels.Kernel) -> None:
    assert agrees(kernel, CPU, torch.float32, 8)


def far(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong in the last query."""
    out, lse = cpu(q, k, v)
    return torch.cat([out[:, :, :-1], out[:, :, -1:] + 1], dim=2), lse


def base_two(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Sums as another logarithm."""
    out, lse = cpu(q, k, v)
    return out, lse / 0.6931


def begins_at_zero(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Keys that lie one behind the other, whatever was asked."""
    return many(q, k, v, packing._replace(keys=packing.keys * 0))


@pytest.mark.parametrize("kernel", [LoopKernel(far), LoopKernel(base_two), VarlenKernel(cpu, begins_at_zero)])
def test_a_kernel_that_does_not_is_found_out(kernel: kernels.Kernel) -> None:
    assert not agrees(kernel, CPU, torch.float32, 8)


def test_small_cells_of_all_layers_are_one_launch() -> None:
    """And large ones have one each."""
    calls: list[str] = []

    def whole(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        calls.append("whole")
        return cpu(q, k, v)

    def packed(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        calls.append(f"{len(packing.lengths)} cells")
        return many(q, k, v, packing)

    q, k, v = torch.randn(3, 1, 40, 1, 4, generator=torch.Generator().manual_seed(0))
    layers = [
        [Cell(((0, 30),), ((0, 30),))],
        [Cell(((0, 4),), ((2, 9),)), Cell(((6, 8), (9, 12)), ((0, 3),))],
        [Cell(((2, 3),), ((5, 9),))],
    ]
    parts = VarlenKernel(whole, packed).attend(q, k, v, layers)
    assert calls == ["3 cells", "whole"]
    assert [part.lse_BRH.shape[1] for part in parts] == [30, 9, 1]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_gpu_has_a_kernel(dtype: torch.dtype) -> None:
    q = torch.zeros(1, kernels.SMALLEST, 1, 128, device="cuda", dtype=dtype)
    kernel = kernels.kernel_for(q, None)
    assert isinstance(kernel, LoopKernel if dtype == torch.float32 else VarlenKernel)
