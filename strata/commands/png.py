"""The PNG file of a command that writes a single picture and no run."""

from pathlib import Path

from strata.hierarchy.errors import SettingError, printable, quote, reason_of
from strata.hierarchy.files import write_atomic
from strata.run_folder import check_no_run_file


def check_png(out: str) -> None:
    """Raises `InputError` unless a path names a PNG file."""
    if Path(out).suffix.lower() != ".png":
        raise SettingError(f"<out> {out}: suffix {quote(Path(out).suffix)}: must be .png")


def write_png(out: str, content: bytes) -> None:
    """Writes a picture, with the folder it goes to, and prints where. Raises `InputError` where that cannot be done."""
    check_no_run_file(Path(out), content)
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"<out> {out}: cannot be written: {reason_of(error)}") from error
    write_atomic(out, content)
    print(printable(out))
