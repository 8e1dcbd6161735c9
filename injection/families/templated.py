"""What families have in common that have one text encoder."""

from __future__ import annotations

from typing import Any, ClassVar

from strata.injection.families.flux import Flux


class Templated(Flux):
    """A family with one text encoder, whose tokenizer `templated` makes."""

    confines_loras = False
    with_picture = with_control = ("", "", "")
    optional_picture: ClassVar[tuple[str, ...]] = ()

    def tokenizer(self, pipe: Any) -> Any:
        """The encoder's."""
        found = getattr(pipe, "tokenizer", None)
        return None if found is None else self.templated(found, type(pipe).__name__)

    def pooled_tokenizer(self, pipe: Any) -> Any:
        """None: there is no CLIP."""
        return None

    def text_encoders(self, pipe: Any) -> tuple[Any, ...]:
        """The one."""
        return (getattr(pipe, "text_encoder", None),)
