"""What a reader of another program's layouts is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from strata.hierarchy.errors import SettingError
from strata.hierarchy.plan import ScenePlan


@dataclass(frozen=True)
class Imported:
    """One plan that was made of a file."""

    name: str
    """What its plan file can be called, without a suffix; the only one of a file has the file's own name."""
    plan: ScenePlan
    notes: tuple[str, ...]
    """What of the file the plan does not hold, or holds otherwise, a line each, with its place."""


class Importer(ABC):
    """The layouts of one program."""

    name: str
    """What the command line calls them."""
    about: str
    """Whose they are."""
    chunks: tuple[str, ...] = ()
    """The text chunks of the program's PNG files that hold them, the best first."""

    @abstractmethod
    def read(self, text: str, width: int | None, height: int | None, name: str = "<text>") -> list[Imported]:
        """The plans that a file describes, at least one.

        Args:
            text: the file's, of anyone and in any state.
            width: of the canvas in pixels, which some files do not tell; None: as the file tells.
            height: likewise.
            name: what messages call the file.

        Raises:
            InputError: the file is damaged, or neither it nor the arguments tell the canvas; names line, field, value
                and what would be valid.
        """

    def canvas(self, width: int | None, height: int | None) -> tuple[int, int]:
        """The canvas of a file that does not tell it. Raises `SettingError` where a side is missing."""
        if width is None or height is None:
            raise canvas_missing(self.name, width, height)
        return width, height


def canvas_missing(form: str, width: int | None, height: int | None) -> SettingError:
    """The error where neither a file of this format nor the user tells the canvas."""
    missing = [f"<{key}>" for key, side in (("width", width), ("height", height)) if side is None]
    return SettingError(f"{', '.join(missing)}: missing: this file of format {form} does not tell the canvas")


def joined(texts: Iterable[str]) -> str:
    """Texts as one, without the stops and commas at their ends; empty ones are left out."""
    return ", ".join(text for part in texts if (text := part.strip().strip(".,; \n")))
