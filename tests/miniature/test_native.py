"""Plans in the miniature's structured form: the very captions it was trained and is judged on, and damaged ones."""

import random

import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.plan import Region, ScenePlan
from strata.miniature.world.captions import caption, join
from strata.miniature.world.facts import Thing
from strata.miniature.world.reading import parse_thing
from strata.miniature.world.scenes import halves, nine, quarters, random_backdrop, random_scene, random_thing, two_rows
from strata.miniature.world.truth import scene_plan, structured_text
from strata.native import native_caption, read_caption


@pytest.mark.parametrize("levels", [False, True])
def test_plans_become_the_captions_that_the_model_is_judged_on(levels: bool) -> None:
    rng = random.Random(levels)
    for _ in range(60):
        size = rng.choice([(128, 128), (256, 128), (128, 192)])
        kind = rng.randrange(4)
        areas = (
            halves(*size, rng.random() < 0.5) if kind == 0
            else quarters(*size) if kind == 1
            else nine(*size)[: rng.randint(1, 9)] if kind == 2
            else two_rows(*size, rng.choice([6, 8]))
        )  # fmt: skip
        things = [random_thing(rng, "flat") for _ in areas]
        things = [Thing(thing.kind, thing.colour, thing.surface) for thing in things]
        backdrop, style = random_backdrop(rng), rng.choice([None, "neon", "pixel", "papercut"])
        plan = scene_plan(areas, things, backdrop, style=style, levels=levels, size=size)
        text = native_caption(plan, "miniature").text
        assert text == structured_text(areas, things, backdrop, size, style)
        read = read_caption(text, "miniature", *size).plan
        assert native_caption(read, "miniature").text == text
        assert [parse_thing(region.full or "") for region in read.regions] == things


def test_captions_of_training_are_read() -> None:
    rng = random.Random(1)
    whole = 0
    for _ in range(150):
        width, height = rng.choice([(128, 128), (192, 128)])
        scene = random_scene(rng, width, height, rng.randint(1, 9))
        text = join(caption(scene, rng, structured=1.0))
        plan = read_caption(text, "miniature", width, height).plan
        assert [region.name for region in plan.regions] == [f"object {i + 1}" for i in range(len(scene.things))]
        kinds = [parse_thing(region.full or "").kind for region in plan.regions]
        assert sorted(map(str, kinds)) == sorted(str(placed.thing.kind) for placed in scene.things)
        boxes = [part[:7] for part in text.split("> ")[1:] if part[0].isdigit()]
        again = native_caption(plan, "miniature").text
        whole += boxes == [part[:7] for part in again.split("> ")[1:] if part[0].isdigit()]
    assert whole > 120  # of objects in front of each other, boxes are not those of regions


def test_styles_words_and_losses() -> None:
    regions = (
        Region(name="left", box=(0, 0, 64, 128), high="a boat", low="red, neon"),
        Region(name="right", box=(64, 0, 128, 128), full="a <2> zebra"),
    )
    plan = ScenePlan(width=128, height=128, prompt="sea background, watercolour", high="symmetric", regions=regions)
    caption = native_caption(plan, "miniature")
    assert caption.text == "<1> and <2>, sea background. <1> 0 2 4 6 a red boat in neon <2> 4 2 8 6 a ‹2› zebra"
    assert caption.notes == (
        "high and low texts of an area become one full text",
        "names that the form cannot hold; import calls 'left' 'object 1', 'right' 'object 2'",
        "'a <2> zebra': has words outside the miniature's language",
        "boxes become those of the objects in the middle of their regions, in eighths of the sides",
        "high 'symmetric' is left out",
        "prompt 'sea background, watercolour' is read for the names of background and style alone",
    )
    empty = ScenePlan(width=128, height=128, prompt="sea background")
    with pytest.raises(InputError, match="regions: 0 of them: the form has 1 to 9"):
        native_caption(empty, "miniature")
    for side in (48, 320):
        with pytest.raises(InputError, match=f"width: {side}: must be 64 to 256 pixels in this form"):
            native_caption(plan.resized(side, 128), "miniature")
        with pytest.raises(InputError, match=f"c: height {side}: must be 64 to 256 pixels in this form"):
            read_caption(caption.text, "miniature", 128, side, "c")
    many = [Region(name=f"r{i}", box=(0, 0, 64, 64), full="a sun") for i in range(10)]
    with pytest.raises(InputError, match="regions: 10 of them: the form has 1 to 9"):
        native_caption(empty.model_copy(update={"regions": tuple(many)}), "miniature")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c: has no elements behind its head"),
        ("a red boat", "c: has no elements behind its head"),
        ("a boat. <1> 0 0 4 8 a boat", "c: must begin with its elements, as '<1> and <2>', not 'a boat'"),
        ("<1>. <1> 0 0 9 8 a boat", "c: <1>: box '0 0 9 8': must be four whole numbers from 0 to 8"),
        ("<1>. <1> 0 0 -1 8 a boat", "c: <1>: box '0 0 -1 8': must be four whole numbers"),
        ("<1>. <1> 0 0 4 boat a", "c: <1>: box '0 0 4 boat': must be four whole numbers"),
        ("<1>. <1> 4 0 0 8 a boat", "c: <1>: box '4 0 0 8': x2 must not be less than x1"),
        ("<1>. <1> 0 8 4 7 a boat", "c: <1>: box '0 8 4 7': y2 must not be less than y1"),
        ("<1>. <1> 0 0 4 8", "c: <1>: must be x1 y1 x2 y2 and a text, not '0 0 4 8'"),
        ("<1> and <2>. <1> 0 0 4 8 a boat", "c: '<1> and <2>': names other elements than there are: <1> to <1>"),
        ("<1>. <1> 0 0 4 8 a boat <2> 4 0 8 8 a sun", "c: '<1>': names other elements than there are: <1> to <2>"),
        ("<1>. <1> 0 0 4 8 a boat <1> 4 0 8 8 a sun", "c: elements '1, 1': must be numbered 1, 2, …"),
        ("<1>. <1> 0 0 4 8 a boat\x1b[2J", "c: prompt: 'a boat\\x1b[2J': must not hold"),
        ("<1> to <9>. " + " ".join(f"<{i}> 0 0 4 8 a sun" for i in range(1, 2000)), "c: elements '1, 2, 3"),
    ],
)  # fmt: skip
def test_damaged_captions_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_caption(text, "miniature", 128, 128, "c")
    assert str(caught.value).startswith(message)
