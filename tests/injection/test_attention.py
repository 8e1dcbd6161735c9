"""What one block's attention costs, and that its two ways of blending come to the same."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from strata.injection import parts
from strata.injection.attach import masked_spec
from strata.injection.attention import AttentionGroup, AttentionSpec, regional_attention
from strata.injection.families.base import BaseText

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
    bias = torch.zeros(end)
    bias[TEXT - faint : TEXT] = -1.0
    ratio = torch.tensor(0.3)
    return AttentionSpec(TEXT, tuple(groups), base, direct, (TEXT, TEXT + CANVAS), TEXT, bias, ratio)


@pytest.mark.parametrize("faint", [0, 1])
@pytest.mark.parametrize("reference", [0, 3])
def test_image_keys_are_attended_to_once_where_base_and_regions_are_blended(
    reference: int, faint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many tokens; few are attended to twice, with fewer calls of the kernel. The output is the same."""
    spec = blended(reference, faint)
    q, k, v = torch.randn(3, 1, TEXT + CANVAS + reference, 2, 4, generator=torch.Generator().manual_seed(0))
    outputs, pairs = [], []
    for smallest in (q.shape[1], q.shape[1] + 1):
        monkeypatch.setattr(parts, "SMALLEST", smallest)
        with FlopCounterMode(display=False, custom_mapping={KERNEL: pairs_of}) as counter:
            outputs.append(regional_attention(q, k, v, spec))
        pairs.append(counter.get_total_flops())
    torch.testing.assert_close(*outputs)
    assert pairs[1] - pairs[0] == CANVAS * (CANVAS + reference)


@pytest.mark.parametrize("base", [BaseText(4), BaseText(3), BaseText(4, 1, -1.0), BaseText(3, 2, -0.5)])
def test_what_a_mask_of_the_base_prompt_makes_of_a_plain_call(base: BaseText) -> None:
    """Tokens behind the prompt's are keys to none, faint ones weigh less, but not to each other."""
    text, image = 4, 5
    q, k, v = torch.randn(3, 1, text + image, 2, 4, generator=torch.Generator().manual_seed(0))
    faint = slice(base.length - base.faint, base.length)
    mask = torch.zeros(text + image, text + image)
    mask[:, faint] = base.weight
    mask[faint, faint] = 0
    mask[:, base.length : text] = -torch.inf
    heads = (x.transpose(1, 2) for x in (q, k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(1, 2)
    spec = masked_spec(base, text, text + image, torch.device("cpu"))
    assert (spec is None) == (base == BaseText(text)), "all see all"
    if spec is not None:
        torch.testing.assert_close(regional_attention(q, k, v, spec), expected)
