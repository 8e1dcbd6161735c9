"""`strata import`: plans of what other programs, benchmarks and models write their layouts in."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import Field

from strata.commands.one_file import check_free, make_folder
from strata.console import note
from strata.contents import check_apart
from strata.hierarchy.errors import SettingError, count, printable
from strata.hierarchy.plan import LARGEST_SIDE
from strata.importers import FORMATS, Imported, import_plans
from strata.settings import Name, Settings

Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE), Parameter(metavar="N")]
PLAN_SUFFIXES = (".yaml", ".yml", ".json")


class ImportSettings(Settings):
    """The canvas, where the file does not tell it, and where plans go."""

    width: Side | None = None
    """pixels of the canvas (default: as the file tells; where it tells none, needed)"""
    height: Side | None = None
    """likewise"""
    out: Annotated[Name | None, Parameter(name=("--out", "-o"), metavar="PLAN.yaml|DIR")] = None
    """plan file, .yaml or .json, or a folder for them (default: printed)"""
    force: bool = False
    """replace what is there"""


def import_(
    form: Annotated[str, Parameter(name="FORMAT", help=", ".join(FORMATS))],
    file: Annotated[str, Parameter(name="FILE", help="what is read; of a benchmark also a folder of its files")],
    /,
    *,
    settings: ImportSettings = ImportSettings(),
) -> None:
    """Makes plans of what other programs, benchmarks and models write their layouts in; no language model is asked.

    FORMAT is
      flux3, ideogram, miniature
                  a model's own structured caption, as of `strata export`
      omost, lmd, rpg
                  the layout that a language model wrote for one of these:
                  a canvas; objects with boxes; a split ratio with BREAKs
      invokeai, comfyui
                  a canvas or a picture's metadata; a workflow with areas
      coco-mig, layoutsam, denselayout, overlaybench
                  a benchmark's file: a plan each scene

    Nothing in a file is executed. What of it a plan does not hold is told, a
    line each.

    examples:
      strata import omost canvas.txt --width 1024 --height 1024 -o plan.yaml
      strata import comfyui workflow.json -o plans/
      strata import layoutsam test.parquet -o plans/
    """
    one_file = settings.out is not None and _names_a_plan(settings.out)
    if settings.out is None or one_file:
        check_free(settings.out, settings.force)
    read = import_plans(file, form, settings.width, settings.height)
    if len(read) > 1 and (settings.out is None or one_file):
        where = "" if settings.out is None else f" {settings.out}"
        raise SettingError(f"<out>{where}: must be a folder: {printable(file)} holds {len(read)} plans")
    if settings.out is not None and not one_file:
        for plan in read:  # all of them, before any is written
            check_free(str(_path(settings.out, plan)), settings.force)
    if settings.out is not None and not settings.force:
        folder = Path(settings.out).parent if one_file else Path(settings.out)
        check_apart(folder, str(folder), ("plans",))
    for plan in read:
        for text in plan.notes:
            note(text)
    if settings.out is None:
        print(read[0].plan.to_yaml(), end="")
        return
    paths = [Path(settings.out)] if one_file else [_path(settings.out, plan) for plan in read]
    make_folder(str(paths[0]))
    for path, plan in zip(paths, read, strict=True):
        plan.plan.save(path)
    print(printable(str(paths[0])) if len(paths) == 1 else f"{printable(settings.out)}: {count(len(read), 'plan')}")


def _names_a_plan(out: str) -> bool:
    suffix = os.path.splitext(os.path.basename(out))[1]  # none of a name that ends with a slash
    if os.path.isdir(out) or not suffix:
        return False
    if suffix.lower() not in PLAN_SUFFIXES:
        message = f"suffix '{suffix}': must be one of {', '.join(PLAN_SUFFIXES)}, or the path end with / for a folder"
        raise SettingError(f"<out> {out}: {message}")
    return True


def _path(folder: str, plan: Imported) -> Path:
    return Path(folder) / f"{plan.name}.yaml"
