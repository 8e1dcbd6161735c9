"""The command line: finds the command, and turns every error into one line and an exit code.

The commands stand in `strata/commands/`, one file each, and are imported only when they are called.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from inspect import BoundArguments
from keyword import iskeyword
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import (
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from strata import __version__
from strata.console import say
from strata.hierarchy.errors import InputError, SettingError, StrataError, did_you_mean, file_error, flag, one_line
from strata.hierarchy.interrupts import Terminated, terminable

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
ENDED = 128
"""The exit code after SIGTERM or SIGHUP is this plus the signal's number, as of programs that a signal killed."""

ABOUT = """\
Hierarchical prompts for FLUX.

Each description acts only in its region of the image, and only at the depths
of the model and the steps where it belongs.
"""
COMMANDS = {
    "generate": "draw a prompt, a plan, or a picture again",
    "plan": "plan prompts without drawing",
    "restyle": "draw a plan again with other low texts",
    "repaint": "draw one region of a picture anew",
    "compare": "draw plans by several methods, routings and seeds, side by side",
    "evaluate": "draw benchmark scenes in several ways, judge and compare",
    "sweep": "draw a plan with other values of any field, on one sheet",
    "batch": "draw many plans and prompts, here or on a cluster",
    "studio": "open a page to draw regions and pictures with the mouse",
    "serve-llm": "serve a language model with vLLM",
    "layout": "draw the regions of a plan",
    "export": "write a plan as a model's own structured caption",
    "import": "make plans of another program's, a benchmark's or a model's layout",
    "routing": "list, show and check routings",
    "probe": "draw and record what every block attends to",
    "roles": "measure which depth does what",
    "calibrate": "search a routing for a model, by measurement",
    "validate": "check plans, drafts and routings",
}
EXAMPLES = """\
examples:
  strata generate "a red boat on the left and a yellow sun on the right, at sea"
                                 plan it and draw it, on the bundled models
  strata plan prompts.txt -o plans
                                 only plan: a file of prompts, one a line
  strata generate plan.yaml      draw a plan
  strata generate plan.yaml --model black-forest-labs/FLUX.1-dev --count 4
  strata generate plans/*.yaml -o drawn
                                 draw many plans, each into its own folder
  strata batch plans/*.yaml prompts.txt -o drawn
                                 draw many pictures into one folder
  strata generate out/plan/image.png
                                 draw that picture again, bit for bit
  strata restyle plan.yaml --low boat="blue, dotted, pencil"
                                 and beside it in another style
  strata repaint out/plan/image.png --region boat --high "a red house"
                                 another thing there, all else as it is
  strata compare plan.yaml --methods plain,regional --seeds 1-4
                                 methods side by side, on one sheet
  strata sweep plan.yaml --vary base_ratio=0,0.2 --vary steps=0%-30%,0%-60%
                                 one sheet of all values together
  strata evaluate hard --methods regional,plain --seeds 1-4
                                 hard scenes judged: which follows better?
  strata layout plan.yaml        look at the regions before drawing
  strata routing show coarse-to-fine
                                 which level acts in which blocks, when
  strata roles && strata calibrate --roles out/roles -o mine.yaml
                                 measure which depth does what, and route by it
  strata validate plans/*.yaml   check files without drawing

`strata COMMAND --help` says more about a command.
"""


NARROWEST = 20
"""Columns of a terminal at least, whatever COLUMNS says."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code.

    0, 1 where some of several plans were not drawn, 2 for bad input, 130 when interrupted, 143 (129) after SIGTERM
    (SIGHUP), 141 for a closed pipe.
    """
    try:
        with terminable():
            return _main(sys.argv[1:] if argv is None else list(argv))
    except Terminated as error:
        say(f"ended by {signal.Signals(error.number).name}", error)
        return ENDED + error.number
    except KeyboardInterrupt as error:
        say("interrupted", error)
        return INTERRUPTED


def _main(argv: list[str]) -> int:
    try:
        if os.environ.get("COLUMNS", "").isdigit():  # help cannot be set in a few columns
            os.environ["COLUMNS"] = str(max(NARROWEST, int(os.environ["COLUMNS"])))
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except StrataError as error:
        say(f"error: {error}", error)
    except BrokenPipeError:  # `strata … | head`; the interpreter must not write to the pipe again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        say(f"error: {file_error(error)}", error)
    except MemoryError as error:
        say("error: out of memory", error)
    return BAD_INPUT


def _run(argv: list[str]) -> int:
    for text in argv:
        if any("\ud800" <= character <= "\udfff" for character in text):  # no record could hold it
            raise InputError(f"argument '{text}': holds bytes that are no UTF-8; rename the file")
    # What follows `--` is vLLM's.
    own = argv[: argv.index("--")] if argv[:1] == ["serve-llm"] and "--" in argv else argv
    app = _app(own)
    try:
        command, bound, injected = app.parse_args(own, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise _refused(_usage_error(error, app.parse_commands(own)[1][-1]), error.command_chain) from error
    if command.__name__ in ("help_print", "version_print"):
        _print_about(command, bound, own)
    _show_warnings()
    _silence_fallbacks()
    try:
        return int(command(*bound.args, **bound.kwargs, **dict.fromkeys(injected, argv)) or 0)
    except SettingError as error:
        raise InputError(error.shown(_flags(app.parse_commands(own)[1][-1]))) from error


def _app(argv: Sequence[str]) -> App:
    app = App(
        name="strata",
        help=ABOUT,
        help_epilogue=EXAMPLES if argv[:1] and argv[0] not in COMMANDS else None,
        help_format="plaintext",
        version=f"strata {__version__}",
        default_parameter=Parameter(negative=(), show_default=False),
        result_action="return_value",
    )
    for place, (name, about) in enumerate(COMMANDS.items()):
        attribute = name.replace("-", "_") + "_" * iskeyword(name)
        path = f"strata.commands.{attribute}:{attribute}"
        # The list of commands is shown without importing any; a command's own help is its docstring.
        app.command(path, name=name, help=None if argv[:1] == [name] else about, sort_key=place)
    return app


def _print_about(show: Callable[..., object], bound: BoundArguments, argv: Sequence[str]) -> NoReturn:
    """Prints help or version and ends the program; but help that nobody asked for stands for a missing command."""
    if not {"--help", "-h", "--version"} & set(argv):
        raise _refused("the following arguments are required: COMMAND", argv)
    try:
        show(*bound.args, **bound.kwargs)
    except SystemExit as closed:  # what rich makes of a closed pipe
        raise BrokenPipeError from closed
    raise SystemExit(0)


def _refused(message: str, commands: Iterable[str] | None) -> InputError:
    return InputError(f"{message} (see {' '.join(['strata', *(commands or ())])} --help)")


def _usage_error(error: CycloptsError, command: App) -> str:
    """The error of a command line, in one line."""
    argument = error.argument
    match error:
        case UnknownCommandError():
            [unknown, *_] = error.unused_tokens or [""]
            names = [name for name in command if name.startswith("-") == unknown.startswith("-")]
            if unknown.startswith("-"):
                return f"unrecognized arguments: {unknown}; {did_you_mean(unknown, names)}".rstrip("; ")
            choices = f"{did_you_mean(unknown, names)}choose from {', '.join(map(repr, names))}"
            return f"argument COMMAND: invalid choice: {unknown!r} ({choices})"
        case UnknownOptionError():
            hint = str(error).partition(" Did you mean ")[2]
            unknown = error.token.keyword or error.token.value  # the latter beside several sources
            return f"unrecognized arguments: {unknown}{_advice(unknown, hint)}"
        case UnusedCliTokensError():
            rest = " ".join(error.unused_tokens or ())
            return f"unrecognized arguments: {rest}; a text of several words goes in quotes"
        case RepeatArgumentError():
            return _twice(error, command)
        case MissingArgumentError(keyword=None) if argument is not None:
            return f"the following arguments are required: {', '.join(_missing(error, command))}"
        case MissingArgumentError() if argument is not None:
            if "--out" in argument.names and "-" in (error.root_input_tokens or ()):
                from strata.settings import NO_STDOUT

                return f"argument {'/'.join(argument.names)}: {NO_STDOUT}"
            return f"argument {'/'.join(argument.names)}: expected one argument"
    if argument is not None and error.__cause__ is not None:
        from pydantic import ValidationError

        from strata.settings import setting_error

        assert isinstance(error.__cause__, ValidationError)
        return f"argument {setting_error(error.__cause__, argument.hint).shown(_flags(command))}"
    return str(error)


def _twice(error: RepeatArgumentError, command: App) -> str:
    """An option given twice that takes one value, with both values: neither is silently the one that counts."""
    argument, _, _ = command.assemble_argument_collection().match(str(error.token.keyword))
    tokens = error.root_input_tokens or ()
    given = [place for place, token in enumerate(tokens) if token.partition("=")[0] in argument.names]
    values = [tokens[i].partition("=")[2] if "=" in tokens[i] else "".join(tokens[i + 1 : i + 2]) for i in given]
    told = "" if argument.hint is bool else f": {' and '.join(values)}"
    return f"argument {error.token.keyword}: is given twice{told}"


def _advice(unknown: str, hint: str) -> str:
    """What may be meant by an option that a command does not have; `hint` is cyclopts' guess, by the letters."""
    from strata.layers.routing import routing_only
    from strata.settings import DrawSettings

    field = _field_of(unknown)
    if field not in DrawSettings.model_fields and (path := routing_only().get(field)) is not None:
        return f"; {path} is a field of the routing file"
    if {field, _field_of(hint)} <= DrawSettings.model_fields.keys():
        return ""  # two settings of a drawing: the one is no misspelling of the other
    return f"; did you mean {hint}" if hint else ""


def _field_of(option: str) -> str:
    """The field that an option would set: `base_ratio` of `--base-ratio=0.2`, `lora_dir` of `"--lora-dir"?`."""
    return option.partition("=")[0].strip('"?-').replace("-", "_")


def _missing(error: MissingArgumentError, command: App) -> list[str]:
    """All required arguments that a command line lacks: cyclopts names the first it comes to."""
    first = error.argument
    given = {token.partition("=")[0] for token in error.root_input_tokens or ()}
    names = []
    for argument in command.assemble_argument_collection():
        if not (argument.required and argument.show):
            continue
        if argument.index is None:
            lacking = not given & set(argument.names)
        else:
            lacking = first is not None and first.index is not None and argument.index >= first.index
        if lacking or (first is not None and argument.names == first.names):
            names.append("/".join(argument.names))
    return names


def _flags(command: App) -> Callable[[str], str]:
    """What this command calls a setting."""
    names = {argument.field_info.name: argument.name for argument in command.assemble_argument_collection()}
    return lambda field: names.get(field) or flag(field)


class _WarnOnce(logging.Handler):
    """Prints every warning once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.seen:
            self.seen.add(message)
            print(f"strata: warning: {one_line(message)}", file=sys.stderr)


def _show_warnings() -> None:
    """Prints warnings of strata's loggers to stderr, each text once a command."""
    log = logging.getLogger("strata")
    log.handlers = [*(handler for handler in log.handlers if not isinstance(handler, _WarnOnce)), _WarnOnce()]
    log.propagate = False


def _is_told(record: logging.LogRecord) -> bool:
    return "requires torchvision (not installed); falling back to" not in record.getMessage()


def _silence_fallbacks() -> None:
    """Hides what transformers says on import of image processors that work without torchvision as well."""
    logging.getLogger("transformers.utils.import_utils").addFilter(_is_told)
