"""Control runs: what the training itself does to a model's depth. `python -m strata.miniature.control --out DIR …`

The miniature is trained with losses on its output alone and with all canvases at the corner of the position grid. A
control run is a short training on small pictures that differs in one thing: an auxiliary head on the image tokens that
leave a block (`--head "single 1"`), as the miniature before this one had it, or small canvases at random places of the
grid (`--wander`). Role studies of such runs (`strata roles --model DIR/pipeline`) tell whether what is found follows
the head, or the grid. Autoencoder and text encoders are those of a finished run.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from strata.miniature import WEIGHTS
from strata.miniature.checkpoint import assemble, save_pipeline
from strata.miniature.train import keep_memory
from strata.miniature.training.data import Data, Pool
from strata.miniature.training.flow import distil_guidance, train_flow
from strata.miniature.training.loop import write_whole, write_whole_folder

logger = logging.getLogger(__name__)

POOLS = (
    Pool(64, 64, (1,), 16, (0.4, 0.3, 0.3), 160, 4_000, 20_000),
    Pool(128, 128, (1,), 24, (0.25, 0.3, 0.3), 96, 2_000, 20_000),
    Pool(128, 128, (2,), 24, (0.35, 0.4, 0.4), 96, 2_000, 20_000),
)
"""One and two objects, mostly on 64 image tokens."""
BLOCKS = {"double": 4, "single": 8}


def head_block(text: str) -> str:
    """A block's name, checked."""
    name, _, number = text.partition(" ")
    if name not in BLOCKS or not number.isdigit() or int(number) >= BLOCKS[name]:
        valid = ", ".join(f'"{kind} 0" to "{kind} {count - 1}"' for kind, count in BLOCKS.items())
        raise argparse.ArgumentTypeError(f"{text!r}: no such block; valid: {valid}")
    return text


def main(argv: list[str] | None = None) -> None:
    """Train one control; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; goes on where it was")
    parser.add_argument("--parts", type=Path, default=WEIGHTS, help="pipeline whose autoencoder and texts are used")
    parser.add_argument("--head", type=head_block, metavar="BLOCK", help='supervise inside: "double 1", "single 5", …')
    parser.add_argument("--wander", action="store_true", help="small canvases at random places of the position grid")
    parser.add_argument("--samples", type=int, default=40_000)
    parser.add_argument("--guidance-samples", type=int, default=4_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    keep_memory()
    out, parts = args.out, args.parts
    out.mkdir(parents=True, exist_ok=True)
    t5_tokenizer = T5TokenizerFast.from_pretrained(parts / "tokenizer_2")
    clip_tokenizer = CLIPTokenizer.from_pretrained(parts / "tokenizer")
    t5 = T5EncoderModel.from_pretrained(parts / "text_encoder_2", dtype=torch.float32).eval().requires_grad_(False)
    clip = CLIPTextModel.from_pretrained(parts / "text_encoder", dtype=torch.float32).eval().requires_grad_(False)
    vae = AutoencoderKL.from_pretrained(parts / "vae", torch_dtype=torch.float32).eval().requires_grad_(False)
    tokenizers = (t5_tokenizer, clip_tokenizer)
    data = Data(vae, t5, clip, tokenizers, torch.device(args.device), out / "pools", POOLS, wander=args.wander)
    if not (out / "flow.safetensors").exists():
        weights = train_flow(data, out, args.samples, head=args.head)
        write_whole(out / "flow.safetensors", partial(save_file, weights))
    weights = distil_guidance(data, load_file(out / "flow.safetensors"), out, args.guidance_samples, args.samples)
    pipe = assemble(parts, weights)
    write_whole_folder(out / "pipeline", partial(save_pipeline, pipe))
    logger.info("done: %s", out / "pipeline")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted; the same command goes on from the last checkpoint") from None
