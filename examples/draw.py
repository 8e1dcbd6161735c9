"""Draw a plan made in Python.

python examples/draw.py
"""

from pathlib import Path

from strata import Region, RegionalPipeline, ScenePlan
from strata.miniature import load

PLAN = ScenePlan(
    width=128,
    height=128,
    prompt="a boat on the left and a sun on the right, sea background",
    regions=[
        Region(name="boat", box=[0, 0, 64, 128], high="a boat", low="red, striped"),
        Region(name="sun", box=[64, 0, 128, 128], high="a sun", low="yellow, solid"),
    ],
    low="watercolour",
)


def main(out: Path = Path("out/examples")) -> Path:
    """Writes draw.png and the plan beside it."""
    out.mkdir(parents=True, exist_ok=True)
    image = RegionalPipeline(load())(PLAN, seed=1, num_inference_steps=20).images[0]
    PLAN.save(out / "draw.yaml")
    image.save(out / "draw.png")
    return out / "draw.png"


if __name__ == "__main__":
    print(main())
