"""Loading the miniature: the bundled one, any pipeline folder, or a training run's latest checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import dump_json
from strata.injection.weights import load_folder
from strata.miniature import WEIGHTS
from strata.miniature.model.text import MARKS, MAX_LENGTH
from strata.miniature.model.transformer import new_transformer
from strata.miniature.world.facts import COLOURS, KINDS, SETTINGS, SIZES, STYLES, SURFACES
from strata.miniature.world.words import (
    COLOUR_WORDS,
    KIND_WORDS,
    LONGEST_SIDE,
    SHORTEST_SIDE,
    SIZE_WORDS,
    SURFACE_WORDS,
    WORDS,
)


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    """FLUX.1-dev's scheduler configuration."""
    return FlowMatchEulerDiscreteScheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def assemble(out: Path, weights: dict[str, torch.Tensor]) -> FluxPipeline:
    """The stock FluxPipeline of a run's parts."""
    t5_tokenizer = T5TokenizerFast.from_pretrained(out / "tokenizer_2")
    t5_tokenizer.model_max_length = MAX_LENGTH
    vae = AutoencoderKL.from_pretrained(out / "vae")
    vae.register_to_config(_name_or_path="")  # else the run's folder would be named in the configuration
    transformer: FluxTransformer2DModel = new_transformer()
    transformer.load_state_dict(weights)
    return FluxPipeline(
        scheduler=scheduler(),
        vae=vae,
        text_encoder=CLIPTextModel.from_pretrained(out / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(out / "tokenizer"),
        text_encoder_2=T5EncoderModel.from_pretrained(out / "text_encoder_2"),
        tokenizer_2=t5_tokenizer,
        transformer=transformer.eval(),
    )


def assemble_checkpoint(run: Path) -> FluxPipeline:
    """The pipeline of a training run as it stands: its text encoders and autoencoder, and the EMA in `flow.pt`.

    Such a flow has learnt no guidance yet: draw with `true_cfg_scale=3`, `negative_prompt=""` and `guidance_scale=1`.
    """
    weights = torch.load(run / "flow.pt", weights_only=True, map_location="cpu")["ema"]
    return assemble(run, weights)


def knowledge() -> dict[str, Any]:
    """What a model of this recipe knows, for `strata.json` in its folder (`strata/knowledge.py` reads it)."""
    tables: tuple[tuple[str, Sequence[str], Mapping[str, Sequence[str]]], ...] = (
        ("kinds", KINDS, KIND_WORDS),
        ("colours", COLOURS, COLOUR_WORDS),
        ("surfaces", SURFACES, SURFACE_WORDS),
        ("sizes", SIZES, SIZE_WORDS),
        ("styles", STYLES, {}),
        ("settings", " ".join(SETTINGS).split(), {}),
    )
    groups = {
        name: list(dict.fromkeys(word for value in values for word in (value, *others.get(value, ()))))
        for name, values, others in tables
    }
    shown = {word for words in groups.values() for word in words}
    return {
        "sizes": {"smallest": SHORTEST_SIDE, "largest": LONGEST_SIDE, "default": 128},
        "steps": 20,
        "text_tokens": MAX_LENGTH,
        "dtype": "float32",
        "captions": "miniature",
        "vocabulary": groups | {"other": [word for word in WORDS if word not in shown and word not in MARKS]},
    }


def save_pipeline(pipe: FluxPipeline, folder: Path) -> None:
    """Save a miniature in half precision, with what it knows."""
    pipe.to(torch.float16).save_pretrained(folder)
    (folder / "strata.json").write_text(dump_json(knowledge()), encoding="utf-8")


def load_pipeline(model: str | Path = "miniature") -> FluxPipeline:
    """A float32 pipeline on the CPU.

    Args:
        model: "miniature" for the bundled one, a folder with `model_index.json`, or a training run's with `flow.pt`.

    Raises:
        InputError: it is none of these, or its weights are not those of its models.
    """
    folder = WEIGHTS if model == "miniature" else Path(model)
    if (folder / "model_index.json").is_file():
        pipe: FluxPipeline = load_folder(folder, torch.float32)
    elif (folder / "flow.pt").is_file():
        pipe = assemble_checkpoint(folder)
    else:
        raise InputError(f"{folder}: holds neither a pipeline (model_index.json) nor a training run (flow.pt)")
    return pipe
