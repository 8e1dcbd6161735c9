"""How well LoRAs confined to a region keep to it: `python -m strata.miniature.lora_report`.

Plans of two regions, the same seeds with and without the LoRAs of `miniature/loras`. Counted are regions that are in a
LoRA's style, with it and without; regions beside one that hold, by the scorer, the object that they hold without it
(kind, colour, surface, which texts name), and its style (which none names); and regions of pictures with a LoRA in each
that are in their own style. A style's colours count at any brightness from half on, for the texts of the base prompt,
which has no LoRA, still make a backdrop dark. With 95 % Wilson intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from strata.hierarchy.errors import InputError
from strata.hierarchy.loras import Lora
from strata.hierarchy.plan import Box, ScenePlan
from strata.injection.pipeline import RegionalPipeline
from strata.miniature import LORAS
from strata.miniature.cases import Case, cases
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.world.render import Pixels
from strata.miniature.world.scorer import OBJECT_HEADS, Scorer
from strata.miniature.world.shares import Share
from strata.miniature.world.tints import DIMMED, TINTS, tint_of

INSIDE, WITHOUT, BOTH = "in the region's style", "without the LoRA", "two regions, each in its own"
BESIDE, BESIDE_STYLE = "beside it as without", "beside it in style too"
SEAM = 8
"""Pixels, half a token: a view leaves them out where its region meets another, as decoding mixes them."""
NAMED = ("kind", "colour", "surface")
"""What the texts of a region name."""
Mark = tuple[str, str, bool]
"""Style, what was asked, whether it is right."""


def adapted(plan: ScenePlan, loras: Sequence[Path | None], scale: float = 1.0) -> ScenePlan:
    """A plan with a LoRA, or none, for each of its regions."""
    regions = (
        region if path is None else region.model_copy(update={"loras": (Lora(file=str(path), scale=scale),)})
        for region, path in zip(plan.regions, loras, strict=True)
    )
    return plan.model_copy(update={"regions": tuple(regions)})


def cut(pixels: Pixels, box: Box | None) -> Pixels:
    """The part of a picture that a region's box holds, without the seam at borders that are not the picture's."""
    assert box is not None
    height, width = pixels.shape[:2]
    x1, y1 = (edge + SEAM * (edge > 0) for edge in box[:2])
    x2, y2 = (edge - SEAM * (edge < side) for edge, side in zip(box[2:], (width, height), strict=True))
    return pixels[y1:y2, x1:x2]


def marks(
    regional: RegionalPipeline, scorer: Scorer, case: Case, files: dict[str, Path], scale: float
) -> Iterator[Mark]:
    """What the LoRAs make of one plan of two regions, every style in either of them."""
    plan = case.plan
    assert plan is not None
    boxes = [region.box for region in plan.regions]

    def drawn(loras: Sequence[Path | None]) -> list[Pixels]:
        """The views of both regions."""
        picture = np.asarray(regional(adapted(plan, loras, scale), seed=case.seed).images[0])
        return [cut(picture, box) for box in boxes]

    def verdict(view: Pixels) -> dict[str, Any]:
        found = scorer.score(view)
        return {head: getattr(found, head) for head in OBJECT_HEADS}

    plain = drawn((None, None))
    for number, (style, path) in enumerate(files.items()):
        own = (case.seed + number) % 2
        views = drawn([path if n == own else None for n in range(2)])
        yield style, INSIDE, tint_of(views[own], darkest=DIMMED) == style
        yield style, WITHOUT, tint_of(plain[own], darkest=DIMMED) == style
        before, after = (verdict(each[1 - own]) for each in (plain, views))
        yield style, BESIDE, all(before[head] == after[head] for head in NAMED)
        yield style, BESIDE_STYLE, before == after
    if len(files) > 1:
        (one, first), (two, second) = list(files.items())[:2]
        for style, view in zip((one, two), drawn((first, second)), strict=True):
            yield style, BOTH, tint_of(view, darkest=DIMMED) == style


def count(found: Sequence[Mark]) -> dict[tuple[str, str], Share]:
    """How often each was right, by style and what was asked."""
    keys = dict.fromkeys((style, asked) for style, asked, _ in found)
    return {
        key: Share(sum(ok for *k, ok in found if tuple(k) == key), sum(tuple(k) == key for *k, _ in found))
        for key in keys
    }


def main(argv: list[str] | None = None) -> None:
    """Print the table; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loras", type=Path, default=LORAS, help="folder with STYLE.safetensors")
    parser.add_argument("--model", default="miniature")
    parser.add_argument("--routing", help="a preset or a file (default: the default preset)")
    parser.add_argument("--plans", type=int, default=50)
    parser.add_argument("--scale", type=float, default=1.0, help="of the LoRAs")
    args = parser.parse_args(argv)
    files = {style: args.loras / f"{style}.safetensors" for style in TINTS}
    files = {style: path.resolve() for style, path in files.items() if path.is_file()}
    if not files or args.plans < 1:
        raise InputError(f"{args.loras}: holds no LoRA of the styles {', '.join(TINTS)}, or --plans is below 1")
    pipe = load_pipeline(args.model)
    pipe.set_progress_bar_config(disable=True)
    regional, scorer = RegionalPipeline(pipe, args.routing), Scorer.load()
    found: list[Mark] = []
    for case in tqdm(cases("regions-2", 4 * args.plans)[: args.plans], disable=None):
        found += marks(regional, scorer, case, files, args.scale)
    for (style, asked), share in count(found).items():
        low, high = share.interval()
        print(f"{style:10} {asked:30} {share.value:4.0%}  [{low:.0%}, {high:.0%}] of {share.asked}")


if __name__ == "__main__":
    main()
