"""Plans as the structured captions of models that know layouts themselves, and back, by the form's name."""

from __future__ import annotations

from importlib import import_module

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.hierarchy.native import LARGEST_CAPTION, Form, NativeCaption, ReadCaption
from strata.hierarchy.plan import ScenePlan

FORMS = {
    "flux3": "strata.hierarchy.native_flux3",
    "ideogram": "strata.hierarchy.native_ideogram",
    "miniature": "strata.miniature.world.native",
}
"""Where each form is; imported on first use."""

__all__ = ["FORMS", "LARGEST_CAPTION", "NativeCaption", "ReadCaption", "form_named", "native_caption", "read_caption"]


def form_named(name: str) -> Form:
    """The form of this name. Raises `InputError` where there is none."""
    if name not in FORMS:
        raise InputError(f"form {quote(name)}: {did_you_mean(name, list(FORMS))}must be one of {', '.join(FORMS)}")
    form: Form = import_module(FORMS[name]).FORM
    return form


def native_caption(plan: ScenePlan, form: str) -> NativeCaption:
    """A plan as the caption that a model was trained on: its whole prompt.

    Args:
        plan: the plan; its mask files are read, for the boxes around them.
        form: one of `FORMS`.

    Raises:
        InputError: no such form; an area covers no pixel, or its mask file cannot be used; or the form cannot hold
            the plan at all (the miniature's has 1 to 9 regions).
    """
    return form_named(form).caption(plan)


def read_caption(text: str, form: str, width: int, height: int, name: str = "<text>") -> ReadCaption:
    """The plan that a caption describes.

    Args:
        text: the caption, from anywhere.
        form: one of `FORMS`.
        width: of the canvas, in pixels; captions do not tell.
        height: of the canvas, in pixels.
        name: what messages call the text.

    Raises:
        InputError: no such form, or a damaged caption; names line, field, value and what would be valid.
    """
    return form_named(form).read(text, width, height, name)
