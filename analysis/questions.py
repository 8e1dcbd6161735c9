"""What is asked of a block's attention, and what the blocks and steps with the same attention share.

A kind of attention follows from what a block computes and from what its tokens are: which keys are whose, and which
tokens are asked. Most blocks of a run are of a few kinds.

Shapes: L tokens that a block's attention has as keys, N canvas tokens, C columns of text, W words, R rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from strata.analysis.labels import Labels
from strata.analysis.rows import Rows, attention_rows, chunks, entropy, rows_of
from strata.analysis.shares import canvas_only, indicators, label_shares
from strata.injection.attention import AttentionSpec
from strata.injection.layout import Span
from strata.injection.observer import AttentionEvent

_KEPT = 8
"""Kinds whose masks are kept; a step rarely has more."""


class AttentionKind(NamedTuple):
    """One kind of attention.

    Attributes:
        spec: what the attention computes; None: plain attention.
        canvas_spec: the same for the canvas tokens alone.
        image: where the image tokens stand.
        canvas: where the canvas tokens stand, the first of them.
        copy: where the base prompt's copy of the canvas tokens stands, if there is one.
        columns: int64 `[L]`, every key's column; image tokens, and padding that nothing attends to, have the last.
        rows: of the words' tokens, then of the canvas tokens whose entropy is taken.
        word_means: `[W, rows of words]`, takes means over a word's tokens.
    """

    spec: AttentionSpec | None
    canvas_spec: AttentionSpec | None
    image: Span
    canvas: Span
    copy: Span | None
    columns: Tensor
    rows: Rows
    word_means: Tensor

    @classmethod
    def of(
        cls,
        spec: AttentionSpec | None,
        segments: Sequence[tuple[str, int]],
        labels: Labels,
        canvas_tokens: int,
        sampled: Tensor,
    ) -> AttentionKind:
        """The kind of a block.

        Args:
            spec: of its attention.
            segments: what its tokens are, as in `AttentionEvent`.
            labels: of the texts.
            canvas_tokens: N.
            sampled: int64, the canvas tokens whose entropy is taken.
        """
        starts: dict[str, int] = {}
        images: list[Span] = []
        columns, at = [], 0
        for name, count in segments:
            if name in labels.column_of:
                starts[name] = at
                columns.append(torch.from_numpy(labels.column_of[name][:count]))
            else:
                columns.append(torch.full((count,), labels.columns))
                if name == "image":
                    images.append((at, at + count))
            at += count
        canvases = [(start, start + canvas_tokens) for start, _ in images]
        rows: list[int] = []
        means = torch.zeros(len(labels.words), 0)
        for n, (label, tokens) in enumerate(zip(labels.words, labels.word_tokens, strict=True)):
            name = labels.labels[label].text
            if name in starts:
                rows += [starts[name] + token for token in tokens]
                mean = torch.zeros(len(means), len(tokens))
                mean[n] = 1 / len(tokens)
                means = torch.cat([means, mean], dim=1)
        device = sampled.device
        asked = torch.cat([torch.tensor(rows, dtype=torch.int64, device=device), sampled + images[-1][0]])
        return cls(
            spec=spec,
            canvas_spec=None if spec is None else canvas_only(spec, canvases[-1]),
            image=images[-1],
            canvas=canvases[-1],
            copy=canvases[0] if len(canvases) > 1 else None,
            columns=torch.cat(columns).to(device),
            rows=rows_of(spec, asked, at),
            word_means=means.to(device),
        )


class Answers(NamedTuple):
    """What one block's attention answers; canvas tokens are in the pipeline's order.

    Attributes:
        shares_NC: float32 `[N, C + 1]`, the share of each canvas token's attention that goes to each column.
        words_WN: float32 `[W, N]`, the attention of each word's tokens to each canvas token, mean over its tokens.
        entropy: scalar, of the sampled canvas tokens' attention, in nats.
    """

    shares_NC: Tensor
    words_WN: Tensor
    entropy: Tensor


class Questions:
    """What is asked of every probed block of one drawing; all answers are means over the heads.

    Args:
        labels: of the texts.
        canvas_tokens: N.
        sampled: how many canvas tokens' entropy is taken, at most, evenly spaced.
        device: of the model.
    """

    def __init__(self, labels: Labels, canvas_tokens: int, sampled: int, device: torch.device) -> None:
        self.labels, self.canvas_tokens = labels, canvas_tokens
        count = min(canvas_tokens, sampled)
        self.sampled = torch.linspace(0, canvas_tokens - 1, count).round().long().to(device)
        self._kept: OrderedDict[object, AttentionKind] = OrderedDict()
        self._values: tuple[Tensor | None, list[Tensor]] = (None, [])

    def kind(self, event: AttentionEvent) -> AttentionKind:
        """The kind of a block's attention."""
        key = (id(event.spec), event.segments)  # the kind holds the spec, so no other can have its id
        if key not in self._kept:
            kind = AttentionKind.of(event.spec, event.segments, self.labels, self.canvas_tokens, self.sampled)
            self._kept[key] = kind
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def ask(self, event: AttentionEvent, q_1LHD: Tensor, k_1LHD: Tensor) -> Answers:
        """Ask a block: its first picture's queries and keys, of the heads that count."""
        kind = self.kind(event)
        words_WN, rows_RL, nats = self._rows(kind, q_1LHD[0], k_1LHD[0])
        columns = self.labels.columns + 1
        if len(self.sampled) == self.canvas_tokens:  # all canvas tokens are among the rows
            shares_NC = rows_RL.new_zeros(self.canvas_tokens, columns)
            shares_NC.index_add_(1, kind.columns, rows_RL[-self.canvas_tokens :])
        else:
            values = self._one_hot(kind, q_1LHD)
            shares_NC = label_shares(q_1LHD, k_1LHD, values, columns, kind.canvas, kind.canvas_spec, event.backend)
        if event.inverse is not None:
            shares_NC, words_WN = shares_NC[event.inverse], words_WN[:, event.inverse]
        return Answers(shares_NC, words_WN, nats)

    def _rows(self, kind: AttentionKind, q_LHD: Tensor, k_LHD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`words_WN`; rows of attention `[R, L]`: the words', and the canvas tokens' if all are sampled; entropy."""
        length, heads, _ = k_LHD.shape
        words, few = kind.word_means.shape[1], len(self.sampled) == self.canvas_tokens
        means, uncertain = [], []
        for piece, rows in chunks(kind.rows, heads, length):
            attention_HRL = attention_rows(q_LHD, k_LHD, rows)
            of_words = min(max(0, words - piece.start), attention_HRL.shape[1])
            if of_words or few:
                means.append((attention_HRL if few else attention_HRL[:, :of_words]).mean(0))
            if of_words < attention_HRL.shape[1]:
                uncertain.append(entropy(attention_HRL[:, of_words:]).mean(0))
        rows_RL = torch.cat(means) if means else q_LHD.new_zeros(0, length, dtype=torch.float32)
        words_WL = kind.word_means @ rows_RL[:words]
        words_WN = words_WL[:, slice(*kind.canvas)]
        if kind.copy is not None:
            words_WN = words_WN + words_WL[:, slice(*kind.copy)]
        return words_WN, rows_RL, torch.cat(uncertain).mean()

    def _one_hot(self, kind: AttentionKind, q_1LHD: Tensor) -> list[Tensor]:
        if self._values[0] is not kind.columns:
            heads, width = q_1LHD.shape[2:]
            values = indicators(kind.columns, self.labels.columns + 1, heads, width, q_1LHD.dtype)
            self._values = kind.columns, values
        return self._values[1]

    def buffers(self, event: AttentionEvent) -> int:
        """Bytes that asking a block takes, at most: copies of queries and keys, values and their answer, rows."""
        q_1LHD = event.q_BLHD[:1]
        _, length, heads, _ = event.k_BLHD.shape
        piece = next(chunks(self.kind(event).rows, heads, length))[1]
        masks = (t for kind in self._kept.values() for t in kind.rows if t is not None)
        kept = sum(t.numel() * t.element_size() for t in (*self._values[1], *masks))
        return 5 * q_1LHD.numel() * q_1LHD.element_size() + 3 * 4 * heads * length * len(piece.queries) + kept
