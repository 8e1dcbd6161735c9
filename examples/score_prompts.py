"""Prompts of one's own, scored: how often the bundled model draws what they ask for, with 95 % intervals.

python examples/score_prompts.py
"""

from collections.abc import Mapping

import torch

from strata.miniature import load
from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.world.facts import Thing
from strata.miniature.world.scorer import Scorer
from strata.miniature.world.shares import Share

ASKED = {
    "a red striped boat": Thing("boat", "red", "striped"),
    "a large blue dotted star, pencil": Thing("star", "blue", "dotted", "pencil"),
    "there's a green cup": Thing("cup", "green"),
}


def main(asked: Mapping[str, Thing] = ASKED, seeds: int = 8, steps: int = 20) -> dict[str, Share]:
    """Draws each prompt from so many seeds; the share of pictures in which all that it names is right."""
    pipe, scorer = load(), Scorer.load()
    pipe.set_progress_bar_config(disable=True)
    found = {}
    for prompt, thing in asked.items():
        generators = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
        images = pipe(
            [prompt] * seeds,
            width=128,
            height=128,
            num_inference_steps=steps,
            max_sequence_length=MAX_LENGTH,
            generator=generators,
        ).images
        right = [all(verdict.right(thing).values()) for verdict in scorer.score_batch(images)]
        found[prompt] = Share(sum(right), seeds)
    return found


if __name__ == "__main__":
    for prompt, share in main().items():
        low, high = share.interval()
        print(f"{prompt:<34} {share.right}/{share.asked} right  [{100 * low:.0f}, {100 * high:.0f}] %")
