"""Pipelines of the same parts, and input pictures in the size that they are drawn in."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from strata.hierarchy.errors import SettingError
from strata.hierarchy.plan import ScenePlan
from strata.injection.families import Family

if TYPE_CHECKING:
    from PIL import Image


def of_the_same_parts(pipe: Any, name: str) -> Any:
    """Diffusers' pipeline of this class name, of a pipeline's parts and configuration."""
    import diffusers

    kind, parts = getattr(diffusers, name), pipe.components
    takes = inspect.signature(kind).parameters
    own = {key: value for key, value in pipe.config.items() if key in takes and key not in parts}
    return kind(**parts, **own)


def sized_for(pipe: Any, family: Family, picture: Image.Image, plan: ScenePlan) -> Image.Image:
    """An input picture, in the plan's size where the pipeline would draw in the picture's.

    Raises:
        SettingError: the pipeline cannot draw a picture of that size.
    """
    kind = type(pipe).__name__
    most = family.sized_by_picture.get(kind)
    if most is None:
        return picture
    if plan.width * plan.height > most:
        raise SettingError(f"<image>: {plan.width}x{plan.height}: {kind} draws at most {most} pixels")
    return picture.resize((plan.width, plan.height))
