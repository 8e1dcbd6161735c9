"""FLUX.3's prompt upsampler as the planner's model: what it is asked over a real socket, what its answers become."""

import ast
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.cli import main
from strata.hierarchy.errors import InputError
from strata.hierarchy.native_flux3 import FORM
from strata.hierarchy.plan import ScenePlan
from strata.llm.backends.server import ServerBackend
from strata.llm.draft import Draft
from strata.llm.errors import AnswerError, PlanError
from strata.llm.planner import Planner, Request
from strata.llm.upsampling import Row, read_upsampled, system_text
from tests.examples import examples
from tests.llm.hostile import Book, completion, hostile_server

PROMPT = "a lighthouse above a small boat"
CAPTION = (
    "Full-color outdoor photograph, a stormy evening: a tall lighthouse <lighthouse_1> stands on a cliff on the right,"
    " a small boat <boat_1> below it."
)
ROWS: list[dict[str, Any]] = [
    {"id": "lighthouse_1", "bbox": [50, 620, 800, 900], "desc": "a tall lighthouse, white and red stripes"},
    {"id": "boat_1", "bbox": [700, 100, 900, 400], "desc": "a small boat, wooden, a red sail"},
]
DRAFT = """
width: 1280
height: 640
style: oil painting
negative_prompt: people
overlap: priority
regions:
  - {name: The tower, box: [640, 0, 960, 600], full: a lighthouse, priority: 2}
  - {box: [100, 420, 500, 580], high: a small boat}
"""


def answer(caption: str = CAPTION, rows: Any = ROWS) -> str:
    return f"{caption} {json.dumps(rows)}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Book]:
    for name in ("STRATA_LLM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STRATA_CACHE", str(tmp_path / "cache"))
    with hostile_server() as book:
        yield book


def replies(book: Book, *texts: str) -> None:
    left = list(texts)
    book.reply = lambda handler, asked: handler.send(completion(left.pop(0)))


def planned(book: Book, draft: str | None = None, **about: Any) -> ScenePlan:
    backend = ServerBackend(book.address, timeout=5.0, retries=0)
    try:
        given = None if draft is None else Draft.from_yaml(draft)
        return Planner(backend, form="flux3").plan(PROMPT, 1280, 640, draft=given, **about)
    finally:
        backend.close()


def test_the_system_text_is_the_one_that_diffusers_sends() -> None:
    spec = importlib.util.find_spec("diffusers")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "modular_pipelines" / "flux3" / "prompt_upsampler.py"
    [texts] = [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SYSTEM_PROMPTS"
    ]
    assert system_text() == texts["t2i_bbox"]


def test_a_prompt_becomes_the_plan_that_import_reads(server: Book) -> None:
    replies(server, answer())
    plan = planned(server)
    expected = FORM.read(answer(), 1280, 640).plan
    assert plan.model_copy(update={"provenance": None}) == expected
    assert plan.regions[0].box == (794, 32, 1152, 512)
    [asked] = server.asked
    assert asked.body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": system_text()},
            {"role": "user", "content": f"TARGET CANVAS: 2:1\n{PROMPT}"},
        ],
        "temperature": 0.0,
        "max_tokens": 3584,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert plan.provenance is not None
    told: Any = plan.provenance["planner"]
    assert (told["form"], told["calls"], told["attempts"], told["repairs"]) == ("flux3", "one", 1, [])
    assert (told["instructions"]["name"], told["missing"], told["invented"]) == ("flux3 t2i_bbox", [], [])


def test_a_draft_stands_whatever_comes_back(server: Book) -> None:
    moved = [
        {"id": "tower_9", "bbox": [0, 502, 935, 748], "desc": "a lighthouse of grey stone"},  # its box by another id
        {"id": "boat_1", "bbox": [100, 100, 300, 300], "desc": "a small boat with a red sail"},
        {"id": "moon_1", "bbox": [20, 20, 120, 80], "desc": "a pale moon"},
    ]
    caption = "An oil painting: a lighthouse <tower_9>, a boat <boat_1> and the moon <moon_1>."
    replies(server, answer(caption, moved))
    plan = planned(server, DRAFT)
    [asked] = server.asked
    turn = asked.body["messages"][1]["content"]
    assert turn.startswith(
        f"ORIGINAL PROMPT:\nTARGET CANVAS: 2:1\n{PROMPT}\nStyle: oil painting\n\nLOCKED BOUNDING-BOX"
    )
    locked = json.loads(turn.rsplit("\n", 1)[1])
    assert locked == [
        {"id": "The_tower_1", "bbox": [0, 500, 938, 750], "desc": "a lighthouse"},
        {"id": "boat_1", "bbox": [656, 78, 906, 391], "desc": "a small boat"},
    ]
    tower, boat, moon = plan.regions
    assert (tower.name, tower.box, tower.priority) == ("The tower", (640, 0, 960, 600), 2)
    assert list(tower.by_level()) == [("full", "a lighthouse")]
    assert boat.box == (100, 420, 500, 580)
    assert list(boat.by_level()) == [("high", "a small boat"), ("low", "a small boat with a red sail")]
    assert (moon.name, moon.full) == ("moon", "a pale moon")
    assert (plan.low, plan.negative_prompt, plan.overlap) == ("oil painting", "people", "priority")
    assert plan.prompt == "An oil painting: a lighthouse, a boat and the moon."
    assert plan.provenance is not None
    repairs: Any = plan.provenance["planner"]
    assert repairs["repairs"] == ["moved tower_9 back to its box", "moved boat_1 back to its box"]


def test_a_bad_answer_is_told_and_asked_again(server: Book) -> None:
    replies(server, "I cannot do that.", answer(rows=ROWS[:1]), answer())
    plan = planned(server, regions=2)
    assert len(plan.regions) == 2
    first, second, third = (asked.body["messages"] for asked in server.asked)
    assert len(first) == 2
    assert second[2] == {"role": "assistant", "content": "I cannot do that."}
    assert second[3]["content"].startswith("That answer cannot be used: the answer ends with no table, such as ")
    assert second[3]["content"].endswith("answer with the caption and the table alone.")
    assert "has 1 elements that can be used, but 2 are asked for" in third[3]["content"]
    assert [asked.body["temperature"] for asked in server.asked] == [0.0, 0.7, 0.7]
    assert "Exactly 2 elements in the table." in first[1]["content"]


def test_a_prompt_is_given_up(server: Book) -> None:
    replies(server, "no", answer("A red car <car_1>.", [{"id": "car_1", "bbox": [0, 0, 9, 9], "desc": "a car"}]), "[]")
    with pytest.raises(
        PlanError, match=r"no usable answer \(caption\) in 3 attempts; the last error: the answer has no"
    ):
        planned(server)
    assert "the answer has nothing to do with the prompt" in server.asked[2].body["messages"][3]["content"]


REPAIRED: list[tuple[str, str, list[str]]] = [
    (f"<think>A boat?</think>{answer()}", "left out the model's thinking", ["lighthouse", "boat"]),
    (f"```text\n{answer()}\n```", "left out fences of code", ["lighthouse", "boat"]),
    (f"{answer()}\nShall I go on?", "left out text behind the table", ["lighthouse", "boat"]),
    (answer(rows=[*ROWS, ROWS[1]]), "dropped a second boat_1", ["lighthouse", "boat"]),
    (answer(rows=[*ROWS, "x", {"id": "a b"}]), "dropped a row without a usable id", ["lighthouse", "boat"]),
    (
        answer(rows=[*ROWS, ROWS[0] | {"id": "x_1"}]),
        "dropped x_1, which the caption does not cite",
        ["lighthouse", "boat"],
    ),
    (answer(rows=ROWS[:1]), "left out citations of no row: boat_1", ["lighthouse"]),
    (answer(rows=[ROWS[0], ROWS[1] | {"desc": ""}]), "dropped boat_1, which has no desc", ["lighthouse"]),
    (
        answer(rows=[ROWS[0], ROWS[1] | {"bbox": [5, 5, 5, 90]}]),
        "dropped boat_1, whose box has no area",
        ["lighthouse"],
    ),
    (
        answer(rows=[ROWS[0], ROWS[1] | {"bbox": [900, 100, 700, 1400]}]),
        "boat_1: bbox left the canvas; clamped",
        ["lighthouse", "boat"],
    ),
    (
        answer(rows=[ROWS[0], ROWS[1] | {"bbox": [0.7, 0.1, 0.9, 0.4]}]),
        "boat_1: bbox was in fractions of the canvas",
        ["lighthouse", "boat"],
    ),
]


@pytest.mark.parametrize(("text", "repair", "names"), REPAIRED, ids=[repair for _, repair, _ in REPAIRED])
def test_what_is_safe_to_repair_is_repaired_and_told(text: str, repair: str, names: list[str]) -> None:
    plan, repairs = read_upsampled(text, 1000, 1000)
    assert repair in repairs
    assert [region.name for region in plan.regions] == names
    assert "<" not in plan.prompt
    if "boat" in names:
        boat = plan.regions[-1].box
        assert boat == ((100, 700, 1000, 900) if "clamped" in repair else (100, 700, 400, 900))


def test_a_locked_element_that_is_left_out_is_put_back() -> None:
    lock = Row("moon_1", (0, 0, 100, 100), "a moon")
    plan, repairs = read_upsampled(answer(), 1000, 1000, [lock])
    assert [region.name for region in plan.regions] == ["moon", "lighthouse", "boat"]
    assert plan.regions[0].full == "a moon"
    assert repairs == ["cited <moon_1> behind the caption, which does not name it"]
    plan, repairs = read_upsampled(answer(), 1000, 1000, [Row("boat_1", (0, 0, 100, 200), "")])
    assert (plan.regions[0].name, plan.regions[0].box) == ("boat", (0, 0, 200, 100))
    assert plan.regions[0].full == ROWS[1]["desc"]
    assert repairs == ["moved boat_1 back to its box"]
    with pytest.raises(AnswerError, match="moon_1: has no row with a desc"):
        read_upsampled(answer(), 1000, 1000, [Row("moon_1", (0, 0, 100, 100), "")])


pieces = st.one_of(
    st.sampled_from(
        [CAPTION, "<boat_1>", "[", "{", "]", '"', json.dumps(ROWS), "```json", "<think>", "\x00\u202e", "[{}"]
    ),
    st.text(max_size=20),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["id", "bbox", "desc"]), inner, max_size=3)
        ),
        max_leaves=12,
    ).map(lambda data: json.dumps([data])),
)


@given(st.lists(pieces, max_size=6).map(" ".join))
@examples(60)
def test_any_answer_is_a_plan_or_refused(text: str) -> None:
    try:
        plan, _ = read_upsampled(text, 640, 320)
    except AnswerError:
        return
    assert ScenePlan.from_yaml(plan.to_yaml()) == plan


@pytest.mark.parametrize("text", ["[{" * 200_000, '[{"id": "' + "[{" * 5000, "[" * 100_000 + "]", "[{}]" * 50_000])
def test_an_answer_that_would_take_long_is_refused(text: str) -> None:
    with pytest.raises(AnswerError):
        read_upsampled(f"a boat <boat_1> {text}", 640, 320, [], 3)


def test_what_is_refused(server: Book) -> None:
    backend = ServerBackend(server.address, timeout=5.0, retries=0)
    with pytest.raises(InputError, match="form: 'flux2': must be flux3, or None"):
        Planner(backend, form="flux2")
    with pytest.raises(InputError, match=r"regions\[0\].*has no area, which the form flux3 cannot tell; give it a box"):
        planned(server, "regions: [{high: a boat}]")
    plain, upsampling = Planner(backend), Planner(backend, form="flux3")
    request = Request(PROMPT, 64, 64)
    assert plain.key(request) != upsampling.key(request)
    backend.close()


def test_the_command(server: Book, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replies(server, answer())
    out = tmp_path / "plan.yaml"
    size = ("--width", "1280", "--height", "640")
    assert main(["plan", PROMPT, "--llm", server.address, "--llm-form", "flux3", *size, "-o", str(out)]) == 0
    assert [region.name for region in ScenePlan.load(out).regions] == ["lighthouse", "boat"]
    for options, message in (
        ([], "--llm-form flux3: is for a model of that form; name one with --llm"),
        (["--llm", server.address, "--one-call"], "--one-call: not allowed with --llm-form"),
        (["--llm", server.address, "--instructions", "x"], "--instructions: not allowed with --llm-form"),
    ):
        capsys.readouterr()
        assert main(["plan", PROMPT, "--llm-form", "flux3", *options]) == 2
        assert message in capsys.readouterr().err
    assert len(server.asked) == 1


def test_the_bundled_planner_is_no_upsampler() -> None:
    from strata.llm.backends.bundled.backend import BundledBackend

    with pytest.raises(PlanError, match="the bundled planner answers the planner's own questions alone"):
        Planner(BundledBackend(), form="flux3").plan("a red circle on the left", 128, 128)
