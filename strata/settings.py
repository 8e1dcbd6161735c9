"""What can be set about a drawing: name, type, bounds, default and help of every setting, declared once.

The engine takes these models, and the command line makes its options of them. None stands for what the record of the
source picture says, else the default.
"""

import os
from typing import Annotated, Any, Literal, Self, TypeVar

from cyclopts import Group, Parameter
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from strata.hierarchy.errors import SettingError
from strata.hierarchy.file_model import StrictModel

LARGEST_SEED = 2**63 - 1
LARGEST_SCALE = 1000
MOST_PICTURES = 10_000
"""Of one run or sweep."""
LARGEST_STEPS = 1000
"""FLUX schedulers know 1000 noise levels."""

# Where the help shows a setting
MODEL = Parameter(group=Group("what draws", sort_key=2))
HOW = Parameter(group=Group("how it draws", sort_key=3))
PICTURES = Parameter(
    group=Group("input pictures", help="For models that take one, and to draw over a picture.", sort_key=4)
)
PLANNING = Parameter(group=Group("how a prompt is planned", sort_key=5))
WHERE_TO = Parameter(group=Group("where to", sort_key=9))


NO_STDOUT = "'-': only files are written, not standard output; name one"


def _named(value: str) -> str:
    if not value.strip():
        raise ValueError(f"{value!r}: must not be empty; leave it out for the default")
    return value


def _no_dash(value: str) -> str:
    if value == "-":
        raise ValueError(NO_STDOUT)
    return value


def _a_file(value: str) -> str:
    if os.path.basename(value) in ("", os.curdir, os.pardir):  # which a Path would drop
        raise ValueError(f"{value!r}: is a folder; name a file in it")
    return value


# What a setting takes
Name = Annotated[str, AfterValidator(_named)]
"""What names something (a file, a folder, a model, words): never empty."""
Count = Annotated[int, Field(ge=1), Parameter(metavar="N")]
PictureCount = Annotated[int, Field(ge=1, le=MOST_PICTURES), Parameter(metavar="N")]
Steps = Annotated[int, Field(ge=1, le=LARGEST_STEPS), Parameter(metavar="N")]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED), Parameter(metavar="N")]
Scale = Annotated[float, Field(ge=0, le=LARGEST_SCALE), Parameter(metavar="X")]
Hours = Annotated[float, Field(gt=0, le=1000), Parameter(metavar="H")]
Share = Annotated[float, Field(gt=0, le=1), Parameter(metavar="X")]
File = Annotated[Name, Parameter(metavar="FILE")]
ModelName = Annotated[Name, Parameter(name=("--model", "-m"), metavar="MODEL")]
RoutingName = Annotated[Name, Parameter(name=("--routing", "-r"), metavar="NAME|FILE")]
ControlName = Annotated[Name, Parameter(metavar="MODEL")]
MethodName = Annotated[Name, Parameter(metavar="NAME")]
LoraName = Annotated[Name, Parameter(metavar="FILE[:SCALE]")]
FolderName = Annotated[Name, Parameter(metavar="DIR")]
ClipName = Annotated[Name, Parameter(metavar="MODEL")]
FileName = Annotated[Name, AfterValidator(_a_file)]
"""What names a file that is written: never a folder, as a name that ends with a slash does."""
OutFile = Annotated[FileName, AfterValidator(_no_dash), Parameter(name=("--out", "-o"), metavar="FILE")]
OutFolder = Annotated[Name, AfterValidator(_no_dash), Parameter(name=("--out", "-o"), metavar="DIR")]
Mend = Literal["repaint", "again", "isolate"]
"""What the next try at a picture that does not obey does: regions anew, all of it, or regions anew and isolated."""
UsedDevice = Literal["cpu", "cuda", "mps"]
Device = Literal["auto", UsedDevice]
UsedDtype = Literal["float32", "bfloat16", "float16"]
Dtype = Literal["auto", UsedDtype]
S = TypeVar("S", bound="Settings")


def _split(value: Any) -> Any:
    """`("a, b",)`, as a command line gives it, is `("a", "b")`."""
    if not isinstance(value, list | tuple):
        return value
    return tuple(part.strip() for text in value for part in text.split(","))


def _several(value: Any) -> Any:
    """What stands alone stands for a list of it, as where a sweep names one value."""
    return value if value is None or isinstance(value, list | tuple) else (value,)


SEVERAL = BeforeValidator(_several)
Mode = Annotated[int, Field(ge=-1, le=1000), Parameter(metavar="N")]
PercentText = Annotated[Name, Parameter(metavar="A%-B%")]
AreaName = Annotated[Name, Parameter(metavar="NAME")]
Words = Annotated[tuple[Name, ...], BeforeValidator(_split), Parameter(metavar="A,B")]
"""Texts, separated by commas where they come in one piece."""


@Parameter(name="*")
class Settings(StrictModel):
    """A group of settings. The text below each one is its help."""

    model_config = ConfigDict(use_attribute_docstrings=True, str_strip_whitespace=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        for field in cls.model_fields.values():
            field.description = " ".join((field.description or "").split())


class ModelSettings(Settings):
    """Which model draws, and where."""

    model: Annotated[ModelName | None, MODEL] = None
    """miniature (bundled), a folder in the diffusers format, or a hub id such as black-forest-labs/FLUX.1-dev
    (default: miniature)"""
    device: Annotated[Device | None, MODEL] = None
    """default: auto, the best that is here"""
    dtype: Annotated[Dtype | None, MODEL] = None
    """of the weights; auto is float32 on a CPU, bfloat16 elsewhere (default: auto; float32 for the miniature)"""
    offload: Annotated[bool, MODEL] = False
    """keep only the model at work on the accelerator (FLUX.1 on 24 GB or less)"""


class SamplingSettings(ModelSettings):
    """What decides a picture of a given plan."""

    routing: Annotated[RoutingName | None, MODEL] = None
    """a preset (`strata routing list`) or a file (default: isolate-first)"""
    seed: Annotated[Seed | None, HOW] = None
    """of the noise (default: random, printed and recorded)"""
    steps: Annotated[Steps | None, HOW] = None
    """denoising steps (default: 28; 20 for the miniature)"""
    guidance: Annotated[Scale | None, HOW] = None
    """guidance scale (default: 3.5; 30 for Fill models)"""
    true_cfg: Annotated[Scale | None, HOW] = None
    """weight of the plan's negative_prompt, above 1"""
    strict: Annotated[bool, HOW] = False
    """refuse words and sizes that the model was not trained on, instead of warning"""


class CanvasSettings(SamplingSettings):
    """And its size."""

    width: Annotated[Count | None, HOW] = None
    """pixels; resizes a plan (default of prompts: 1024; 128 for the miniature)"""
    height: Annotated[Count | None, HOW] = None
    """likewise"""


class RecordedControls(Settings):
    """What a picture was drawn with, and has to be named to draw it again where its record alone does not do."""

    lora_dir: Annotated[FolderName | None, MODEL] = None
    """a folder with LoRA files of a picture that were moved, which the recorded hashes tell (default: where they were,
    or beside the picture)"""

    control_model: Annotated[tuple[ControlName, ...] | None, SEVERAL, MODEL] = None
    """the ControlNets of a picture that was drawn with some: folders or hub ids, one for all or one each (default: as
    recorded, where they are bundled or in the hub's cache)"""


class DrawSettings(CanvasSettings):
    """Everything about a drawing but the plan, which is the source's."""

    method: Annotated[MethodName | None, MODEL] = None
    """regional; native, the plan as the structured caption that the model was trained on; native+regional, both;
    plain, the prompt alone; the published regional-prompting-flux, rpg, densediffusion, stitch, by their own routing
    where none is given (default: as the routing asks for)"""
    lora: Annotated[tuple[LoraName, ...] | None, SEVERAL, MODEL] = None
    """a LoRA that acts on the whole picture: a .safetensors file or a hub id, and a scale behind a colon
    (style.safetensors:0.8); several: name it several times. LoRAs of regions are the plan's"""
    lora_dir: Annotated[FolderName | None, MODEL] = None
    """a folder with LoRA files of a picture that were moved, which the recorded hashes tell (default: where they were,
    or beside the picture)"""
    image: Annotated[File | None, PICTURES] = None
    """picture to start from, or to be guided by"""
    mask_image: Annotated[File | None, PICTURES] = None
    """white where the picture is to change"""
    image_strength: Annotated[Share | None, PICTURES] = None
    """how much image to image changes, up to 1 (default: 0.6)"""
    control: Annotated[tuple[File, ...] | None, SEVERAL, PICTURES] = None
    """picture that a ControlNet has the drawing follow, such as outlines or a depth map; name it several times for
    several, and what belongs to them once for all or once each"""
    control_model: Annotated[tuple[ControlName, ...] | None, SEVERAL, PICTURES] = None
    """the ControlNet: a folder in the diffusers format or a hub id; miniature follows outlines (default: miniature, for
    that model)"""
    control_scale: Annotated[tuple[Scale, ...] | None, SEVERAL, PICTURES] = None
    """how much what the ControlNet adds counts (default: 1)"""
    control_mode: Annotated[tuple[Mode, ...] | None, SEVERAL, PICTURES] = None
    """what the picture is, by a union model's own numbers; -1 for a ControlNet that is none"""
    control_steps: Annotated[tuple[PercentText, ...] | None, SEVERAL, PICTURES] = None
    """the steps in which it acts, such as 0%-60% (default: all)"""
    control_region: Annotated[tuple[AreaName, ...] | None, SEVERAL, PICTURES] = None
    """the region of the plan that it is confined to, or background (default: global, the whole picture)"""

    @classmethod
    def of(cls, settings: ModelSettings) -> Self:
        """The same settings, and none of the others."""
        values = {name: value for name, value in settings if name in cls.model_fields and value is not None}
        return cls.model_validate(values)


def read_settings(model: type[S], data: dict[str, Any]) -> S:
    """Builds a model of settings.

    Raises:
        SettingError: a value that is not valid, or a setting that does not exist; says what is valid.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise setting_error(error, model) from error


def setting_error(error: ValidationError, model: type[Settings]) -> SettingError:
    """The first complaint of pydantic, as an error that names the setting, the value and what is valid."""
    details = error.errors()[0]
    return SettingError(f"<{details['loc'][0]}>: {_complaint(details, model)}")


def _complaint(details: ErrorDetails, model: type[Settings]) -> str:
    value, name = details["input"], str(details["loc"][0])
    if name not in model.model_fields:
        return f"no such setting; valid: {', '.join(model.model_fields)}"
    if details["type"] == "value_error":
        return details["msg"].removeprefix("Value error, ")
    schema = model.model_json_schema()["properties"][name]
    kind = next((option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"), schema)
    if kind.get("type") == "array":
        kind = kind["items"]
    if "enum" in kind:
        return f"invalid choice: {value!r} (choose from {', '.join(map(repr, kind['enum']))})"
    if kind.get("type") not in ("integer", "number"):
        return f"{value!r}: {details['msg']}"
    low, above, high = (kind.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    noun = "a whole number" if kind["type"] == "integer" else "a number"
    if above is not None:
        bounds = f"above {above:g}" + (f" and at most {high:g}" if high is not None else "")
    else:
        bounds = f"{noun} " + (f"of at least {low}" if high is None else f"from {low} to {high}")
    return f"{value!r}: must be {bounds}"
