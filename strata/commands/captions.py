"""What `strata export` and `strata import` share: the forms, and the one file that is written."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strata.hierarchy.errors import SettingError, reason_of
from strata.native import FORMS
from strata.run_folder import check_no_run_file

FormName = Annotated[str, Parameter(name="FORM", help=", ".join(FORMS))]


def check_free(out: str | None, force: bool) -> None:
    """Raises `InputError` where a file is in the way."""
    if out is None and force:
        raise SettingError("<force>: goes with <out>")
    if out is not None and Path(out).is_dir():
        raise SettingError(f"<out> {out}: is a folder; name a file in it")
    if out is not None:
        check_no_run_file(Path(out))
    if out is not None and not force and Path(out).exists():
        raise SettingError(f"<out> {out}: is there already; <force> replaces it")


def make_folder(out: str) -> None:
    """Makes the folder that a file goes to. Raises `SettingError` where that cannot be done."""
    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"<out> {out}: cannot be written: {reason_of(error)}") from error
