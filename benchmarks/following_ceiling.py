"""The most that the exact judge gives: the hard scenes' exact pictures, judged as drawings are.

`python -m benchmarks.following_ceiling` prints the table of `strata evaluate` for two drawers who make no mistake: the
renderer, and the renderer through the miniature's autoencoder, whose pictures are what a perfect model would decode.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from strata.analysis.evaluation import Row, packed, results
from strata.analysis.evaluation_tables import markdown, table
from strata.analysis.judges.exact import ExactJudge
from strata.analysis.seams import seam_strength
from strata.evaluate import chosen, open_scenes, tags_of
from strata.hierarchy.files import write_atomic
from strata.hierarchy.plan import ScenePlan
from strata.miniature import load
from strata.miniature.hard_scenes import decoded
from strata.miniature.world.truth import render

TOKEN = 16


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.following_ceiling", description=__doc__)
    parser.add_argument("--limit", type=int, help="scenes of each number of objects (default: all)")
    parser.add_argument("--out", type=Path, help="write the table as Markdown too")
    args = parser.parse_args(argv)
    vae, judge = load().vae, ExactJudge()

    ways: dict[str, Callable[[ScenePlan], Image.Image]] = {
        "exact": render,
        "exact, decoded": lambda plan: decoded(render(plan), vae),
    }
    rows: list[Row] = []
    wanted = {}
    for scene in tqdm(chosen(open_scenes("hard")[1], limit=args.limit), disable=None):
        assert scene.plan is not None
        wanted[scene.name] = judge.scorer.features(render(scene.plan))
        for way, drawn in ways.items():
            picture = drawn(scene.plan)
            judged = judge.judge(picture, scene.plan)
            own = {"scene": scene.name, "regions": len(scene.plan.regions), "tags": tags_of(scene), "way": way}
            seam = seam_strength(picture, scene.plan, TOKEN)
            features = packed(judged.features) if judged.features is not None else None
            rows.append({**own, "seam": seam, "seconds": None, **judged.as_data(), "features": features})
    found = results(rows, list(ways), judge.name, judge.error, wanted)
    print(table(found))
    if args.out is not None:
        write_atomic(args.out, markdown(found))


if __name__ == "__main__":
    main()
