"""What commands share when they print."""

import shutil
import sys


def count(number: int, noun: str) -> str:
    """`1 region`, `2 regions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def note(text: str) -> None:
    """Tells something that is no error."""
    print(f"strata: note: {text}", file=sys.stderr, flush=True)


def terminal_width() -> int:
    """Columns for tables; 100 where the output is no terminal."""
    return shutil.get_terminal_size((100, 24)).columns
