"""The same plan on another model: any pipeline of FLUX.1, FLUX.2 or Chroma that diffusers loads.

python examples/another_model.py black-forest-labs/FLUX.1-dev --size 1024 --device cuda --dtype bfloat16
python examples/another_model.py path/to/folder --size 128
"""

import argparse
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from strata import RegionalPipeline, ScenePlan

ROOT = Path(__file__).resolve().parents[1]


def main(model: str, size: int, device: str = "cpu", dtype: str = "float32", out: Path = Path("out/examples")) -> Path:
    """Writes another_model.png; `size` is the picture's longer side in pixels."""
    out.mkdir(parents=True, exist_ok=True)
    pipe = DiffusionPipeline.from_pretrained(model, torch_dtype=getattr(torch, dtype)).to(device)
    regional = RegionalPipeline(pipe, "isolate-first")
    plan = ScenePlan.load(ROOT / "configs/plans/two_regions.yaml")
    scale = size / max(plan.width, plan.height)
    plan = plan.resized(round(plan.width * scale), round(plan.height * scale))
    print(regional.facts)  # what Strata knows of the model: blocks, token size, length of texts
    regional(plan, seed=1, num_inference_steps=20).images[0].save(out / "another_model.png")
    return out / "another_model.png"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder in diffusers format or a hub id")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    print(main(args.model, args.size, args.device, args.dtype))
