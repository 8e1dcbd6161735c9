"""Layouts of other programs and benchmarks as plans: what their files hold, without a language model.

A format is a file with an `IMPORTER`; structured captions (`strata.native`) and benchmarks that have boxes
(`strata.readers`) are formats too. Nothing in a file is executed, and what a plan cannot hold is told.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from strata.hierarchy.errors import InputError, did_you_mean, quote
from strata.hierarchy.files import read_text
from strata.importers.pictures import text_of
from strata.importers.protocol import Imported, Importer, canvas_missing
from strata.native import FORMS, LARGEST_CAPTION, read_caption
from strata.readers import BENCHMARKS, benchmark_named

IMPORTERS = {
    "omost": "strata.importers.omost",
    "lmd": "strata.importers.lmd",
    "rpg": "strata.importers.rpg",
    "invokeai": "strata.importers.invokeai",
    "comfyui": "strata.importers.comfyui",
}
"""Where the reader of each program's files is; imported on first use."""
LAYOUTS = ("coco-mig", "layoutsam", "denselayout", "overlaybench")
"""Benchmarks that have boxes."""
FORMATS = (*FORMS, *IMPORTERS, *LAYOUTS)

__all__ = ["FORMATS", "IMPORTERS", "LAYOUTS", "Imported", "Importer", "import_plans"]


def import_plans(
    path: str | os.PathLike[str], form: str, width: int | None = None, height: int | None = None
) -> list[Imported]:
    """The plans of a file.

    Args:
        path: of the file; of a benchmark also a folder of such files; of InvokeAI and ComfyUI also a PNG they drew.
        form: one of `FORMATS`.
        width: of the canvas in pixels; None: as the file tells, where it does.
        height: likewise.

    Raises:
        InputError: no such format, or the file cannot be read or is damaged; names file, line, field and value. Or the
            file does not tell the canvas, and neither do `width` and `height`.
    """
    if form not in FORMATS:
        raise InputError(f"format {quote(form)}: {did_you_mean(form, FORMATS)}must be one of {', '.join(FORMATS)}")
    name = os.fspath(path)
    if form in BENCHMARKS:
        return [_resized(plan, width, height) for plan in _of_benchmark(name, form)]
    if form in IMPORTERS:
        importer: Importer = import_module(IMPORTERS[form]).IMPORTER
        text = text_of(name, importer.chunks, form)
        return [_resized(plan, width, height) for plan in importer.read(text, width, height, name)]
    if width is None or height is None:
        raise canvas_missing(form, width, height)
    read = read_caption(read_text(path, LARGEST_CAPTION), form, width, height, name)
    return [Imported(Path(name).stem, read.plan, read.notes)]


def _of_benchmark(path: str, form: str) -> list[Imported]:
    scenes = benchmark_named(form).read(path)
    return [Imported(scene.name, scene.plan, scene.notes) for scene in scenes if scene.plan is not None]


def _resized(read: Imported, width: int | None, height: int | None) -> Imported:
    plan, notes = read.plan, read.notes
    if plan.negative_prompt:
        notes = (*notes, "negative_prompt needs true guidance where the plan is drawn")
    size = (width or plan.width, height or plan.height)
    return Imported(read.name, plan if size == (plan.width, plan.height) else plan.resized(*size), notes)
