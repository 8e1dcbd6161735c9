"""What a folder holds is told from its JSON files; a model of no family is refused before its weights are read."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ChromaPipeline,
    Flux2KleinInpaintPipeline,
    Flux2KleinPipeline,
    Flux2Pipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    Krea2Pipeline,
    LongCatImagePipeline,
)
from PIL import Image

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import ScenePlan
from strata.injection.encoding import seen
from strata.injection.families import FLUX_DEV, facts_of, facts_of_folder, families, family_of
from strata.injection.families.flux import FAMILY
from strata.injection.pipeline import RegionalPipeline
from strata.layers.routing import Routing
from strata.miniature import WEIGHTS
from strata.pipelines import sized_for
from tests.injection.conftest import PIPELINES, make_chroma, make_fill, make_klein, make_text_to_image

FAMILIES = {family.name: family for family in families()}
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


def test_what_stands_in_for_a_model_that_is_not_at_hand_is_dev() -> None:
    """By the defaults of its transformer's class and the sides of its published autoencoder."""
    parameters = inspect.signature(FluxTransformer2DModel.__init__).parameters
    blocks = {name: parameters[name].default for name in ("num_layers", "num_single_layers")}
    vae = {"block_out_channels": [128, 256, 512, 512]}
    index = {"_class_name": "FluxPipeline"}
    found = FAMILY.facts({**blocks, "guidance_embeds": True}, vae, 512, index)
    assert found == FLUX_DEV
    schnell = FAMILY.facts({**blocks, "guidance_embeds": False}, vae, 256, index)
    assert (schnell.text_length, schnell.guidance) == (256, None)


@pytest.mark.parametrize("reference", [0, 3])
@pytest.mark.parametrize(("rows", "cols"), [(2, 3), (3, 1), (1, 1)])
def test_the_canvas_is_told_by_its_position_ids(rows: int, cols: int, reference: int) -> None:
    """Wherever they begin; with the batch dimension of older pipelines, or without."""
    own = [(0, row + 5, col + 2) for row in range(rows) for col in range(cols)]
    ids = torch.tensor([*own, *((1, 0, n) for n in range(reference))])
    for given in (ids, ids[None]):
        assert FAMILY.canvas({"img_ids": given}) == (rows, cols, rows * cols + reference, 0)


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


@pytest.mark.parametrize(
    "name", ["FluxPipeline", "ChromaPipeline", "Flux2KleinPipeline", "QwenImagePipeline", "Krea2Pipeline"]
)
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
        decoded = decoded[:, :, 0] if decoded.ndim == 5 else decoded  # the one frame of a film
    torch.testing.assert_close(pipe.image_processor.postprocess(decoded, output_type="pt"), picture)


@pytest.mark.parametrize(
    ("name", "mask", "rows"),
    [
        ("chroma", "attention_mask", ["11110", "10000", "11111"]),
        ("qwen", "encoder_hidden_states_mask", ["11110", "10000", "11111"]),
        ("krea2", "encoder_attention_mask", ["11001", "10011", "10001", "11111"]),
    ],
)
def test_of_the_base_prompt_what_its_mask_leaves_takes_part(name: str, mask: str, rows: list[str]) -> None:
    """Padding is behind a text, or before the end of its template; Chroma's mask goes on over the image."""
    masks = torch.tensor([[letter == "1" for letter in row] for row in rows])
    over = masks.new_ones(len(rows), 3 if name == "chroma" else 0)
    text = torch.arange(5.0)[None, :, None].expand(len(rows), -1, -1)
    found = FAMILIES[name].base_texts({"encoder_hidden_states": text, mask: torch.cat([masks, over], dim=1)})
    kept = [base.of(text).unique(dim=0).flatten().tolist() for base in found]
    assert kept == [row.nonzero().flatten().tolist() for row in masks]
    whole = FAMILIES[name].base_texts({"encoder_hidden_states": text})
    assert all(torch.equal(base.of(text), text) for base in whole)
    assert len(whole) == len(rows)


def test_padding_that_the_model_masks_is_dropped_whatever_a_routing_asks_for() -> None:
    embeds = torch.arange(4.0)[None, :, None]
    for name, family in FAMILIES.items():
        found, _ = seen(family, embeds, [1, 2], padded=True)
        assert found.flatten().tolist() == ([1, 2] if name in ("qwen", "krea2") else [0, 1, 2, 3])


COUNTS = {"num_layers": 1, "num_single_layers": 1, "num_refiner_text_blocks": 1}
FILM = {"temperal_downsample": [False, True, True]}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("flux", FluxPipeline),
        ("chroma", ChromaPipeline),
        ("flux2", Flux2Pipeline),
        ("flux2", Flux2KleinPipeline),
        ("krea2", Krea2Pipeline),
        ("longcat", LongCatImagePipeline),
    ],
)
def test_guidance_is_what_the_pipeline_takes_by_default(name: str, kind: Any) -> None:
    transformer, index = {**COUNTS, "guidance_embeds": True}, {"_class_name": kind.__name__}
    facts = FAMILIES[name].facts(transformer, VAE | FILM, 512, index)
    assert facts.guidance == inspect.signature(kind.__call__).parameters["guidance_scale"].default


@pytest.mark.parametrize(
    ("name", "transformer", "index", "expected"),
    [
        ("flux2", {}, {"_class_name": "Flux2Pipeline"}, {"guidance": 4.0, "negative_scale": None}),
        ("flux2", {"guidance_embeds": False}, {"_class_name": "Flux2Pipeline"}, {"guidance": None}),
        ("flux2", {}, {"_class_name": "Flux2ModularPipeline"}, {"guidance": 4.0}),
        ("flux2", {}, {"_class_name": "Flux2KleinKVPipeline"}, {"guidance": None, "negative_scale": None}),
        ("flux2", {}, {"_class_name": "Flux2KleinPipeline", "is_distilled": True}, {"guidance": None}),
        ("qwen", {}, {}, {"token_size": 16}),
        ("krea2", {}, {}, {"token_size": 16}),
        ("krea2", {}, {"patch_size": 4}, {"token_size": 32}),
        ("longcat", {}, {"_class_name": "LongCatImagePipeline"}, {"text_length": 512}),
    ],
)
def test_facts_of_configurations(
    name: str, transformer: dict[str, Any], index: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What a configuration does not say is diffusers' default."""
    facts = FAMILIES[name].facts(COUNTS | transformer, VAE | FILM, 4096, index)
    assert {field: getattr(facts, field) for field in expected} == expected


def test_an_input_picture_has_the_plans_size_where_the_pipeline_would_draw_in_its_own(plan: ScenePlan) -> None:
    """Up to as many pixels as the pipeline draws."""
    sizes = {1024: 1024, 2048: 512}
    for kind in (Flux2KleinInpaintPipeline, Flux2KleinPipeline):
        pipe, picture = kind.__new__(kind), Image.new("RGB", (64, 16))
        for width, height in sizes.items():
            sized = sized_for(pipe, FAMILIES["flux2"], picture, ScenePlan(width=width, height=height, prompt="a"))
            assert sized.size == ((width, height) if kind is Flux2KleinInpaintPipeline else picture.size)
    pipe = Flux2KleinInpaintPipeline.__new__(Flux2KleinInpaintPipeline)
    with pytest.raises(InputError, match="1040x1024: Flux2KleinInpaintPipeline draws at most 1048576 pixels"):
        sized_for(pipe, FAMILIES["flux2"], picture, ScenePlan(width=1040, height=1024, prompt="a"))


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
UNTRIED = {"_class_name": "LongCatImageModularPipeline", "transformer": ["d", "LongCatImageTransformer2DModel", {}]}
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
        ({"modular_model_index": UNTRIED}, "modular pipelines of LongCat-Image have not been tried"),
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


@pytest.mark.parametrize("make", [make_chroma, make_klein])
def test_texts_that_no_block_sees_behind_the_first(make: Any, plan: ScenePlan) -> None:
    """Transformers cut text off what single blocks return, and less is left by then; at base ratio 1 all is plain."""
    pipe, options = make()
    options |= {"num_inference_steps": 1, "output_type": "latent"}
    plain = RegionalPipeline(pipe, method="plain")(plan, seed=0, **options).images
    for ratio in (0.5, 1.0):
        routing = f"name: n\nrules: [{{level: high, depth: 0%-20%}}]\nblend: {{base_ratio: {ratio}}}"
        found = RegionalPipeline(pipe, Routing.from_yaml(routing))(plan, seed=0, **options).images
        assert torch.allclose(found, plain, atol=1e-5) == (ratio == 1.0)


def test_a_routing_written_for_flux_rescales_to_a_family_with_other_counts() -> None:
    schedule = Routing.load("vital-blocks").resolve(*RegionalPipeline(make_chroma()[0]).facts.block_counts, 10)
    assert schedule.rescaled
