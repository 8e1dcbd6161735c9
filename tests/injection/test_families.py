"""What a folder holds is told from its JSON files; a model of no family is refused before its weights are read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.families import facts_of, facts_of_folder, families, family_of
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from strata.miniature import WEIGHTS
from tests.injection.conftest import PIPELINES, make_chroma, make_fill, make_text_to_image

MAKERS = {"flux": make_text_to_image, "chroma": make_chroma, "fill": make_fill}


@pytest.mark.parametrize("name", MAKERS)
def test_facts_of_a_folder_are_those_of_the_loaded_pipeline(name: str, tmp_path: Path) -> None:
    pipe, _ = MAKERS[name]()
    pipe.save_pretrained(tmp_path)
    for weights in tmp_path.rglob("*.safetensors"):
        weights.unlink()
    facts = facts_of_folder(tmp_path)
    assert facts == facts_of(pipe)
    assert facts.block_counts == (2, 3)
    assert facts.token_size == 4
    assert facts.guidance == {"flux": 3.5, "chroma": 5.0, "fill": 30.0}[name]
    assert facts.negative_scale == ("guidance_scale" if name == "chroma" else "true_cfg_scale")


def test_a_pipeline_whose_autoencoder_was_freed() -> None:
    pipe, _ = make_text_to_image()
    facts = facts_of(pipe)
    pipe.vae = None
    assert facts_of(pipe) == facts


def test_texts_have_no_more_tokens_than_pipelines_take(tmp_path: Path) -> None:
    pipe, _ = make_text_to_image()
    for most, length in ((10**30, 512), (24, 24)):
        pipe.tokenizer_2.model_max_length = most
        pipe.save_pretrained(tmp_path)
        assert (facts_of(pipe).text_length, facts_of_folder(tmp_path).text_length) == (length, length)


@pytest.mark.parametrize("name", ["FluxPipeline", "ChromaPipeline", "Flux2KleinPipeline"])
def test_latents_of_a_step_are_decoded_as_the_pipeline_does(name: str, plan: ScenePlan) -> None:
    pipe, options = PIPELINES[name]()
    call = {"prompt": "a", "width": plan.width, "height": plan.height, "num_inference_steps": 1, **options}

    def note(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.append(tensors["latents"])
        return {}

    steps: list[torch.Tensor] = []
    picture = pipe(**call, output_type="pt", callback_on_step_end=note).images
    with torch.no_grad():
        unpacked = family_of(pipe.transformer).unpacked(pipe, steps[0], plan.height, plan.width)
        decoded = pipe.vae.decode(unpacked, return_dict=False)[0]
    torch.testing.assert_close(pipe.image_processor.postprocess(decoded, output_type="pt"), picture)


def test_the_miniature() -> None:
    facts = facts_of_folder(WEIGHTS)
    assert (facts.family, facts.block_counts, facts.token_size, facts.text_length) == ("flux", (4, 8), 16, 96)


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_has_its_family(name: str) -> None:
    pipe, _ = PIPELINES[name]()
    family = family_of(pipe.transformer)
    assert name.startswith(family.prefix)
    blocks = family.blocks(pipe.transformer)
    assert [block.index for block in blocks] == list(range(5))
    doubles, singles = {"qwen": (5, 0), "krea2": (0, 5)}.get(family.name, (2, 3))
    names = [*(f"double {n}" for n in range(doubles)), *(f"single {n}" for n in range(singles))]
    assert [block.name for block in blocks] == names
    regional = RegionalPipeline(pipe)
    assert (regional.facts.block_counts, regional.token_size) == ((doubles, singles), 4)


def _folder(path: Path, **files: Any) -> Path:
    for name, content in files.items():
        target = path / name.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(".json").write_text(content if isinstance(content, str) else json.dumps(content))
    return path


INDEX = {"_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"]}
SANA = {"_class_name": "SanaPipeline", "transformer": ["diffusers", "SanaTransformer2DModel"]}
TURBO = {"_class_name": "ZImagePipeline", "transformer": ["diffusers", "ZImageTransformer2DModel"]}
BLOCKS = {"_class_name": "QwenImageModularPipeline", "transformer": ["diffusers", "QwenImageTransformer2DModel", {}]}
EDIT = {"_class_name": "QwenImageEditPipeline", "transformer": ["diffusers", "QwenImageTransformer2DModel"]}
VAE = {"block_out_channels": [4]}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no model_index.json"),
        ({"model_index": "{"}, "its model_index.json cannot be read"),
        ({"model_index": "[]"}, "must hold a JSON object"),
        (
            {"model_index": SANA},
            "is a SanaPipeline with a SanaTransformer2DModel; must be a pipeline of Chroma",
        ),
        (
            {"model_index": TURBO},
            "is a ZImagePipeline with a ZImageTransformer2DModel: Z-Image cannot be drawn in regions: .* captions",
        ),
        (
            {"modular_model_index": BLOCKS},
            "is a QwenImageModularPipeline: modular pipelines of Qwen-Image have not been",
        ),
        ({"model_index": EDIT}, "is a QwenImageEditPipeline: it encodes a text together with the picture"),
        (
            {"model_index": {"_class_name": "StableDiffusionPipeline"}},
            "is a StableDiffusionPipeline whose index names no transformer; must be",
        ),
        ({"model_index": INDEX}, "no config.json"),
        (
            {"model_index": INDEX, "transformer__config": {"num_layers": 2}, "vae__config": VAE},
            "configuration is damaged: KeyError",
        ),
        (
            {
                "model_index": INDEX,
                "transformer__config": {"num_layers": "many", "num_single_layers": 3},
                "vae__config": VAE,
            },
            "configuration is damaged: ValueError",
        ),
    ],
)
def test_folders_that_hold_no_model_of_ours(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        facts_of_folder(_folder(tmp_path, **files))


def test_nobody_else_names_a_models_classes_or_block_counts() -> None:
    """A new family is one file: everything else asks the family."""
    root = Path(__file__).parents[2]
    names = {name for family in families() for name in family.transformers}
    for folder in ("injection", "analysis", "strata", "layers", "hierarchy"):
        for path in (root / folder).rglob("*.py"):
            if path.parent.name == "families" or any(part.is_symlink() for part in path.parents):
                continue
            text = path.read_text(encoding="utf-8")
            found = [name for name in (*names, "(19, 38)") if name in text]
            assert not found, f"{path.relative_to(root)} names {found}"


def test_a_routing_written_for_flux_rescales_to_a_family_with_other_counts() -> None:
    schedule = Routing.load("vital-blocks").resolve(*RegionalPipeline(make_chroma()[0]).facts.block_counts, 10)
    assert schedule.rescaled
