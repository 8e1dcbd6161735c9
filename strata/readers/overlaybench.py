"""OverLayBench: rows with an annotation, of instances whose boxes overlap, and of what they do to each other.

Source: mlpc-ucsd/OverLayBench and its data, cywang143/OverLayBench_Eval (parquet, a split a file). The annotation
stands in the row as text of Python; boxes are pixels of a square of 1024. The scorer looks for
`{split}/{seed}/{image_id}.png`. The category becomes `high`, `local_prompts` become `low`; relations, which no plan
holds but in its prompt, stay in `Scene.row`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.file_model import AnyText, Text
from strata.hierarchy.placing import Placed, placed_plan, rounded_side
from strata.readers.protocol import Benchmark, Scene
from strata.readers.rows import Corners, FileStem, Row, RowDocument, read_rows, refuse_twice

SIDE = 1024
"""Pixels of a picture, and of what boxes are told in."""
SPLITS = ("simple", "medium", "hard")


def _in_one(value: Any) -> Any:
    """Several prompts of an instance as one text."""
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return value


class _Instance(Row):
    category: Text
    bbox: Corners
    local_prompts: Annotated[AnyText, BeforeValidator(_in_one)] = ""


class _Annotation(Row):
    caption: Text
    annotations: Annotated[dict[str, _Instance], Field(min_length=1)]


class _Layout(Row):
    image_id: FileStem
    annotation: _Annotation


class OverLayBench(Benchmark):
    """OverLayBench's layouts, grouped by their split, which the file's name begins with."""

    name = "overlaybench"
    title = "OverLayBench"
    samples = 3
    boxes = True

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; `.parquet`, `.jsonl` or `.json`, or a folder of such files."""
        rows = read_rows(path, tuple(_Layout.model_fields))
        scenes = [self._scene(document.with_lists("annotation"), token) for document in rows]
        refuse_twice([(row, scene.name) for row, scene in zip(rows, scenes, strict=True)], "image_id")
        return scenes

    def _scene(self, document: RowDocument, token: int) -> Scene:
        split = split_of(document.file)
        row = document.validated(_Layout)
        items = [
            Placed(
                told.bbox,
                ("annotation", "annotations", name, "bbox"),
                name,
                high=told.category,
                low=told.local_prompts if told.local_prompts not in ("", told.category) else None,
            )
            for name, told in row.annotation.annotations.items()
        ]
        notes: list[str] = []
        side = rounded_side(SIDE, token)
        prompt = row.annotation.caption
        plan = placed_plan(document, items, (SIDE, SIDE), (side, side), notes, prompt=prompt)
        return Scene(
            f"{split}-{row.image_id}",
            document.index,
            prompt,
            plan,
            split,
            size=(SIDE, SIDE),
            row={**document.data, "image_id": row.image_id},
            place=document.place,
            notes=tuple(notes),
        )

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`{split}/{seed}/{image_id}.png`."""
        return f"{scene.group}/{seed + sample}/{scene.row['image_id']}.png"


def split_of(file: str) -> str:
    """The split that a file's name begins with. Raises `InputError` where it begins with none."""
    begun = re.match(r"[a-z]+", Path(file).name.lower())
    if begun is None or begun[0] not in SPLITS:
        message = f"name {quote(Path(file).name)}: must begin with its split, one of {', '.join(SPLITS)}"
        raise InputError(f"{file}: {message}")
    return begun[0]


BENCHMARK = OverLayBench()
