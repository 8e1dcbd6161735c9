"""The frame of the studies on the bundled miniature that are run as `python -m strata.analysis.NAME`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strata.analysis.trials import Journal
from strata.hierarchy.errors import SettingError, StrataError, on_command_line
from strata.hierarchy.files import dump_json, write_atomic
from strata.layers.routing import DEFAULT_ROUTING, Routing


def study_parser(about: str, name: str, scenes: int) -> argparse.ArgumentParser:
    """The options that all of them have."""
    parser = argparse.ArgumentParser(prog=f"python -m strata.analysis.{name}", description=about)
    parser.add_argument("--scenes", type=int, default=scenes, help=f"(default: {scenes})")
    parser.add_argument("--steps", type=int, default=20, help="sampling steps (default: 20)")
    parser.add_argument("--routing", default=DEFAULT_ROUTING, help="a preset or a file")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    parser.add_argument("--out", type=Path, default=Path("out") / name, help=f"folder (default: out/{name})")
    return parser


@dataclass(frozen=True)
class Study:
    """An open study: its routing and settings, the miniature, and the journal of what was drawn."""

    name: str
    args: argparse.Namespace
    routing: Routing
    settings: Mapping[str, Any]
    journal: Journal
    pipe: Any

    def draw(self, title: str, keys: Sequence[str], runs: Iterable[str]) -> None:
        """Go through `runs`, which keep their results under `keys`, showing how far it is."""
        from tqdm import tqdm

        done = sum(key in self.journal.rows for key in keys)
        with tqdm(total=len(keys), initial=done, desc=title, disable=None, unit="run") as progress:
            for _ in runs:
                progress.update()

    def write(self, **found: Any) -> None:
        """Write NAME.json beside the journal."""
        report = {**self.settings, "scenes": self.args.scenes, **found}
        write_atomic(self.args.out / f"{self.name}.json", dump_json(report))


@contextmanager
def open_study(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, more: Sequence[str] = ()
) -> Iterator[Study]:
    """Parse, check and load; errors inside end the command with a line on what is wrong.

    Args:
        parser: of `study_parser`, with options of the study's own.
        argv: the arguments; None: the command line's.
        more: options of its own that decide the results.
    """
    args = parser.parse_args(argv)
    try:
        if args.scenes < 2 or args.steps < 2:
            raise SettingError("<scenes> and <steps> must be at least 2")
        # Beside a base prompt that says everything, no text's own part could be told.
        routing = Routing.load(args.routing).with_base_prompt("plan")
        own = {name: getattr(args, name) for name in ("steps", "seed", *more)}
        settings = {"routing": routing.to_yaml(), **own}
        from strata.miniature import load

        journal, pipe = Journal(args.out / "journal.jsonl", settings), load()
        pipe.set_progress_bar_config(disable=True)
        yield Study(parser.prog.rsplit(".", 1)[-1], args, routing, settings, journal, pipe)
    except StrataError as error:
        parser.exit(2, f"error: {on_command_line(error)}\n")
