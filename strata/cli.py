"""The command line. What the commands do stands in `generate.py` and `commands.py`, which are imported when needed."""

import argparse
import logging
import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from strata import __version__
from strata.hierarchy.errors import InputError, StrataError

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
LARGEST_SEED = 2**63 - 1
LARGEST_SCALE = 1000
LARGEST_STEPS = 1000
"""FLUX schedulers know 1000 noise levels."""

_ABOUT = """\
Hierarchical prompts for FLUX: each description is heard only in its region of the
image, and only at the depths of the model and the steps where it belongs."""

_EXAMPLES = """\
examples:
  strata generate plan.yaml                      draw a plan on the bundled miniature model
  strata generate plan.yaml --model black-forest-labs/FLUX.1-dev --count 4
  strata generate out/plan/image.png             draw that picture again, bit for bit
  strata layout plan.yaml                        look at the regions before drawing
  strata routing show coarse-to-fine             which level is heard in which blocks, when
  strata validate plans/*.yaml                   check files without drawing

`strata COMMAND --help` tells more about a command.
"""

_GENERATE = """\
Draws a plan and writes a folder that explains and repeats the run:

  image.png      the picture; plan, masks, routing, seed, model and versions are inside it
  layout.png     the regions of the plan
  schedule.png   which level is heard in which block at which step
  plan.yaml, routing.yaml, run.json

Given a picture that strata drew, it draws that picture again, bit for bit on the same
machine; options change what they name and leave the rest as it was."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for bad input, 130 when interrupted, 141 for a closed pipe."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except StrataError as error:
        message = " ".join(str(error).split())
    except BrokenPipeError:  # `strata … | head`; the interpreter must not write to the pipe again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        place = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | os.PathLike) else ""
        message = f"{place}{error.strerror or error}"
    except MemoryError:
        message = "out of memory"
    except KeyboardInterrupt:
        print("strata: interrupted", file=sys.stderr)
        return INTERRUPTED
    print(f"strata: error: {message}", file=sys.stderr)
    return BAD_INPUT


def _run(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    _show_warnings()
    if args.command == "generate":
        from strata.generate import Request, generate

        given = {name: value for name, value in vars(args).items() if name != "command"}
        generate(Request(command=shlex.join(["strata", *argv]), **given))
        return 0
    from strata import commands

    if args.command == "layout":
        commands.layout(args.plan, args.out, args.image)
    elif args.command == "validate":
        return BAD_INPUT if commands.validate_files(args.files) else 0
    elif args.action == "list":
        commands.list_routings()
    elif args.action == "show":
        commands.show_routing(args.routing, args.model_blocks, args.steps, args.out)
    else:
        commands.check_routing(args.file, args.model_blocks, args.steps)
    return 0


class _Once(logging.Filter):
    """Lets every text through once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        fresh = message not in self.seen
        self.seen.add(message)
        return fresh


def _show_warnings() -> None:
    """Prints warnings of strata's loggers to stderr, each text once."""
    log = logging.getLogger("strata")
    for handler in [handler for handler in log.handlers if handler.name == "strata-cli"]:
        log.removeHandler(handler)
    handler = logging.StreamHandler()
    handler.name = "strata-cli"
    handler.setFormatter(logging.Formatter("strata: warning: %(message)s"))
    handler.addFilter(_Once())
    handler.setLevel(logging.WARNING)
    log.addHandler(handler)
    log.propagate = False


# Options --------------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Complains in one line; takes no shortened options, so that new ones never change what a script means."""

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="strata", description=_ABOUT, epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=f"strata {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    _add_generate(commands.add_parser("generate", help="draw a plan, or a picture again", description=_GENERATE))
    _add_layout(commands.add_parser("layout", help="draw the regions of a plan", description=_LAYOUT))
    _add_routing(commands.add_parser("routing", help="list, show and check routings", description=_ROUTING))
    validate = commands.add_parser("validate", help="check plans and routings", description=_VALIDATE)
    validate.add_argument("files", nargs="+", metavar="FILE", help="plan, routing, or picture that strata drew")
    return parser


_LAYOUT = "Draws the regions of a plan as a PNG, with their names and texts."
_ROUTING = "A routing says which level is heard in which blocks, at which steps, how strongly, beside how much base."
_VALIDATE = """\
Checks files without drawing: every plan or routing is told by its content and reported
with `ok` or with its error. Exit code 2 if any has an error."""


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="PLAN|IMAGE.png", help="plan file, or a picture that strata drew")

    what = parser.add_argument_group("what draws")
    what.add_argument(
        *("--model", "-m"),
        metavar="MODEL",
        help="miniature (bundled), a folder in the diffusers format, or a hub id such as black-forest-labs/FLUX.1-dev"
        " (default: miniature)",
    )
    what.add_argument("--routing", "-r", metavar="NAME|FILE", help="a preset (`strata routing list`) or a file")
    what.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="default: auto, the best that is here")
    what.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="of the weights; auto is float32 on a CPU, bfloat16 elsewhere (default: auto; float32 for the miniature)",
    )

    what.add_argument(
        "--offload",
        action="store_true",
        help="keep only the model at work on the accelerator (FLUX.1 on 24 GB or less)",
    )

    how = parser.add_argument_group("how it draws")
    how.add_argument("--seed", type=_seed, metavar="N", help="of the noise (default: random, printed and recorded)")
    how.add_argument("--count", type=_positive, default=1, metavar="N", help="pictures, of seeds SEED, SEED+1, …")
    how.add_argument("--steps", type=_steps, metavar="N", help="denoising steps (default: 28; 20 for the miniature)")
    how.add_argument("--guidance", type=_number, metavar="X", help="guidance scale (default: 3.5; 30 for Fill models)")
    how.add_argument("--true-cfg", type=_number, metavar="X", help="weight of the plan's negative_prompt, above 1")
    how.add_argument("--width", type=_positive, metavar="N", help="pixels; resizes the plan in this direction")
    how.add_argument("--height", type=_positive, metavar="N", help="likewise")

    pictures = parser.add_argument_group("input pictures", "For models that take one, and to draw over a picture.")
    pictures.add_argument("--image", metavar="FILE", help="picture to start from, or to be guided by")
    pictures.add_argument("--mask-image", metavar="FILE", help="white where the picture is to change")
    pictures.add_argument(
        "--image-strength", type=_fraction, metavar="X", help="how much image to image changes, up to 1 (default: 0.6)"
    )

    where = parser.add_argument_group("where to")
    where.add_argument("--out", "-o", metavar="DIR", help="folder (default: out/PLAN, out/PLAN-2, …)")
    where.add_argument("--force", action="store_true", help="overwrite the run in the folder")


def _add_layout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", metavar="PLAN", help="plan (.yaml, .yml, .json), or a picture that strata drew")
    parser.add_argument("-o", "--out", default="layout.png", metavar="FILE", help="default: layout.png")
    parser.add_argument("--image", metavar="IMG", help="picture to show under the regions")


def _add_routing(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    actions.add_parser("list", help="list the presets", description="Lists the presets.")
    show = actions.add_parser("show", help="print a routing as a table", description="Prints a routing as a table.")
    show.add_argument("routing", metavar="NAME|FILE", help="a preset or a routing file")
    show.add_argument("-o", "--out", metavar="FILE", help="also draw it, as a .png")
    check = actions.add_parser("check", help="check a routing file", description="Checks a routing file.")
    check.add_argument("file", metavar="FILE", help="a routing file or a preset")
    for action in (show, check):
        action.add_argument(
            "--model-blocks", type=_blocks, metavar="D+S", help="double and single blocks (default: 19+38, FLUX.1)"
        )
        action.add_argument("--steps", type=_steps, default=28, metavar="N", help="denoising steps (default: 28)")


def _positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of at least 1")
    return int(text)


def _steps(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= LARGEST_STEPS:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 1 to {LARGEST_STEPS}")
    return int(text)


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LARGEST_SCALE:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number from 0 to {LARGEST_SCALE}")
    return value


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be above 0 and at most 1")
    return value


def _blocks(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,4})\+([0-9]{1,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: must be double+single, such as 19+38")
    return int(match[1]), int(match[2])
