"""COCO-MIG: `mig_bench_anno.yaml`, a prompt a key, with the boxes of every phrase of it.

Source: limuloo/MIGC (`bench_file`, `inferencev2_mig_benchmark.py`) and its scorer, LeyRio/MIG_Bench. Boxes are
fractions of a square picture of 512 pixels; the scorer looks for `{prompt}_{seed}{i}_{coco_id}.png` and finds the scene
by what stands behind the last `_`. Phrases are one undivided text each (`a black car`).
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.files import KeyPath, read_document
from strata.hierarchy.placing import Placed, placed_plan, rounded_side
from strata.readers.protocol import Benchmark, Scene
from strata.readers.rows import Corners, FileStem, PromptName, Row, RowDocument, files_of

SIDE = 512
"""Pixels of a picture, which the scorer asks for."""
FARTHEST_FRACTION = 2.0


class _Scene(Row):
    prompt: PromptName
    coco_id: FileStem
    phrases: dict[str, tuple[Corners, ...]]


class CocoMig(Benchmark):
    """COCO-MIG's layouts, grouped by their number of instances: `L2` to `L6`."""

    name = "coco-mig"
    title = "COCO-MIG"
    boxes = True

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; `.yaml`."""
        (file,) = files_of(path, (".yaml", ".yml", ".json"))
        document = read_document(file)
        scenes = []
        for index, (prompt, told) in enumerate(document.data.items()):
            if not isinstance(told, dict):
                raise document.error((prompt,), f"{quote(told)}: must be a mapping of phrases to boxes, and coco_id")
            data: dict[str, Any] = {"prompt": prompt, "phrases": {k: v for k, v in told.items() if k != "coco_id"}}
            if "coco_id" in told:
                data["coco_id"] = told["coco_id"]
            lines: dict[KeyPath, int] = {(): document.line((prompt,)) or 1}
            for name in told:
                place: KeyPath = ("coco_id",) if name == "coco_id" else ("phrases", name)
                lines[place] = document.line((prompt, name)) or 1
            row = RowDocument(data, file, document.root, lines, file=file, index=index)
            scenes.append(self._scene(row, told, token))
        if not scenes:
            raise InputError(f"{file}: holds no prompts")
        return scenes

    def _scene(self, document: RowDocument, told: dict[str, Any], token: int) -> Scene:
        row = document.validated(_Scene)
        items = []
        for phrase, boxes in row.phrases.items():
            for number, box in enumerate(boxes):
                place: KeyPath = ("phrases", phrase, number)
                if max(map(abs, box)) > FARTHEST_FRACTION:
                    raise document.error(place, f"{quote(list(box))}: must be fractions of the sides, from 0 to 1")
                items.append(Placed(box, place, phrase, full=phrase))
        if not items:
            raise document.error(("phrases",), "holds no box: must be a mapping of phrases to lists of boxes")
        notes: list[str] = []
        side = rounded_side(SIDE, token)
        plan = placed_plan(document, items, (1, 1), (side, side), notes, prompt=row.prompt)
        kept: dict[str, Any] = {"size": (SIDE, SIDE), "row": {"prompt": row.prompt, **told}, "place": document.place}
        name = f"{document.index:05}"
        scene = Scene(name, document.index, row.prompt, plan, f"L{len(items)}", **kept)
        return replace(scene, notes=tuple(notes))

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`{prompt}_{seed}{i}_{coco_id}.png`."""
        return f"{scene.prompt}_{seed}{sample}_{scene.row['coco_id']}.png"


BENCHMARK = CocoMig()
