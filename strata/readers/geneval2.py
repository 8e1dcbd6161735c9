"""GenEval 2: `geneval2_data.jsonl`, a prompt a line with the questions that its scorer asks about the picture.

Source: facebookresearch/GenEval2. Its scorer is given one JSON file of prompt → path of the picture. There are no
boxes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from strata.hierarchy.errors import quote
from strata.hierarchy.file_model import Int, Text
from strata.hierarchy.files import dump_json
from strata.readers.protocol import Benchmark, Scene
from strata.readers.rows import Row, read_rows


class _Prompt(Row):
    prompt: Text
    atom_count: Annotated[Int, Field(ge=1)]
    vqa_list: tuple[tuple[Text, Text], ...]
    skills: tuple[Text, ...]


class GenEval2(Benchmark):
    """GenEval 2's prompts, grouped by how many atoms they have."""

    name = "geneval2"
    title = "GenEval 2"

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; `.jsonl`."""
        scenes: list[Scene] = []
        first: dict[str, str] = {}
        for index, document in enumerate(read_rows(path)):
            row = document.validated(_Prompt)
            if len(row.skills) != len(row.vqa_list):
                message = f"has {len(row.skills)} entries, vqa_list has {len(row.vqa_list)}: must be one a question"
                raise document.error(("skills",), message)
            if row.prompt in first:  # the scorer's file has one picture a prompt
                raise document.error(("prompt",), f"{quote(row.prompt)}: already that of {first[row.prompt]}")
            first[row.prompt] = document.place
            group = f"{row.atom_count} atoms"
            scenes.append(Scene(f"{index:05}", index, row.prompt, group=group, row=document.data, place=document.place))
        return scenes

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`images/00000.png`; of several samples `images/00000_0.png`."""
        number = "" if samples == 1 else f"_{sample}"
        return f"images/{scene.index:05}{number}.png"

    def about_all(self, scenes: Sequence[Scene], samples: int, seed: int, folder: Path) -> Mapping[str, str]:
        """`image_paths.json`; of several samples one each, `image_paths_0.json`. Paths are full ones: the scorer opens
        them from wherever it runs."""
        root = Path(os.path.abspath(folder))
        texts = {}
        for sample in range(samples):
            paths = {str(s.row["prompt"]): str(root / self.picture(s, sample, samples, seed)) for s in scenes}
            texts["image_paths.json" if samples == 1 else f"image_paths_{sample}.json"] = dump_json(paths)
        return texts


BENCHMARK = GenEval2()
