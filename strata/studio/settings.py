"""What the Studio is started with."""

import ipaddress
from typing import Annotated

from cyclopts import Group, Parameter
from pydantic import Field

from strata.hierarchy.errors import SettingError
from strata.planning import PlannerSettings
from strata.settings import LARGEST_SCALE, PLANNING, FolderName, Name, OutFolder, Settings

SERVING = Parameter(group=Group("where it is served", sort_key=1))
BESIDE = Parameter(group=Group("what it knows", sort_key=6))
SHORTEST_PASSWORD = 8
"""Characters."""


class ServingSettings(Settings):
    """Where the page is."""

    host: Annotated[Name, Parameter(metavar="ADDRESS"), SERVING] = "127.0.0.1"
    """address to listen on; others than this machine's own need --password (default: 127.0.0.1)"""
    port: Annotated[int, Field(ge=0, le=65535), Parameter(metavar="N"), SERVING] = 7860
    """0: any that is free (default: 7860)"""
    password: Annotated[Name | None, Parameter(metavar="TEXT", env_var="STRATA_STUDIO_PASSWORD"), SERVING] = None
    """asked for before anything is shown; better given as STRATA_STUDIO_PASSWORD, which no list of processes shows"""
    no_browser: Annotated[bool, SERVING] = False
    """do not open the page in a browser"""

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check(self) -> None:
        """Raises `SettingError` where others could reach it without a password, or the password is too short."""
        if self.password is not None and len(self.password) < SHORTEST_PASSWORD:
            raise SettingError(f"<password>: must have at least {SHORTEST_PASSWORD} characters")
        if not self.on_loopback and self.password is None:
            raise SettingError(
                f"<host> {self.host}: others could reach the page; give a <password> too (or STRATA_STUDIO_PASSWORD)"
            )


class StudioPlanner(Settings):
    """Which language model plans sentences."""

    llm: Annotated[Name | None, Parameter(metavar="LLM"), PLANNING] = None
    """miniature (bundled), the address of an OpenAI-compatible server, or vllm:MODEL (default: miniature)"""
    llm_model: Annotated[Name | None, Parameter(metavar="NAME"), PLANNING] = None
    """which of the server's models (default: its only one)"""
    llm_timeout: Annotated[float | None, Field(gt=0, le=LARGEST_SCALE), Parameter(metavar="S"), PLANNING] = None
    """seconds to wait for a server's answer (default: 120)"""

    def complete(self) -> PlannerSettings:
        """As the planner takes them."""
        return PlannerSettings(llm=self.llm, llm_model=self.llm_model, llm_timeout=self.llm_timeout)


class BesideSettings(Settings):
    """What the page offers beside the model."""

    loras: Annotated[FolderName | None, BESIDE] = None
    """a folder with LoRAs (.safetensors) that regions may use"""
    roles: Annotated[Name | None, Parameter(metavar="DIR|roles.json"), BESIDE] = None
    """what `strata roles` wrote for this model; shown under the routing"""
    judge: Annotated[Name | None, Parameter(metavar="JUDGE"), BESIDE] = None
    """tells of every picture whether its regions obeyed: exact, clip:MODEL, detector:MODEL, vqa:ADDRESS (default: exact
    for the miniature, else none)"""
    out: OutFolder | None = None
    """folder that keeps the runs (default: a private one, removed at the end)"""
