"""GenEval: `evaluation_metadata.jsonl`, a prompt a line with the objects it asks for.

Source: djghosh13/geneval. Its scorer goes through the numbered folders that its generator makes:
`00000/metadata.jsonl`, the scene's own line, and `00000/samples/0000.png` and on. There are no boxes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from strata.hierarchy.file_model import Int, Text
from strata.readers.protocol import Benchmark, Scene
from strata.readers.rows import Row, read_rows


class _Object(Row):
    object_class: Annotated[Text, Field(alias="class")]
    count: Annotated[Int, Field(ge=1)] = 1
    color: Text | None = None
    position: tuple[Text, Annotated[Int, Field(ge=0)]] | None = None


class _Metadata(Row):
    tag: Text
    prompt: Text
    include: tuple[_Object, ...]
    exclude: tuple[_Object, ...] = ()


class GenEval(Benchmark):
    """GenEval's prompts, grouped by `tag`."""

    name = "geneval"
    title = "GenEval"
    samples = 4

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; `.jsonl`."""
        scenes = []
        for index, document in enumerate(read_rows(path)):
            row = document.validated(_Metadata)
            for number, wanted in enumerate(row.include):
                if wanted.position is not None and wanted.position[1] >= number:
                    message = f"{wanted.position[1]}: must be the number of an object before this one, from 0"
                    raise document.error(("include", number, "position", 1), message)
            scenes.append(
                Scene(f"{index:05}", index, row.prompt, group=row.tag, row=document.data, place=document.place)
            )
        return scenes

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`00000/samples/0000.png`."""
        return f"{scene.index:05}/samples/{sample:04}.png"

    def beside(self, scene: Scene) -> Mapping[str, str]:
        """`00000/metadata.jsonl`: the scene's own line."""
        row: Mapping[str, Any] = scene.row
        return {f"{scene.index:05}/metadata.jsonl": json.dumps(row, ensure_ascii=False) + "\n"}


BENCHMARK = GenEval()
