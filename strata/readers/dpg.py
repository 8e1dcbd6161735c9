"""DPG-Bench: `prompts/{id}.txt`, a long prompt a file.

Source: `dpg_bench` of TencentQQGYLab/ELLA. Its scorer looks for `{id}.png` in one folder, which holds four samples as a
grid of two by two. There are no boxes.
"""

from __future__ import annotations

import os
from pathlib import Path

from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.file_model import Text
from strata.hierarchy.files import read_text
from strata.readers.protocol import Benchmark, Scene
from strata.readers.rows import FileStem, Row, RowDocument, files_of


class _Prompt(Row):
    id: FileStem
    prompt: Text


class DPGBench(Benchmark):
    """DPG-Bench's prompts."""

    name = "dpg"
    title = "DPG-Bench"
    samples = 4
    grid = True

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; a folder of `.txt` files, or one of them."""
        scenes = []
        for index, file in enumerate(files_of(path, (".txt",))):
            data = {"id": Path(file).stem, "prompt": read_text(file)}
            document = RowDocument(data, file, Path(file).parent, {}, file=file, index=index)
            row = document.validated(_Prompt)
            if "." in row.id:
                message = f"{quote(row.id)}: the scorer takes what stands before the first '.' for the id"
                raise InputError(f"{file}: id: {message}")
            scenes.append(Scene(row.id, index, row.prompt, row={"id": row.id, "prompt": row.prompt}, place=file))
        return scenes

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`{id}.png`, a grid of all samples."""
        return f"{scene.name}.png"


BENCHMARK = DPGBench()
