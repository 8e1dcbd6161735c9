"""T2I-CompBench: `color_val.txt` and its like, a prompt a line.

Source: Karine-Huang/T2I-CompBench. A file is one category, scored in a folder of its own:
`samples/{prompt}_000000.png`, numbered through all pictures of the category. Its scorers take the prompt from the
file's name, up to the first `_`.
There are no boxes.
"""

from __future__ import annotations

import os
from pathlib import Path

from strata.hierarchy.errors import InputError, quote
from strata.readers.protocol import Benchmark, Scene
from strata.readers.rows import PromptName, Row, read_lines


class _Line(Row):
    prompt: PromptName


class T2ICompBench(Benchmark):
    """A category of T2I-CompBench; all its scenes are one group, named as the file."""

    name = "t2i-compbench"
    title = "T2I-CompBench"
    samples = 10

    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """As of `Benchmark.read`; one `.txt` file."""
        if os.path.isdir(path):
            raise InputError(f"{os.fspath(path)}: is a folder; name a category's file in it, such as color_val.txt")
        group = Path(path).stem.removesuffix("_val").removesuffix("_train")
        scenes = []
        for index, document in enumerate(read_lines(path)):
            prompt = document.validated(_Line).prompt
            notes = []
            if "_" in prompt:
                message = f"{quote(prompt)}: the scorer takes what stands before the first '_' for the prompt"
                notes.append(str(document.error(("prompt",), message)))
            kept = {"group": group, "row": document.data, "place": document.place, "notes": tuple(notes)}
            scenes.append(Scene(f"{index:05}", index, prompt, **kept))
        return scenes

    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """`samples/{prompt}_{000000}.png`."""
        return f"samples/{scene.prompt}_{scene.index * samples + sample:06}.png"


BENCHMARK = T2ICompBench()
