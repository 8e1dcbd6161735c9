"""The errors that Strata raises on purpose."""

import re
from collections.abc import Callable

_FIELD = re.compile(r"<([a-z][a-z_]*)>")


def first_line(error: BaseException) -> str:
    """The first line of an error of another library; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def reason_of(error: BaseException) -> object:
    """Why a file cannot be used: what the system says, else the error."""
    return (error.strerror if isinstance(error, OSError) else None) or error


class StrataError(Exception):
    """Base of every error that Strata raises on purpose."""


class InputError(StrataError, ValueError):
    """What a user gave (a file, a value, an option) cannot be used.

    The message is always one line that names the place and, where there are any, the valid choices, so that the
    command line can print it as it is.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class SettingError(InputError):
    """A setting (a field of the engine's or the planner's settings) that cannot be used.

    Args:
        template: the message, which names settings as `<true_cfg>`: `str()` of the error shows their plain names, and
            `shown` what an interface calls them.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        super().__init__(self.shown(str))

    @property
    def field(self) -> str | None:
        """The setting that the message names first."""
        found = _FIELD.search(self.template)
        return found[1] if found else None

    def shown(self, name: Callable[[str], str]) -> str:
        """The message on one line, with `name(field)` for every setting."""
        return " ".join(_FIELD.sub(lambda match: name(match[1]), self.template).split())
