"""Tiny modular pipelines of the stock blocks, with the components of the classic ones beside them."""

from collections.abc import Callable
from typing import Any

from diffusers import (
    ClassifierFreeGuidance,
    Flux2AutoBlocks,
    Flux2KleinAutoBlocks,
    Flux2KleinBaseAutoBlocks,
    Flux2KleinPipeline,
    Flux2Pipeline,
    FluxAutoBlocks,
    FluxImg2ImgPipeline,
    FluxKontextAutoBlocks,
    FluxKontextPipeline,
    FluxPipeline,
)
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor

from strata.injection.block_paths import at_path, loops
from tests.injection.conftest import picture, quiet, tiny_parts
from tests.injection.flux2 import LENGTH, flux2_parts, reference


def of_blocks(blocks: Any, parts: dict[str, Any]) -> Any:
    """A pipeline of these blocks and components, without progress bars."""
    for path in loops(blocks):
        at_path(blocks, path).set_progress_bar_config(disable=True)
    pipe = blocks.init_pipeline()
    pipe.update_components(**parts)
    return pipe


def modular_flux(blocks: Any = None) -> Any:
    pipe = of_blocks(FluxAutoBlocks() if blocks is None else blocks, tiny_parts())
    pipe.update_components(image_processor=VaeImageProcessor(vae_scale_factor=4))
    return pipe


def modular_kontext() -> Any:
    pipe = of_blocks(FluxKontextAutoBlocks(), tiny_parts())
    pipe.update_components(image_processor=VaeImageProcessor(vae_scale_factor=4))
    return pipe


def _flux2(blocks: Any, dev: bool = False) -> Any:
    pipe = of_blocks(blocks, flux2_parts(dev))
    pipe.update_components(image_processor=Flux2ImageProcessor(vae_scale_factor=4))
    return pipe


def modular_dev() -> Any:
    return _flux2(Flux2AutoBlocks(), dev=True)


def modular_klein() -> Any:
    return _flux2(Flux2KleinAutoBlocks())


def modular_klein_base(blocks: Any = None) -> Any:
    pipe = _flux2(Flux2KleinBaseAutoBlocks() if blocks is None else blocks)
    pipe.update_components(guider=ClassifierFreeGuidance(guidance_scale=3.0))
    return pipe


Pair = Callable[[], tuple[Any, Any, dict[str, Any], dict[str, Any]]]
"""A modular pipeline, the classic one, the options of both, and those of the classic one beside them."""


def _flux_pair() -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    return modular_flux(), quiet(FluxPipeline(**tiny_parts())), {"max_sequence_length": 24}, {}


def _img2img_pair() -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    options = {"image": picture(), "strength": 0.75, "guidance_scale": 3.5, "max_sequence_length": 24}
    return modular_flux(), quiet(FluxImg2ImgPipeline(**tiny_parts())), options, {}


def _kontext_pair() -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    options = {"image": picture(), "max_area": 32 * 48, "_auto_resize": False, "max_sequence_length": 24}
    return modular_kontext(), quiet(FluxKontextPipeline(**tiny_parts())), options, {}


def _dev_pair() -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    options = {"image": [reference(1), reference(2)], "max_sequence_length": LENGTH}
    return modular_dev(), quiet(Flux2Pipeline(**flux2_parts(dev=True))), options, {}


def _klein_pair() -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    classic = quiet(Flux2KleinPipeline(**flux2_parts(), is_distilled=True))
    return modular_klein(), classic, {"image": reference(), "max_sequence_length": 24}, {}


def _klein_base_pair() -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    classic = quiet(Flux2KleinPipeline(**flux2_parts()))
    return modular_klein_base(), classic, {"max_sequence_length": 24}, {"guidance_scale": 3.0}


PAIRS: dict[str, Pair] = {
    "flux": _flux_pair,
    "flux from a picture": _img2img_pair,
    "flux-kontext": _kontext_pair,
    "flux2 dev with references": _dev_pair,
    "flux2 klein with a reference": _klein_pair,
    "flux2 klein base with guidance": _klein_base_pair,
}
