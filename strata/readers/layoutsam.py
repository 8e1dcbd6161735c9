"""LayoutSAM-Eval: rows with a caption of the whole, and boxes with a short and a detailed caption each.

Source: HuiZhang0812/LayoutSAM-eval (parquet) and the scorer of HuiZhang0812/CreatiLayout. Boxes are pixels of the
original picture; the lists stand in the rows as text. The scorer scales boxes to a square picture and looks for it in
`images/{file_name}`. The short caption becomes `high`, the detailed one `low`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from strata.hierarchy.errors import quote
from strata.hierarchy.file_model import AnyText, Text
from strata.hierarchy.placing import Placed, placed_plan, rounded_side
from strata.readers.protocol import Benchmark, Scene, per_sample
from strata.readers.rows import Corners, FileStem, Row, RowDocument, Side, read_rows, refuse_twice

RESOLUTION = 1024
"""Pixels of a picture's sides, all of which are square; the scorer's own is 1024 or 512."""
PICTURES = (".jpg", ".jpeg", ".png")
_LISTS = ("bbox_list", "region_captions", "detail_region_captions")


class _Layout(Row):
    file_name: FileStem
    width: Side
    height: Side
    global_caption: Text
    bbox_list: Annotated[tuple[Corners, ...], Field(min_length=1)]
    region_captions: tuple[Text, ...]
    detail_region_captions: tuple[AnyText, ...]


class LayoutSAM(Benchmark):
    """LayoutSAM-Eval's layouts."""

    name = "layoutsam"
    title = "LayoutSAM-Eval"
    boxes = True

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; `.parquet`, `.jsonl` or `.json`, or a folder of such files."""
        rows = read_rows(path, (*_LISTS, "file_name", "width", "height", "global_caption", "image_id"))
        scenes = [self._scene(document.with_lists(*_LISTS), token) for document in rows]
        refuse_twice([(row, scene.row["file_name"]) for row, scene in zip(rows, scenes, strict=True)], "file_name")
        return scenes

    def _scene(self, document: RowDocument, token: int) -> Scene:
        row = document.validated(_Layout)
        if Path(row.file_name).suffix.lower() not in PICTURES:
            message = f"{quote(row.file_name)}: must end in one of {', '.join(PICTURES)}"
            raise document.error(("file_name",), message)
        for name in ("region_captions", "detail_region_captions"):
            if (count := len(getattr(row, name))) != len(row.bbox_list):
                message = f"has {count} captions, bbox_list has {len(row.bbox_list)} boxes: must be one a box"
                raise document.error((name,), message)
        told = zip(row.bbox_list, row.region_captions, row.detail_region_captions, strict=True)
        items = [
            Placed(box, ("bbox_list", n), short, high=short, low=detail if detail not in ("", short) else None)
            for n, (box, short, detail) in enumerate(told)
        ]
        notes: list[str] = []
        side = rounded_side(RESOLUTION, token)
        size = (row.width, row.height)
        plan = placed_plan(document, items, size, (side, side), notes, prompt=row.global_caption)
        return Scene(
            Path(row.file_name).stem,
            document.index,
            row.global_caption,
            plan,
            size=(RESOLUTION, RESOLUTION),
            row={**document.data, "file_name": row.file_name},
            place=document.place,
            notes=tuple(notes),
        )

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`images/{file_name}`; of several samples each in its folder."""
        return per_sample(f"images/{scene.row['file_name']}", sample, samples)


BENCHMARK = LayoutSAM()
