"""The hard scenes: what the published set holds, that its generator makes it, and that it can be judged."""

import json
import random
from collections import Counter

import pytest
from diffusers import AutoencoderKL

from strata.evaluate import open_scenes, tags_of
from strata.hierarchy.grid import token_grid
from strata.hierarchy.plan import ScenePlan
from strata.loading import locate
from strata.miniature.checkpoint import load_pipeline
from strata.miniature.hard_scenes import ABOUT, EACH, OBJECTS, contradicting, hard_scene, sorts, wrong
from strata.miniature.world.facts import COLOURS, KINDS, SURFACES, Thing
from strata.miniature.world.scorer import Scorer
from strata.miniature.world.truth import region_thing
from strata.readers import Scene
from strata.readers.plans import HARD


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return open_scenes("hard")[1]


def planned(scene: Scene) -> ScenePlan:
    assert scene.plan is not None
    return scene.plan


def test_every_number_of_objects_has_its_scenes_and_every_tag_its_own(scenes: list[Scene]) -> None:
    assert Counter(len(planned(scene).regions) for scene in scenes) == dict.fromkeys(OBJECTS, EACH)
    assert EACH >= 60
    tags = Counter((len(planned(scene).regions), tag) for scene in scenes for tag in tags_of(scene))
    assert {tag for _, tag in tags} == set(ABOUT)
    for objects in (4, 6, 8):
        assert all(tags[objects, tag] >= 9 for tag in ABOUT)
    knowledge = locate("miniature").knowledge
    assert knowledge is not None
    for scene in scenes:
        plan = planned(scene)
        assert list(knowledge.complaints(plan, "miniature")) == []
        token_grid(plan, plan.height // 16, plan.width // 16)  # every region holds a token


def test_scenes_are_what_their_tags_say(scenes: list[Scene]) -> None:
    for scene in scenes:
        plan, tags = planned(scene), tags_of(scene)
        things = [region_thing(region) for region in plan.regions]
        assert all(thing.kind and thing.colour and thing.surface for thing in things)
        if "alike" in tags:
            assert len({thing.kind for thing in things}) == 1
            assert len({thing.colour for thing in things}) == len(things)
        if "swapped" in tags:
            assert len({thing.kind for thing in things}) == 2
            assert max(Counter(thing.combination[1:] for thing in things).values()) == 2
        if "surfaces" in tags:
            assert len({thing.colour for thing in things}) == 1
        if "two-styles" in tags:
            assert len({thing.style for thing in things}) == 2
        named = sum(f"{thing.colour} {thing.surface} {thing.kind}" in plan.prompt for thing in things)
        assert named == len(things) if "names" in tags else ("counts" not in tags or named == 0)
        assert all((region.polygon is not None) == ("free-form" in tags) for region in plan.regions)
        assert ("square" in tags) == (plan.width == plan.height)
        masks = token_grid(plan, plan.height, plan.width).masks
        assert bool((masks.sum(0) > 1).any()) == bool({"overlap", "nested"} & {*tags})


def test_a_contradiction_names_nothing_where_it_is() -> None:
    rng = random.Random(1)
    alone = [Thing("boat", "red", "solid")]
    (other,) = contradicting(rng, alone)
    assert all(a != b for a, b in zip(other.combination, alone[0].combination, strict=True))
    several = [Thing(KINDS[n], COLOURS[n], SURFACES[n]) for n in range(3)]
    assert contradicting(rng, several) == [several[1], several[2], several[0]]


@pytest.mark.parametrize(
    "name", ["2-05-thin-mixed-contradicts", pytest.param("3-07-nested-alike-names", marks=pytest.mark.slow)]
)
def test_the_generator_makes_the_published_scene_and_the_scorer_finds_all_in_it(name: str) -> None:
    row = next(json.loads(line) for line in HARD.read_text(encoding="utf-8").splitlines() if f'"{name}"' in line)
    number = int(name.split("-")[1]) - 1
    scorer, vae = Scorer.load(), load_pipeline().vae
    plan = hard_scene(random.Random(f"hard scenes 0 {name[0]} {number}"), sorts(int(name[0]))[number], scorer, vae)
    assert plan.model_dump(mode="json", exclude_defaults=True) == row["plan"]
    assert wrong(plan, scorer, vae) == ([], False)
    noise = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2)
    assert wrong(plan, scorer, noise)[0], "what an autoencoder loses is not found"


@pytest.mark.slow
def test_the_scorer_finds_all_in_every_exact_picture_and_what_the_autoencoder_makes_of_it(scenes: list[Scene]) -> None:
    scorer, vae = Scorer.load(), load_pipeline().vae
    assert [scene.name for scene in scenes if wrong(planned(scene), scorer, vae) != ([], False)] == []
