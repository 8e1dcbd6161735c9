"""`probing`: while it lasts, a FLUX pipeline's attention is recorded; the pictures stay the same, bit for bit.

Forward hooks hand queries and keys to the recorder, which asks its own questions of them (`shares.py`, `rows.py`,
`concepts.py`) and adds the answers up; nothing that grows with the number of steps is kept but a few numbers a block.
"""

from __future__ import annotations

import inspect
import json
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor

from strata import __version__
from strata.analysis.concepts import ConceptTokens, concept_maps
from strata.analysis.labels import Labels, TextTokens, check_words, stream_names
from strata.analysis.probe import BASE, CANVAS, SHARES, Facts, Probe, ProbedRegion
from strata.analysis.rows import Rows, attention_rows, chunks, entropy, rows_of
from strata.analysis.selection import Selection, block_names, chosen_blocks, chosen_heads, chosen_steps
from strata.analysis.shares import canvas_only, indicators, label_shares
from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.files import quote
from strata.hierarchy.grid import TokenGrid, token_grid
from strata.hierarchy.plan import ScenePlan
from strata.injection.attach import RoutedBlock, Session
from strata.injection.attention import Regional
from strata.injection.checks import UnsupportedError, check_pipeline, check_transformer
from strata.injection.layout import Span
from strata.injection.pipeline import RegionalPipeline
from strata.injection.streams import Stream

SAMPLED = 64
"""Image tokens at most whose attention's entropy is taken, evenly spaced."""
_REMEMBERED = 8
"""Kinds of attention whose masks are kept; a step rarely has more."""

_FORWARD = inspect.signature(FluxTransformer2DModel.forward)
_PROBED: weakref.WeakSet[FluxTransformer2DModel] = weakref.WeakSet()


@contextmanager
def probing(
    target: Any,
    *,
    words: Sequence[str] = (),
    concepts: Sequence[str] = (),
    blocks: str | Sequence[str] | None = None,
    steps: Selection = None,
    heads: Selection = None,
    phases: int = 4,
) -> Iterator[Recorder]:
    """Record one picture's attention.

    Args:
        target: a diffusers FLUX pipeline, or the `RegionalPipeline` that draws.
        words: words or phrases of the texts, to be told apart wherever a text has them.
        concepts: free words for ConceptAttention.
        blocks: `"double 0-3"`, `"double 0,1, single all"`, `"0%-50%"` of depth, or several; None: all.
        steps: `"0-9"`, `"50%-100%"`, [0, 5, 10], …; None: all.
        heads: whose mean is taken, likewise; None: all.
        phases: maps are means over so many equal parts of the probed steps.

    Yields:
        The recorder; its `result` is there once the picture is drawn. Of several pictures drawn at once the first is
        probed; of a run with true classifier-free guidance, the calls with the prompt.

    Raises:
        InputError: a word is in no text, a selection does not fit, `target` is no FLUX pipeline.
        UnsupportedError: the transformer is compiled (hooks would be ignored), probed already, or in a mode that
            regional prompting refuses too.

    Example:
        >>> with probing(pipe, words=("red", "circle")) as recorder:
        ...     image = pipe("a red circle", num_inference_steps=20).images[0]
        >>> recorder.result().save("out/probe")
    """
    pipe = target.pipe if isinstance(target, RegionalPipeline) else target
    check_pipeline(pipe)
    _check_modes(pipe.transformer)
    recorder = Recorder(pipe, words, concepts, blocks, steps, heads, phases)
    with ExitStack() as undo:
        _PROBED.add(pipe.transformer)
        undo.callback(_PROBED.discard, pipe.transformer)
        if isinstance(target, RegionalPipeline):
            _replace(target, "check", recorder.following_plans, undo)
        else:
            _replace(pipe, "encode_prompt", recorder.following_prompts, undo)
        recorder.attach(undo)
        yield recorder


def _check_modes(transformer: Any) -> None:
    blocks = [*getattr(transformer, "transformer_blocks", ()), *getattr(transformer, "single_transformer_blocks", ())]
    if any(getattr(module, "_compiled_call_impl", None) is not None for module in (transformer, *blocks)) or hasattr(
        transformer, "_orig_mod"
    ):
        raise UnsupportedError(
            "the transformer is compiled, and compiled code ignores the hooks that probe it; load it anew, uncompiled"
        )
    check_transformer(transformer)
    if transformer in _PROBED:
        raise UnsupportedError("the transformer is being probed already; end that `with probing(…)` first")


def _replace(owner: Any, name: str, wrap: Callable[[Any], Any], undo: ExitStack) -> None:
    """Give an object a wrapped method until `undo` ends."""
    setattr(owner, name, wrap(getattr(owner, name)))
    undo.callback(vars(owner).pop, name, None)


class _Kind(NamedTuple):
    """One kind of attention: what the blocks and steps that have it share.

    Attributes:
        regional: as the model has it.
        cut: the same for the canvas tokens alone.
        canvas: where the canvas tokens stand.
        copy: where the base's copy of them stands, in `split` blending.
        columns: int64 `[L]`, every key's column; the image's is the last.
        rows: of the words' tokens, then of the image tokens whose entropy is taken.
        spoken: `[words, rows of words]`, mean over a word's tokens.
    """

    regional: Regional | None
    cut: Regional | None
    canvas: Span
    copy: Span | None
    columns: Tensor
    rows: Rows
    spoken: Tensor


class _Setting(NamedTuple):
    """What is known of a run once its first probed block is reached.

    Attributes:
        names: of the streams.
        labels: of base and streams.
        regions: tokens of each region by name, pipeline order.
        areas: names.
        atom_means: `[atoms, N]`, takes means over the tokens of each atom.
        kinds: `[atoms, C + 1, 5]`, what each column is to an atom's tokens.
        atom_weights: `[areas, atoms]`, takes means over an area's atoms.
        order: int64 `[N]`, where each canvas token stands in a routed call.
        sampled: int64, the canvas tokens whose entropy is taken.
    """

    names: tuple[str, ...]
    labels: Labels
    regions: tuple[ProbedRegion, ...]
    areas: tuple[str, ...]
    atom_means: Tensor
    kinds: Tensor
    atom_weights: Tensor
    order: Tensor | None
    sampled: Tensor

    @property
    def few(self) -> bool:
        """Whether all canvas tokens are sampled, so that their rows tell the shares too."""
        return len(self.sampled) == self.atom_means.shape[1]


class _Sums(NamedTuple):
    """What is added up: N canvas tokens, C + 1 columns, P phases, T probed steps, B probed blocks."""

    shares_PBNC: Tensor
    words_PBWN: Tensor
    concepts_PBKN: Tensor
    areas_TBA5: Tensor
    entropy_TB: Tensor


class Recorder:
    """Records one picture; `probing` makes it."""

    def __init__(
        self,
        pipe: Any,
        words: Sequence[str],
        concepts: Sequence[str],
        blocks: str | Sequence[str] | None,
        steps: Selection,
        heads: Selection,
        phases: int,
    ) -> None:
        for name, given in (("words", words), ("concepts", concepts)):
            if isinstance(given, str):
                raise InputError(f"{name}: {quote(given)}: must be several texts, such as [{quote(given)}]")
        if type(phases) is not int or phases < 1:
            raise InputError(f"phases: {phases!r}: must be a whole number of at least 1")
        for index, concept in enumerate(concepts):
            if not concept.strip() or concept in concepts[:index]:
                raise InputError(f"concepts: {quote(concept)}: must be different texts that are not empty")
        if words and not getattr(pipe.tokenizer_2, "is_fast", False):
            raise UnsupportedError(
                f"words: {type(pipe.tokenizer_2).__name__} does not tell where its tokens stand; use T5TokenizerFast"
            )
        self.pipe, self.transformer = pipe, pipe.transformer
        self.words, self.concepts, self.phases = tuple(words), tuple(concepts), phases
        self.doubles, self.singles = len(self.transformer.transformer_blocks), len(self._singles())
        self.blocks = chosen_blocks(blocks, self.doubles, self.singles)
        self.heads = chosen_heads(heads, self.transformer.config.num_attention_heads)
        self._asked_steps = steps
        self._tokens: ConceptTokens | None = None
        if concepts:
            with torch.no_grad():
                self._tokens = ConceptTokens(pipe, self.concepts)
        self._plan: ScenePlan | None = None
        self._encoded: list[tuple[Tensor, str | None]] = []
        self._prompt: str | None = None
        self._embeds: Tensor | None = None
        self._img_ids: Tensor | None = None
        self._base_length = 0
        self._total = 0
        self._step = -1
        self._at: int | None = None
        self._chosen: tuple[int, ...] = ()
        self._phase_of: list[int] = []
        self._seen: set[int] = set()
        self._setting: _Setting | None = None
        self._sums: _Sums | None = None
        self._kinds: OrderedDict[Any, _Kind] = OrderedDict()
        self._values: tuple[Tensor | None, list[Tensor]] = (None, [])
        self._seconds, self._peak = 0.0, 0

    def __repr__(self) -> str:
        return f"Recorder({type(self.pipe).__name__}, {len(self._seen)} of {len(self._chosen) or '?'} steps)"

    def _singles(self) -> Any:
        return self.transformer.single_transformer_blocks

    # What is drawn ----------------------------------------------------------------------------------------------------

    def following_plans(self, check: Callable[..., tuple[Stream, ...]]) -> Callable[..., tuple[Stream, ...]]:
        """`RegionalPipeline.check`, which every call makes first, telling the recorder what is drawn."""

        def told(plan: ScenePlan, **options: Any) -> tuple[Stream, ...]:
            streams = check(plan, **options)
            self._refuse_second()
            names = stream_names((stream.area, stream.level) for stream in streams)
            texts = [plan.prompt, *(stream.text for stream in streams)]
            check_words(dict(zip([BASE, *names], texts, strict=True)), self.words)
            self._plan, self._prompt = plan, plan.prompt
            return streams

        return told

    def following_prompts(self, encode: Callable[..., Any]) -> Callable[..., Any]:
        """`pipe.encode_prompt`, telling the recorder the prompt."""
        signature = inspect.signature(encode)

        def told(*args: Any, **kwargs: Any) -> Any:
            self._refuse_second()
            given = signature.bind(*args, **kwargs).arguments
            text = given.get("prompt_2") or given.get("prompt")
            text = text[0] if isinstance(text, (list, tuple)) else text
            if not self._encoded:  # the negative prompt comes second
                if text is None and self.words:
                    raise InputError("words: cannot be found where prompt_embeds stand in for the prompt")
                check_words({BASE: text or ""}, self.words)
            result = encode(*args, **kwargs)
            self._encoded.append((result[0], text))
            return result

        return told

    def _refuse_second(self) -> None:
        if self._step >= 0:
            raise UnsupportedError("this recorder has probed its picture; open another `with probing(…)` for the next")

    # Hooks ------------------------------------------------------------------------------------------------------------

    def attach(self, undo: ExitStack) -> None:
        """Register all hooks; `undo` removes them."""
        for hook in (
            self.transformer.register_forward_pre_hook(self._before, with_kwargs=True),
            self.transformer.register_forward_hook(self._after),
        ):
            undo.callback(hook.remove)
        last = max(self.blocks)
        blocks = [*self.transformer.transformer_blocks, *self._singles()]
        for index, block in enumerate(blocks[: last + 1]):
            if self._tokens is not None or index in self.blocks:
                _Watch(self, index, block, index < self.doubles).attach(undo)
        undo.callback(self._forget)

    def _forget(self) -> None:
        """Drop what only a running call needs."""
        self._kinds.clear()
        self._values, self._encoded, self._embeds, self._at = (None, []), [], None, None

    def _before(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = _FORWARD.bind(module, *args, **kwargs).arguments
        embeds, img_ids = bound["encoder_hidden_states"], bound["img_ids"]
        if self._embeds is None:
            self._begin(embeds, img_ids[0] if img_ids.ndim == 3 else img_ids)
        self._at = None
        if embeds is not self._embeds:  # a call with the negative prompt
            return
        self._step += 1
        if self._step in self._chosen:
            self._at = self._chosen.index(self._step)
        if self._tokens is not None:
            self._tokens.begin()

    def _after(self, module: Any, args: Any, output: Any) -> None:
        if self._at is not None:
            self._seen.add(self._step)
        self._at = None

    def _begin(self, embeds: Tensor, img_ids: Tensor) -> None:
        self._total = int(self.pipe.num_timesteps)
        self._chosen = chosen_steps(self._asked_steps, self._total)
        phases = min(self.phases, len(self._chosen))
        parts = np.array_split(np.arange(len(self._chosen)), phases)
        self._phase_of = [phase for phase, part in enumerate(parts) for _ in part]
        self._embeds, self._img_ids, self._base_length = embeds, img_ids, embeds.shape[1]
        if self._plan is None and self._encoded:
            self._prompt = next((text for known, text in self._encoded if known is embeds), self._encoded[0][1])

    @property
    def listening(self) -> bool:
        """Whether the transformer call under way is probed."""
        return self._at is not None

    # Questions --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def observe(self, index: int, block: Any, held: dict[str, Tensor], kwargs: dict[str, Any], output: Any) -> None:
        """What one block's attention says.

        Args:
            index: of the block, in execution order.
            block: the block itself.
            held: what its hooks kept: queries and keys before the rotary embedding, and what concepts need.
            kwargs: of its attention.
            output: of its attention.
        """
        begin, at = time.perf_counter(), self._at
        assert at is not None
        at_block = self.blocks.index(index) if index in self.blocks else None
        double = index < self.doubles
        q, k = held["norm_q"][:1], held["norm_k"][:1]
        if double:
            q = torch.cat([held["norm_added_q"][:1], q], dim=1)
            k = torch.cat([held["norm_added_k"][:1], k], dim=1)
        rotary = kwargs["image_rotary_emb"]
        q, k = apply_rotary_emb(q, rotary, sequence_dim=1), apply_rotary_emb(k, rotary, sequence_dim=1)
        picked_q, picked_k = (q, k) if self.heads is None else (q[:, :, list(self.heads)], k[:, :, list(self.heads)])
        setting, sums = self._known(q.device)
        kind, order = self._kind(index, kwargs.get("regional"), picked_q)
        if at_block is not None:
            rows_RL = self._add_rows(setting, sums, kind, order, at, at_block, picked_q[0], picked_k[0])
            columns = setting.labels.columns + 1
            if setting.few:  # all canvas tokens are among the rows
                shares_NC = q.new_zeros(len(setting.sampled), columns, dtype=torch.float32)
                shares_NC.index_add_(1, kind.columns, rows_RL[-len(setting.sampled) :])
            else:
                values, backend = self._one_hot(kind, columns, picked_q), block.attn.processor._attention_backend
                shares_NC = label_shares(picked_q, picked_k, values, columns, kind.canvas, kind.cut, backend)
            self._add_shares(setting, sums, shares_NC if order is None else shares_NC[order], at, at_block)
        if self._tokens is not None:
            self._add_concepts(sums, kind, order, at, at_block, block, double, k, held, output)
        self._peak = max(self._peak, self._buffers(q, kind))
        self._seconds += time.perf_counter() - begin

    def _buffers(self, q: Tensor, kind: _Kind) -> int:
        """Bytes that a block's questions take, at most: copies of queries and keys, values and their answer, rows."""
        _, length, heads, _ = q.shape
        piece = next(chunks(kind.rows, heads, length))[1]
        rows = 3 * 4 * heads * length * len(piece.heard)
        masks = sum(_bytes(t) for known in self._kinds.values() for t in known.rows if t is not None)
        return 5 * _bytes(q) + sum(map(_bytes, self._values[1])) + rows + masks

    def _add_shares(self, setting: _Setting, sums: _Sums, shares_NC: Tensor, at: int, block: int) -> None:
        sums.shares_PBNC[self._phase_of[at], block] += shares_NC
        atoms_AC = setting.atom_means @ shares_NC
        sums.areas_TBA5[at, block] = setting.atom_weights @ torch.bmm(atoms_AC[:, None], setting.kinds)[:, 0]

    def _add_rows(
        self,
        setting: _Setting,
        sums: _Sums,
        kind: _Kind,
        order: Tensor | None,
        at: int,
        block: int,
        q: Tensor,
        k: Tensor,
    ) -> Tensor:
        """Adds what is asked of single tokens; returns their attention `[R, L]`: the words' rows, and all if few."""
        words = kind.spoken.shape[1]
        means, uncertain = [], []
        for piece, rows in chunks(kind.rows, q.shape[1], q.shape[0]):
            attention_HRL = attention_rows(q, k, rows)
            spoken = min(max(0, words - piece.start), attention_HRL.shape[1])
            if spoken or setting.few:
                means.append((attention_HRL if setting.few else attention_HRL[:, :spoken]).mean(0))
            if spoken < attention_HRL.shape[1]:
                uncertain.append(entropy(attention_HRL[:, spoken:]).mean(0))
        sums.entropy_TB[at, block] = torch.cat(uncertain).mean()
        rows_RL = torch.cat(means) if means else q.new_zeros(0, q.shape[0], dtype=torch.float32)
        if words:
            said_WL = kind.spoken @ rows_RL[:words]
            said_WN = said_WL[:, slice(*kind.canvas)]
            if kind.copy is not None:
                said_WN = said_WN + said_WL[:, slice(*kind.copy)]
            sums.words_PBWN[self._phase_of[at], block] += said_WN if order is None else said_WN[:, order]
        return rows_RL

    def _one_hot(self, kind: _Kind, columns: int, q: Tensor) -> list[Tensor]:
        if self._values[0] is not kind.columns:
            self._values = (kind.columns, indicators(kind.columns, columns, q.shape[2], q.shape[3], q.dtype))
        return self._values[1]

    def _add_concepts(
        self,
        sums: _Sums,
        kind: _Kind,
        order: Tensor | None,
        at: int,
        at_block: int | None,
        block: Any,
        double: bool,
        k: Tensor,
        held: dict[str, Tensor],
        output: Any,
    ) -> None:
        assert self._tokens is not None
        start, stop = kind.canvas
        v = held["to_v"][:1] if double else held["to_v"][:1, start:]
        if block.attn.fused_projections:
            v = v.chunk(3, dim=-1)[2]
        v = v.unflatten(-1, (-1, block.attn.head_dim))
        through = self._tokens.double if double else self._tokens.single
        concepts = through(self.transformer, block, held["temb"][:1], k[:, start:], v)[0]
        if at_block is None:
            return
        image = held["to_out"][0, : stop - start] if double else output[0, start:stop]
        image = image.unflatten(-1, (-1, block.attn.head_dim))
        if self.heads is not None:
            image, concepts = image[:, list(self.heads)], concepts[:, list(self.heads)]
        maps_KN = concept_maps(image, concepts)
        sums.concepts_PBKN[self._phase_of[at], at_block] += maps_KN if order is None else maps_KN[:, order]

    # The run ----------------------------------------------------------------------------------------------------------

    def _session(self) -> Session | None:
        first = (*self.transformer.transformer_blocks, *self._singles())[0]
        if not isinstance(first, RoutedBlock):
            return None
        if self._plan is None:
            raise UnsupportedError("regions are drawn here: give probing() the RegionalPipeline, not its pipe")
        return first.session[0]

    def _known(self, device: torch.device) -> tuple[_Setting, _Sums]:
        if self._setting is None or self._sums is None:
            self._setting = setting = self._settle(device)
            tokens, columns = setting.atom_means.shape[1], setting.labels.columns + 1
            per_block = (max(self._phase_of) + 1, len(self.blocks))
            per_step = (len(self._chosen), len(self.blocks))
            words, concepts = len(setting.labels.words), len(self.concepts)
            self._sums = _Sums(
                torch.zeros(*per_block, tokens, columns, device=device),
                torch.zeros(*per_block, words, tokens, device=device),
                torch.zeros(*per_block, concepts, tokens, device=device),
                torch.zeros(*per_step, len(setting.areas), len(SHARES), device=device),
                torch.zeros(per_step, device=device),
            )
        return self._setting, self._sums

    def _grid(self) -> tuple[int, int, TokenGrid | None]:
        """Rows and columns of the canvas (reference pictures left out), and the plan's regions on them."""
        assert self._img_ids is not None
        canvas = self._img_ids[self._img_ids[:, 0] == self._img_ids[0, 0]]
        rows, cols = (int(canvas[:, axis].max() - canvas[:, axis].min()) + 1 for axis in (1, 2))
        return rows, cols, None if self._plan is None else token_grid(self._plan, rows, cols)

    def _settle(self, device: torch.device) -> _Setting:
        session = self._session()
        planner = session.planner if session is not None else None
        streams = planner.streams if planner is not None else ()
        names = tuple(stream_names((stream.area, stream.level) for stream in streams))
        texts = [TextTokens(BASE, None, None, self._prompt, self._base_length)]
        if planner is not None:
            for name, stream, length in zip(names, streams, planner.lengths, strict=True):
                texts.append(TextTokens(name, stream.area, stream.level, stream.text, length))
        labels = Labels.of(texts, self.words, self.pipe.tokenizer_2)
        rows, cols, grid = self._grid()
        tokens = rows * cols
        atoms: list[tuple[tuple[int, ...], Any]]
        regions: tuple[ProbedRegion, ...] = ()
        if grid is None or not grid.names:
            atoms = [((), np.arange(tokens))]
            members = {CANVAS: [0]}
        else:
            atoms = [(atom.members, atom.tokens) for atom in grid.atoms()]
            members = {
                name: [n for n, (held, _) in enumerate(atoms) if at in held] for at, name in enumerate(grid.names)
            }
            if not atoms[0][0]:
                members["background"] = [0]
            regions = tuple(
                ProbedRegion(name=name, tokens=tuple(grid.region_tokens(n).tolist()))
                for n, name in enumerate(grid.names)
            )
        areas = tuple(members)
        means, weights = torch.zeros(len(atoms), tokens), torch.zeros(len(areas), len(atoms))
        kinds = torch.zeros(len(atoms), labels.columns + 1, len(SHARES))
        kinds[:, labels.columns, SHARES.index("image")] = 1
        region_names = grid.names if grid is not None else ()
        for n, (held, held_tokens) in enumerate(atoms):
            means[n, torch.as_tensor(held_tokens)] = 1 / len(held_tokens)
            own = {region_names[m] for m in held} or {"background"}
            for text in texts:
                kind = "base" if text.area is None else "global" if text.area == "global" else "others"
                kind = "own" if text.area in own else kind
                kinds[n, np.unique(labels.column_of[text.name]), SHARES.index(kind)] = 1
        for area, at in enumerate(areas):
            for n in members[at]:
                weights[area, n] = len(atoms[n][1])
        weights /= weights.sum(1, keepdim=True)
        order = None if planner is None else planner.layout.inverse[:tokens]
        sampled = torch.linspace(0, tokens - 1, min(tokens, SAMPLED)).round().long().to(device)
        return _Setting(
            names,
            labels,
            regions,
            areas,
            means.to(device),
            kinds.to(device),
            weights.to(device),
            order,
            sampled,
        )

    def _kind(self, index: int, regional: Regional | None, q: Tensor) -> tuple[_Kind, Tensor | None]:
        """The kind of attention of a block, and the canvas tokens' order where they are not in the pipeline's."""
        assert self._setting is not None
        assert self._img_ids is not None
        setting, image = self._setting, len(self._img_ids)
        session = self._session()
        running = session.running if session is not None else None
        alive: tuple[str, ...] = (BASE,)
        copied, order = False, None
        if running is not None:
            step = running.blocks[index]
            alive, copied, order = (*(setting.names[i] for i in step.alive), BASE), step.copied, setting.order
        text = q.shape[1] - image
        key = (id(regional), alive, copied)
        if key not in self._kinds:
            self._kinds[key] = self._new_kind(setting, regional, alive, text, copied, image)
            while len(self._kinds) > _REMEMBERED:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(key)
        return self._kinds[key], order

    def _new_kind(
        self, setting: _Setting, regional: Regional | None, alive: Sequence[str], text: int, copied: bool, image: int
    ) -> _Kind:
        canvas = (text, text + setting.atom_means.shape[1])
        copy = (text - image, text - image + canvas[1] - canvas[0]) if copied else None
        starts, at = {}, 0
        for name in alive:
            starts[name] = at
            at += len(setting.labels.column_of[name])
        rows: list[int] = []
        spoken = torch.zeros(len(setting.labels.words), 0)
        for n, (label, tokens) in enumerate(zip(setting.labels.words, setting.labels.word_tokens, strict=True)):
            name = setting.labels.labels[label].text
            if name in starts:
                rows += [starts[name] + token for token in tokens]
                mean = torch.zeros(len(spoken), len(tokens))
                mean[n] = 1 / len(tokens)
                spoken = torch.cat([spoken, mean], dim=1)
        device = setting.sampled.device
        asked = torch.cat([torch.tensor(rows, dtype=torch.int64, device=device), setting.sampled + text])
        cut = None if regional is None else canvas_only(regional, canvas)
        parts = [setting.labels.column_of[name] for name in alive]
        seen = np.full(text + image - at, setting.labels.columns)  # the image, and its copy
        columns = torch.from_numpy(np.concatenate([*parts, seen])).to(device)
        return _Kind(regional, cut, canvas, copy, columns, rows_of(regional, asked, text + image), spoken.to(device))

    # The result -------------------------------------------------------------------------------------------------------

    def result(self, model: str | None = None, seed: int | None = None) -> Probe:
        """The probe of the picture drawn.

        Args:
            model: what to call the model; None: the pipeline's class and block counts.
            seed: of the picture, to be kept among the facts.

        Raises:
            StrataError: no picture was drawn to its end.
        """
        if self._sums is None or self._setting is None or len(self._seen) < len(self._chosen):
            drawn = f"{len(self._seen)} of {len(self._chosen)} probed steps were drawn" if self._total else "none began"
            raise StrataError(f"nothing to tell: draw a picture to its end inside `with probing(…)` first ({drawn})")
        setting, sums, labels = self._setting, self._sums, self._setting.labels
        rows, cols, _ = self._grid()
        steps_of = np.bincount(self._phase_of).astype(np.float32)[:, None, None, None]

        def mean(total_PBXN: Tensor) -> Any:
            values = (total_PBXN.float().cpu().numpy() / steps_of).transpose(2, 0, 1, 3)
            return np.ascontiguousarray(values.reshape(*values.shape[:3], rows, cols), np.float32)

        member = torch.from_numpy(labels.member).to(sums.shares_PBNC)
        maps_PBLN = (sums.shares_PBNC[..., : labels.columns] @ member.T).transpose(2, 3)
        chosen = np.array(self._chosen)
        ends = [np.flatnonzero(np.array(self._phase_of) == phase)[[0, -1]] for phase in range(len(steps_of))]
        names = block_names(self.doubles, self.singles)
        size = 2 * int(self.pipe.vae_scale_factor)
        facts = Facts(
            strata=__version__,
            model=model or f"{type(self.pipe).__name__} {self.doubles}+{self.singles}",
            width=cols * size,
            height=rows * size,
            rows=rows,
            cols=cols,
            steps=self._chosen,
            total_steps=self._total,
            phases=tuple((int(first), int(last)) for first, last in (chosen[end] for end in ends)),
            blocks=tuple(names[index] for index in self.blocks),
            labels=labels.labels,
            words=labels.words,
            areas=setting.areas,
            regions=setting.regions,
            concepts=self.concepts,
            heads=self.heads,
            seed=seed,
            prompt=self._prompt,
            plan=None if self._plan is None else json.loads(self._plan.to_json()),
            seconds=round(self._seconds, 3),
            bytes=self._peak + sum(map(_bytes, sums)),
        )
        return Probe(
            facts,
            maps=mean(maps_PBLN),
            words_to_image=mean(sums.words_PBWN),
            shares=sums.areas_TBA5.cpu().numpy(),
            entropy=sums.entropy_TB.cpu().numpy(),
            concepts=mean(sums.concepts_PBKN),
        )


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Watch:
    """The hooks of one block."""

    def __init__(self, recorder: Recorder, index: int, block: Any, double: bool) -> None:
        self.recorder, self.index, self.block, self.double = recorder, index, block, double
        self.held: dict[str, Tensor] = {}

    def attach(self, undo: ExitStack) -> None:
        """Register them; `undo` removes them."""
        attn = self.block.attn
        names = ["norm_q", "norm_k"]
        if self.double:
            names += ["norm_added_q", "norm_added_k"]
        hooks = [getattr(attn, name).register_forward_hook(self._keep(name)) for name in names]
        if self.recorder.concepts:
            values = attn.to_qkv if attn.fused_projections else attn.to_v
            hooks.append(values.register_forward_hook(self._keep("to_v")))
            hooks.append(self.block.register_forward_pre_hook(self._keep_temb, with_kwargs=True))
            if self.double:
                hooks.append(attn.to_out[0].register_forward_pre_hook(self._keep_output))
        hooks.append(attn.register_forward_hook(self._attended, with_kwargs=True))
        for hook in hooks:
            undo.callback(hook.remove)

    def _keep(self, name: str) -> Callable[..., None]:
        def keep(module: Any, args: Any, output: Tensor) -> None:
            if self.recorder.listening:
                self.held[name] = output

        return keep

    def _keep_temb(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.recorder.listening:
            self.held["temb"] = kwargs["temb"] if "temb" in kwargs else args[2]

    def _keep_output(self, module: Any, args: tuple[Any, ...]) -> None:
        if self.recorder.listening:
            self.held["to_out"] = args[0]

    def _attended(self, module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        held, self.held = self.held, {}
        if self.recorder.listening:
            self.recorder.observe(self.index, self.block, held, kwargs, output)
            self.held = {}  # what concepts sent through the same modules
