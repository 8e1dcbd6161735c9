"""`probing`: while it lasts, a pipeline's attention is recorded; the pictures stay the same, bit for bit.

The recorder is an observer of the drawing. It asks its own questions of each block's attention (`questions.py`,
`concepts.py`) and adds the answers up (`sums.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from strata import __version__
from strata.analysis.concepts import ConceptTokens, concept_maps
from strata.analysis.labels import Labels, TextTokens, check_words
from strata.analysis.plain_prompt import PlainPrompt
from strata.analysis.probe import BASE, Facts, Probe
from strata.analysis.questions import Questions
from strata.analysis.selection import ProbeSelection, Selection, chosen_steps
from strata.analysis.sums import AreaShares, Sums
from strata.hierarchy.errors import InputError, StrataError
from strata.hierarchy.grid import token_grid
from strata.injection.attach import Attachment, attached
from strata.injection.checks import check_pipeline, check_transformer
from strata.injection.errors import UnsupportedError
from strata.injection.facts import ModelFacts
from strata.injection.families import facts_of
from strata.injection.families.base import Canvas, Family
from strata.injection.intercept import is_compiled
from strata.injection.methods.plain import PlainRun
from strata.injection.observer import AttentionEvent, Observer
from strata.injection.pipeline import RegionalPipeline
from strata.injection.program import Program

SAMPLED = 64
"""Image tokens at most whose attention's entropy is taken, evenly spaced."""
_PROBED = (
    "the transformer is being probed already; end that `with probing(…)` first, and where regions are drawn,"
    " give probing() the RegionalPipeline, not its pipe"
)


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
    prompt: str | None = None,
) -> Iterator[Recorder]:
    """Record one picture's attention.

    Args:
        target: a diffusers pipeline of a known family, or the `RegionalPipeline` that draws.
        words: words or phrases of the texts, to be labelled wherever a text has them, and names of whole texts
            ("base", "left/low"), of which figures are to be drawn.
        concepts: free words for ConceptAttention.
        blocks: `"double 0-3"`, `"double 0,1, single all"`, `"0%-50%"` of depth, or several; None: all.
        steps: `"0-9"`, `"50%-100%"`, [0, 5, 10], …; None: all.
        heads: whose mean is taken, likewise; None: all.
        phases: maps are means over so many equal parts of the probed steps.
        prompt: what a diffusers pipeline will draw, where only its embedding is passed; else it is read back from the
            tokens of the call.

    Yields:
        The recorder; its `result` is there once the picture is drawn. Of several pictures drawn at once the first is
        probed; of a run with true classifier-free guidance, the calls with the prompt.

    Raises:
        InputError: a word is in no text, a selection does not fit, `target` is no such pipeline.
        UnsupportedError: the transformer is compiled, probed already, or in a mode that regional prompting refuses too.

    Example:
        >>> with probing(pipe, words=("red", "circle")) as recorder:
        ...     image = pipe("a red circle", num_inference_steps=20).images[0]
        >>> recorder.result().save("out/probe")
    """
    regional = target if isinstance(target, RegionalPipeline) else None
    pipe = target if regional is None else regional.pipe
    family = _check(pipe)
    if regional is None and not hasattr(pipe, "encode_prompt"):
        raise UnsupportedError(
            f"{type(pipe).__name__} encodes its prompt in a block; probe RegionalPipeline(pipe, method='plain') instead"
        )
    if regional is not None and prompt is not None:
        raise InputError("prompt: comes from the plan; leave it out")
    facts, head_count = facts_of(pipe), pipe.transformer.config.num_attention_heads
    asked = ProbeSelection.of(words, concepts, blocks, steps, heads, phases, facts.block_counts, head_count)
    plain = PlainPrompt(pipe, family, prompt)
    recorder = Recorder(pipe, family, facts, asked, plain)
    with ExitStack() as undo:
        undo.callback(recorder.forget)
        if regional is None:
            undo.enter_context(plain.watching())
            attachment = Attachment(family, PlainRun(), (recorder,), recorder.is_conditional)
            undo.enter_context(attached(pipe.transformer, attachment, _PROBED))
        else:
            regional.observers.append(recorder)
            undo.callback(regional.observers.remove, recorder)
        yield recorder


def _check(pipe: Any) -> Family:
    """The pipeline's family; raises for what cannot be probed."""
    family = check_pipeline(pipe)
    blocks = (block.module for block in family.blocks(pipe.transformer))
    if any(is_compiled(module) for module in (pipe.transformer, *blocks)):
        raise UnsupportedError(
            "the transformer is compiled, and compiled code ignores the hooks that probe it; load it anew, uncompiled"
        )
    check_transformer(pipe.transformer, family)
    return family


class Recorder(Observer):
    """Records one picture; `probing` makes it.

    Args:
        pipe: the pipeline that draws.
        family: of its transformer.
        model: its facts.
        asked: what is to be recorded.
        plain: finds the prompt where no program is drawn.
    """

    def __init__(self, pipe: Any, family: Family, model: ModelFacts, asked: ProbeSelection, plain: PlainPrompt) -> None:
        self.pipe, self.family, self.model, self.asked, self.plain = pipe, family, model, asked, plain
        self.tokenizer = family.tokenizer(pipe)
        if asked.words and not getattr(self.tokenizer, "is_fast", False):
            kind = type(self.tokenizer).__name__
            raise UnsupportedError(f"words: {kind} does not tell where its tokens stand; use a fast tokenizer")
        if plain.given is not None:
            check_words({BASE: plain.given}, asked.words)
        self._concepts: ConceptTokens | None = None
        if asked.concepts:
            with torch.no_grad():
                self._concepts = ConceptTokens(pipe, family, asked.concepts, model.text_length)
        self._program: Program | None = None
        self._lengths: Mapping[str, int] = {}
        self._prompt: str | None = None
        self._call: tuple[Tensor, Tensor] | None = None
        self._canvas = Canvas(0, 0, 0)
        self._base_length = 0
        self._total, self._step, self._ended = 0, -1, 0
        self._chosen: tuple[int, ...] = ()
        self._phase_of: list[int] = []
        self._seen: set[int] = set()
        self._questions: Questions | None = None
        self._sums: Sums | None = None
        self._seconds, self._peak = 0.0, 0

    def __repr__(self) -> str:
        return f"Recorder({type(self.pipe).__name__}, {len(self._seen)} of {len(self._chosen) or '?'} steps)"

    # What is drawn ----------------------------------------------------------------------------------------------------

    def is_conditional(self, text: Tensor) -> bool:
        """Whether a plain pipeline's transformer call is the prompt's: its text embedding is the first call's."""
        timesteps = self.pipe.scheduler.timesteps  # anew for every picture
        if self._call is None:
            self._call = text, timesteps
        if timesteps is not self._call[1]:
            self._refuse_second()
        return text is self._call[0]

    def begin(self, programs: Sequence[Program], texts: Mapping[str, int]) -> None:
        """See `Observer`; called once more in the first step where the pipeline draws another size."""
        if self._ended:
            self._refuse_second()
        program = programs[0]
        streams = {name: stream.text for name, stream in zip(program.stream_names, program.streams, strict=True)}
        check_words({BASE: program.plan.prompt, **streams}, self.asked.words)
        self._program, self._lengths, self._prompt = program, texts, program.plan.prompt

    def begin_step(self, step: int, inputs: Mapping[str, Any]) -> None:
        """See `Observer`."""
        if step <= self._step:
            self._refuse_second()
        if step == 0:
            self._begin(inputs)
        self._step = step
        if self._concepts is not None:
            self._concepts.begin(inputs)

    def end_step(self, step: int) -> None:
        """See `Observer`."""
        self._ended += 1
        if step in self._chosen:
            self._seen.add(step)

    def _refuse_second(self) -> None:
        raise UnsupportedError("this recorder has probed its picture; open another `with probing(…)` for the next")

    def _begin(self, inputs: Mapping[str, Any]) -> None:
        text = self.family.text(inputs)
        if self._program is None:
            self._prompt = self.plain.of(text, exact=bool(self.asked.words))
            if self._prompt is None and self.asked.words:
                raise InputError("words: cannot be found where prompt_embeds stand in for the prompt")
            check_words({BASE: self._prompt or ""}, self.asked.words)
        self._total = int(self.pipe.num_timesteps)
        self._chosen = chosen_steps(self.asked.steps, self._total)
        parts = np.array_split(np.arange(len(self._chosen)), min(self.asked.phases, len(self._chosen)))
        self._phase_of = [phase for phase, part in enumerate(parts) for _ in part]
        self._canvas, self._base_length = self.family.canvas(inputs), text.shape[1]

    def forget(self) -> None:
        """Drop what only a running call needs."""
        self._questions = self._call = None

    # What is asked of each block --------------------------------------------------------------------------------------

    def watches(self, block: int) -> bool:
        """See `Observer`; concepts pass every block up to the last that is probed."""
        if self._step not in self._chosen:
            return False
        return block in self.asked.blocks or (self._concepts is not None and block < max(self.asked.blocks))

    def attention(self, event: AttentionEvent) -> None:
        """See `Observer`."""
        begin = time.perf_counter()
        questions, sums = self._questions_and_sums(event.q_BLHD.device)
        at, index = self._chosen.index(self._step), event.block.index
        block = self.asked.blocks.index(index) if index in self.asked.blocks else None
        if block is not None:
            q, k = self._picked(event.q_BLHD[:1]), self._picked(event.k_BLHD[:1])
            sums.add(at, block, questions.ask(event, q, k))
        if self._concepts is not None:
            kind = questions.kind(event)
            k, v = (x[:1, slice(*kind.image)] for x in (event.k_BLHD, event.v_BLHD))
            concepts_1KHD = self._concepts.step(event.block, event.temb[:1], k, v)
            if block is not None:
                canvas_1NHD = event.out_BLHD[:1, slice(*kind.canvas)]
                maps_KN = concept_maps(self._picked(canvas_1NHD)[0], self._picked(concepts_1KHD)[0])
                sums.add_concepts(at, block, maps_KN if event.inverse is None else maps_KN[:, event.inverse])
        self._peak = max(self._peak, questions.buffers(event))
        self._seconds += time.perf_counter() - begin

    def _picked(self, x_BLHD: Tensor) -> Tensor:
        """The chosen heads."""
        return x_BLHD if self.asked.heads is None else x_BLHD[:, :, list(self.asked.heads)]

    def _questions_and_sums(self, device: torch.device) -> tuple[Questions, Sums]:
        """What can be known once the first probed block is reached."""
        if self._questions is None or self._sums is None:
            texts = [TextTokens(BASE, None, None, self._prompt, self._base_length)]
            grid, (rows, cols) = None, self._canvas[:2]
            if self._program is not None:
                grid = token_grid(self._program.plan, rows, cols)
                for name, stream in zip(self._program.stream_names, self._program.streams, strict=True):
                    texts.append(TextTokens(name, stream.area, stream.level, stream.text, self._lengths[stream.text]))
            labels, tokens = Labels.of(texts, self.asked.words, self.tokenizer), rows * cols
            areas = AreaShares(grid, tokens, texts, labels, device)
            self._questions = Questions(labels, tokens, SAMPLED, device)
            blocks, concepts = len(self.asked.blocks), len(self.asked.concepts)
            self._sums = Sums(self._phase_of, blocks, tokens, labels, concepts, areas, device)
        return self._questions, self._sums

    # The result -------------------------------------------------------------------------------------------------------

    def result(self, model: str | None = None, seed: int | None = None) -> Probe:
        """The probe of the picture drawn.

        Args:
            model: what to call the model; None: the pipeline's class and block counts.
            seed: of the picture, to be kept among the facts.

        Raises:
            StrataError: no picture was drawn to its end.
        """
        sums = self._sums
        if sums is None or len(self._seen) < len(self._chosen):
            drawn = f"{len(self._seen)} of {len(self._chosen)} probed steps were drawn" if self._total else "none began"
            raise StrataError(f"nothing recorded: draw a picture to its end inside `with probing(…)` first ({drawn})")
        rows, cols = self._canvas[:2]
        chosen = np.array(self._chosen)
        ends = [chosen[np.flatnonzero(np.array(self._phase_of) == n)[[0, -1]]] for n in range(max(self._phase_of) + 1)]
        doubles, singles = self.model.block_counts
        facts = Facts(
            strata=__version__,
            model=model or f"{type(self.pipe).__name__} {doubles}+{singles}",
            width=cols * self.model.token_size,
            height=rows * self.model.token_size,
            rows=rows,
            cols=cols,
            steps=self._chosen,
            total_steps=self._total,
            phases=tuple((int(first), int(last)) for first, last in ends),
            blocks=tuple(self.family.blocks(self.pipe.transformer)[index].name for index in self.asked.blocks),
            labels=sums.labels.labels,
            words=sums.labels.words,
            areas=sums.areas.names,
            regions=sums.areas.regions,
            concepts=self.asked.concepts,
            asked=self.asked.words,
            heads=self.asked.heads,
            seed=seed,
            prompt=self._prompt,
            plan=None if self._program is None else json.loads(self._program.plan.to_json()),
            seconds=round(self._seconds, 3),
            bytes=self._peak + sums.bytes,
        )
        return Probe(facts, **sums.arrays(rows, cols))
