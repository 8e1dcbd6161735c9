"""From the name of a model to a loaded pipeline: the miniature, a folder in the diffusers format, or a hub id."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from strata.hierarchy.errors import InputError, SettingError, first_line, quote
from strata.hierarchy.native import Form
from strata.hierarchy.typeset import SMALL
from strata.imports import uncollected
from strata.injection.facts import ModelFacts
from strata.injection.families import CLASSIC, FLUX_DEV, MODULAR, facts_of_folder, family_of_folder
from strata.knowledge import FILE as KNOWLEDGE
from strata.knowledge import Knowledge
from strata.miniature import WEIGHTS
from strata.native import form_named

logger = logging.getLogger(__name__)

MINIATURE = "miniature"
STEPS, CANVAS = 28, 1024
"""Denoising steps, and pixels of each side, where nothing else is said."""
MINIATURE_TEXT = 96
"""T5 tokens a text of the miniature and of models trained by its recipe, whose pictures the exact scorer can judge: no
other FLUX has 96."""

_FAST_WITH: Mapping[str, tuple[str, ...]] = {
    "bfloat16": ("avx512_bw", "avx_ne_convert", "amx_bf16"),
    "float16": ("avx512_fp16", "avx_ne_convert", "amx_fp16"),
}
"""Instructions of x86, by torch's names, one of which oneDNN's matrix products need; without, torch's own are used."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Origin:
    """Where weights come from, found without loading anything."""

    bundled: ClassVar[Path]
    """The folder of what is called miniature."""
    name: str
    """What the user called it."""
    kind: Literal["miniature", "folder", "hub"]
    only_here: bool = False
    """Whether the hub is not to be asked: what is not in its cache on this machine is not loaded."""

    def folder(self) -> Path | None:
        """Their folder on this machine, where that is known before loading."""
        if self.kind == "hub":
            return None
        return self.bundled if self.kind == "miniature" else Path(self.name).expanduser()


@dataclass(frozen=True)
class ModelSource(Origin):
    """Where a model comes from."""

    bundled = WEIGHTS

    @cached_property
    def facts(self) -> ModelFacts | None:
        """What Strata needs to know of the model, where its configuration is at hand."""
        folder = self.folder()
        try:
            return None if folder is None else facts_of_folder(folder)
        except InputError:
            return None  # loading raises the error

    @property
    def facts_or_flux(self) -> ModelFacts:
        """The facts, or FLUX.1-dev's for a model that is not at hand."""
        return self.facts or FLUX_DEV

    @cached_property
    def knowledge(self) -> Knowledge | None:
        """What the model was trained on, where its folder says so, or it is a miniature; None: anything.

        Raises:
            InputError: the file that says so is wrong.
        """
        folder = self.folder()
        if folder is None:
            return None
        places = (folder, WEIGHTS) if self.is_judged_exactly() else (folder,)
        path = next((place / KNOWLEDGE for place in places if (place / KNOWLEDGE).is_file()), None)
        return None if path is None else Knowledge.load(path)

    @cached_property
    def form(self) -> Form | None:
        """Of the structured captions that the model was trained on; None where it is not known to be.

        Raises:
            InputError: as of `knowledge`.
        """
        if self.knowledge is not None and self.knowledge.captions is not None:
            return form_named(self.knowledge.captions)
        return None if self.facts is None else self.facts.form

    @property
    def default_size(self) -> int:
        """Pixels of each side where none are asked for."""
        return CANVAS if self.knowledge is None else self.knowledge.sizes.default

    @property
    def draws_small(self) -> bool:
        """Whether its pictures are so small that one looks at them enlarged."""
        return self.default_size <= SMALL

    @property
    def default_steps(self) -> int:
        """Denoising steps where none are asked for."""
        if self.knowledge is not None:
            return self.knowledge.steps
        return (self.facts.steps if self.facts is not None else None) or STEPS

    @property
    def default_dtype(self) -> str:
        """The data type where none is asked for, as `choose_dtype` takes it."""
        return (self.knowledge.dtype if self.knowledge is not None else None) or "auto"

    def is_judged_exactly(self) -> bool:
        """Whether the miniature's exact scorer can judge the model's pictures."""
        return self.facts is not None and self.facts.text_length == MINIATURE_TEXT


def locate(name: str) -> ModelSource:
    """What `name` is: `miniature`, a folder in the diffusers format, or a hub id (OWNER/NAME).

    Raises:
        InputError: none of them, or a folder without a FLUX pipeline.
    """
    if name == MINIATURE:
        return ModelSource(name, "miniature")
    path = Path(name).expanduser()
    if path.is_dir():
        try:
            family_of_folder(path)
        except InputError as error:
            raise InputError(f"model {quote(name)}: {error}") from error
        return ModelSource(name, "folder")
    if path.exists():
        raise InputError(
            f"model {quote(name)}: is a file; give the folder of a pipeline in the diffusers format"
            " (FluxPipeline.from_single_file(…).save_pretrained(FOLDER) makes one)"
        )
    if HUB_ID.fullmatch(name):
        return ModelSource(name, "hub")
    raise InputError(f"model {quote(name)}: no such folder; must be '{MINIATURE}', a folder, or a hub id (OWNER/NAME)")


def locate_for(name: str | None, recorded: str | None = None) -> ModelSource:
    """The model that is asked for, else the one that the source picture names, else the miniature.

    Raises:
        InputError: as of `locate` and `locate_recorded`.
    """
    return locate_recorded(recorded) if name is None and recorded is not None else locate(name or MINIATURE)


def locate_recorded(name: str) -> ModelSource:
    """The model that a picture names, which anybody may have made: only what is bundled, or in the hub's cache here.

    No folder is looked at and the hub is not asked, not even while loading.

    Raises:
        SettingError: any other model; says how to allow it.
    """
    if name in (MINIATURE, str(WEIGHTS)):
        return locate(name)
    if HUB_ID.fullmatch(name):
        from huggingface_hub import try_to_load_from_cache

        kept = any(isinstance(try_to_load_from_cache(name, index), str) for index in (CLASSIC, MODULAR))
        if kept and not Path(name).exists():
            return ModelSource(name, "hub", only_here=True)
    raise SettingError(
        f"model {quote(name)}: is what the picture was drawn with, but a picture cannot have a model loaded that is"
        " neither bundled nor in the hub's cache here; if you trust it, name it with <model>"
    )


def choose_device(name: str) -> str:
    """`auto` is cuda, else mps, else cpu. Raises `InputError` for a device that this machine does not have."""
    with uncollected():
        import torch

    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.insert(0, "mps")
    if torch.cuda.is_available():
        here.insert(0, "cuda")
    if name == "auto":
        return here[0]
    if name not in here:
        raise InputError(f"device {quote(name)}: not available here; valid: auto, {', '.join(sorted(here))}")
    return name


def choose_dtype(name: str, device: str) -> str:
    """`auto` is float32 on a CPU, bfloat16 elsewhere."""
    if name != "auto":
        return name
    return "float32" if device == "cpu" else "bfloat16"


def slow_dtype(dtype: str, device: str) -> str | None:
    """What to tell of a data type that this CPU has no instructions for, in a sentence; None where all is well."""
    if device != "cpu" or dtype not in _FAST_WITH:
        return None
    with uncollected():
        import torch

    here: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not there in older torch
    known = [name for name in _FAST_WITH[dtype] if name in here]
    if not known or any(here[name] for name in known):
        return None
    return f"this CPU has no instructions for {dtype}: a step takes many times as long as in float32"


def check_offload(offload: bool, device: str) -> None:
    """Raises `SettingError` for offloading on a CPU, where it saves nothing."""
    if offload and device == "cpu":
        raise SettingError("<offload>: is for accelerators; on the CPU there is nowhere to offload to")


def load_pipeline(source: ModelSource, dtype: str, device: str, offload: bool = False) -> Any:
    """The pipeline with its weights as `dtype` on `device`, names as `choose_dtype` and `choose_device` return them.

    With `offload` each of its models is there only while it is at work, which takes less memory.

    Raises:
        InputError: it cannot be had or read; with a hint.
    """
    import torch

    check_offload(offload, device)
    try:
        if source.kind == "miniature" and not (WEIGHTS / "model_index.json").is_file():
            raise InputError(f"its weights are missing from this installation ({WEIGHTS})")
        folder = source.folder() or _downloaded(source.name, source.only_here)
        with uncollected():
            from strata.injection.weights import load_folder

            pipe = load_folder(folder, getattr(torch, dtype))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except InputError as error:
        raise InputError(f"model {quote(source.name)}: {error}") from error
    except Exception as error:  # what libraries raise for damaged or missing files is of many types
        logger.debug("loading %s failed", source.name, exc_info=True)
        reason = hub_reason(error) if source.kind == "hub" else f"cannot be loaded: {first_line(error)}"
        raise SettingError(f"model {quote(source.name)}: {reason}") from error
    from strata.injection.calling import call_of

    call = call_of(pipe)
    call.offload(device) if offload else pipe.to(device)
    call.quiet()
    return pipe


def _downloaded(name: str, only_here: bool) -> Path:
    """The folder of a model of the hub, of the user's cache alone where nothing may be asked for."""
    from diffusers import DiffusionPipeline
    from huggingface_hub import hf_hub_download, snapshot_download

    try:
        return Path(DiffusionPipeline.download(name, local_files_only=only_here))
    except OSError:
        try:
            hf_hub_download(name, MODULAR, local_files_only=only_here)
        except Exception:  # not of blocks either: what was wrong first is told
            pass
        else:
            return Path(snapshot_download(name, local_files_only=only_here, ignore_patterns=["*.bin", "*.py"]))
        raise


def hub_reason(error: BaseException) -> str:
    """Why something could not be had from the hub, and what to do."""
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    elsewhere = "or download it elsewhere (hf download OWNER/NAME --local-dir FOLDER) and give the folder as <model>"
    chain = list(_causes(error))
    if any(isinstance(cause, GatedRepoError) for cause in chain):
        return "is gated: accept its licence on its page at huggingface.co, then log in here (hf auth login)"
    if any(isinstance(cause, RepositoryNotFoundError) for cause in chain):
        return "no such folder here, and no such model on the hub; if it is private, log in (hf auth login)"
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in chain):
        return f"not downloaded yet, and the hub is switched off (HF_HUB_OFFLINE); unset that, {elsewhere}"
    if any(re.search("Connect|Network|Timeout|ProxyError|SSL|gaierror", type(cause).__name__) for cause in chain):
        return (
            "no such folder here, and the hub cannot be reached; check the network"
            f" (HTTPS_PROXY, HF_ENDPOINT), {elsewhere}"
        )
    return f"cannot be loaded from the hub: {first_line(error)}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
