"""A schedule of one's own, as arrays: details in the deep half of the blocks, more and more of them as steps go on.

python examples/own_schedule.py
"""

from pathlib import Path

import numpy as np

from strata import RegionalPipeline, Routing, ScenePlan
from strata.layers.drawing import draw_schedule
from strata.miniature import load

STEPS = 20
ROOT = Path(__file__).resolve().parents[1]


def main(out: Path = Path("out/examples"), steps: int = STEPS) -> Path:
    """Writes own_schedule.png, the routing as a file, and a figure of it."""
    out.mkdir(parents=True, exist_ok=True)
    pipe = load()
    double, single = len(pipe.transformer.transformer_blocks), len(pipe.transformer.single_transformer_blocks)
    high = np.ones((steps, double + single))
    low = np.zeros_like(high)
    low[:, (double + single) // 2 :] = np.linspace(0.3, 1, steps)[:, None]
    isolate = np.zeros_like(high, dtype=bool)
    isolate[: steps // 3] = True
    routing = Routing.from_arrays("own", {"high": high, "low": low, "full": high}, double, isolate=isolate, anchor=True)

    plan = ScenePlan.load(ROOT / "configs/plans/two_regions.yaml")
    image = RegionalPipeline(pipe, routing)(plan, seed=1, num_inference_steps=steps).images[0]
    routing.save(out / "own_schedule.yaml")
    draw_schedule(routing.resolve(double, single, steps)).save(out / "own_schedule-figure.png")
    image.save(out / "own_schedule.png")
    return out / "own_schedule.png"


if __name__ == "__main__":
    print(main())
