"""The bundled planner: exact on prompts of combinations it never saw, honest about the rest."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from strata.hierarchy.plan import ScenePlan
from strata.llm.answer import answer_form, json_schema
from strata.llm.backends.bundled import WEIGHTS
from strata.llm.backends.bundled.answers import ScenePrompt, settle, truth_matches
from strata.llm.backends.bundled.asking import Asking, whole_question
from strata.llm.backends.bundled.backend import BundledBackend
from strata.llm.backends.bundled.reading.words import read
from strata.llm.backends.bundled.report import judged
from strata.llm.backends.bundled.sentences import Sentence, judge, load_sentences
from strata.llm.backends.bundled.teaching.lessons import EXERCISES, exercises
from strata.llm.backends.bundled.teaching.phrasing import random_prompt
from strata.llm.backends.bundled.world import Backdrop, Thing
from strata.llm.draft import Draft
from strata.llm.errors import LlmError, PlanError
from strata.llm.instructions import Instructions
from strata.llm.planner import Planner
from strata.llm.protocol import Message, Question
from strata.llm.wording import Brief
from strata.plan_table import planner_remarks
from tests.llm.told import ToldBackend

PROMPT = "a red striped circle on the left and a blue dotted square on the right"
SCENE = ScenePrompt(
    PROMPT, (Thing("circle", "red", "striped"), Thing("square", "blue", "dotted")), ("left", "right"), None, Backdrop()
)
STYLED = ScenePrompt("two lovely houses in pencil", (Thing("house"),) * 2, (None, None), None, Backdrop(), "pencil")
SENTENCES = Path(__file__).with_name("sentences.yaml")


@pytest.fixture(scope="module")
def backend() -> BundledBackend:
    return BundledBackend()


@pytest.fixture
def told() -> ToldBackend:
    backend = ToldBackend()
    backend.tell_scene(SCENE)
    backend.tell_scene(STYLED)
    return backend


def question(prompt: str = PROMPT, **known: object) -> Question:
    brief = Brief("layout", prompt, 128, 128, **known)  # type: ignore[arg-type]
    return Question("layout", Instructions.load().messages(brief), json_schema(answer_form("layout")))


# --- around the model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_call", [False, True])
def test_the_sentence_of_the_readme(told: ToldBackend, one_call: bool) -> None:
    plan = Planner(told, one_call=one_call).plan(PROMPT, 128, 128)
    assert plan.prompt == PROMPT
    assert [(r.name, r.box, r.high, r.low) for r in plan.regions] == [
        ("circle", (0, 0, 64, 128), "a circle", "red, striped"),
        ("square", (64, 0, 128, 128), "a square", "blue, dotted"),
    ]
    assert plan.background is None
    assert len(told.asked) == 1, "layout and details are one question to the model"


def test_a_style_goes_into_every_text(told: ToldBackend) -> None:
    plan = Planner(told).plan(STYLED.prompt, 128, 128)
    assert [region.low for region in plan.regions] == ["pencil", "pencil"]
    assert plan.background is not None
    assert (plan.background.low, plan.low) == ("pencil", "pencil")
    assert plan.prompt.endswith(", pencil")


def test_a_style_beside_the_prompt_is_drawn_and_one_that_cannot_be_is_refused(told: ToldBackend) -> None:
    told.told[f"{read(PROMPT).text} . style watercolour", "128x128"] = (
        told.told[read(PROMPT).text, "128x128"]
        .replace('"style":""', '"style":"watercolour"')
        .replace('"other":""', '"other":"watercolour"')
        .replace('square on the right"', 'square on the right, watercolour"')
    )
    plan = Planner(told).plan(PROMPT, 128, 128, style="a watercolor painting")
    assert plan.low == "a watercolor painting"
    assert [region.low for region in plan.regions] == ["red, striped, watercolour", "blue, dotted, watercolour"]
    with pytest.raises(
        PlanError, match='the style: the bundled planner cannot draw the style "oil"; nearest: watercol'
    ):
        Planner(told).plan(PROMPT, 128, 128, style="oil painting")


def test_a_prompt_in_other_words_throughout_is_no_other_prompt(backend: BundledBackend) -> None:
    plan = Planner(backend).plan("a drawing of a teacup with spots on it", 128, 128)
    assert ["cup" in str(region.high) for region in plan.regions] == [True]


def test_words_that_are_passed_over_are_in_the_provenance_and_the_table(told: ToldBackend) -> None:
    plan = Planner(told).plan(STYLED.prompt, 128, 128)
    facts = (plan.provenance or {})["planner"]
    assert isinstance(facts, dict)
    assert facts["ignored"] == ["lovely"]
    assert facts["invented"] == facts["missing"] == []
    assert ("passed over", "lovely") in planner_remarks(plan)


def test_every_pattern_is_planned_exactly_where_the_model_is_right(told: ToldBackend) -> None:
    rng = random.Random(2)
    planner = Planner(told)
    for _ in range(30):
        scene = random_prompt(rng, held_out=True)
        told.tell_scene(scene)
        try:
            plan = planner.plan(scene.prompt, 128, 128)
        except PlanError:
            continue
        assert truth_matches(plan, settle(scene, 128, 128)) == []
        assert ScenePlan.from_yaml(plan.to_yaml()) == plan


def test_a_draft_is_filled(told: ToldBackend) -> None:
    draft = Draft.from_yaml(
        "regions: [{name: first, box: [64, 0, 128, 128], low: shiny}, {name: second, box: [0, 0, 64, 128]}]"
    )
    plan = Planner(told).plan(PROMPT, 128, 128, draft=draft)
    assert [(r.name, r.high, r.low) for r in plan.regions] == [
        ("first", "a square", "shiny"),
        ("second", "a circle", "red, striped"),
    ]
    named = Draft.from_yaml("regions: [{high: a square}, {high: a circle}]")
    plan = Planner(told).plan(PROMPT, 128, 128, draft=named)
    assert [(r.low, r.box) for r in plan.regions] == [
        ("blue, dotted", (64, 0, 128, 128)),
        ("red, striped", (0, 0, 64, 128)),
    ]


def test_another_number_of_regions_than_the_prompt_names_is_refused(told: ToldBackend) -> None:
    with pytest.raises(PlanError, match="3 regions are asked for, but the prompt names 2 objects"):
        Planner(told).plan(PROMPT, 128, 128, regions=3)


def test_a_drafted_content_outside_the_language_is_refused(told: ToldBackend) -> None:
    draft = Draft.from_yaml("regions: [{high: a lighthouse}, {high: a circle}]")
    with pytest.raises(PlanError, match='the region "a lighthouse": the bundled planner cannot draw "lighthouse"'):
        Planner(told).plan(PROMPT, 128, 128, draft=draft)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (
            "an old lighthouse in a storm",
            ['"lighthouse"', "nearest: house", "circle, square", "--llm http", "serve-llm"],
        ),
        ("a plain grey background", ["names no object"]),
        ("nine circles and a square", ["nine", "at most 8"]),
    ],
)
def test_a_prompt_outside_the_language_is_refused_before_anything_is_loaded(prompt: str, said: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        Planner(BundledBackend(Path("/nowhere"))).plan(prompt, 128, 128)
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_answer_that_disagrees_is_refused_and_the_next_one_taken(told: ToldBackend) -> None:
    right = told.told[read(PROMPT).text, "128x128"]
    wrong = right.replace("striped", "dotted")
    asking = Asking(lambda questions: [wrong for _ in questions])
    answer = asking.ask_many([question()])[0]
    assert isinstance(answer, LlmError)
    assert "did not get this prompt right: its answer tells no red striped circle" in str(answer)
    assert not answer.again
    second = Asking(lambda questions: [wrong for _ in questions], lambda question: [wrong, right])
    assert json.loads(str(second.ask_many([question()])[0]))["objects"][0]["content"] == "a circle"


def test_an_answer_that_tells_two_scenes_is_refused(told: ToldBackend) -> None:
    right = told.told[read(PROMPT).text, "128x128"]
    twofold = right.replace('"topic":"a red', '"topic":"a blue')
    answer = Asking(lambda questions: [twofold]).ask_many([question()])[0]
    assert "tells two scenes" in str(answer)


def test_a_question_of_another_kind_is_an_error(told: ToldBackend) -> None:
    with pytest.raises(LlmError, match="questions of the planner's own form only"):
        told.ask(Question("layout", (Message("user", "Tell me a story."),), {"type": "object"}))


def test_only_the_last_question_counts(told: ToldBackend) -> None:
    asked = question()
    again = (*asked.messages, Message("assistant", "{}"), Message("user", "That answer cannot be used: no."))
    bare = Question("layout", asked.messages[-1:], asked.schema)
    assert told.ask(bare) == told.ask(asked) == told.ask(Question("layout", again, asked.schema))


def test_sentences_are_judged(told: ToldBackend) -> None:
    plan = Planner(told).plan(PROMPT, 128, 128)
    circle = {"kind": "circle", "colour": "red", "surface": "striped", "place": "left"}
    square = {"kind": "square", "colour": "blue", "surface": "dotted"}

    def verdict(outcome: ScenePlan | PlanError = plan, **asked: object) -> str:
        return judge(Sentence.model_validate({"text": PROMPT, **asked}), outcome).kind

    assert verdict(things=[circle, square], relations=[[0, "left", 1], ["row", 0, 1]]) == "right"
    assert verdict(things=[square, circle], relations=[[1, "left", 0]]) == "right", "in any order"
    assert verdict(things=[circle, square], relations=[[0, "above", 1]]) == "wrong"
    assert verdict(things=[circle, {**square, "place": "left"}]) == "wrong"
    assert verdict(things=[circle, {**square, "colour": "red"}]) == "wrong"
    assert verdict(things=[circle]) == "wrong"
    assert verdict(things=[circle, square], style="neon") == "wrong"
    assert verdict(things=[circle, square], background={"setting": "sea"}) == "wrong"
    assert verdict(refuse="castle") == "wrong"
    refusal = PlanError(PROMPT, 'cannot draw "castle"')
    assert verdict(refusal, refuse="castle") == "right"
    assert verdict(refusal, refuse="dog") == verdict(refusal, things=[circle, square]) == "refused"


def test_missing_weights_are_told() -> None:
    with pytest.raises(LlmError, match="/nowhere: the planner's weights are missing"):
        BundledBackend(Path("/nowhere")).ask(question())


def test_the_folder_is_small_and_says_what_it_is() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12 * 2**20
    config = json.loads((WEIGHTS / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (WEIGHTS / "README.md").is_file()


# --- the model --------------------------------------------------------------------------------------------------------


def right_of(planner: Planner, kind: str, n: int, seed: int) -> int:
    """How many of `n` held-out prompts have exactly the right plan; every plan is read back from its file's text."""
    exact = 0
    for e in exercises(kind, n, seed):
        try:
            plan = planner.plan(e.prompt, e.width, e.height, draft=e.draft, regions=e.regions)
        except PlanError:
            continue
        assert ScenePlan.from_yaml(plan.to_yaml()) == plan
        exact += not truth_matches(plan, e.truth)
    return exact


def test_plans_of_unseen_combinations_are_exact(backend: BundledBackend) -> None:
    assert right_of(Planner(backend), "any", 20, seed=7) >= 17


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXERCISES)
def test_each_kind_of_prompt_is_planned(backend: BundledBackend, kind: str) -> None:
    assert right_of(Planner(backend), kind, 30, seed=8) >= 24


@pytest.mark.slow
def test_ordinary_sentences_are_planned_and_few_are_silently_wrong(backend: BundledBackend) -> None:
    verdicts = [verdict.kind for verdict in judged(backend, load_sentences(SENTENCES))]
    assert verdicts.count("right") >= 0.9 * len(verdicts)
    assert verdicts.count("wrong") <= 0.03 * len(verdicts)


@pytest.mark.slow
def test_answers_are_the_same_every_time_and_side_by_side(backend: BundledBackend) -> None:
    questions = [question(e.prompt) for e in exercises("any", 8, seed=3)]
    alone = [BundledBackend().ask_many([q])[0] for q in questions]
    assert list(map(str, BundledBackend().ask_many(questions))) == list(map(str, alone))
    assert str(backend.ask_many(questions[:1])[0]) == str(alone[0])


def test_answers_are_compact_json_of_the_form(backend: BundledBackend) -> None:
    answer = backend.ask(question())
    data = json.loads(answer)
    assert answer == json.dumps(data, separators=(",", ":"))
    assert list(data) == ["topic", "objects", "background"]


def test_an_answer_that_does_not_end_is_an_error(backend: BundledBackend) -> None:
    asked = whole_question(read(PROMPT).text, 128, 128)
    short = Question("whole", asked.messages, asked.schema, max_tokens=5)
    written = backend._write([short])[0]
    assert isinstance(written, LlmError)
    assert "did not end its answer" in str(written)
