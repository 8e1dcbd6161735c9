"""DenseLayout: rows with a prompt and many boxes, each with a category and a caption.

Source: FireRedTeam/DenseLayout (parquet) and the scorer of FireRedTeam/InstanceAssemble. Boxes are pixels of the row's
`width` x `height`, which pictures are drawn at; the scorer looks for `images_denselayout/{id}.jpg` and scales boxes to
the picture it finds. The category becomes `high`, the caption `low`.
"""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field

from strata.hierarchy.file_model import AnyText, Text
from strata.hierarchy.placing import Placed, placed_plan, rounded_side
from strata.readers.protocol import Benchmark, Scene, per_sample
from strata.readers.rows import Corners, FileStem, Row, RowDocument, Side, read_rows, refuse_twice


class _Object(Row):
    bbox: Corners
    category_name: Text
    caption: AnyText = ""


class _Layout(Row):
    id: FileStem
    prompt: Text
    width: Side
    height: Side
    annos: Annotated[tuple[_Object, ...], Field(min_length=1)]


class DenseLayout(Benchmark):
    """DenseLayout's layouts."""

    name = "denselayout"
    title = "DenseLayout"
    boxes = True

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; `.parquet`, `.jsonl` or `.json`, or a folder of such files."""
        rows = read_rows(path, tuple(_Layout.model_fields))
        scenes = [self._scene(document.with_lists("annos"), token) for document in rows]
        refuse_twice([(row, scene.name) for row, scene in zip(rows, scenes, strict=True)], "id")
        return scenes

    def _scene(self, document: RowDocument, token: int) -> Scene:
        row = document.validated(_Layout)
        items = [
            Placed(
                told.bbox,
                ("annos", number, "bbox"),
                told.category_name,
                high=told.category_name,
                low=told.caption if told.caption not in ("", told.category_name) else None,
            )
            for number, told in enumerate(row.annos)
        ]
        notes: list[str] = []
        size = (row.width, row.height)
        canvas = (rounded_side(row.width, token), rounded_side(row.height, token))
        plan = placed_plan(document, items, size, canvas, notes, prompt=row.prompt)
        kept = {"size": size, "row": document.data, "place": document.place, "notes": tuple(notes)}
        return Scene(row.id, document.index, row.prompt, plan, **kept)

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`images_denselayout/{id}.jpg`; of several samples each in its folder."""
        return per_sample(f"images_denselayout/{scene.name}.jpg", sample, samples)


BENCHMARK = DenseLayout()
