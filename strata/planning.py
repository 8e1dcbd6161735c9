"""Planning for the commands and the engine: settings of the planner, what a source is, a prompt's plan."""

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from strata.hierarchy.errors import InputError, SettingError, StrataError
from strata.hierarchy.plan import ScenePlan
from strata.llm.backends import MINIATURE as BUNDLED
from strata.llm.backends import open_backend
from strata.llm.cache import PlanCache
from strata.llm.draft import Draft
from strata.llm.instructions import DEFAULT, Instructions
from strata.llm.many import plan_many
from strata.llm.planner import Planner, Request
from strata.llm.protocol import Backend
from strata.settings import LARGEST_SCALE, PLANNING, Count, File, Name, Settings

TIMEOUT, ATTEMPTS = 120.0, 3
CONCURRENCY = 16
"""Prompts that a server works on at the same time, where nothing else is said."""
_LONGEST_SLUG = 40
SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".png", ".txt")
"""Of the files that commands take where they take a prompt."""


class PlannerSettings(Settings):
    """How prompts are planned; None means the default."""

    llm: Annotated[Name | None, Parameter(metavar="LLM"), PLANNING] = None
    """miniature (bundled; knows what the miniature draws, nothing else), the address of an
    OpenAI-compatible server such as http://localhost:8000/v1 (its key is taken from STRATA_LLM_KEY or OPENAI_API_KEY),
    or vllm:MODEL (vLLM in this process) (default: miniature)"""
    llm_model: Annotated[Name | None, Parameter(metavar="NAME"), PLANNING] = None
    """which of the server's models (default: its only one)"""
    llm_timeout: Annotated[float | None, Field(gt=0, le=LARGEST_SCALE), Parameter(metavar="S"), PLANNING] = None
    """seconds to wait for a server's answer (default: 120)"""
    regions: Annotated[Count | None, PLANNING] = None
    """exactly so many (default: as the prompt needs)"""
    style: Annotated[Name | None, Parameter(metavar="TEXT"), PLANNING] = None
    """of the whole image; not left to the model then"""
    draft: Annotated[File | None, PLANNING] = None
    """what is known already: regions without texts, texts without a place, …"""
    llm_form: Annotated[Literal["flux3"] | None, PLANNING] = None
    """ask the model as FLUX.3's own prompt upsampler, served by vLLM, was trained to be asked; a caption and a table of
    boxes come back and are read as `strata import flux3` does"""
    one_call: Annotated[bool, PLANNING] = False
    """ask for both levels in one question instead of two"""
    attempts: Annotated[Count | None, PLANNING] = None
    """at each question (default: 3)"""
    instructions: Annotated[Name | None, Parameter(metavar="DIR"), PLANNING] = None
    """the instructions of the model, in place of the bundled files"""
    no_cache: Annotated[bool, PLANNING] = False
    """ask even where the same was planned before"""

    def given(self) -> list[str]:
        """The settings that differ from their defaults."""
        return [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]

    @property
    def asks_a_server(self) -> bool:
        """Whether the model is reached by an address."""
        return (self.llm or BUNDLED).startswith(("http://", "https://"))

    def read(self) -> tuple[Draft | None, Instructions]:
        """The files that the settings name. Raises `InputError`, for settings that would be ignored too."""
        if self.llm_timeout is not None and not self.asks_a_server:
            llm = self.llm or BUNDLED
            raise SettingError(f"<llm_timeout> {self.llm_timeout:g}: is for servers, not for <llm> {llm}")
        if self.llm_form is not None:
            if (self.llm or BUNDLED) == BUNDLED:
                raise SettingError(f"<llm_form> {self.llm_form}: is for a model of that form; name one with <llm>")
            for name in ("one_call", "instructions"):
                if getattr(self, name):
                    raise SettingError(f"<{name}>: not allowed with <llm_form>, which has a question of its own")
        draft = Draft.load(self.draft) if self.draft is not None else None
        return draft, Instructions.load(DEFAULT if self.instructions is None else self.instructions)

    def open(self, concurrency: int = 1) -> Backend:
        """The way to the model. Raises `InputError` or `LlmError`."""
        timeout = TIMEOUT if self.llm_timeout is None else self.llm_timeout
        return open_backend(self.llm or BUNDLED, model=self.llm_model, timeout=timeout, concurrency=concurrency)

    def planner(self, backend: Backend, instructions: Instructions) -> Planner:
        """The planner that asks `backend`."""
        attempts = ATTEMPTS if self.attempts is None else self.attempts
        return Planner(
            backend, instructions=instructions, one_call=self.one_call, attempts=attempts, form=self.llm_form
        )

    def cache(self) -> PlanCache | None:
        """Where plans are looked up first."""
        return None if self.no_cache else PlanCache()


def plan_prompts(
    settings: PlannerSettings,
    instructions: Instructions,
    requests: Sequence[Request],
    on_start: Callable[[Backend], None] = lambda backend: None,
) -> list[ScenePlan | StrataError]:
    """Plans prompts, or finds their plans in the cache; the model is gone from memory afterwards.

    Returns:
        For every prompt its plan, or why it cannot be planned.

    Raises:
        StrataError: the model cannot be had or reached.
    """
    found: dict[int, ScenePlan | StrataError] = {}
    with closing(settings.open()) as backend:
        on_start(backend)
        planner = settings.planner(backend, instructions)
        plan_many(planner, requests, on_plan=found.__setitem__, on_failure=found.__setitem__, cache=settings.cache())
    return [found[index] for index in range(len(requests))]


def canvas(default: int, draft: Draft | None, width: int | None, height: int | None) -> tuple[int, int]:
    """The sides asked for, else the draft's, else the model's default."""
    drawn = (draft.width, draft.height) if draft is not None else (None, None)
    return width or drawn[0] or default, height or drawn[1] or default


def slug(prompt: str) -> str:
    """The first words of a prompt as part of a file name: `a-red-striped-circle`."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode()
    text = "-".join(re.findall(r"[a-z0-9]+", plain.lower()))
    if len(text) > _LONGEST_SLUG:
        text = text[: _LONGEST_SLUG + 1]
        text = text[: text.rfind("-")] if "-" in text else text[:_LONGEST_SLUG]
    return text or "prompt"


def is_file(source: str) -> bool:
    """Whether a command's SOURCE is a file or looks like the name of one, and not a prompt.

    What ends as the files do that commands read is a name, spaces or not; with a slash or another suffix, one word.
    """
    if os.path.exists(source) or source.lower().endswith(SUFFIXES):
        return True
    return not re.search(r"\s", source) and re.search(r"[/\\]|\.\w{1,5}$", source) is not None


def check_prompt(prompt: str) -> None:
    """Raises `InputError` for an empty prompt."""
    if not prompt.strip():
        raise InputError("the prompt is empty; say what to draw")
