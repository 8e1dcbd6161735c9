"""A sweep over two values of a routing: how long regions are isolated, and how much base attention stands beside them.

python examples/sweep.py
"""

from collections.abc import Sequence
from pathlib import Path

from strata import RegionalPipeline, Routing, ScenePlan
from strata.hierarchy.compare import side_by_side
from strata.layers.routing import Blend, Rule
from strata.miniature import load

ROOT = Path(__file__).resolve().parents[1]


def routing(isolated: int, base_ratio: float) -> Routing:
    """All levels everywhere, regions isolated for the first `isolated` percent of the steps."""
    rules = [Rule(level=level) for level in ("high", "low", "full")]
    if isolated:
        rules += [Rule(level=level, steps=f"0%-{isolated}%", isolate=True) for level in ("high", "low", "full")]
    return Routing(name=f"isolated-{isolated}", blend=Blend(base_ratio=base_ratio), anchor=True, rules=rules)


def main(
    out: Path = Path("out/examples"),
    isolated: Sequence[int] = (0, 30, 60),
    ratios: Sequence[float] = (0.0, 0.2, 0.4),
    steps: int = 20,
) -> Path:
    """Writes sweep.png: a row for each time of isolation, a column for each base ratio."""
    out.mkdir(parents=True, exist_ok=True)
    plan, pipe = ScenePlan.load(ROOT / "configs/plans/four_regions.yaml"), load()
    rows = [
        [
            RegionalPipeline(pipe, routing(i, ratio))(plan, seed=1, num_inference_steps=steps).images[0]
            for ratio in ratios
        ]
        for i in isolated
    ]
    side_by_side(rows, [f"base {ratio:g}" for ratio in ratios]).save(out / "sweep.png")
    return out / "sweep.png"


if __name__ == "__main__":
    print(main())
