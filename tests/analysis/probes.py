"""A synthetic probe, with two regions side by side or none, on a canvas that is no square; and a small CLIP."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from strata.analysis.probe import Facts, Label, Probe, ProbedRegion

ROWS, COLS = 4, 6
BLOCKS = ("double 0", "double 1", "single 0", "single 1", "single 2")
LEFT = tuple(row * COLS + col for row in range(ROWS) for col in range(3))
RIGHT = tuple(row * COLS + col for row in range(ROWS) for col in range(3, 6))
PLAN: dict[str, Any] = {
    "width": 48,
    "height": 32,
    "prompt": "a red circle and </script> a blue square",
    "regions": [
        {"name": "left", "box": [0, 0, 24, 32], "high": "a circle", "low": "red, striped"},
        {"name": "right", "box": [24, 0, 48, 32], "high": "a square", "low": "blue, dotted"},
    ],
}


def picture() -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 255, (32, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def made_probe(regions: bool = True, words: bool = True) -> Probe:
    """Random numbers that hold what a probe's must: shares sum to one, labels' shares are parts of them."""
    labels = [Label(kind="text", text="base", quote=PLAN["prompt"]), Label(kind="padding", text="base")]
    if regions:
        for region in PLAN["regions"]:
            for level in ("high", "low"):
                text = f"{region['name']}/{level}"
                labels.append(Label(kind="text", text=text, area=region["name"], level=level, quote=region[level]))
    first = len(labels)
    if words:
        labels += [Label(kind="word", text="base", word=w, quote=w) for w in ("red", "circle", "square")]
        if regions:
            labels.append(Label(kind="word", text="left/low", area="left", level="low", word="red", quote="red"))
    tokens = {"left": LEFT, "right": RIGHT}
    facts = Facts(
        strata="0",
        model="tiny",
        width=48,
        height=32,
        rows=ROWS,
        cols=COLS,
        steps=(0, 2, 4, 5, 6),
        total_steps=8,
        phases=((0, 4), (5, 6)),
        blocks=BLOCKS,
        labels=tuple(labels),
        words=tuple(range(first, len(labels))),
        areas=("left", "right") if regions else ("canvas",),
        regions=tuple(ProbedRegion(name=name, tokens=t) for name, t in tokens.items()) if regions else (),
        concepts=("circle", "square") if words else (),
        seed=7,
        prompt=PLAN["prompt"],
        plan=PLAN if regions else None,
    )
    rng = np.random.default_rng(0)
    arrays = {name: rng.random(shape, dtype=np.float32) for name, shape in facts.shapes().items()}
    arrays["maps"] /= 2 * len(labels)
    arrays["words_to_image"] /= ROWS * COLS
    arrays["concepts"] /= np.maximum(arrays["concepts"].sum(0), 1e-9)
    arrays["shares"][..., 2] = 0
    arrays["shares"] /= arrays["shares"].sum(-1, keepdims=True)
    return Probe(facts, **arrays)


def make_clip(folder: Path) -> None:
    """A small random CLIP with its processor, in the format of the hub."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    symbols = [*"abcdefghijklmnopqrstuvwxyz,"]
    vocabulary = [*symbols, *(f"{s}</w>" for s in symbols), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": 16, "eos_token_id": len(vocabulary) - 1}
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {"image_size": 32, "patch_size": 8, **shape}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config={**text, **shape}, vision_config=vision, projection_dim=16)).save_pretrained(
        folder
    )
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)
