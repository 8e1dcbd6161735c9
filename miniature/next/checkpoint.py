"""Loading the miniature: the bundled one, any pipeline folder, or a training run's latest checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from strata.hierarchy.errors import InputError
from strata.miniature.checkpoint import scheduler
from strata.miniature.next import WEIGHTS
from strata.miniature.next.model.text import MAX_LENGTH
from strata.miniature.next.model.transformer import new_transformer


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


def load_pipeline(model: str | Path = "miniature") -> FluxPipeline:
    """A float32 pipeline on the CPU.

    Args:
        model: "miniature" for the bundled one, a folder with `model_index.json`, or a training run's with `flow.pt`.

    Raises:
        InputError: it is none of these.
    """
    folder = WEIGHTS if model == "miniature" else Path(model)
    if (folder / "model_index.json").is_file():
        pipe: FluxPipeline = FluxPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    elif (folder / "flow.pt").is_file():
        pipe = assemble_checkpoint(folder)
    else:
        raise InputError(f"{folder}: holds neither a pipeline (model_index.json) nor a training run (flow.pt)")
    return pipe
