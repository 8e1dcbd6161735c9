"""Shares and rows of attention against a naive softmax over all keys."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strata.analysis.rows import attention_rows, chunks, entropy, rows_of
from strata.analysis.shares import canvas_only, indicators, label_shares
from strata.hierarchy.grid import TokenGrid
from strata.injection import kernels
from strata.injection.attention import AttentionSpec, regional_attention
from strata.injection.methods.regional import RegionalRun
from strata.injection.program import Program
from tests.examples import examples
from tests.injection.drawings import program_of, start
from tests.injection.oracle import NEVER, Scene
from tests.injection.test_oracle import DOUBLE, SINGLE, STEPS, TRANSFORMERS, scenes

HEADS, WIDTH = 2, 8


def softmax(q: Tensor, k: Tensor, log_weights: Tensor | None = None) -> Tensor:
    """[L, H, D] each to [H, L, L], in double precision; rows without any key are zero."""
    logits = torch.einsum("qhd,khd->hqk", q.double(), k.double()) * q.shape[-1] ** -0.5
    if log_weights is not None:
        logits = logits + log_weights.double()
    return logits.softmax(-1).nan_to_num(0.0)


def random_qk(length: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, k = (3 * torch.randn(length, HEADS, WIDTH, generator=generator) for _ in range(2))
    return q, k


def definition(scene: Scene, step: int, block: int, q: Tensor, k: Tensor) -> Tensor:
    """Effective attention [H, L, L] over base, streams, canvas, reference, from the oracle's dense weights."""
    text = scene.base_length + sum(scene.lengths)
    stop = text + scene.canvas
    plain = torch.tensor([i < scene.base_length or i >= text for i in range(len(q))])
    base = softmax(q, k, torch.where(plain, 0.0, NEVER)[None].expand(len(q), -1))
    regional = softmax(q, k, scene.log_weights(step, block))
    out = torch.where(plain[None, :, None], base, regional)
    if scene.heard(step, block) != "plain":
        stop = len(q) if scene.heard(step, block) == "open" else stop
        ratio = scene.base_ratio(step, stop - text)[:, None]
        out[:, text:stop] = (1 - ratio) * regional[:, text:stop] + ratio * base[:, text:stop]
    return out


def begun(scene: Scene, grid: TokenGrid) -> tuple[Program, RegionalRun]:
    """The scene's program, and a run of it that has met its first transformer call."""
    program = program_of(grid, scene.schedule, scene.streams)
    texts = {s.text: torch.zeros(1, n, 12) for s, n in zip(scene.streams, scene.lengths, strict=True)}
    run = start(TRANSFORMERS["flux"], [program], texts)
    assert isinstance(run, RegionalRun)
    ids = torch.zeros(scene.canvas + scene.reference, 3)
    ids[: scene.canvas, 1] = torch.arange(scene.canvas) // grid.cols
    ids[: scene.canvas, 2] = torch.arange(scene.canvas) % grid.cols
    ids[scene.canvas :, 0] = 1
    run._begin({"encoder_hidden_states": torch.zeros(1, scene.base_length, 12), "img_ids": ids})
    return program, run


def spec_of(program: Program, run: RegionalRun, step: int, block: int) -> AttentionSpec | None:
    return run.spec(block, run.samples[0], program.blocks(step)[block], 0)


@examples(100)
@given(scenes(), st.booleans(), st.integers(0, 2**31), st.integers(1, 20))
def test_regional_shares_and_rows_are_the_naive_softmax(
    drawn: tuple[Scene, TokenGrid], in_parts: bool, seed: int, columns: int
) -> None:
    scene, grid = drawn
    program, run = begun(scene, grid)
    rng = np.random.default_rng(seed)
    starts = np.cumsum([scene.base_length, *scene.lengths])
    text, image = int(starts[-1]), scene.canvas + scene.reference
    for step in range(STEPS):
        if not program.routed(step):
            continue
        for block, does in enumerate(program.blocks(step)):
            spec = spec_of(program, run, step, block)
            q, k = random_qk(text + image, seed + block)
            expected = definition(scene, step, block, q, k)
            # The implementation's tokens: streams still riding, the base, the image in atom order.
            riding = [t for i in does.alive for t in range(int(starts[i]), int(starts[i + 1]))]
            order = [*riding, *range(scene.base_length), *(text + run.order).tolist()]
            expected = expected[:, order][:, :, order]
            q, k = q[order], k[order]
            canvas = (len(order) - image, len(order) - image + scene.canvas)
            column_of = torch.from_numpy(rng.integers(0, columns, len(order)))
            naive = torch.zeros(scene.canvas, columns, dtype=torch.float64)
            naive.index_add_(1, column_of, expected.mean(0)[slice(*canvas)])
            cut = None if spec is None else canvas_only(spec, canvas)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(kernels, "SMALLEST", 0 if in_parts else 10**6)
                values = indicators(column_of, columns, HEADS, WIDTH, torch.float32)
                shares = label_shares(q[None], k[None], values, columns, canvas, cut)
            assert (shares - naive).abs().max() <= 1e-5
            assert (shares.sum(1) - 1).abs().max() <= 1e-5
            asked = torch.from_numpy(rng.permutation(len(order))[:7])
            found = attention_rows(q, k, rows_of(spec, asked, len(order)))
            assert (found - expected[:, asked]).abs().max() <= 1e-5
            assert (found.sum(-1) - 1).abs().max() <= 1e-5


@examples(40)
@given(scenes(mode="split"), st.integers(0, 2**31))
def test_split_blending_too(drawn: tuple[Scene, TokenGrid], seed: int) -> None:
    """Against the block's own attention over one-hot values, one for every key."""
    scene, grid = drawn
    program, run = begun(scene, grid)
    for step in range(STEPS):
        if not program.routed(step):
            continue
        for block in (0, DOUBLE, DOUBLE + SINGLE - 1):
            spec = spec_of(program, run, step, block)
            if spec is None:
                continue
            text, image = spec.text_length, scene.canvas + scene.reference
            q, k = random_qk(text + image, seed)
            eye = torch.eye(text + image)[None, :, None].expand(1, -1, HEADS, -1).contiguous()
            wide = [torch.nn.functional.pad(x, (0, text + image - WIDTH)) for x in (q, k)]
            wide[0] *= (wide[0].shape[-1] / WIDTH) ** 0.5  # the logits' scale goes by the width
            expected = regional_attention(wide[0][None], wide[1][None], eye, spec)[0].transpose(0, 1)
            canvas = (text, text + scene.canvas)
            values = indicators(torch.arange(text + image), text + image, HEADS, WIDTH, torch.float32)
            shares = label_shares(q[None], k[None], values, text + image, canvas, canvas_only(spec, canvas))
            assert (shares - expected.mean(0)[slice(*canvas)]).abs().max() <= 1e-5
            asked = torch.arange(text + image)
            found = attention_rows(q, k, rows_of(spec, asked, text + image))
            assert (found - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("columns", [3, 8, 21])
def test_plain_shares_and_rows(columns: int) -> None:
    q, k = random_qk(30, 0)
    column_of = torch.arange(30) % columns
    expected = softmax(q, k)
    naive = torch.zeros(20, columns, dtype=torch.float64).index_add_(1, column_of, expected.mean(0)[6:26])
    values = indicators(column_of, columns, HEADS, WIDTH, torch.float32)
    shares = label_shares(q[None], k[None], values, columns, (6, 26), None)
    assert (shares - naive).abs().max() <= 1e-6
    rows = rows_of(None, torch.tensor([3, 29]), 30)
    found = attention_rows(q, k, rows)
    assert (found - expected[:, [3, 29]]).abs().max() <= 1e-6
    nats = -(expected[:, [3, 29]] * expected[:, [3, 29]].log()).sum(-1)
    assert (entropy(found) - nats).abs().max() <= 1e-5


def test_rows_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strata.analysis.rows._LARGEST", 2 * HEADS * 30)
    q, k = random_qk(30, 0)
    rows = rows_of(None, torch.arange(5), 30)
    found: list[Any] = [(piece, attention_rows(q, k, part)) for piece, part in chunks(rows, HEADS, 30)]
    assert [piece.start for piece, _ in found] == [0, 2, 4]
    assert torch.allclose(torch.cat([part for _, part in found], dim=1), attention_rows(q, k, rows), atol=1e-6)
