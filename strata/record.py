"""The record of a run: what a picture was made from, as its text chunks and its run.json hold it."""

import base64
import io
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal

from PIL import Image, PngImagePlugin
from pydantic import Field, JsonValue, ValidationError

from strata import __version__
from strata.hierarchy.errors import InputError, quote
from strata.hierarchy.file_model import NUMBER, AnyText, StrictModel
from strata.hierarchy.plan import Level, Region, ScenePlan
from strata.hierarchy.repaint import with_region
from strata.hierarchy.validation import first_reason
from strata.layers.fields import PercentField
from strata.layers.routing import Routing
from strata.settings import Count, Mend, Mode, Name, Scale, Seed, Share, Steps, UsedDevice, UsedDtype

MOST_REPAINTS = 50
"""How often one picture is repainted at most: each time, it takes as long as a picture more to draw it again."""
CHUNK_RUN, CHUNK_PLAN, CHUNK_ROUTING, CHUNK_FILE = "strata:run", "strata:plan", "strata:routing", "strata:file:"


class RunSettings(StrictModel):
    """Everything beside plan and routing that decides what a picture looks like, within the limits of the settings."""

    model: Name
    seed: Annotated[Seed, NUMBER]
    steps: Annotated[Steps, NUMBER]
    guidance: Annotated[Scale, NUMBER] | None = None
    """None where the model has no guidance."""
    true_cfg: Annotated[Scale, NUMBER] | None = None
    image_strength: Annotated[Share, NUMBER] | None = None
    method: Name | None = None
    """None: as the routing asks for."""
    lora: tuple[Name, ...] = ()
    """LoRAs of the whole picture beside the plan's, as FILE:SCALE."""
    control_model: tuple[Name, ...] = ()
    """Of ControlNets, one for each control picture, as the other settings of controls."""
    control_scale: tuple[Annotated[Scale, NUMBER], ...] = ()
    control_mode: tuple[Annotated[Mode, NUMBER], ...] = ()
    """-1: none."""
    control_steps: tuple[PercentField, ...] = ()
    control_region: tuple[Name, ...] = ()
    device: UsedDevice
    dtype: UsedDtype
    threads: Annotated[Count, NUMBER]
    """Of torch on a CPU; other numbers may round differently."""


class TextSwap(StrictModel):
    """At some steps an area has another text than in the plan."""

    area: str
    level: Level
    text: str | None
    """None: none."""
    steps: PercentField


class Repaint(StrictModel):
    """The picture was drawn anew where one region is, or several, and around that it stayed as it was."""

    region: str
    also: tuple[str, ...] = ()
    """Further regions that were drawn anew in the same pass, by the texts that they had."""
    isolated: bool = False
    """Whether the routing isolated them in that pass wherever their texts are visible (`Routing.isolating`)."""
    before: Region | None = None
    """The region before that; None: as it is now."""
    prompt: AnyText | None = None
    """The base prompt before that; None: as it is now."""
    seed: Annotated[Seed, NUMBER] | None = None
    """Of new noise in its area; None: the noise stayed."""

    @property
    def regions(self) -> tuple[str, ...]:
        """All that were drawn anew."""
        return self.region, *self.also


class Tried(StrictModel):
    """One of several tries at a picture that obeys its plan."""

    seed: Annotated[Seed, NUMBER]
    """Of the noise: of the whole picture, or of what is new in regions of it."""
    regions: tuple[str, ...] = ()
    """Those that were drawn anew; none: the whole picture."""
    after: Annotated[Count, NUMBER] | None = None
    """The try, from 1, whose picture they were drawn anew in."""
    isolated: bool = False
    """Whether the routing isolated them wherever their texts are visible."""
    wrong: tuple[str, ...] = ()
    """What the judge found wrong, a line for each region and the background."""


class Obeyed(StrictModel):
    """The picture was drawn until a judge found that its regions obey."""

    most: Annotated[Count, NUMBER]
    """Tries at most."""
    mend: Mend
    judge: Name
    judge_settings: dict[str, JsonValue] = Field(default={})
    """What decides its verdicts."""
    seed: Annotated[Seed, NUMBER]
    """Of the first try; of a run, of its first picture."""
    tries: tuple[Tried, ...] = ()
    """All of them, the first one first."""
    kept: Annotated[Count, NUMBER] | None = None
    """Which one the picture is, from 1."""

    def as_row(self) -> dict[str, Any]:
        """What run.json says of a picture: its first seed, all tries, and which one it is."""
        tries = [tried.model_dump(mode="json", exclude_defaults=True) for tried in self.tries]
        return {"first_seed": self.seed, "kept": self.kept, "tries": tries}

    def of_one_kind(self, other: "Obeyed | None") -> bool:
        """Whether another picture is drawn until the same judge finds the same, by as many tries."""
        mine = {"seed", "tries", "kept"}
        return other is not None and self.model_dump(exclude=mine) == other.model_dump(exclude=mine)


class Record(StrictModel):
    """What a picture records of itself, beside its plan and its routing."""

    format: Literal[1] = 1
    name: str
    """The plan's file name without its suffix; names the next output folder."""
    settings: RunSettings
    image: str | None = None
    """The input picture, as an attachment's name."""
    mask_image: str | None = None
    control: tuple[str, ...] = ()
    """Control pictures, as attachments' names."""
    swaps: tuple[TextSwap, ...] = ()
    lora_hashes: dict[str, str] = Field(default={})
    """SHA-256 of every LoRA file, those of the plan too, by the name that settings and plan have it by."""
    repaints: Annotated[tuple[Repaint, ...], Field(max_length=MOST_REPAINTS)] = ()
    """How the picture was repainted, the first time first; the plan is that of the last."""
    obeyed: Obeyed | None = None
    """The tries that it is the best of; None: there was no judge."""
    base_prompt: str | None = None
    """What was heard in the place of the plan's, by a routing that composes it."""
    lost: tuple[str, ...] = ()
    """What of the plan the method left out or told otherwise, a line each."""
    command: str
    created: str
    versions: dict[str, str]


def plans_before(plan: ScenePlan, repaints: Sequence[Repaint]) -> tuple[ScenePlan, ...]:
    """The plan that was drawn before each of the repaints, where `plan` is that of the last.

    Raises:
        InputError: the plan has no such region, or one that was there does not fit it.
    """
    found: list[ScenePlan] = []
    for number, repaint in reversed(list(enumerate(repaints))):
        region = repaint.before or next((r for r in plan.regions if r.name == repaint.region), None)
        if region is None or region.name != repaint.region or all(r.name != region.name for r in plan.regions):
            raise InputError(f"repaints[{number}]: {quote(repaint.region)}: is not the name of one region of the plan")
        if unknown := [name for name in repaint.also if all(r.name != name for r in plan.regions)]:
            raise InputError(f"repaints[{number}].also: {quote(unknown[0])}: is not the name of a region of the plan")
        try:
            plan = with_region(plan, region, repaint.prompt)
        except ValidationError as error:
            raise InputError(f"repaints[{number}].before: {first_reason(error)}") from error
        found.append(plan)
    return tuple(reversed(found))


def versions() -> dict[str, str]:
    """Versions of everything that takes part in drawing."""
    packages = ("torch", "diffusers", "transformers")
    return {"strata": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}


def now() -> str:
    """The time as ISO 8601, in UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def picture_bytes(
    image: Image.Image, plan: ScenePlan, routing: Routing, record: Record, files: Mapping[str, bytes]
) -> bytes:
    """A PNG that remembers what it was made from, as text chunks; `plan` and `files` as `portable` gives them."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK_PLAN, plan.to_yaml())
    info.add_itxt(CHUNK_ROUTING, routing.to_yaml())
    info.add_itxt(CHUNK_RUN, json.dumps(record.model_dump(mode="json"), ensure_ascii=False, indent=1))
    for name, content in files.items():
        info.add_text(CHUNK_FILE + name, base64.b64encode(content).decode("ascii"))
    return png_bytes(image, info)


def png_bytes(image: Image.Image, info: PngImagePlugin.PngInfo | None = None) -> bytes:
    """An image as a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=info)
    return out.getvalue()
