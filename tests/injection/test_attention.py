"""One block's attention is what its spec says, token by token, in either way of blending; what it costs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from strata.injection import kernels
from strata.injection.attach import masked_spec
from strata.injection.attention import AttentionGroup, AttentionSpec, regional_attention
from strata.injection.families.base import BaseText
from tests.injection.oracle import NEVER, softmax_attention

TEXT, CANVAS = 6, 8
KERNEL = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def pairs_of(q_BHLD: torch.Size, k_BHLD: torch.Size, *_: Any, **__: Any) -> int:
    """Of queries and keys, in one call of the kernel."""
    return q_BHLD[2] * k_BHLD[2]


def blended(reference: int, faint: int) -> AttentionSpec:
    """Two regions: a stream of 2 tokens that the first sees, 4 of the base prompt, 8 canvas tokens, a reference's."""
    middle, end = TEXT + CANVAS // 2, TEXT + CANVAS + reference
    image = (TEXT, end)
    groups = [
        AttentionGroup(((0, 2),), ((0, 2), image)),
        AttentionGroup(((TEXT, middle),), ((0, 2), image)),
        AttentionGroup(((middle, TEXT + CANVAS),), (image,)),
    ]
    if faint:
        groups.append(AttentionGroup(((TEXT - faint, TEXT),), ((2, end),)))
    base = AttentionGroup(((2, end),), ((2, end),), bool(faint))
    direct = ((2, TEXT), (TEXT + CANVAS, end)) if reference else ((2, TEXT),)
    weak = (((TEXT - faint, TEXT), -1.0),) if faint else ()
    return AttentionSpec(TEXT, tuple(groups), base, direct, ((TEXT, TEXT + CANVAS),), TEXT, weak, 0.3)


@pytest.mark.parametrize("faint", [0, 1])
@pytest.mark.parametrize("reference", [0, 3])
def test_image_keys_are_attended_to_once_where_base_and_regions_are_blended(
    reference: int, faint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many tokens; few are attended to twice, with fewer calls of the kernel. The output is the same."""
    spec = blended(reference, faint)
    monkeypatch.setattr(kernels.LoopKernel, "traits", kernels.LoopKernel.traits._replace(row=0, copy=0))
    q, k, v = torch.randn(3, 1, TEXT + CANVAS + reference, 2, 4, generator=torch.Generator().manual_seed(0))
    outputs, pairs = [], []
    for smallest in (q.shape[1], q.shape[1] + 1):
        monkeypatch.setattr(kernels, "SMALLEST", smallest)
        with FlopCounterMode(display=False, custom_mapping={KERNEL: pairs_of}) as counter:
            outputs.append(regional_attention(q, k, v, spec))
        pairs.append(counter.get_total_flops())
    torch.testing.assert_close(*outputs)
    of_base = TEXT - 2 + CANVAS + reference
    assert pairs[1] - pairs[0] == CANVAS * (CANVAS + reference) + faint * of_base, "faint queries are asked once, too"


def by_tokens(q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec) -> Tensor:
    """What a spec says: a dense matrix of log weights for each group; the groups' word counts before `direct`."""

    def attended(group: AttentionGroup) -> Tensor:
        weights = torch.full((q.shape[1], q.shape[1]), NEVER)
        for rows in group.queries:
            for keys in group.keys:
                strengths = spec.bias(q.shape[1]) if group.weighted else None
                weights[slice(*rows), slice(*keys)] = 0 if strengths is None else strengths[slice(*keys)]
        return softmax_attention(q, k, v, weights)

    base, out = attended(spec.base), torch.zeros_like(q)
    for rows in spec.direct:
        out[:, slice(*rows)] = base[:, slice(*rows)]
    for group in spec.groups:
        for rows in group.queries:
            out[:, slice(*rows)] = attended(group)[:, slice(*rows)]
    ratio = 1.0 if spec.ratio is None else spec.ratio
    for start, stop in spec.blended:
        ahead = spec.base_queries - spec.blended[0][0]
        out[:, start:stop] = (1 - ratio) * out[:, start:stop] + ratio * base[:, start + ahead : stop + ahead]
    return out


# 2 tokens of padding, 2 of a stream, 2 of the base prompt; then 8 of the image, or 4 of its copy and 4 of the image.
STREAM, IMAGE, COPIED = (2, 4), (6, 14), (10, 14)
RATIO, FAINT = 0.3, (((5, 6), -1.0),)
OPEN = AttentionGroup((STREAM, IMAGE), (STREAM, IMAGE))
COPY = AttentionSpec(
    text_length=10,
    groups=(
        AttentionGroup((STREAM,), (STREAM, COPIED)),
        AttentionGroup(((10, 12),), (STREAM, COPIED)),
        AttentionGroup(((12, 14),), (COPIED,)),
    ),
    base=AttentionGroup(((4, 10),), ((4, 10),)),
    direct=((4, 10),),
    blended=(COPIED,),
    base_queries=6,
    ratio=RATIO,
    padding=2,
)
SPECS = {
    "an area of two parts": AttentionSpec(
        text_length=6,
        groups=(
            AttentionGroup((STREAM,), (STREAM, (6, 8), (12, 14))),
            AttentionGroup(((6, 8), (12, 14)), (STREAM, IMAGE)),
            AttentionGroup(((8, 12),), (IMAGE,)),
        ),
        base=AttentionGroup(((4, 6),), ((4, 14),)),
        direct=((4, 6),),
        blended=(),
        base_queries=6,
        padding=2,
    ),
    "all see all, and the base prompt faintly": AttentionSpec(
        text_length=6,
        groups=(OPEN, AttentionGroup(((5, 6),), ((4, 14),))),
        base=AttentionGroup(((4, 14),), ((4, 14),), weighted=True),
        direct=((4, 6),),
        blended=(IMAGE,),
        base_queries=6,
        strengths=FAINT,
        ratio=RATIO,
        padding=2,
    ),
    "a copy of the image": COPY,
    "all from the copy": replace(COPY, groups=COPY.groups[:1], ratio=None),
}


@pytest.mark.parametrize("smallest", [0, 15])
@pytest.mark.parametrize("name", SPECS)
def test_every_token_gets_what_the_spec_says(name: str, smallest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With keys in common attended to once, where they can be, and without; padding gets nothing."""
    monkeypatch.setattr(kernels, "SMALLEST", smallest)
    q, k, v = torch.randn(3, 1, 14, 2, 4, generator=torch.Generator().manual_seed(0))
    found = regional_attention(q, k, v, SPECS[name])
    torch.testing.assert_close(found, by_tokens(q, k, v, SPECS[name]))


def test_parts_are_had_where_a_kernel_tells_its_sums() -> None:
    """On the CPU, by the native backend, without gradients, of many tokens; on the meta device as on a GPU."""
    q = torch.zeros(1, kernels.SMALLEST, 1, 1)
    native = AttentionBackendName.NATIVE
    for backend in (native, None):
        assert isinstance(kernels.kernel_for(q, backend), kernels.LoopKernel), "None: of those that choose none"
    assert kernels.kernel_for(q, AttentionBackendName._NATIVE_MATH) is None
    assert isinstance(kernels.kernel_for(q.to("meta"), native), kernels.VarlenKernel)
    assert kernels.kernel_for(q[:, 1:], native) is None
    assert kernels.kernel_for(q.clone().requires_grad_(), native) is None


@pytest.mark.parametrize(
    "base",
    [BaseText(4), BaseText(3), BaseText(4, 1, -1.0), BaseText(3, 2, -0.5), BaseText(3, tail=1), BaseText(2, tail=2)],
)
def test_what_a_mask_of_the_base_prompt_makes_of_a_plain_call(base: BaseText) -> None:
    """Tokens behind the prompt's are keys to none, or before its end; faint ones weigh less, but not to each other."""
    text, image = 4, 5
    q, k, v = torch.randn(3, 1, text + image, 2, 4, generator=torch.Generator().manual_seed(0))
    faint = slice(base.length - base.faint, base.length)
    mask = torch.zeros(text + image, text + image)
    mask[:, faint] = base.weight
    mask[faint, faint] = 0
    mask[:, base.length - base.tail : text - base.tail] = -torch.inf
    heads = (x.transpose(1, 2) for x in (q, k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(1, 2)
    spec = masked_spec(base, text, text + image)
    assert (spec is None) == (base == BaseText(text)), "all see all"
    if spec is not None:
        torch.testing.assert_close(regional_attention(q, k, v, spec), expected)
