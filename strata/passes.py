"""A repainted picture in passes: it is drawn as it was, and then again with another plan where one region is.

Behind every step of a later pass, the latents outside the region's tokens become those that the pass before had there;
so does the noise that it begins with. Its pixels are taken where the region is, and one token around; all others stay.
One way for all families and methods: latents are image tokens in raster order, and those of references and controls are
not among them. What a drawing keeps (`Drawn`), the next pass goes on from, and nothing is drawn twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.repaint import grown, repainted_area, repainted_tokens

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from strata.injection.families import Family
    from strata.job import Job
    from strata.record import Repaint


@dataclass(frozen=True, eq=False)
class _Area:
    """Where a pass draws anew."""

    tokens: Tensor
    """bool `[1, L, 1]`"""
    pixels: Any
    """bool `[H, W, 1]`: with the seam around."""
    seed: int | None
    """Of its new noise."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture as it was drawn, which repainting goes on from.

    Attributes:
        seed: of its noise.
        repaints: those that it had.
        latents: its noise and its latents behind every step, `[1, L, C]` each.
        image: the picture.
    """

    seed: int
    repaints: tuple[Repaint, ...]
    latents: tuple[Tensor, ...]
    image: Image.Image


class Passes:
    """The passes of one picture: the first draws it, each other one repaints a region or several.

    Args:
        job: the picture's.
        family: of the model.
        token: pixels that an image token covers, along each side.
        seed: of the picture's noise; None: the job's.
        after: the picture before the last of the job's repaints, or before some of them; None: it is drawn first.
        keep: the picture may be gone on from, see `drawn`.

    Attributes:
        job: the picture's.
        plans: what each pass draws.
        apart: grey levels that the picture to be repainted, as it was drawn again, differs from the one that is there
            at most; None where none is.
    """

    def __init__(
        self,
        job: Job,
        family: Family,
        token: int,
        seed: int | None = None,
        *,
        after: Drawn | None = None,
        keep: bool = False,
    ) -> None:
        self.job = job
        self._family, self._keep = family, keep
        self._seed = job.seed if seed is None else seed
        self._first = 0 if after is None else self._passes_of(after)
        self.plans: tuple[ScenePlan, ...] = job.plans[self._first :]
        self.apart: int | None = None
        self._rows, self._cols = job.plan.height // token, job.plan.width // token
        self._areas = [self._area(number, token) for number in range(len(job.repaints))]
        self._now: list[Tensor] = [] if after is None else [*after.latents]
        """The noise of the pass, and its latents behind every step so far."""
        self._then: list[Tensor] = []
        """All of the pass before."""
        self._image: Image.Image | None = None if after is None else after.image
        self._number = self._first - 1

    @property
    def watched(self) -> bool:
        """Whether the noise and the latents of the pass that is drawn are kept."""
        return self._keep or bool(self._areas)

    @property
    def drawn(self) -> Drawn | None:
        """The picture as it was drawn, where that is kept and all passes have ended."""
        if not self._keep or self._image is None:
            return None
        return Drawn(self._seed, self.job.repaints, tuple(self._now), self._image)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, in pixels."""
        return self.job.plan.height, self.job.plan.width

    def place(self, number: int, steps: int) -> tuple[int, int]:
        """Which step of the picture, from 1, of how many, is the one with this number, from 0, of a pass of so many."""
        return max(self._number - self._first, 0) * steps + number + 1, len(self.plans) * steps

    def begin(self) -> dict[str, Tensor]:
        """The next pass begins; returns options of the pipeline's call: the noise, unless it is the picture's own."""
        import torch

        self._number += 1
        self._then, self._now = self._now, []
        if not self._number:
            return {}
        area, noise = self._areas[self._number - 1], self._then[0]
        if area.seed is not None:
            fresh = torch.randn(noise.shape, generator=torch.Generator("cpu").manual_seed(area.seed))
            noise = torch.where(area.tokens.to(noise.device), fresh.to(noise), noise)
        self._now.append(noise)
        if not self._family.packed_latents:
            noise = noise.transpose(1, 2).unflatten(2, (self._rows, self._cols))
        return {"latents": noise}

    @contextmanager
    def routed(self, target: Any) -> Iterator[None]:
        """While the context lasts, the `RegionalPipeline` that draws the pass has the pass's routing."""
        repaint = self.job.repaints[self._number - 1] if self._number > 0 else None
        if repaint is None or not repaint.isolated:
            yield
            return
        routing = target.routing
        target.routing = routing.isolating(repaint.regions)
        try:
            yield
        finally:
            target.routing = routing

    def noise(self, latents_BLC: Tensor) -> None:
        """What the pass begins with."""
        if not self._number:
            self._now.append(latents_BLC)

    def step(self, latents_BLC: Tensor) -> Tensor:
        """The latents to go on with behind a step: outside the area, those of the pass before."""
        import torch

        if not self.watched:
            return latents_BLC
        if self._number:
            tokens = self._areas[self._number - 1].tokens.to(latents_BLC.device)
            latents_BLC = torch.where(tokens, latents_BLC, self._then[len(self._now)].to(latents_BLC))
        self._now.append(latents_BLC)
        return latents_BLC

    def end(self, image: Image.Image) -> Image.Image:
        """The picture behind a pass, of what the pass drew.

        Raises:
            InputError: it is not of the canvas's size.
        """
        from PIL import Image as Images

        job = self.job
        if self._areas and image.size != (job.plan.width, job.plan.height):
            drawn = f"{image.width}x{image.height}"
            raise InputError(f"job {job.name}: the pipeline draws {drawn} pixels and not the plan's; no repainting")
        if self._number:
            before, after = np.asarray(self._image), np.asarray(image)
            if job.picture is not None and self._number == len(self._areas):
                drawn_again, before = before.astype(np.int16), np.asarray(job.picture)
                self.apart = int(np.abs(drawn_again - before).max())
            image = Images.fromarray(np.where(self._areas[self._number - 1].pixels, after, before))
        self._image = image
        return image

    def _area(self, number: int, token: int) -> _Area:
        import torch

        repaint, before, after = self.job.repaints[number], *self.job.plans[number : number + 2]
        tokens = repainted_tokens(before, after, repaint.regions, self._rows, self._cols)
        pixels = grown(repainted_area(before, after, repaint.regions), token)
        return _Area(torch.from_numpy(tokens).reshape(1, -1, 1), pixels[..., None], repaint.seed)

    def _passes_of(self, after: Drawn) -> int:
        """How many passes a picture that is gone on from took. Raises `InputError` where it is none of this job's."""
        done, own = len(after.repaints), self.job.repaints
        if after.seed != self._seed or done >= len(own) or own[:done] != after.repaints:
            raise InputError(f"job {self.job.name}: does not repaint the picture that it is to go on from")
        return done + 1
