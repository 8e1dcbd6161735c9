"""ControlNets confined to areas of a plan.

A ControlNet's residuals are added to image tokens behind the transformer's blocks (Zhang et al., arXiv 2302.05543).
Confined, they are multiplied by 1 at the tokens of an area and by 0 elsewhere, each ControlNet's before all are summed:
outside, the first residual is that of no control, and what is drawn there changes only by what attends to the area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan

EVERYWHERE, BACKGROUND = "global", "background"
ControlRegions = str | Sequence[str | None] | None
"""An area, or one (or None: everywhere) for each ControlNet."""


def controlled_areas(regions: ControlRegions) -> list[str]:
    """An area for each ControlNet; none where nothing is confined."""
    if regions is None:
        return []
    if not isinstance(regions, str | list | tuple) or not all(x is None or isinstance(x, str) for x in regions):
        raise InputError(f"control_regions: {regions!r}: must be the name of an area, or one (or None) a ControlNet")
    return [regions] if isinstance(regions, str) else [area or EVERYWHERE for area in regions]


def area_tokens(plan: ScenePlan, area: str, token_size: int) -> Tensor:
    """bool `[tokens]`, row by row: the canvas tokens of a region, of "background" or of "global".

    Raises:
        InputError: there is no such area, or nothing of it; names those there are.
    """
    rows, cols = plan.height // token_size, plan.width // token_size
    grid = token_grid(plan, rows, cols)
    if area == EVERYWHERE:
        return torch.ones(rows * cols, dtype=torch.bool)
    known = [*grid.names, *([BACKGROUND] if grid.background.any() else [])]
    if area not in known:
        why = "the regions leave nothing of it" if area == BACKGROUND else "the plan has no such region"
        raise InputError(f"{quote(area)}: {why}; valid: {', '.join([*known, EVERYWHERE])}")
    return torch.from_numpy(grid.area(area).reshape(-1).copy())


def check_confined(
    pipe: Any, plan: ScenePlan, regions: ControlRegions, options: Mapping[str, Any], token_size: int
) -> None:
    """Raise `InputError` for areas that are not the plan's, or not one for each of the call's ControlNets."""
    areas = controlled_areas(regions)
    if not areas:
        return
    net = getattr(pipe, "controlnet", None)
    if net is None:
        raise InputError(f"control_regions: {type(pipe).__name__} has no ControlNet")
    pictures = options.get("control_image")
    count = len(pictures) if hasattr(net, "nets") and isinstance(pictures, list | tuple) else 1
    if len(areas) != count:
        raise InputError(f"control_regions: {len(areas)} areas for {count} control pictures; give one for each")
    for area in areas:
        try:
            area_tokens(plan, area, token_size)
        except InputError as error:
            raise InputError(f"control_regions: {error}") from error


@contextmanager
def confined(pipe: Any, plans: Sequence[ScenePlan], regions: ControlRegions, token_size: int) -> Iterator[None]:
    """While the context lasts, what the pipeline's ControlNets add is confined to their areas of the plans.

    Args:
        pipe: with a ControlNet, or several in one model (`nets`), of which one may serve several pictures.
        plans: of one batch; each has its own areas by these names.
        regions: checked.
        token_size: pixels of an image token's side.
    """
    masks = [
        None if area == EVERYWHERE else torch.stack([area_tokens(plan, area, token_size) for plan in plans])[..., None]
        for area in controlled_areas(regions)
    ]
    if not any(mask is not None for mask in masks):
        yield
        return
    net, number = pipe.controlnet, 0

    def begin(*_: Any) -> None:
        nonlocal number
        number = 0

    def confine(_module: Any, _args: Any, output: Any) -> Any:
        nonlocal number
        mask = masks[number]
        number += 1
        return output if mask is None else _mapped(output, lambda sample: _gated(sample, mask))

    with ExitStack() as undo:
        undo.callback(net.register_forward_pre_hook(begin).remove)
        for each in dict.fromkeys(getattr(net, "nets", [net])):  # one that stands there twice is called twice
            undo.callback(each.register_forward_hook(confine).remove)
        yield


def _gated(sample_BLC: Tensor, mask_PL1: Tensor) -> Tensor:
    """A residual with zeros outside the plans' areas; rows are pictures, plan by plan."""
    return sample_BLC * mask_PL1.repeat_interleave(len(sample_BLC) // len(mask_PL1), 0).to(sample_BLC)


def _mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A ControlNet's output, tuples, lists and diffusers' dictionaries of residuals, with each residual changed."""
    if output is None:
        return None
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        return type(output)(**{name: _mapped(value, change) for name, value in output.items()})
    return type(output)(_mapped(value, change) for value in output)
