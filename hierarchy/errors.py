"""The errors that Strata raises on purpose, and how messages show what a user gave."""

import json
import os
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches

_FIELD = re.compile(r"<([a-z][a-z_]*)>")
LONGEST_MESSAGE = 1000
"""Characters of an error's message."""
LONGEST_VALUE = 60
"""Characters of a value that a message quotes."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Characters that count as printable though nothing is seen of them."""


def printable(text: str) -> str:
    """`text` with everything that a terminal would obey or not show (control characters, changes of the reading
    direction, zero-width characters, halves of surrogates) as escapes such as `\\x1b`; other Unicode stays."""
    if text.isprintable() and _BLANK.isdisjoint(text):
        return text
    return "".join(c if c.isprintable() and c not in _BLANK else ascii(c)[1:-1] for c in text)


def shortened(text: str, most: int) -> str:
    """`text` in at most so many characters, the last one an ellipsis where it is cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def quote(value: object) -> str:
    """`value` as messages show it: YAML-like, on one line, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = shortened(printable(" ".join(text[: 10 * LONGEST_VALUE].split())), LONGEST_VALUE)
    return f"'{text}'" if isinstance(value, str) else text


def count(number: int, noun: str) -> str:
    """`1 region`, `2 regions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def closest(word: str, choices: Sequence[str], alike: float = 0.6) -> str | None:
    """The one of `choices` that is nearest to `word`; None where none is as much alike (1: the same)."""
    return next(iter(get_close_matches(word[:LONGEST_VALUE], choices, n=1, cutoff=alike)), None)


def did_you_mean(word: str, choices: Sequence[str]) -> str:
    """`"did you mean 'steps'? "` where one of `choices` is close to `word`, else `""`."""
    close = closest(word, choices)
    return f"did you mean '{close}'? " if close is not None else ""


def one_line(text: str) -> str:
    """`text` as a message: on one line, `printable`, and of at most `LONGEST_MESSAGE` characters.

    A longer one loses its middle: the place stands at the start, the reason at the end.
    """
    if len(text) > 4 * LONGEST_MESSAGE:  # before anything is done to all of it
        text = f"{text[: 2 * LONGEST_MESSAGE]}…{text[-2 * LONGEST_MESSAGE :]}"
    line = printable(" ".join(text.split()))
    if len(line) <= LONGEST_MESSAGE:
        return line
    half = LONGEST_MESSAGE // 2
    return f"{line[: LONGEST_MESSAGE - half]}…{line[1 - half :]}"


def first_line(error: BaseException) -> str:
    """The first line of an error of another library, and what it announces with a colon; its type for none."""
    lines = [line for line in map(str.strip, str(error).splitlines()) if line]
    if not lines:
        return type(error).__name__
    return " ".join([lines[0], *(shortened(line, 200) for line in lines[1:2] if lines[0].endswith(":"))])


def reason_of(error: BaseException) -> object:
    """Why a file cannot be used: what the system says, else the error."""
    return (error.strerror if isinstance(error, OSError) else None) or error


def file_error(error: OSError) -> str:
    """What the system refused, as a person reads it: `image.png: No space left on device`; without its number."""
    place = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | os.PathLike) else ""
    return f"{place}{reason_of(error)}"


class StrataError(Exception):
    """Base of every error that Strata raises on purpose; its message is `one_line`, fit for a terminal."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(StrataError, ValueError):
    """What a user gave (a file, a value, an option) cannot be used.

    The message names the place and, where there are any, the valid choices.
    """


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
        return one_line(_FIELD.sub(lambda match: name(match[1]), self.template))


def flag(field: str) -> str:
    """What a command line calls a setting: `true_cfg` is `--true-cfg`."""
    return f"--{field.replace('_', '-')}"


def on_command_line(error: StrataError) -> str:
    """The message of an error, as a command line shows it that calls every setting by its `flag`."""
    return error.shown(flag) if isinstance(error, SettingError) else str(error)
