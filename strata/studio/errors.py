"""Errors as the page shows them: what is wrong, and where on the page that is."""

import re
from typing import Any

from strata.hierarchy.errors import SettingError, StrataError

_LINE = re.compile(r"^[^:]*:\d+: ")
_PATH = re.compile(r"^(?:[^:]*:\d+: )?((?:[a-z_]+|\[\d+\]|\.)+):")
_REGION = re.compile(r"^regions\[(\d+)\]")


class Refused(StrataError):
    """What the page asked for cannot be done now; a state of the server, not bad input."""

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.status = status


def problem(error: StrataError) -> dict[str, Any]:
    """The message, the field that it names, and the index of the region, for JSON."""
    if isinstance(error, SettingError):
        return {"message": str(error), "field": error.field, "region": None}
    text = str(error)
    found = _PATH.match(text)
    path = found[1] if found else None
    region = _REGION.match(path) if path else None
    return {"message": _LINE.sub("", text), "field": path, "region": int(region[1]) if region else None}
