"""The forms of a model's answers: pydantic models and, from them, the JSON schemas sent along as structured output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from strata.llm.places import GRID

Task = Literal["layout", "details", "whole"]
MOST_REGIONS = 16
"""More regions than this are dropped from an answer."""
LONGEST_TEXT = 300
"""Characters of one text of an answer."""

Phrase = Annotated[str, Field(max_length=LONGEST_TEXT)]
Corner = Annotated[int, Field(ge=0, le=GRID)]
Corners = Annotated[list[Corner], Field(min_length=4, max_length=4)]


class Form(BaseModel):
    """Part of an answer: every key is there, no other is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


CONTENT: dict[str, Any] = {"content": (Phrase, ...)}
"""What an object is: its kind, number and pose, without colour, material or texture."""
BOX: dict[str, Any] = {"box": (Corners, ...)}
"""x1, y1, x2, y2 on the 0-1000 grid."""
DETAIL: dict[str, Any] = dict.fromkeys(("colour", "material", "texture", "other"), (Phrase, ...))
"""What an object looks like; empty where the prompt gives nothing."""
STYLE: dict[str, Any] = dict.fromkeys(("light", "medium", "style"), (Phrase, ...))
"""Of the whole image; empty where the prompt gives nothing."""


def answer_form(task: Task, *, count: int | None = None, box: bool = True, content: bool = True) -> type[Form]:
    """The form of an answer.

    Args:
        task: "layout" asks for topic, objects (content and box) and background; "details" for each object's colour,
            material, texture and anything other, the background's detail, and the image's light, medium and style;
            "whole" for all of it at once.
        count: exactly so many objects; None leaves the number open, up to `MOST_REGIONS`; a scene may have none.
        box: whether boxes are asked for.
        content: whether contents are asked for.
    """
    parts: dict[str, Any] = {}
    if task != "details":
        parts |= (CONTENT if content else {}) | (BOX if box else {})
    if task != "layout":
        parts |= DETAIL
    item = create_model("Object", __base__=Form, **parts)
    least, most = (0, MOST_REGIONS) if count is None else (count, count)
    objects = (Annotated[list[item], Field(min_length=least, max_length=most)], ...)
    fields: dict[str, Any] = {"objects": objects, "background": (Phrase, ...)}
    if task != "details":
        fields = {"topic": (Phrase, ...)} | fields
    if task == "whole":
        fields |= {"background_detail": (Phrase, ...)}
    if task != "layout":
        fields |= STYLE
    return create_model(task.capitalize(), __base__=Form, **fields)


def json_schema(form: type[Form]) -> Mapping[str, Any]:
    """The JSON schema of a form, without references and titles, as every server's structured output takes it."""
    schema = form.model_json_schema()
    definitions = schema.pop("$defs", {})

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return plain(definitions[node["$ref"].rsplit("/", 1)[1]])
            return {
                key: ({name: plain(part) for name, part in value.items()} if key == "properties" else plain(value))
                for key, value in node.items()
                if key not in ("title", "description")
            }
        return [plain(part) for part in node] if isinstance(node, list) else node

    result: dict[str, Any] = plain(schema)
    return result
