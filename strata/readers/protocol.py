"""What every benchmark of the field is to Strata: scenes to draw, and where its scorer looks for their pictures."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from strata.hierarchy.errors import InputError, quote, reason_of
from strata.hierarchy.files import write_atomic
from strata.hierarchy.plan import ScenePlan

JPEG_QUALITY = 95
"""Of pictures whose scorer looks for `.jpg` files."""


@dataclass(frozen=True)
class Scene:
    """One scene of a benchmark."""

    name: str
    """Unique among the scenes of a file, and fit for a file's name."""
    index: int
    """Its number in the file, from 0."""
    prompt: str
    """As the benchmark has it."""
    plan: ScenePlan | None = None
    """Of its boxes and captions; None where the format has none: a planner plans the prompt, or it is drawn plain."""
    group: str = ""
    """By which the benchmark cuts its tables, such as `counting`; empty where it does not."""
    size: tuple[int, int] | None = None
    """Width and height in pixels that the benchmark asks for; None: those of the model."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of it, everything; lists that stand there as text are lists."""
    place: str = ""
    """`file:line`, for messages."""
    notes: tuple[str, ...] = ()
    """What the plan does not hold, or holds otherwise, a line each, with its place."""


class Benchmark(ABC):
    """One benchmark: how its files are read, and how its scorer wants its pictures."""

    name: str
    """What the command line calls it."""
    title: str
    """What its authors call it."""
    samples: int = 1
    """Pictures a scene that its published numbers are of."""
    grid: bool = False
    """Whether the samples of a scene are one picture, a square grid of them."""
    boxes: bool = False
    """Whether its scenes have plans."""

    @abstractmethod
    def read(self, path: str | os.PathLike[str], token: int = 16) -> list[Scene]:
        """The scenes of a file, or of a folder of such files, in their order; at least one.

        Args:
            path: as the user gave it.
            token: sides of plans are rounded to multiples of this many pixels.

        Raises:
            InputError: it cannot be read or is damaged; names file, line, field, value and what would be valid.
        """

    @abstractmethod
    def picture(self, scene: Scene, sample: int, samples: int, seed: int) -> str:
        """Where the scorer looks for a picture, as a relative path with `/`; its suffix says the file's format.

        Args:
            scene: of this benchmark.
            sample: the picture's number, from 0; all have the same path where the benchmark wants a `grid`.
            samples: how many there are of each scene.
            seed: the first sample's; some benchmarks name files by it.
        """

    def beside(self, scene: Scene) -> Mapping[str, str]:
        """Files that the scorer wants of a scene beside its pictures: their texts by relative paths."""
        return {}

    def about_all(self, scenes: Sequence[Scene], samples: int, seed: int, folder: Path) -> Mapping[str, str]:
        """Files that the scorer wants of all scenes together: their texts by relative paths.

        Args:
            scenes: those that were drawn.
            samples: pictures of each.
            seed: the first sample's.
            folder: where the pictures are.
        """
        return {}

    def save(
        self, folder: str | os.PathLike[str], scene: Scene, pictures: Sequence[Image.Image], seed: int = 0
    ) -> list[Path]:
        """Writes all pictures of a scene, and what goes beside them, each file whole or not at all.

        Args:
            folder: of one method's pictures, which the scorer is given; made where it is missing.
            scene: of this benchmark.
            pictures: every sample of the scene, in their order.
            seed: the first sample's.

        Returns:
            The files of the pictures, one a sample (the same one where the benchmark wants a `grid`).

        Raises:
            InputError: a file cannot be written.
            ValueError: there are no pictures.
        """
        if not pictures:
            raise ValueError("a scene needs a picture at least")
        root = Path(folder)
        paths = [root / self.picture(scene, n, len(pictures), seed) for n in range(len(pictures))]
        shown = [in_grid(pictures)] * len(pictures) if self.grid else pictures
        for path, picture in dict(zip(paths, shown, strict=True)).items():
            _write(path, encoded(picture, path.suffix))
        for name, text in self.beside(scene).items():
            _write(root / name, text)
        return paths

    def finish(
        self, folder: str | os.PathLike[str], scenes: Sequence[Scene], samples: int, seed: int = 0
    ) -> list[Path]:
        """Writes what the scorer wants of all scenes together. Raises `InputError` where it cannot be written."""
        root = Path(folder)
        texts = self.about_all(scenes, samples, seed, root)
        for name, text in texts.items():
            _write(root / name, text)
        return [root / name for name in texts]


def per_sample(path: str, sample: int, samples: int) -> str:
    """A path whose scorer knows one picture a scene: with several, a folder of its own for each sample, to be scored
    one after the other."""
    return path if samples == 1 else f"sample_{sample}/{path}"


def in_grid(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size as a grid, row by row, as nearly square as it can be; four are two by two."""
    columns = next(n for n in range(1, len(pictures) + 1) if n * n >= len(pictures))
    width, height = pictures[0].size
    for number, picture in enumerate(pictures):
        if picture.size != (width, height):
            raise InputError(f"sample {number} is {picture.size}, sample 0 {width, height}: a grid needs one size")
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for number, picture in enumerate(pictures):
        sheet.paste(picture.convert("RGB"), (number % columns * width, number // columns * height))
    return sheet


def encoded(picture: Image.Image, suffix: str) -> bytes:
    """A picture as a file of this suffix, `.png`, `.jpg` or `.jpeg`. Raises `InputError` for any other."""
    buffer = io.BytesIO()
    if suffix.lower() == ".png":
        picture.save(buffer, "PNG")
    elif suffix.lower() in (".jpg", ".jpeg"):
        picture.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        raise InputError(f"suffix {quote(suffix)}: pictures are .png, .jpg or .jpeg")
    return buffer.getvalue()


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {reason_of(error)}") from error
    write_atomic(path, content)
