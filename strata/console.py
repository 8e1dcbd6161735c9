"""What commands share when they print."""

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from strata.hierarchy.errors import SettingError
from strata.hierarchy.files import quote, write_atomic


def count(number: int, noun: str) -> str:
    """`1 region`, `2 regions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def note(text: str) -> None:
    """Prints something that is no error."""
    print(f"strata: note: {text}", file=sys.stderr, flush=True)


def terminal_width() -> int:
    """Columns for tables; 100 where the output is no terminal."""
    return shutil.get_terminal_size((100, 24)).columns


def check_png(path: str) -> None:
    """Raises `SettingError` unless a path names a PNG file."""
    if Path(path).suffix.lower() != ".png":
        raise SettingError(f"-o {path}: suffix {quote(Path(path).suffix)}: must be .png")


def write_png(path: str, content: bytes) -> None:
    """Writes a picture, with the folder it goes to, and prints where."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"-o {path}: cannot be written: {error.strerror}") from error
    write_atomic(path, content)
    print(path)


@contextmanager
def quiet() -> Iterator[None]:
    """While the context lasts, diffusers and transformers log errors only, and progress only to a terminal."""
    from transformers.utils import logging as transformers_logging

    transformers_before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # before diffusers is imported, which makes transformers complain
    from diffusers.utils import logging as diffusers_logging

    diffusers_before = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    with ExitStack() as undo, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `torch_dtype` is deprecated, but `dtype` is too new
        undo.callback(transformers_logging.set_verbosity, transformers_before)
        undo.callback(diffusers_logging.set_verbosity, diffusers_before)
        if not sys.stderr.isatty():
            for library in (transformers_logging, diffusers_logging):
                if library.is_progress_bar_enabled():
                    library.disable_progress_bar()
                    undo.callback(library.enable_progress_bar)
        yield
