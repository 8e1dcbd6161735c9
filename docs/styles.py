"""One plan from one seed in six styles: only the low texts differ.

python docs/styles.py [PLAN] [-o styles.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from strata import RegionalPipeline, ScenePlan
from strata.console import quiet
from strata.hierarchy.restyle import low_texts, restyled
from strata.hierarchy.typeset import Sheet, resized
from strata.miniature import load
from strata.miniature.model.text import MAX_LENGTH
from strata.miniature.world.words import STYLE_WORDS

SIDE, GAP, COLUMNS = 300, 16, 3
PLAN = Path(__file__).parents[1] / "configs" / "plans" / "three_regions.yaml"


def in_style(plan: ScenePlan, style: str) -> ScenePlan:
    """The plan with a style as the end of every low text, and none in its prompt."""
    words = {word for synonyms in STYLE_WORDS.values() for word in synonyms}

    def plain(text: str) -> list[str]:
        return [part for part in text.split(", ") if part.strip() not in words]

    unstyled = plan.model_copy(update={"prompt": ", ".join(plain(plan.prompt))})
    before = low_texts(plan)
    new = {area: ", ".join([*plain(text), STYLE_WORDS[style][0]]) for area, text in before.items()}
    return restyled(unstyled, {area: text for area, text in new.items() if text != before[area]})


def main() -> None:
    """Draw and write the picture; see `--help`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, nargs="?", default=PLAN, help="(default: configs/plans/three_regions.yaml)")
    parser.add_argument("-o", "--output", type=Path, default=Path("styles.png"))
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    with quiet():
        pipe = load()
    pipe.set_progress_bar_config(disable=True)
    regional, plan = RegionalPipeline(pipe), ScenePlan.load(args.plan)
    sheet = Sheet(COLUMNS * SIDE + (COLUMNS + 1) * GAP)
    for number, style in enumerate(STYLE_WORDS):
        image = regional(
            in_style(plan, style), seed=args.seed, num_inference_steps=20, max_sequence_length=MAX_LENGTH
        ).images[0]
        x, y = GAP + number % COLUMNS * (SIDE + GAP), GAP + number // COLUMNS * (SIDE + 2 * GAP + 8)
        sheet.paste(resized(image, SIDE, SIDE), x, y)
        sheet.text(x, y + SIDE + GAP, STYLE_WORDS[style][0], 16)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    rows = -(-len(STYLE_WORDS) // COLUMNS)
    sheet.picture(GAP + rows * (SIDE + 2 * GAP + 8)).quantize(256).save(args.output, optimize=True)
    print(f"{args.output}: one plan, one seed, {len(STYLE_WORDS)} styles")


if __name__ == "__main__":
    main()
