"""RPG's regional diffusion: Mastering Text-to-Image Diffusion, arXiv 2401.11708, section 2.3 (and its published code).

At a step in which regions are drawn, the whole canvas passes the transformer once for each region's own text, and once
for the base prompt. From each pass the tokens of its region are taken, put side by side, and blended with the base's:

    output = (1 - β) * concatenated + β * base

with the base ratio β. Any other step is plain.

What differs from the publication, which is about U-Nets:

- The published code crops and blends the outputs of every cross-attention, while self-attention joins the regions in
  each layer. Text and image share one attention here, so a region's text needs a pass of its own, and what passes
  predict is composed, as the paper writes it of latents.
- Its areas are rows and columns that do not overlap. Here a token of several regions gets the mean of their outputs,
  a token of none its background's, and where the plan gives no background text the base's.
- A strength below 1 is new: a region's output counts by it, and what is missing to 1 is the base's.
- The pooled vector, where the model has one, is the base prompt's in all passes, as in the published code.

Of a routing it heeds steps, strength, regions, pad and base ratio; isolation, background and the mode of blending have
no meaning for it, and one that tells blocks apart is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from strata.injection.families.base import with_sample
from strata.injection.methods.base import CACHED, OBSERVERS, SEVERAL, Drawing, Forward, MethodRun
from strata.injection.methods.passes import check_step, compiled, told, velocity
from strata.injection.methods.undivided import UndividedMethod, area_tokens, check_whole_passes, visible_streams
from strata.injection.program import Program
from strata.layers.routing import Blend, Routing, Rule


class RpgRun(MethodRun):
    """One drawing; see the module."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing, self.family = drawing, drawing.family
        self.program: Program | None = None

    def forward(self, step: int, inputs: dict[str, Any], forward: Forward) -> Any:
        """See `MethodRun`."""
        canvas = self.family.canvas(inputs)
        if self.program is None:
            (self.program,) = compiled(self.drawing, canvas)
        program = self.program
        check_step(program, step)
        shares, needs_base = self._shares(program, step)
        if not shares:
            return forward(inputs)
        tokens, output, base = canvas.rows * canvas.cols, None, None
        if needs_base:
            output = forward(inputs)
            base = velocity(output)[:, :tokens]
        composed = base
        for i, share_N in shares.items():
            text = program.streams[i].text
            output = forward(told(self.family, inputs, self.drawing.texts[text], self.drawing.starts.get(text, 0)))
            own = velocity(output)[:, :tokens]
            share = share_N.to(own)[:, None]
            part = share * (own if base is None else own - base)
            composed = part if composed is None else composed + part
        assert composed is not None
        return with_sample(output, torch.cat([composed, velocity(output)[:, tokens:]], dim=1))

    def _shares(self, program: Program, step: int) -> tuple[dict[int, Tensor], bool]:
        """What each visible stream's output weighs at each canvas token, and whether they leave any to the base's."""
        own: dict[int, Tensor] = {}
        for i, weight in visible_streams(program, step):
            tokens = area_tokens(program, program.streams[i].area)
            if tokens.any():
                own[i] = torch.from_numpy(weight * tokens)
        if not own:
            return {}, True
        sums = torch.stack(list(own.values())).sum(dim=0)
        ratio = float(program.schedule.base_ratio[step])
        shares = {i: (1 - ratio) * share / sums.clamp(min=1) for i, share in own.items()}
        return shares, ratio > 0 or bool((sums < 1).any())


class Rpg(UndividedMethod):
    """See the module."""

    name: ClassVar[str] = "rpg"
    about: ClassVar[str] = "RPG: a whole pass for each region's text, composed by area, blended with the base prompt's"
    source: ClassVar[str | None] = "arXiv 2401.11708"
    refuses: ClassVar[Mapping[str, str]] = {
        SEVERAL: "each plan has as many passes as regions; draw one plan a call",
        OBSERVERS: "a step has several passes, which cannot be told apart; probe another method, such as regional",
        CACHED: "a step has several passes, which the cache is not filled for; leave the picture out, or draw by"
        " another method, such as regional",
    }
    routing: ClassVar[Routing | None] = Routing(
        name="rpg",
        about="RPG as published: one undivided text a region at all steps, blended half with the base prompt",
        source="arXiv 2401.11708",
        blend=Blend(base_ratio=0.5),
        pad="full",
        rules=[Rule(level="full")],
    )
    tried: ClassVar[Sequence[str]] = ("flux", "chroma", "flux2", "flux3")

    def check(self, program: Program) -> None:
        """See `Method`."""
        check_whole_passes(self.name, program)

    def start(self, drawing: Drawing) -> MethodRun:
        """See `Method`."""
        return RpgRun(drawing)


METHOD = Rpg()
