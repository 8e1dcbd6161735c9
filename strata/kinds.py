"""Which of our files a file is, judged by its keys: a plan, a draft of one, or a routing."""

from typing import Literal

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import Document, read_document, validate
from strata.hierarchy.plan import ScenePlan
from strata.layers.routing import Routing
from strata.llm.draft import Draft

Kind = Literal["plan", "draft", "routing"]


def kind_of(document: Document) -> Kind:
    """What a document is, or is meant to be. Raises `InputError` where most of its keys are of no kind."""
    keys = document.data.keys()
    of_scene = len(keys & (ScenePlan.model_fields.keys() | Draft.model_fields.keys()))
    of_routing = len(keys & Routing.model_fields.keys())
    if of_scene == of_routing or 2 * max(of_scene, of_routing) < len(keys):
        raise InputError(
            f"{document.name}: neither a plan (width, height, prompt, regions, …), nor a draft of one (without prompt),"
            " nor a routing (name, rules, …)"
        )
    if of_routing > of_scene:
        return "routing"
    if "prompt" in keys:
        return "plan"
    return "draft" if "style" in keys or _is_draft(document) else "plan"


def load_plan(path: str) -> ScenePlan:
    """Reads a plan file. Raises `InputError`, which names a draft and a routing as such."""
    try:
        return ScenePlan.load(path)
    except InputError as error:
        try:
            kind = kind_of(read_document(path))
        except InputError:
            raise error from None
        if kind == "routing":
            raise InputError(f"{path}: is a routing, not a plan (`strata generate PLAN --routing {path}`)") from error
        if kind == "draft":
            message = f"has no prompt, so it is the draft of a plan (`strata plan PROMPT --draft {path}`)"
            raise InputError(f"{path}: {message}") from error
        raise


def _is_draft(document: Document) -> bool:
    try:
        validate(Draft, document)
    except InputError:
        return False
    return True
