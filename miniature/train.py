"""The recipe of the miniature: `python -m strata.miniature.train --out runs/miniature`.

Stages, each skipped where its result is in the folder already, so that an interrupted run goes on where it was:
autoencoder → T5 → CLIP → flow (rectified flow, EMA) → guidance (distillation) → pipeline (stock diffusers format).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from strata.miniature.autoencoder import teach_autoencoder
from strata.miniature.flow import Data, distil_guidance, new_transformer, teach_flow
from strata.miniature.text import MAX_LENGTH, teach_clip, teach_t5

logger = logging.getLogger(__name__)


def note(out: Path, **facts: Any) -> None:
    """Add facts to the run's record, `record.json`."""
    path = out / "record.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    record.update(facts)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n")
    part.replace(path)


def save_folder(saver: Any, folder: Path) -> None:
    """`saver(folder)` all or nothing: into a neighbour first, then renamed."""
    part = folder.with_name(folder.name + ".part")
    saver(str(part))
    os.replace(part, folder)


def texts(out: Path, t5_seconds: float, clip_seconds: float) -> tuple[Any, Any, Any, Any]:
    """The taught text encoders with their tokenizers: T5 tokenizer, T5, CLIP tokenizer, CLIP."""
    if not (out / "text_encoder_2").exists():
        t5_tokenizer, t5, score = teach_t5(t5_seconds)
        save_folder(t5_tokenizer.save_pretrained, out / "tokenizer_2")
        save_folder(t5.save_pretrained, out / "text_encoder_2")
        note(out, t5_words_tagged_right=score)
    if not (out / "text_encoder").exists():
        clip_tokenizer, clip, score = teach_clip(clip_seconds)
        save_folder(clip_tokenizer.save_pretrained, out / "tokenizer")
        save_folder(clip.save_pretrained, out / "text_encoder")
        note(out, clip_words_told_right=score)
    return (
        T5TokenizerFast.from_pretrained(out / "tokenizer_2"),
        T5EncoderModel.from_pretrained(out / "text_encoder_2").eval().requires_grad_(False),
        CLIPTokenizer.from_pretrained(out / "tokenizer"),
        CLIPTextModel.from_pretrained(out / "text_encoder").eval().requires_grad_(False),
    )


def autoencoder(out: Path) -> AutoencoderKL:
    """The run's autoencoder, not to be trained further."""
    return AutoencoderKL.from_pretrained(out / "vae").eval().requires_grad_(False)


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


def main(argv: list[str] | None = None) -> None:
    """Run the recipe; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; goes on where it was")
    parser.add_argument("--vae-minutes", type=float, default=7.5)
    parser.add_argument("--t5-minutes", type=float, default=2.5)
    parser.add_argument("--clip-minutes", type=float, default=1.0)
    parser.add_argument("--flow-minutes", type=float, default=75.0, help="of training, all resumes together")
    parser.add_argument("--guidance-minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    begin = time.time()

    if not (out / "vae").exists():
        save_folder(teach_autoencoder(60 * args.vae_minutes).save_pretrained, out / "vae")
    t5_tokenizer, t5, clip_tokenizer, clip = texts(out, 60 * args.t5_minutes, 60 * args.clip_minutes)
    if not (out / "flow.safetensors").exists():
        data = Data(autoencoder(out), t5, clip, (t5_tokenizer, clip_tokenizer))
        save_file(teach_flow(data, out, 60 * args.flow_minutes), out / "flow.safetensors")
    if not (out / "guidance.safetensors").exists():
        data = Data(autoencoder(out), t5, clip, (t5_tokenizer, clip_tokenizer), share=0.25)
        teacher = load_file(out / "flow.safetensors")
        save_file(distil_guidance(data, teacher, out, 60 * args.guidance_minutes), out / "guidance.safetensors")
    pipe = assemble(out, load_file(out / "guidance.safetensors"))
    save_folder(lambda folder: pipe.to(torch.float16).save_pretrained(folder), out / "pipeline")
    logger.info("done in %.0f minutes: %s", (time.time() - begin) / 60, out / "pipeline")


if __name__ == "__main__":
    main()
