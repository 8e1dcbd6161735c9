"""What commands share when they print."""

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from strata.hierarchy.errors import StrataError, file_error, on_command_line, one_line
from strata.imports import uncollected


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2.5 h`; at least a second."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def say(message: str, error: BaseException | None = None) -> None:
    """Prints one line about what went wrong, with what became of the run's pictures (the notes of the error)."""
    notes = [note for e in (error, error and error.__cause__) for note in getattr(e, "__notes__", ())]
    with suppress(OSError):  # the terminal may be gone
        print(one_line("; ".join([f"strata: {message}", *notes])), file=sys.stderr, flush=True)


def tell(source: str, error: StrataError | OSError) -> None:
    """Prints the error of one of several sources."""
    text = file_error(error) if isinstance(error, OSError) else on_command_line(error)
    say(f"error: {text}" if text.startswith(source) else f"error: {source}: {text}", error)


def note(text: str) -> None:
    """Prints something that is no error."""
    print(f"strata: note: {one_line(text)}", file=sys.stderr, flush=True)


def terminal_width() -> int:
    """Columns for tables; 100 where the output is no terminal."""
    return shutil.get_terminal_size((100, 24)).columns


@contextmanager
def quiet() -> Iterator[None]:
    """While the context lasts, libraries print errors only; and to a terminal, how far a download is."""
    with uncollected():
        from transformers.utils import logging as transformers_logging

        transformers_before = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()  # before diffusers is imported, which makes transformers complain
        from diffusers.utils import logging as diffusers_logging
        from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    diffusers_before = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    with ExitStack() as undo:
        undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", FutureWarning)  # of diffusers' own classes about one another
        undo.callback(transformers_logging.set_verbosity, transformers_before)
        undo.callback(diffusers_logging.set_verbosity, diffusers_before)
        downloads = not are_progress_bars_disabled()  # which transformers disables and enables with its own
        for library in (transformers_logging, diffusers_logging):
            if library.is_progress_bar_enabled():
                library.disable_progress_bar()
                undo.callback(library.enable_progress_bar)
        if downloads and sys.stderr.isatty():
            enable_progress_bars()
        elif downloads:
            disable_progress_bars()
            undo.callback(enable_progress_bars)
        yield
