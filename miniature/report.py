"""The score report of the miniature: what it draws right, counted by the scorer from fixed seeds.

`python -m strata.miniature.report` asks for single objects, content and detail alone, several objects in one
prompt, and plans of two to eight regions; for each attribute it prints how often it came out right, with 95 % Wilson
intervals.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm

from strata.hierarchy.errors import SettingError, StrataError, on_command_line
from strata.hierarchy.files import dump_json, first_difference, read_text, write_atomic
from strata.injection.cut_texts import stock_call
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import DEFAULT_ROUTING
from strata.miniature.cases import CASE_KINDS, SIZE, Case, cases
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.grid import Card, Finding, draw_grid
from strata.miniature.model.autoencoder import psnr
from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.world.facts import Backdrop, Thing
from strata.miniature.world.scenes import random_scene
from strata.miniature.world.scorer import Scorer, Verdict
from strata.miniature.world.shares import Share
from strata.miniature.world.tensors import to_tensor

ALL = "all told"
"""Every attribute that the text names of an object is right."""
BACKGROUND = "background"
WHOLE = "whole picture"
"""All objects of a picture are right."""
ORDER = ("kind", "colour", "surface", "style", ALL, WHOLE, BACKGROUND)


@dataclass(frozen=True)
class ScoredPicture:
    """A drawn case, and what the scorer found in it: per question, and in the whole."""

    case: Case
    image: Image.Image
    found: tuple[Verdict, ...]
    whole: Verdict

    def marks(self) -> Iterator[tuple[str, bool]]:
        """What was asked and whether it is right, one entry per count of the score table."""
        objects = [v.right(q.thing) for q, v in zip(self.case.expected, self.found, strict=True)]
        for right in objects:
            yield from right.items()
            if len(right) > 1:
                yield ALL, all(right.values())
        if len(objects) > 1:
            yield WHOLE, all(all(right.values()) for right in objects)
        if ground := self.whole.right(self.case.backdrop):
            yield BACKGROUND, all(ground.values())

    @property
    def flawed(self) -> bool:
        """Whether any object is not what was asked for."""
        return not all(ok for asked, ok in self.marks() if asked != BACKGROUND)

    def card(self) -> Card:
        """For a contact sheet."""
        asked: list[tuple[Thing | Backdrop, Verdict]] = [
            *((q.thing, verdict) for q, verdict in zip(self.case.expected, self.found, strict=True)),
            (self.case.backdrop, self.whole),
        ]
        findings = [
            Finding(getattr(wanted, name), ok, getattr(verdict, name))
            for wanted, verdict in asked
            for name, ok in verdict.right(wanted).items()
        ]
        boxes = tuple(q.box for q in self.case.expected if q.box and self.case.plan)
        return Card(self.image, self.case.prompt, tuple(findings), boxes)


def count(drawings: Sequence[ScoredPicture]) -> dict[str, Share]:
    """The scores of a kind of case, by what was asked."""
    marks = [mark for drawing in drawings for mark in drawing.marks()]
    rows = {name: [ok for asked, ok in marks if asked == name] for name in ORDER}
    return {name: Share(sum(oks), len(oks)) for name, oks in rows.items() if oks}


class Evaluator:
    """Draws cases with a pipeline and has them judged.

    Args:
        pipe: a FluxPipeline of the miniature's kind.
        steps: sampling steps.
        guidance: distilled guidance scale.
        true_cfg: scale of true classifier-free guidance against the empty prompt; 1 is off.
        routing: of plans, a preset's name or a file.
        batch: prompts drawn at once.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        steps: int = 20,
        guidance: float = 3.5,
        true_cfg: float = 1.0,
        routing: str | Path = DEFAULT_ROUTING,
        batch: int = 25,
    ) -> None:
        self.pipe, self.batch, self.true_cfg = pipe, batch, true_cfg
        self.regional = RegionalPipeline(pipe, routing)
        self.scorer = Scorer.load()
        self.options: dict[str, Any] = {
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "max_sequence_length": MAX_LENGTH,
        }
        if true_cfg > 1:
            self.options["true_cfg_scale"] = true_cfg
        pipe.set_progress_bar_config(disable=True)

    def plain(
        self, prompts: Sequence[str], seeds: Sequence[int], size: tuple[int, int] = (SIZE, SIZE)
    ) -> list[Image.Image]:
        """Pictures of prompts, drawn at once by the stock pipeline, each from its own seed; `size` is width, height."""
        options = dict(self.options)
        if self.true_cfg > 1:
            options["negative_prompt"] = [""] * len(prompts)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with stock_call(self.pipe, prompts):
            images: list[Image.Image] = self.pipe(
                list(prompts), width=size[0], height=size[1], generator=generators, **options
            ).images
        return images

    def planned(self, case: Case) -> list[Image.Image]:
        """The pictures of one plan."""
        assert case.plan is not None
        plan = case.plan.model_copy(update={"negative_prompt": ""}) if self.true_cfg > 1 else case.plan
        options = dict(self.options, num_images_per_prompt=case.images)
        images: list[Image.Image] = self.regional(plan, seed=case.seed, **options).images
        return images

    def draw(self, kind: str, n: int, seed: int = 0) -> Iterator[ScoredPicture]:
        """All drawings of a kind, judged."""
        todo = cases(kind, n, seed)
        if todo and todo[0].plan is None:
            for start in range(0, len(todo), self.batch):
                part = todo[start : start + self.batch]
                yield from self.judge(part, self.plain([t.prompt for t in part], [t.seed for t in part], part[0].size))
        else:
            for case in todo:
                yield from self.judge([case] * case.images, self.planned(case))

    def judge(self, drawn: Sequence[Case], images: Sequence[Image.Image]) -> Iterator[ScoredPicture]:
        """Drawings of cases and their pictures."""
        for case, image in zip(drawn, images, strict=True):
            boxes = [*(expected.box for expected in case.expected), None]
            *found, whole = self.scorer.score_batch([image] * len(boxes), boxes)
            yield ScoredPicture(case, image, tuple(found), whole)

    def seconds_per_image(self, repeats: int = 3) -> float:
        """The median time of drawing one plain picture."""
        spent = []
        for i in range(repeats):
            begin = time.perf_counter()
            self.plain(["a red striped circle"], [i])
            spent.append(time.perf_counter() - begin)
        return sorted(spent)[repeats // 2]


def autoencoder_db(vae: Any, seed: int) -> float:
    """The mean peak signal-to-noise ratio of 192 fresh scenes' reconstructions, in dB."""
    rng = random.Random(f"autoencoder {seed}")
    scenes = [random_scene(rng, SIZE, SIZE, rng.choice((1, 1, 2, 3, 4, 8)), held_out=None) for _ in range(192)]
    parts = to_tensor([scene.paint() for scene in scenes]).split(32)
    return float(torch.cat([psnr(vae, part) for part in parts]).mean())


def table(title: str, scores: Mapping[str, Share], images: int) -> str:
    """A kind's scores as text: right/asked, percent, interval and a bar."""
    lines = [f"{title} ({images} pictures)"]
    for name, score in scores.items():
        low, high = (100 * x for x in score.interval())
        full = round(20 * score.value)
        lines.append(
            f"  {name:<14}{f'{score.right}/{score.asked}':>9}{100 * score.value:8.1f} %   "
            f"[{low:5.1f}, {high:5.1f}]  {'█' * full}{'·' * (20 - full)}"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m strata.miniature.report", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="miniature", help="miniature, a pipeline's folder, or a training run's")
    parser.add_argument("--only", metavar="KIND,...", help=f"of {', '.join(CASE_KINDS)}")
    parser.add_argument("--n", type=int, default=200, help="objects of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, help="distilled guidance scale (default: 3.5, with --true-cfg 1)")
    parser.add_argument("--true-cfg", type=float, default=1.0, help="for checkpoints without distilled guidance: 3")
    parser.add_argument("--routing", default=DEFAULT_ROUTING, help=f"of plans (default: {DEFAULT_ROUTING})")
    parser.add_argument("--batch", type=int, default=25, help="prompts drawn at once")
    parser.add_argument(
        "--json", type=Path, help="write the scores here too; goes on with what a run like this left there"
    )
    parser.add_argument(
        "--grid", type=Path, metavar="PNG", help="write a contact sheet: the first and the flawed drawings of each kind"
    )
    parser.add_argument("--grid-count", type=int, default=6, help="at most so many of each on the contact sheet")
    return parser


def _kept(path: Path | None, setup: Mapping[str, Any]) -> dict[str, Any]:
    """The kinds of case that an earlier run of the same setup scored, as `--json` has them."""
    if path is None or not path.exists():
        return {}
    try:
        data = json.loads(read_text(path))
    except ValueError as error:
        raise SettingError(f"<json> {path}: is there already and no report: {error}") from error
    if not isinstance(data, dict) or first_difference(data, setup) is not None:
        raise SettingError(f"<json> {path}: is of another model, seed or setup; name another file, or remove it")
    kinds: dict[str, Any] = data["kinds"]
    return kinds


def _kinds_asked(args: argparse.Namespace) -> list[str]:
    """The kinds of case to score. Raises `SettingError` for what is wrong with the options."""
    for name in ("n", "steps", "batch", "grid_count"):
        if getattr(args, name) < 1:
            raise SettingError(f"<{name}> {getattr(args, name)}: must be at least 1")
    kinds = args.only.split(",") if args.only else list(CASE_KINDS)
    for kind in kinds:
        cases(kind, 1)  # refuses an unknown one
    return kinds


def _print_head(report: Mapping[str, Any]) -> None:
    """What is scored, by which scorer."""
    cfg = f", true CFG {report['true_cfg']:g}" if report["true_cfg"] > 1 else ""
    print(
        f"{report['model']}: {report['steps']} steps, guidance {report['guidance']:g}{cfg}, "
        f"routing {report['routing']}, seed {report['seed']}"
    )
    print(
        f"autoencoder {report['autoencoder_db']:.1f} dB on fresh scenes; "
        f"{report['seconds_per_image']:.2f} s for one {SIZE}×{SIZE} picture on {report['threads']} threads"
    )
    for name, where in (("accuracy_on_renders", "renders"), ("accuracy_on_reconstructions", "reconstructions")):
        if known := report["scorer"].get(name):
            print(f"scorer on {where}: " + ", ".join(f"{head} {100 * share:.1f} %" for head, share in known.items()))


def _title(kind: str) -> str:
    return f"{kind}: {CASE_KINDS[kind].title}"


def _drawn(evaluator: Evaluator, kind: str, n: int, seed: int) -> list[ScoredPicture]:
    """All drawings of a kind, behind a progress bar."""
    total = sum(case.images for case in cases(kind, n, seed))
    return list(tqdm(evaluator.draw(kind, n, seed), desc=kind, total=total, disable=None, leave=False))


def _scored(kind: str, drawings: Sequence[ScoredPicture]) -> dict[str, Any]:
    """A kind's scores as `--json` has them."""
    scores = {name: score.as_data() for name, score in count(drawings).items()}
    return {"title": CASE_KINDS[kind].title, "pictures": len(drawings), "scores": scores}


def _print_scores(kind: str, scored: Mapping[str, Any]) -> None:
    shares = {name: Share(score["right"], score["asked"]) for name, score in scored["scores"].items()}
    print(f"\n{table(_title(kind), shares, scored['pictures'])}", flush=True)


def _sheet_parts(kind: str, drawings: Sequence[ScoredPicture], most: int) -> Iterator[tuple[str, list[Card]]]:
    """A kind's parts of the contact sheet, at most so many drawings each: the first ones and the flawed ones."""
    yield _title(kind), [drawing.card() for drawing in drawings[:most]]
    flawed = [drawing.card() for drawing in drawings if drawing.flawed]
    if flawed:
        shown = f"the first {most} of " if len(flawed) > most else ""
        yield f"{kind}: {shown}{len(flawed)} flawed of {len(drawings)}", flawed[:most]


def _write_sheet(path: Path, parts: Sequence[tuple[str, list[Card]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_grid(parts).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def run(args: argparse.Namespace) -> None:
    """Draw, judge, print and write."""
    kinds = _kinds_asked(args)
    guidance = args.guidance if args.guidance is not None else 1.0 if args.true_cfg > 1 else 3.5
    pipe = load_pipeline(args.model)
    evaluator = Evaluator(
        pipe, steps=args.steps, guidance=guidance, true_cfg=args.true_cfg, routing=args.routing, batch=args.batch
    )
    setup: dict[str, Any] = {
        **{name: getattr(args, name) for name in ("model", "n", "seed", "steps", "true_cfg", "routing")},
        "guidance": guidance,
        "scorer": evaluator.scorer.facts,
    }
    scored = _kept(args.json, setup)
    report: dict[str, Any] = {
        **setup,
        "autoencoder_db": autoencoder_db(pipe.vae, args.seed),
        "seconds_per_image": evaluator.seconds_per_image(),
        "threads": torch.get_num_threads(),
        "kinds": scored,
    }
    _print_head(report)
    sheet: list[tuple[str, list[Card]]] = []
    for kind in kinds:
        if kind in scored:
            _print_scores(kind, scored[kind])
            continue
        drawings = _drawn(evaluator, kind, args.n, args.seed)
        scored[kind] = _scored(kind, drawings)
        _print_scores(kind, scored[kind])
        if args.json:
            write_atomic(args.json, dump_json(report))
        sheet += _sheet_parts(kind, drawings, args.grid_count)
    if args.grid:
        _write_sheet(args.grid, sheet)


def main(argv: list[str] | None = None) -> None:
    """The command; see `--help`."""
    args = _parser().parse_args(argv)
    try:
        run(args)
    except StrataError as error:
        print(f"error: {on_command_line(error)}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
