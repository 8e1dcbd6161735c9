"""What a probe of a run found: where each text and word acts, and what each area attends to, by block and step.

A `Probe` is two files: `probe.safetensors` holds the arrays, `probe.json` the facts that give their axes a meaning.
`strata.analysis.recorder` makes one; `Probe.load("out/probe")` reads one back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.numpy import save as to_bytes

from strata.hierarchy.errors import InputError, quote, reason_of
from strata.hierarchy.file_model import Int, StrictModel
from strata.hierarchy.files import read_document, write_atomic
from strata.hierarchy.validation import validate

Values = NDArray[np.float32]

SHARES = ("own", "others", "global", "base", "image")
"""Last axis of `Probe.shares`: what an area's attention goes to. They sum to one."""
BASE = "base"
"""What the base prompt is called as a text."""
CANVAS = "canvas"
"""The only area of a picture without regions."""

_MAPS = ("maps", "words_to_image", "concepts")


class Label(StrictModel):
    """A labelled group of text tokens.

    Attributes:
        kind: `text`: a text without its padding; `padding`: its padding; `word`: a word or phrase within it.
        text: which text: "base", or "AREA/LEVEL" ("left/low"; "left/low 2" where a second one replaces it for a time).
        area: a region's name, "background" or "global"; None for the base prompt.
        level: high, low or full; None for the base prompt.
        word: the word asked for; None for the other kinds.
        quote: the text itself, or the word as it stands there.
    """

    kind: Literal["text", "padding", "word"]
    text: str
    area: str | None = None
    level: str | None = None
    word: str | None = None
    quote: str = ""


class ProbedRegion(StrictModel):
    """A region and its image tokens, flat row-major indices."""

    name: str
    tokens: tuple[Int, ...]


class Facts(StrictModel):
    """What the axes of a probe's arrays mean, and what was probed.

    Attributes:
        strata: version.
        model: what drew.
        width, height: of the picture, in pixels.
        rows, cols: of the canvas, in image tokens.
        steps: the probed steps, ascending, from 0.
        total_steps: of the run.
        phases: first and last step of each phase; maps are means over a phase's probed steps.
        blocks: the probed blocks, `"double 0"`, …, `"single 7"`.
        labels: of `maps`.
        words: of `words_to_image`, as indices into `labels`.
        areas: of `shares`: the regions, and "background" where it has tokens; only "canvas" without regions.
        regions: their image tokens.
        concepts: of `Probe.concepts`.
        asked: the words and the names of whole texts that were asked for.
        heads: the attention heads that were averaged; None for all.
        seed, prompt, plan: of the run, where known; the plan as its file has it.
        seconds: spent by the probe itself, which the run without it would not have taken.
        bytes: peak of the probe's own buffers.
    """

    format: Literal[1] = 1
    strata: str
    model: str
    width: Int
    height: Int
    rows: Int
    cols: Int
    steps: tuple[Int, ...]
    total_steps: Int
    phases: tuple[tuple[Int, Int], ...]
    blocks: tuple[str, ...]
    labels: tuple[Label, ...]
    words: tuple[Int, ...] = ()
    areas: tuple[str, ...]
    regions: tuple[ProbedRegion, ...] = ()
    concepts: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    heads: tuple[Int, ...] | None = None
    seed: Int | None = None
    prompt: str | None = None
    plan: dict[str, Any] | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    bytes: Int = 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array."""
        per_block = (len(self.phases), len(self.blocks), self.rows, self.cols)
        return {
            "maps": (len(self.labels), *per_block),
            "words_to_image": (len(self.words), *per_block),
            "concepts": (len(self.concepts), *per_block),
            "shares": (len(self.steps), len(self.blocks), len(self.areas), len(SHARES)),
            "entropy": (len(self.steps), len(self.blocks)),
        }

    def mask(self, tokens: Sequence[int]) -> NDArray[np.bool_]:
        """`bool[rows, cols]`: these image tokens on the canvas."""
        mask = np.zeros(self.rows * self.cols, dtype=np.bool_)
        mask[list(tokens)] = True
        return mask.reshape(self.rows, self.cols)

    def block(self, name: str) -> int:
        """The index of a probed block. Raises `InputError`."""
        if name not in self.blocks:
            raise InputError(f"block {quote(name)}: was not probed; valid: {', '.join(self.blocks)}")
        return self.blocks.index(name)

    def labelled(self, name: str, text: str | None = None) -> list[int]:
        """Indices of the labels that a name means: a word, in one text or in all that have it, or a whole text.

        Args:
            name: a word as it was asked for, else a text: "base", "left/low", …
            text: only the word in this text.

        Raises:
            InputError: nothing of that name was probed; names what was.
        """
        word = [n for n, label in enumerate(self.labels) if label.word == name]
        whole = [n for n, label in enumerate(self.labels) if label.kind == "text" and label.text == name]
        if not word and not whole:
            words = ", ".join(dict.fromkeys(label.word for label in self.labels if label.word is not None))
            texts = ", ".join(label.text for label in self.labels if label.kind == "text")
            raise InputError(f"map {quote(name)}: was not probed; valid words: {words or 'none'}; texts: {texts}")
        if text is None:
            return word or whole
        found = [n for n in word if self.labels[n].text == text]
        if not word:
            raise InputError(f"text {quote(text)}: {quote(name)} is a whole text itself; leave one of them out")
        if not found:
            valid = ", ".join(self.labels[n].text for n in word)
            raise InputError(f"text {quote(text)}: there is none such of the word {quote(name)}; valid: {valid}")
        return found

    def word_rows(self, word: str, text: str | None = None) -> list[int]:
        """Indices of a word's rows in `Probe.words_to_image`, in one text or in all. Raises `InputError`."""
        known = dict.fromkeys(self.labels[n].word for n in self.words)
        if word not in known:
            raise InputError(f"word {quote(word)}: was not probed; valid: {', '.join(map(str, known)) or 'none'}")
        return [self.words.index(label) for label in self.labelled(word, text)]

    def check_phase(self, phase: int | None) -> None:
        """Raises `InputError` for the index of a phase that there is not."""
        if phase is not None and not 0 <= phase < len(self.phases):
            raise InputError(f"phase {phase}: there are {len(self.phases)}; valid: 0-{len(self.phases) - 1}")


@dataclass(frozen=True, eq=False)
class Probe:
    """The arrays of a probe, float32; what their axes mean is in `facts`.

    Attributes:
        facts: see `Facts`.
        maps: `[labels, phases, blocks, rows, cols]`, share of each image token's attention that goes to a label, mean
            over heads and the phase's steps.
        words_to_image: `[words, phases, blocks, rows, cols]`, attention of a word's tokens to each image token, mean
            over its tokens, heads and steps. Sums to at most one over the canvas: the rest goes to text.
        shares: `[steps, blocks, areas, 5]`, mean over an area's tokens of the attention that goes to `SHARES`: texts of
            the token's own regions, of other regions, global texts, the base prompt, the image.
        entropy: `[steps, blocks]`, of image tokens' attention, in nats; mean over evenly spaced tokens and heads.
        concepts: `[concepts, phases, blocks, rows, cols]`, ConceptAttention's maps (arXiv 2502.04320); they sum to one
            over the concepts.
    """

    facts: Facts
    maps: Values
    words_to_image: Values
    shares: Values
    entropy: Values
    concepts: Values

    def __post_init__(self) -> None:
        for name, shape in self.facts.shapes().items():
            if getattr(self, name).shape != shape:
                raise InputError(f"probe: {name} is {list(getattr(self, name).shape)}, must be {list(shape)}")

    def map(self, name: str, text: str | None = None, block: str | None = None, phase: int | None = None) -> Values:
        """The image→text map `[rows, cols]` of a word, in one text or summed over all, or of all tokens of a text.

        Args:
            name: a word as it was asked for, or a text: "base", "left/low", …
            text: of a word: only in this text.
            block: "double 0", …; None: mean over the probed blocks.
            phase: index; None: mean over the phases.

        Raises:
            InputError: nothing of that name was probed; names what was.
        """
        return self._mean(self.maps[self.facts.labelled(name, text)].sum(0), block, phase)

    def word_to_image(
        self, word: str, text: str | None = None, block: str | None = None, phase: int | None = None
    ) -> Values:
        """The text→image map `[rows, cols]` of a word, in one text or the mean over all. As `map` else."""
        return self._mean(self.words_to_image[self.facts.word_rows(word, text)].mean(0), block, phase)

    def concept(self, concept: str, block: str | None = None, phase: int | None = None) -> Values:
        """The map `[rows, cols]` of a concept. As `map` else."""
        names = self.facts.concepts
        if concept not in names:
            raise InputError(f"concept {quote(concept)}: was not probed; valid: {', '.join(names) or 'none'}")
        return self._mean(self.concepts[names.index(concept)], block, phase)

    def _mean(self, values: Values, block: str | None, phase: int | None) -> Values:
        """`[phases, blocks, rows, cols]` to `[rows, cols]`."""
        self.facts.check_phase(phase)
        picked = values if phase is None else values[phase : phase + 1]
        if block is not None:
            picked = picked[:, [self.facts.block(block)]]
        mean: Values = picked.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        return mean

    def save(self, path: str | os.PathLike[str]) -> tuple[Path, Path]:
        """Write PATH.safetensors (maps in half precision) and PATH.json, each whole or not at all; returns both.

        Raises:
            InputError: they cannot be written.
        """
        arrays, facts = _paths(path)
        halves = {name: np.ascontiguousarray(getattr(self, name), np.float16) for name in _MAPS}
        exact = {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in ("shares", "entropy")}
        write_atomic(arrays, to_bytes({**halves, **exact}))
        write_atomic(facts, self.facts.model_dump_json(indent=1) + "\n")
        return arrays, facts

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; `path` may also be one of the two files, or the folder of `strata probe`.

        Raises:
            InputError: a file is missing or damaged, or the two do not belong together.
        """
        arrays, facts = _paths(Path(path) / "probe" if Path(path).is_dir() else path)
        described = validate(Facts, read_document(facts))
        try:
            found: Mapping[str, NDArray[Any]] = load_file(arrays)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{arrays}: cannot be read: {reason_of(error)}") from error
        for name, shape in described.shapes().items():
            if name not in found or found[name].shape != shape:
                raise InputError(f"{arrays}: does not belong to {facts}: {name} must be {list(shape)}")
        return cls(described, **{name: found[name].astype(np.float32) for name in described.shapes()})


def _paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    base = Path(path)
    if base.suffix in (".safetensors", ".json"):
        base = base.with_suffix("")
    return base.with_name(f"{base.name}.safetensors"), base.with_name(f"{base.name}.json")
