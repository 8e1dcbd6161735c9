"""What a recorder adds up over the steps of a run, and the means that become a probe's arrays.

Nothing here grows with the number of steps but a few numbers a block.

Shapes: N canvas tokens, C columns of text and one more for the image, W words, K concepts, P phases, T probed steps,
B probed blocks, A areas, M atoms (canvas tokens that belong to the same regions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from strata.analysis.labels import Labels, TextTokens
from strata.analysis.probe import CANVAS, SHARES, ProbedRegion
from strata.analysis.questions import Answers
from strata.hierarchy.grid import TokenGrid


class AreaShares:
    """What the areas of a canvas attend to, from what its tokens attend to.

    Args:
        grid: the plan's regions on the canvas tokens; None: a picture without regions.
        tokens: N.
        texts: all of the run.
        labels: of the texts.
        device: of the shares.

    Attributes:
        names: of the areas.
        regions: and their tokens.
    """

    def __init__(
        self, grid: TokenGrid | None, tokens: int, texts: Sequence[TextTokens], labels: Labels, device: torch.device
    ) -> None:
        names = () if grid is None else grid.names
        atoms: list[tuple[tuple[int, ...], Any]] = [((), np.arange(tokens))]
        members = {CANVAS: [0]}
        if grid is not None and names:
            atoms = [(atom.members, atom.tokens) for atom in grid.atoms()]
            members = {name: [n for n, (held, _) in enumerate(atoms) if at in held] for at, name in enumerate(names)}
            if not atoms[0][0]:
                members["background"] = [0]
        self.names = tuple(members)
        self.regions = tuple(
            ProbedRegion(name=name, tokens=tuple(grid.region_tokens(n).tolist()))
            for n, name in enumerate(names)
            if grid is not None
        )
        means_MN, weights_AM = torch.zeros(len(atoms), tokens), torch.zeros(len(members), len(atoms))
        kinds_MC5 = torch.zeros(len(atoms), labels.columns + 1, len(SHARES))
        kinds_MC5[:, labels.columns, SHARES.index("image")] = 1
        for n, (held, atom_tokens) in enumerate(atoms):
            means_MN[n, torch.as_tensor(atom_tokens)] = 1 / len(atom_tokens)
            own = {names[m] for m in held} or {"background"}
            for text in texts:
                kind = "base" if text.area is None else "global" if text.area == "global" else "others"
                kind = "own" if text.area in own else kind
                kinds_MC5[n, np.unique(labels.column_of[text.name]), SHARES.index(kind)] = 1
        for area, of in enumerate(members.values()):
            for n in of:
                weights_AM[area, n] = len(atoms[n][1])
        weights_AM /= weights_AM.sum(1, keepdim=True)
        self._means_MN, self._kinds_MC5 = means_MN.to(device), kinds_MC5.to(device)
        self._weights_AM = weights_AM.to(device)

    def __call__(self, shares_NC: Tensor) -> Tensor:
        """`[A, 5]`: the mean over each area's tokens of the attention that goes to `SHARES`."""
        atoms_MC = self._means_MN @ shares_NC
        return self._weights_AM @ torch.bmm(atoms_MC[:, None], self._kinds_MC5)[:, 0]


class Sums:
    """Sums over the probed steps of a run.

    Args:
        phase_of: of each of the T probed steps, its phase.
        blocks: B.
        tokens: N.
        labels: of the texts.
        concepts: K.
        areas: the areas' shares.
        device: of what is added.
    """

    def __init__(
        self,
        phase_of: Sequence[int],
        blocks: int,
        tokens: int,
        labels: Labels,
        concepts: int,
        areas: AreaShares,
        device: torch.device,
    ) -> None:
        self.phase_of, self.labels, self.areas = phase_of, labels, areas
        maps, curves = (max(phase_of) + 1, blocks), (len(phase_of), blocks)
        self.shares_PBNC = torch.zeros(*maps, tokens, labels.columns + 1, device=device)
        self.words_PBWN = torch.zeros(*maps, len(labels.words), tokens, device=device)
        self.concepts_PBKN = torch.zeros(*maps, concepts, tokens, device=device)
        self.areas_TBA5 = torch.zeros(*curves, len(areas.names), len(SHARES), device=device)
        self.entropy_TB = torch.zeros(curves, device=device)

    @property
    def bytes(self) -> int:
        """Of all sums."""
        parts = (self.shares_PBNC, self.words_PBWN, self.concepts_PBKN, self.areas_TBA5, self.entropy_TB)
        return sum(part.numel() * part.element_size() for part in parts)

    def add(self, step: int, block: int, answers: Answers) -> None:
        """Add a block's answers; `step` and `block` count the probed ones."""
        phase = self.phase_of[step]
        self.shares_PBNC[phase, block] += answers.shares_NC
        self.words_PBWN[phase, block] += answers.words_WN
        self.areas_TBA5[step, block] = self.areas(answers.shares_NC)
        self.entropy_TB[step, block] = answers.entropy

    def add_concepts(self, step: int, block: int, maps_KN: Tensor) -> None:
        """Add a block's concept maps."""
        self.concepts_PBKN[self.phase_of[step], block] += maps_KN

    def arrays(self, rows: int, cols: int) -> dict[str, Any]:
        """The arrays of `Probe`, for a canvas of so many rows and columns."""
        steps_of = np.bincount(self.phase_of).astype(np.float32)[:, None, None, None]

        def mean(total_PBXN: Tensor) -> Any:
            values = (total_PBXN.float().cpu().numpy() / steps_of).transpose(2, 0, 1, 3)
            return np.ascontiguousarray(values.reshape(*values.shape[:3], rows, cols), np.float32)

        member = torch.from_numpy(self.labels.member).to(self.shares_PBNC)
        maps_PBLN = (self.shares_PBNC[..., : self.labels.columns] @ member.T).transpose(2, 3)
        return {
            "maps": mean(maps_PBLN),
            "words_to_image": mean(self.words_PBWN),
            "concepts": mean(self.concepts_PBKN),
            "shares": self.areas_TBA5.cpu().numpy(),
            "entropy": self.entropy_TB.cpu().numpy(),
        }
