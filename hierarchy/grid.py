"""Pixels to image tokens: which token belongs to which regions.

A FLUX transformer sees a canvas as `rows` x `cols` image tokens. Two ways to decide which of them a region holds:

- `nearest`: the token's middle pixel decides (torch's `nearest-exact`, as Regional-Prompting-FLUX does it).
- `coverage`: a token belongs to a region that covers at least half of it. A shape too thin to cover half of any token
  keeps the tokens that it covers at least half as much as the one it covers most, so that lines stay connected.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strata.hierarchy.areas import region_mask
from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.splitting import cropped, divided

_ROUNDING = 1e-9  # what a share may be off by


@dataclass(frozen=True, eq=False)
class Atom:
    """The image tokens that share one set of regions."""

    members: tuple[int, ...]
    """Indices of the regions, ascending; empty for the background."""
    tokens: NDArray[np.int64]
    """`[n]` flat row-major token indices, ascending, n >= 1."""


@dataclass(frozen=True, eq=False)
class TokenGrid:
    """A plan's regions on a grid of image tokens, overlap policy applied."""

    rows: int
    cols: int
    names: tuple[str, ...]
    """The R regions' names, in the plan's order."""
    masks: NDArray[np.bool_]
    """`[R, rows, cols]`: the tokens of each region, at least one each."""
    background: NDArray[np.bool_]
    """`[rows, cols]`: the tokens of no region."""

    def area(self, name: str) -> NDArray[np.bool_]:
        """`[rows, cols]`: the tokens of the region of this name, or of `"background"`."""
        return self.background if name == "background" else self.masks[self.names.index(name)]

    def region_tokens(self, index: int) -> NDArray[np.int64]:
        """`[n]` flat row-major indices of one region's tokens, ascending."""
        return np.flatnonzero(self.masks[index])

    def atoms(self) -> tuple[Atom, ...]:
        """The partition of the grid by sets of regions.

        Every token is in exactly one atom and no atom is empty. Ordered by `members`, so that the background, where
        there is any, comes first.
        """
        held = np.concatenate([self.background[None], self.masks]).reshape(len(self.names) + 1, -1)
        sets, of_token = np.unique(held.T, axis=0, return_inverse=True)
        of_token = of_token.reshape(-1)
        atoms = [
            Atom(tuple(np.flatnonzero(regions[1:]).tolist()), np.flatnonzero(of_token == index))
            for index, regions in enumerate(sets)
        ]
        return tuple(sorted(atoms, key=lambda atom: atom.members))


def token_grid(plan: ScenePlan, rows: int, cols: int) -> TokenGrid:
    """Lays a plan's regions on `rows` x `cols` image tokens.

    Raises:
        InputError: a region holds no token (the message says how large it must be, or which regions took its tokens),
            or its mask file cannot be used.
    """
    if rows < 1 or cols < 1:
        raise InputError(f"token grid {rows}x{cols}: needs at least one row and one column")
    masks = np.zeros((len(plan.regions), rows, cols), dtype=np.bool_)
    for index in range(len(plan.regions)):
        masks[index] = tokens_of_region(plan, index, rows, cols)
    if plan.overlap == "priority":
        masks = _by_priority(plan, masks)
    elif plan.overlap == "split":
        masks = _split(masks)
    background: NDArray[np.bool_] = np.logical_not(masks.any(axis=0))
    masks.setflags(write=False)
    background.setflags(write=False)
    return TokenGrid(rows, cols, tuple(region.name for region in plan.regions), masks, background)


def tokens_of_region(plan: ScenePlan, index: int, rows: int, cols: int) -> NDArray[np.bool_]:
    """bool `[rows, cols]`: the tokens that one region covers, whatever overlaps it; at least one.

    Raises:
        InputError: it holds no token, or its mask file cannot be used.
    """
    pixels = region_mask(plan, index)
    found = (nearest_tokens if plan.grid == "nearest" else covered_tokens)(pixels, rows, cols)
    if not found.any():
        raise plan.error(("regions", index), _too_small(plan, index, pixels, rows, cols))
    return found


def nearest_tokens(pixels: NDArray[np.bool_], rows: int, cols: int) -> NDArray[np.bool_]:
    """bool `[H, W]` to bool `[rows, cols]` by the pixel in the middle of each token."""
    height, width = pixels.shape
    return pixels[np.ix_(_middle_pixels(height, rows), _middle_pixels(width, cols))]


def _middle_pixels(pixels: int, tokens: int) -> NDArray[np.int64]:
    """floor((i + 0.5) * pixels / tokens), rounded in float32 as torch's `nearest-exact` does."""
    middles = (np.arange(tokens, dtype=np.float32) + np.float32(0.5)) * np.float32(pixels / tokens)
    indices: NDArray[np.int64] = np.floor(middles).astype(np.int64)
    return indices


def covered_tokens(pixels: NDArray[np.bool_], rows: int, cols: int) -> NDArray[np.bool_]:
    """bool `[H, W]` to bool `[rows, cols]` by the covered share of each token's rectangle; see the module's text."""
    share = _means(_means(pixels, rows).T, cols).T
    most = float(share.max())
    enough = 0.5 if most >= 0.5 - _ROUNDING else most / 2
    return (share >= enough - _ROUNDING) & (share > _ROUNDING)


def _means(values: NDArray[np.bool_] | NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Means over `count` equal parts of the first axis, `[n, m]` to `[count, m]`; parts may cut through elements."""
    size = values.shape[0]
    sums = np.zeros((size + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    cuts = np.arange(count + 1) * size / count
    whole = np.minimum(cuts.astype(np.int64), size - 1)
    up_to = sums[whole] + (cuts - whole)[:, None] * (sums[whole + 1] - sums[whole])
    means: NDArray[np.float64] = np.diff(up_to, axis=0) * (count / size)
    return means


def _by_priority(plan: ScenePlan, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leaves every token to its region of highest priority; of equals, to the later in the list."""
    kept = np.zeros_like(masks)
    free = np.ones(masks.shape[1:], dtype=np.bool_)
    order = sorted(range(len(masks)), key=lambda index: (plan.regions[index].priority, index), reverse=True)
    for position, index in enumerate(order):
        kept[index] = masks[index] & free
        if not kept[index].any():
            winners = [plan.regions[other].name for other in order[:position] if (masks[other] & masks[index]).any()]
            raise plan.error(("regions", index), _all_lost(plan.regions[index].name, winners))
        free &= ~masks[index]
    return kept


def _split(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """See `splitting`."""
    kept = np.zeros_like(masks)
    for index, (place, mask) in enumerate(divided([cropped(mask) for mask in masks], *masks.shape[1:])):
        kept[index][place] = mask
    return kept


def _all_lost(name: str, winners: Sequence[str]) -> str:
    by = ", ".join(f"'{winner}'" for winner in winners)
    return (
        f"region '{name}' loses all its tokens to {by} (overlap: priority); "
        "give it a higher priority, move it, or use overlap: union"
    )


def _too_small(plan: ScenePlan, index: int, pixels: NDArray[np.bool_], rows: int, cols: int) -> str:
    region = plan.regions[index]
    ys, xs = np.nonzero(pixels)
    token = f"{_pixels(plan.width / cols)}x{_pixels(plan.height / rows)}"
    if len(ys) == 0:
        why = f"no pixel reaches mask_threshold {region.mask_threshold:g}" if region.mask else "it covers no pixel"
        return f"region '{region.name}' is empty: {why}; it must hold at least one token ({token} pixels)"
    spans = f"{np.ptp(xs) + 1}x{np.ptp(ys) + 1}"
    return (
        f"region '{region.name}' holds no image token: it spans {spans} pixels where a token is {token}; "
        f"make it at least {token} pixels, or use grid: coverage"
    )


def _pixels(size: float) -> str:
    return f"{size:.4g}"
