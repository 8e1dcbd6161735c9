"""Scenes of one's own: JSON lines with a `name`, a `plan` as plan files have it, and `tags` by which tables are cut.

The bundled set `hard` is such a file. Pictures are laid out as `{name}_{sample}.png`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from strata.hierarchy.file_model import Text
from strata.hierarchy.files import Document
from strata.hierarchy.plan import ScenePlan
from strata.hierarchy.validation import validate
from strata.readers.protocol import Benchmark, Scene
from strata.readers.rows import FileStem, Row, RowDocument, read_rows, refuse_twice

HARD = Path(__file__).resolve().parents[1] / "miniature" / "scenes" / "hard.jsonl"
"""The bundled hard scenes of the miniature's language."""


class _Line(Row):
    model_config = ConfigDict(extra="forbid")

    name: FileStem
    plan: dict[str, Any]
    tags: tuple[Text, ...] = ()
    objects: int | None = None
    """Of the bundled scenes: how many regions; the plan says it, too."""


class Plans(Benchmark):
    """Plans in one file."""

    name = "plans"
    title = "plans, a line each"
    samples = 4
    boxes = True

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; `.jsonl` or `.json`. Plans keep their sizes."""
        rows = read_rows(path)
        scenes = [self._scene(document) for document in rows]
        refuse_twice([(row, scene.name) for row, scene in zip(rows, scenes, strict=True)], "name")
        return scenes

    def _scene(self, document: RowDocument) -> Scene:
        row = document.validated(_Line)
        lines = {place[1:]: line for place, line in document.lines.items() if place[:1] == ("plan",)}
        plan = validate(ScenePlan, Document(document.data["plan"], document.name, document.root, lines))
        return Scene(
            row.name,
            document.index,
            plan.prompt,
            plan,
            group=row.tags[0] if row.tags else "",
            size=(plan.width, plan.height),
            row=document.data,
            place=document.place,
        )

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`{name}_{sample}.png`."""
        return f"{scene.name}_{sample}.png"


BENCHMARK = Plans()
