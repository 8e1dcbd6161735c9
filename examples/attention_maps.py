"""What each block's image tokens attend to of one region's detail text, as a row of maps.

python examples/attention_maps.py
"""

from pathlib import Path

import matplotlib.pyplot as plt

from strata import RegionalPipeline, ScenePlan
from strata.analysis.recorder import probing
from strata.miniature import load

ROOT = Path(__file__).resolve().parents[1]


def main(out: Path = Path("out/examples"), steps: int = 20) -> Path:
    """Writes attention_maps.png."""
    out.mkdir(parents=True, exist_ok=True)
    plan = ScenePlan.load(ROOT / "configs/plans/two_regions.yaml")
    text = f"{plan.regions[0].name}/low"
    regional = RegionalPipeline(load())
    with probing(regional) as recorder:
        image = regional(plan, seed=1, num_inference_steps=steps).images[0]
    probe = recorder.result()

    blocks = probe.facts.blocks
    maps = [probe.map(text, block=block) for block in blocks]  # [rows, cols], shares of attention
    most = max(float(values.max()) for values in maps)
    figure, axes = plt.subplots(2, (len(blocks) + 2) // 2, figsize=(11, 4), layout="constrained")
    for panel in axes.flat:
        panel.set_axis_off()
    axes.flat[0].imshow(image)
    axes.flat[0].set_title("picture", fontsize=9)
    for panel, block, values in zip(axes.flat[1:], blocks, maps, strict=False):
        drawn = panel.imshow(values, vmin=0, vmax=most, cmap="magma")
        panel.set_title(block, fontsize=9)
    figure.colorbar(drawn, ax=axes, label=f"attention to {text}")
    figure.savefig(out / "attention_maps.png", dpi=120)
    return out / "attention_maps.png"


if __name__ == "__main__":
    print(main())
