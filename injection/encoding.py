"""Encoded texts: kept across the calls on one pipeline, and as an object that can be saved.

A plan that was encoded on one machine can be drawn on another that has no room for the text encoders.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.files import write_atomic
from strata.injection.calling import PipelineCall
from strata.injection.cut_texts import diffusers_silent
from strata.injection.families import Family

CAPACITY = 256
"""Texts kept at most (of T5-XXL, a text of 64 tokens takes 0.5 MiB in bfloat16, a padded one of 512 tokens 4 MiB)."""


@dataclass(frozen=True, eq=False)
class EncodedPlan:
    """A plan's texts, encoded; `RegionalPipeline.encode` makes it.

    Attributes:
        family: of the model that they are for.
        said: what was encoded beside the streams' texts: prompt, prompt_2, negative_prompt, negative_prompt_2 (None:
            none was asked for) and pad (the routing's).
        inputs: the base prompt, and the negative one where there is one, as the pipeline's call takes them: tensors of
            one row each.
        texts: the embedding `[1, L, C]` of each of the streams' texts.
        starts: of each, its first token's position within the padded text.
    """

    family: str
    said: Mapping[str, str | None]
    inputs: Mapping[str, Tensor]
    texts: Mapping[str, Tensor]
    starts: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"EncodedPlan({self.family}, {self.said.get('prompt')!r}, {len(self.texts)} texts)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `.safetensors` file, whole or not at all. Raises `InputError`."""
        tensors = {f"input:{name}": value for name, value in self.inputs.items()}
        tensors |= {f"text:{n}": value for n, value in enumerate(self.texts.values())}
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        starts = [self.starts.get(text, 0) for text in self.texts]
        facts = {"family": self.family, "said": dict(self.said), "texts": list(self.texts), "starts": starts}
        write_atomic(path, save(plain, {"strata": json.dumps(facts)}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote. Raises `InputError` where that cannot be done."""
        try:
            with open(path, "rb"):  # safetensors tells of any file that it may not open that there is none
                pass
            with safe_open(os.fspath(path), framework="pt") as file:
                facts = json.loads(file.metadata()["strata"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            inputs = {name.removeprefix("input:"): t for name, t in tensors.items() if name.startswith("input:")}
            texts = {str(text): tensors[f"text:{n}"] for n, text in enumerate(facts["texts"])}
            starts = dict(zip(texts, map(int, facts.get("starts") or [0] * len(texts)), strict=True))
            said = {str(name): None if text is None else str(text) for name, text in facts["said"].items()}
            return cls(str(facts["family"]), said, inputs, texts, starts)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
        except (SafetensorError, ValueError, LookupError, TypeError) as error:
            raise InputError(f"{path}: holds no encoded plan, or is damaged: {error}") from error

    def check(self, family: str, said: Mapping[str, str | None], texts: Iterable[str]) -> None:
        """Raise `InputError` unless it holds these texts for this family."""
        if self.family != family:
            raise InputError(f"encoded: is for the family {quote(self.family)}, the pipeline's is {quote(family)}")
        for name, text in said.items():
            own = self.said.get(name)
            if own != text:
                had, needed = (("none" if value is None else quote(value)) for value in (own, text))
                raise InputError(f"encoded: is of {name} {had}, what is drawn has {needed}; encode the plan anew")
        for text in texts:
            if text not in self.texts:
                raise InputError(f"encoded: lacks the text {quote(text)}; encode the plan anew, with this routing")


def seen(family: Family, embeds_BLC: Tensor, heard: Sequence[int], padded: bool) -> tuple[Tensor, int]:
    """A stream's text, with its padding or of the tokens that the model is to see, and its first token's position."""
    if padded and not family.masks_padding:
        return embeds_BLC, 0
    return embeds_BLC[:, list(heard)], next(iter(heard), 0)


class TextCache:
    """A bounded cache of the prompts and texts that a pipeline's call encodes.

    Nothing is kept while a text encoder has LoRA adapters. Weights changed in place (a LoRA fused into a text encoder)
    go unnoticed: `clear` then.
    """

    def __init__(self, call: PipelineCall, family: Family) -> None:
        self.call, self.pipe, self.family = call, call.pipe, family
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def clear(self) -> None:
        """Forget all texts; needed after the weights of a text encoder were changed in place."""
        self._kept.clear()

    def check(self) -> None:
        """Raise `InputError` where the pipeline's text encoders are not loaded."""
        if any(part is None for part in (self.family.tokenizer(self.pipe), *self.family.text_encoders(self.pipe))):
            raise InputError(
                "encoded: the pipeline's text encoders are not loaded; give the texts encoded"
                " (RegionalPipeline.encode on a pipeline that has them; EncodedPlan.save and load carry them over)"
            )

    def prompt(self, prompt: str, prompt_2: str | None, max_length: int, scale: float | None) -> Mapping[str, Tensor]:
        """A base prompt as keyword arguments of the pipeline's call, tensors of one row."""
        key = ("prompt", prompt, prompt_2, max_length, scale)
        found: Mapping[str, Tensor] = self._remember(key, lambda: self.call.encode(prompt, prompt_2, max_length, scale))
        return found

    def stream(self, text: str, max_length: int, padded: bool, scale: float | None) -> tuple[Tensor, int]:
        """The embedding `[1, L, C]` of one text, and its first token's position within the padded text.

        Without `padded`, it is of the tokens alone that the model is to see.
        Texts are encoded one by one, so that a text's embedding does not depend on the others of the call.
        """
        key = ("stream", text, max_length, scale, padded)
        found: tuple[Tensor, int] = self._remember(key, lambda: self._encode(text, max_length, scale, padded))
        return found

    def _encode(self, text: str, max_length: int, scale: float | None, padded: bool) -> tuple[Tensor, int]:
        """What `stream` returns; of a part of a text's tokens, a copy, so that the padding's memory is free."""
        encoded = self.call.encode(text, None, max_length, scale)
        heard = self.family.heard(self.pipe, text, encoded, max_length)
        return seen(self.family, encoded["prompt_embeds"], heard, padded)

    def _state(self) -> tuple[Any, ...] | None:
        """What beside the text decides an embedding; None with LoRA adapters in an encoder, whose scales may change."""
        encoders = self.family.text_encoders(self.pipe)
        if any(getattr(encoder, "peft_config", None) for encoder in encoders):
            return None
        return tuple((id(encoder), getattr(encoder, "dtype", None)) for encoder in encoders)

    @torch.no_grad()
    def _remember(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        self.check()
        state = self._state()
        if state is None:
            with diffusers_silent(self.call.encoder):
                return make()
        key = (*key, state)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with diffusers_silent(self.call.encoder):
            value = self._kept[key] = make()
        while len(self._kept) > CAPACITY:
            self._kept.popitem(last=False)
        return value
