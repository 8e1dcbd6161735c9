"""A pipeline of diffusers' blocks with regional attention in it, put together by hand.

python examples/own_blocks.py
"""

import copy
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxAutoBlocks
from diffusers.modular_pipelines import InputParam, ModularPipelineBlocks, OutputParam

from strata import ScenePlan
from strata.injection.blocks import RegionalDenoiseStep, RegionalTextEncoderStep
from strata.miniature import load

ROOT = Path(__file__).resolve().parents[1]


class PlanFromFile(ModularPipelineBlocks):
    """A step of one's own: reads the plan that the next steps draw."""

    model_name = "flux"

    @property
    def inputs(self) -> list[InputParam]:
        """The file's path."""
        return [InputParam("path", required=True)]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """The plan."""
        return [OutputParam("plan")]

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Read it."""
        state.set("plan", ScenePlan.load(state.get("path")))
        return components, state


def main(out: Path = Path("out/examples"), steps: int = 20) -> Path:
    """Writes own_blocks.png."""
    out.mkdir(parents=True, exist_ok=True)
    blocks = copy.deepcopy(FluxAutoBlocks())  # what diffusers makes anew shares its inner blocks with all others
    blocks.sub_blocks["text_encoder"] = RegionalTextEncoderStep(blocks.sub_blocks["text_encoder"])
    core = blocks.sub_blocks["denoise"]
    core.sub_blocks["denoise"] = RegionalDenoiseStep(core.sub_blocks["denoise"])
    blocks.sub_blocks.insert("plan", PlanFromFile(), 0)

    pipe = blocks.init_pipeline()
    pipe.update_components(**load().components)  # or: init_pipeline("OWNER/NAME"), then pipe.load_components()
    images = pipe(
        path=ROOT / "configs/plans/two_regions.yaml",
        routing="isolate-first",
        num_inference_steps=steps,
        max_sequence_length=96,
        generator=torch.Generator().manual_seed(1),
        output="images",
    )
    images[0].save(out / "own_blocks.png")
    return out / "own_blocks.png"


if __name__ == "__main__":
    print(main())
