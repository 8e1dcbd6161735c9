"""`strata validate`: plans, drafts and routings are read and reported, nothing is drawn."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strata.commands.options import BAD_INPUT
from strata.hierarchy.errors import InputError, count, on_command_line, printable, quote
from strata.hierarchy.files import read_document
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan
from strata.injection.lora_form import check_form
from strata.injection.lora_hub import is_of_hub, lora_path, named_in
from strata.layers.routing import Routing
from strata.llm.draft import Draft
from strata.lora_search import found_again
from strata.settings import DrawSettings
from strata.source import kind_of, open_source, portable, refuse_folder

TOKEN = 16
"""Pixels a side of an image token, in every FLUX that there is."""


def validate(
    files: Annotated[tuple[str, ...], Parameter(name="FILE", help="plan, draft, routing, or picture that strata drew")],
    /,
) -> int:
    """Checks files without drawing.

    Plans, drafts and routings are known by their content and reported with
    `ok` or with their error. Exit code 2 if any has an error; a region that
    holds no image token of 16x16 pixels is one.
    """
    failed = False
    for path in files:
        try:
            print(f"{printable(path)}: ok ({_describe(path)})", flush=True)
        except InputError as error:
            failed = True
            told = on_command_line(error)
            print(f"strata: error: {told}", file=sys.stderr, flush=True)
    return BAD_INPUT if failed else 0


def _describe(path: str) -> str:
    """What a file holds, in a few words. Raises `InputError` for a wrong file, and for one of no kind that is known."""
    refuse_folder(path)
    if Path(path).suffix.lower() == ".png":
        with open_source(path) as source:
            return _plan_in_words("picture with its run, plan", found_again(source, DrawSettings()).plan)
    document = read_document(path)
    kind = kind_of(document)
    if kind == "routing":
        routing = Routing.load(Path(path))
        return f"routing {quote(routing.name)}, {count(len(routing.rules), 'rule')}"
    if kind == "draft":
        draft = Draft.load(path)
        if draft.width is not None and draft.height is not None:
            draft.known(draft.width, draft.height)  # reads the mask files
        return f"draft for a prompt, {count(len(draft.regions), 'region')}"
    return _plan_in_words(kind, ScenePlan.load(path))


def _plan_in_words(kind: str, plan: ScenePlan) -> str:
    portable([plan])  # reads the mask files
    for placed in plan.placed_loras():
        if not is_of_hub(placed.lora.file, plan.root):  # which is not asked
            path = lora_path(plan, placed)
            with named_in(plan, placed):
                check_form(path)
    uneven = " and ".join(str(side) for side in (plan.width, plan.height) if side % TOKEN)
    warning = f"; FLUX needs multiples of {TOKEN}, not {uneven}" if uneven else ""
    if not uneven:
        token_grid(plan, plan.height // TOKEN, plan.width // TOKEN)  # no region is without a token
    return f"{kind}, {plan.width}x{plan.height}, {count(len(plan.regions), 'region')}{warning}"
