"""The command line. What the commands do stands in other files, which are imported when needed.

`generate.py`, `restyle.py`, `planning.py` (plan), `probing.py` (probe), `studies.py` (roles, calibrate), `commands.py`
(layout, routing, validate) and `llm/serve.py` (serve-llm).
"""

import argparse
import logging
import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
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
  strata generate "a red circle on the left and a blue square on the right"
                                                 plan it and draw it, on the bundled models
  strata plan prompts.txt -o plans               only plan: a file of prompts, one a line
  strata generate plan.yaml                      draw a plan
  strata generate plan.yaml --model black-forest-labs/FLUX.1-dev --count 4
  strata generate out/plan/image.png             draw that picture again, bit for bit
  strata restyle plan.yaml --low left="blue, dotted"
                                                 and beside it in another style
  strata layout plan.yaml                        look at the regions before drawing
  strata routing show coarse-to-fine             which level is heard in which blocks, when
  strata roles && strata calibrate --roles out/roles -o mine.yaml
                                                 measure which depth does what, and route by it
  strata validate plans/*.yaml                   check files without drawing

`strata COMMAND --help` tells more about a command.
"""

_GENERATE = """\
Draws a plan, or plans a prompt with a language model and draws that, and writes a
folder that explains and repeats the run:

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
    own, extra = _split_extra(argv)
    args = _parser().parse_args(own)
    _show_warnings()
    given = {name: value for name, value in vars(args).items() if name != "command"}
    if args.command == "serve-llm":
        from strata.llm.serve import serve_llm

        serve_llm(**given, extra=extra)
        return 0
    if args.command in ("plan", "generate"):
        from strata.planning import PlannerOptions, PlanRequest, plan

        planner = PlannerOptions(**{field.name: given.pop(field.name) for field in fields(PlannerOptions)})
        if args.command == "plan":
            return BAD_INPUT if plan(PlanRequest(planner=planner, **given)) else 0
        from strata.generate import Request, generate

        generate(Request(command=shlex.join(["strata", *argv]), planner=planner, **given))
        return 0
    if args.command == "probe":
        from strata.probing import ProbeRequest, probe

        probe(ProbeRequest(command=shlex.join(["strata", *argv]), **given))
        return 0
    if args.command == "restyle":
        from strata.generate import Request as DrawRequest
        from strata.restyle import RestyleRequest, restyle

        own_options = {name: given.pop(name) for name in ("low", "style_from", "from_step")}
        restyle(RestyleRequest(DrawRequest(command=shlex.join(["strata", *argv]), **given), **own_options))
        return 0
    if args.command in ("roles", "calibrate"):
        from strata import studies

        what = studies.StudyModel(**{field.name: given.pop(field.name) for field in fields(studies.StudyModel)})
        if args.command == "roles":
            studies.roles(studies.RolesRequest(what=what, **given))
        else:
            studies.calibrate(studies.CalibrateRequest(what=what, **given))
        return 0
    from strata import commands

    if args.command == "layout":
        commands.layout(args.plan, args.out, args.image)
    elif args.command == "validate":
        return BAD_INPUT if commands.validate_files(args.files) else 0
    elif args.action == "list":
        commands.list_routings()
    elif args.action == "show":
        commands.show_routing(args.routing, args.model_blocks, args.steps, args.out, args.regions, args.area)
    else:
        commands.check_routing(args.file, args.model_blocks, args.steps)
    return 0


def _split_extra(argv: list[str]) -> tuple[list[str], list[str]]:
    """`serve-llm` hands what follows `--` to vLLM as it is."""
    if argv[:1] == ["serve-llm"] and "--" in argv:
        place = argv.index("--")
        return argv[:place], argv[place + 1 :]
    return argv, []


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


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves room for the indent of commands, which argparse does not count."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class _Parser(argparse.ArgumentParser):
    """Complains in one line; takes no shortened options, so that new ones never change what a script means."""

    def __init__(self, **settings: object) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="strata", description=_ABOUT, epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=f"strata {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    generate = "draw a prompt, a plan, or a picture again"
    _add_generate(commands.add_parser("generate", help=generate, description=_GENERATE))
    _add_plan(
        commands.add_parser("plan", help="plan prompts without drawing", description=_PLAN, epilog=_PLAN_EXAMPLES)
    )
    restyle = "draw a plan again with other low texts"
    _add_restyle(commands.add_parser("restyle", help=restyle, description=_RESTYLE, epilog=_RESTYLE_EXAMPLES))
    serve = "serve a language model with vLLM"
    _add_serve(commands.add_parser("serve-llm", help=serve, description=_SERVE, epilog=_SERVE_EXAMPLES))
    _add_layout(commands.add_parser("layout", help="draw the regions of a plan", description=_LAYOUT))
    _add_routing(commands.add_parser("routing", help="list, show and check routings", description=_ROUTING))
    probe = "draw and record what every block listens to"
    _add_probe(commands.add_parser("probe", help=probe, description=_PROBE, epilog=_PROBE_EXAMPLES))
    roles = "measure which depth does what"
    _add_roles(commands.add_parser("roles", help=roles, description=_ROLES))
    calibrate = "search a routing for a model, by measurement"
    _add_calibrate(commands.add_parser("calibrate", help=calibrate, description=_CALIBRATE))
    validate = commands.add_parser("validate", help="check plans, drafts and routings", description=_VALIDATE)
    validate.add_argument("files", nargs="+", metavar="FILE", help="plan, draft, routing, or picture that strata drew")
    return parser


_PLAN = """\
Makes plans of prompts with a language model: what stands where (high level), then what
it looks like (low level). One prompt is shown as a table and written to
out/plans/PROMPT.yaml; the prompts of FILE, all to out/plans/FILE/:

  FILE.txt    a prompt a line; empty lines and lines that begin with # are skipped
  FILE.jsonl  a JSON mapping a line: {"prompt": …} and, where wanted, "name" (of the plan's
              file), "width", "height", "regions", "style"
"""
_PLAN_EXAMPLES = """\
examples:
  strata plan "a lighthouse on a cliff, a small boat below" --llm http://localhost:8000/v1
  strata plan prompts.txt -o plans --llm vllm:Qwen/Qwen3-8B
  strata plan prompts.txt -o plans --resume      go on after an interruption
  strata generate plans/0001-a-lighthouse.yaml   draw one of the plans
"""
_SERVE = """\
Starts a vLLM server for `--llm`, with what planning needs (structured outputs, prefix
caching), waits until it answers and runs until Ctrl-C. vLLM has to be installed, here or
in another environment (--python). Where STRATA_LLM_KEY is set, the server asks for it."""
_SERVE_EXAMPLES = """\
examples:
  strata serve-llm Qwen/Qwen3-8B
  strata serve-llm Qwen/Qwen3-14B --port 8001 --gpu-memory-utilization 0.5 -- --quantization fp8
"""


_LAYOUT = "Draws the regions of a plan as a PNG, with their names and texts."
_ROUTING = "A routing says which level is heard in which blocks, at which steps, how strongly, beside how much base."
_VALIDATE = """\
Checks files without drawing: plans, drafts and routings are told by their content and
reported with `ok` or with their error. Exit code 2 if any has an error."""


_PROBE = """\
Draws a plan, or a prompt with the plain pipeline, and records attention: where texts and
words act, what each region listens to, by block and step. The picture is the one that
would be drawn without. Writes image.png, probe.safetensors, probe.json, figures and a
page to browse them (probe.html)."""
_PROBE_EXAMPLES = """\
examples:
  strata probe plan.yaml --words "red,circle"
  strata probe "a red circle and a blue square" --words red,circle --concepts circle,square,background
  strata probe plan.yaml --words "red,circle" --following
  strata probe plan.yaml --words red --blocks "double 0-3, single 0,2" --steps 0%-50% --seed 7
"""
_RESTYLE = """\
Draws a plan, or a picture that strata drew, twice from the same seed: as it is, and with
other low texts (colour, material, texture, lighting, style) in some areas. The texts of
the content stay as they are. Writes a folder:

  original/, restyled/   a run each, as `strata generate` writes them
  compare.png            both side by side

With --from-step, the original's low texts are heard until there: what the first steps
decide is then as in the original. Too late, and the style is decided as well."""
_RESTYLE_EXAMPLES = """\
examples:
  strata restyle plan.yaml --low left="blue, dotted" --from-step 10%
  strata restyle out/plan/image.png --low background="gold leaf" --low global="oil painting"
  strata restyle plan.yaml --style-from other.yaml --seed 7 --count 4
"""


_ROLES = """\
Draws scenes from the same noise, once as they are and once for every window of blocks
and of steps in which only the high or only the low text is another one (swap), or is
heard alone, and counts what follows. Writes roles.json, roles.png and a journal, from
which an interrupted study goes on. The miniature's pictures are judged exactly; for
other models structure, colour and texture are compared with the unchanged pictures."""
_CALIBRATE = """\
Searches where each level should be heard, for how long and beside how much base, for
plans of one to eight regions; then compares the result with every preset on scenes that
took no part. Writes a routing file with the evidence in it; an interrupted search goes on."""


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="PROMPT|PLAN|IMAGE.png", help="a prompt in quotes, a plan file, or a picture that strata drew"
    )

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
    how.add_argument(
        "--width",
        type=_positive,
        metavar="N",
        help="pixels; resizes a plan in this direction (default of prompts: 1024; 64 for the miniature)",
    )
    how.add_argument("--height", type=_positive, metavar="N", help="likewise")

    pictures = parser.add_argument_group("input pictures", "For models that take one, and to draw over a picture.")
    pictures.add_argument("--image", metavar="FILE", help="picture to start from, or to be guided by")
    pictures.add_argument("--mask-image", metavar="FILE", help="white where the picture is to change")
    pictures.add_argument(
        "--image-strength", type=_fraction, metavar="X", help="how much image to image changes, up to 1 (default: 0.6)"
    )

    _add_planner(parser, "how a prompt is planned", "For prompts alone; `strata plan` plans without drawing.")

    where = parser.add_argument_group("where to")
    where.add_argument("--out", "-o", metavar="DIR", help="folder (default: out/PLAN, out/PLAN-2, …)")
    where.add_argument("--force", action="store_true", help="overwrite the run in the folder")


def _add_restyle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="PLAN|IMAGE.png", help="a plan file, or a picture that strata drew")
    group = parser.add_argument_group("what changes")
    group.add_argument(
        "--low",
        action="append",
        default=[],
        metavar="AREA=TEXT",
        help="new low text of a region, of background or of global; may be given several times",
    )
    group.add_argument(
        "--style-from", metavar="PLAN_B", help="low texts of another plan's areas: of the same names, else in order"
    )
    group.add_argument(
        "--from-step", type=_percent, metavar="N%", help="hear the original's low texts until there (default: 0%%)"
    )
    group = parser.add_argument_group("how it draws", "A picture brings its own; see `strata generate --help`.")
    group.add_argument("--model", "-m", metavar="MODEL", help="default: miniature")
    group.add_argument("--routing", "-r", metavar="NAME|FILE", help="one that hears low texts")
    group.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"))
    group.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"))
    group.add_argument("--offload", action="store_true")
    group.add_argument("--seed", type=_seed, metavar="N", help="of the noise, of both pictures (default: random)")
    group.add_argument("--count", type=_positive, default=1, metavar="N", help="pairs, of seeds SEED, SEED+1, …")
    group.add_argument("--steps", type=_steps, metavar="N")
    group.add_argument("--guidance", type=_number, metavar="X")
    group.add_argument("--true-cfg", type=_number, metavar="X")
    where = parser.add_argument_group("where to")
    where.add_argument("--out", "-o", metavar="DIR", help="folder (default: out/PLAN-restyled, …)")
    where.add_argument("--force", action="store_true", help="overwrite the runs in the folder")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="PROMPT|FILE", help="a prompt in quotes, or a .txt or .jsonl file of prompts")
    parser.add_argument("--width", type=_positive, metavar="N", help="pixels (default: 1024; 64 for --llm miniature)")
    parser.add_argument("--height", type=_positive, metavar="N", help="likewise")
    group = _add_planner(parser, "how it is planned", None)
    group.add_argument(
        "--concurrency",
        type=_positive,
        metavar="N",
        help="prompts that a server works on at the same time (default: 16)",
    )
    where = parser.add_argument_group("where to")
    where.add_argument(
        "--out", "-o", metavar="DIR", help="folder of the plans; for one prompt also a .yaml or .json file"
    )
    again = where.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="keep the plans that are there and would come out the same; plan the rest"
    )
    again.add_argument("--force", action="store_true", help="replace the plans that are there")


def _add_planner(parser: argparse.ArgumentParser, title: str, about: str | None) -> argparse._ArgumentGroup:
    """The options of `PlannerOptions`."""
    group = parser.add_argument_group(title, about)
    group.add_argument(
        "--llm",
        metavar="LLM",
        help="miniature (bundled; knows the shapes and colours of the miniature, nothing else), the address of an"
        " OpenAI-compatible server such as http://localhost:8000/v1 (its key is taken from STRATA_LLM_KEY or"
        " OPENAI_API_KEY), or vllm:MODEL (vLLM in this process) (default: miniature)",
    )
    group.add_argument("--llm-model", metavar="NAME", help="which of the server's models (default: its only one)")
    group.add_argument(
        "--llm-timeout", type=_seconds, metavar="S", help="seconds to wait for a server's answer (default: 120)"
    )
    group.add_argument("--regions", type=_positive, metavar="N", help="exactly so many (default: as the prompt needs)")
    group.add_argument("--style", metavar="TEXT", help="of the whole image; not left to the model then")
    group.add_argument(
        "--draft", metavar="FILE", help="what is known already: regions without texts, texts without a place, …"
    )
    group.add_argument("--one-call", action="store_true", help="ask for both levels in one question instead of two")
    group.add_argument("--attempts", type=_positive, metavar="N", help="at each question (default: 3)")
    group.add_argument("--instructions", metavar="DIR", help="what the model is told, in place of the bundled files")
    group.add_argument("--no-cache", action="store_true", help="ask even where the same was planned before")
    return group


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="hub id, folder, or miniature (the bundled planner)")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1, this machine alone")
    parser.add_argument("--port", type=_port, default=8000, metavar="N", help="default: 8000")
    parser.add_argument(
        "--max-model-len", type=_positive, metavar="N", help="tokens of context (default: what memory holds)"
    )
    parser.add_argument("--dtype", default="auto", metavar="NAME", help="of the weights (default: auto)")
    parser.add_argument(
        "--gpu-memory-utilization", type=_fraction, metavar="X", help="share of the GPU's memory that vLLM may take"
    )
    parser.add_argument(
        "--python",
        metavar="FILE",
        help="of the environment that has vLLM (default: STRATA_VLLM_PYTHON, else the one that runs strata)",
    )
    parser.usage = "strata serve-llm [options] MODEL [-- flags of `vllm serve`]"


def _add_study_model(parser: argparse.ArgumentParser) -> None:
    """The options of `StudyModel`."""
    group = parser.add_argument_group("what draws")
    group.add_argument(
        *("--model", "-m"),
        default="miniature",
        metavar="MODEL",
        help="miniature (bundled), a folder in the diffusers format, or a hub id (default: miniature)",
    )
    group.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="default: auto, the best that is here")
    group.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), help="of the weights")
    group.add_argument("--offload", action="store_true", help="keep only the model at work on the accelerator")
    group.add_argument(
        "--size", type=_positive, metavar="N", help="pixels a side (default: 1024; 64 for the miniature)"
    )
    group.add_argument("--steps", type=_steps, metavar="N", help="denoising steps (default: 28; 20 for the miniature)")
    group.add_argument("--guidance", type=_number, metavar="X", help="guidance scale (default: the pipeline's)")
    group.add_argument("--images", type=_positive, default=2, metavar="N", help="pictures a scene (default: 2)")
    group.add_argument(
        "--clip", metavar="MODEL", help="judge pictures by this CLIP model (folder or hub id), not by the exact scorer"
    )


def _add_probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="PLAN|PROMPT", help="a plan, a picture that strata drew, or a prompt in quotes"
    )
    what = parser.add_argument_group("what is recorded")
    what.add_argument("--words", type=_texts, default=(), metavar="A,B", help="words or phrases of the texts")
    what.add_argument(
        "--concepts", type=_texts, default=(), metavar="A,B", help="free words, found by ConceptAttention"
    )
    what.add_argument(
        "--blocks", metavar="BLOCKS", help='such as "double 0-3, single all" or 0%%-50%% of depth (default: all)'
    )
    what.add_argument("--steps", metavar="STEPS", help="such as 0-9, 0,5,10 or 50%%-100%% (default: all)")
    what.add_argument("--heads", metavar="HEADS", help="such as 0-3; maps are means over them (default: all)")
    what.add_argument(
        "--phases", type=_positive, default=4, metavar="N", help="equal parts of the steps to average over (default: 4)"
    )
    draws = parser.add_argument_group("what draws")
    draws.add_argument("--model", "-m", metavar="MODEL", help="as of `strata generate` (default: miniature)")
    draws.add_argument("--routing", "-r", metavar="NAME|FILE", help="of a plan: a preset or a file")
    draws.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), help="default: auto")
    draws.add_argument("--dtype", choices=("auto", "float32", "bfloat16", "float16"), help="of the weights")
    draws.add_argument("--offload", action="store_true", help="keep only the model at work on the accelerator")
    how = parser.add_argument_group("how it draws")
    how.add_argument("--seed", type=_seed, metavar="N", help="of the noise (default: random)")
    how.add_argument(
        "--run-steps", type=_steps, metavar="N", help="denoising steps of the run (default: 28; 20 for the miniature)"
    )
    how.add_argument("--guidance", type=_number, metavar="X", help="guidance scale (default: 3.5)")
    how.add_argument("--true-cfg", type=_number, metavar="X", help="weight of the plan's negative_prompt, above 1")
    how.add_argument("--width", type=_positive, metavar="N", help="pixels; resizes a plan")
    how.add_argument("--height", type=_positive, metavar="N", help="likewise")
    where = parser.add_argument_group("where to")
    where.add_argument("--out", "-o", metavar="DIR", help="folder (default: out/PLAN-probe, …)")
    where.add_argument("--force", action="store_true", help="overwrite the probe in the folder")
    where.add_argument("--no-pictures", action="store_true", help="write no figures and no page")
    obey = parser.add_argument_group("did the regions obey?")
    obey.add_argument(
        "--following",
        action="store_true",
        help="print and write (following.json) where each region's texts act against its area; on the miniature also"
        " what the picture shows, by its scorer",
    )
    obey.add_argument(
        "--clip", metavar="MODEL", help="--following, also by a CLIP model: a folder or a name on the Hugging Face hub"
    )


def _add_roles(parser: argparse.ArgumentParser) -> None:
    _add_study_model(parser)
    group = parser.add_argument_group("what is tried")
    group.add_argument("--scenes", type=_positive, default=40, metavar="N", help="with two regions each (default: 40)")
    group.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the scenes (default: 0)")
    group.add_argument(
        *("--routing", "-r"),
        default="isolate-first",
        metavar="NAME|FILE",
        help="of the unchanged pictures (default: isolate-first)",
    )
    group.add_argument(
        "--kinds",
        nargs="+",
        choices=("swap", "alone"),
        default=("swap", "alone"),
        help="of intervention (default: both)",
    )
    group.add_argument(
        "--block-window", type=_positive, metavar="N", help="blocks that a window covers (default: a sixth)"
    )
    group.add_argument(
        "--step-window", type=_positive, metavar="N", help="steps that a window covers (default: a fifth)"
    )
    parser.add_argument("--out", "-o", default="out/roles", metavar="DIR", help="folder (default: out/roles)")


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    _add_study_model(parser)
    group = parser.add_argument_group("how it searches")
    group.add_argument("--roles", metavar="DIR", help="of `strata roles`: tries the depths where it found texts to act")
    group.add_argument(
        "--budget", type=_positive, default=3000, metavar="N", help="pictures of the search, at most (default: 3000)"
    )
    group.add_argument(
        "--scenes", type=_positive, default=12, metavar="N", help="a layout of the report, of eight (default: 12)"
    )
    group.add_argument("--seed", type=_seed, default=0, metavar="N", help="of the candidates (default: 0)")
    parser.add_argument("--out", "-o", required=True, metavar="FILE.yaml", help="the routing file")
    parser.add_argument("--force", action="store_true", help="replace the file")


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
    show.add_argument("--regions", type=_positive, metavar="N", help="as it is balanced for plans with so many regions")
    show.add_argument(
        "--area", type=_fraction, metavar="X", help="and this mean share of the canvas a region (default: 1 / N)"
    )
    check = actions.add_parser("check", help="check a routing file", description="Checks a routing file.")
    check.add_argument("file", metavar="FILE", help="a routing file or a preset")
    for action in (show, check):
        action.add_argument(
            "--model-blocks", type=_blocks, metavar="D+S", help="double and single blocks (default: 19+38, FLUX.1)"
        )
        action.add_argument("--steps", type=_steps, default=28, metavar="N", help="denoising steps (default: 28)")


def _texts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of at least 1")
    return int(text)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    value = _number(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r}: must be above 0")
    return value


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


def _percent(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?%", text):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a share of the steps from 0% to below 100%, such as 30%")
    return float(text[:-1])


def _blocks(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,4})\+([0-9]{1,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: must be double+single, such as 19+38")
    return int(match[1]), int(match[2])
