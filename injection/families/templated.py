"""What families have in common whose texts are a language model's states of a text within a fixed template."""

from __future__ import annotations

from typing import Any

from strata.injection.families.flux import Flux


class Templated(Flux):
    """A family with one text encoder, whose tokenizer `templated` makes."""

    with_picture = ("", "", "")
    optional_picture = ()
    of_blocks = False

    def tokenizer(self, pipe: Any) -> Any:
        """The language model's."""
        found = getattr(pipe, "tokenizer", None)
        return None if found is None else self.templated(found, type(pipe).__name__)

    def pooled_tokenizer(self, pipe: Any) -> Any:
        """None: there is no CLIP."""
        return None

    def text_encoders(self, pipe: Any) -> tuple[Any, ...]:
        """The language model."""
        return (getattr(pipe, "text_encoder", None),)
