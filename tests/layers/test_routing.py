"""The routing format: what it accepts, what it refuses and how, and that it survives being written and read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import dump_yaml
from strata.hierarchy.ramp import Ramp
from strata.layers.balance import Balance
from strata.layers.routing import Blend, ModelSize, Routing, Rule

FRACTION = st.floats(0, 1)


@st.composite
def percents(draw: st.DrawFn) -> str:
    start, stop = sorted(draw(st.lists(st.decimals(0, 100, places=3), min_size=2, max_size=2, unique=True)))
    return f"{start}%-{stop}%"


@st.composite
def indices(draw: st.DrawFn, highest: int) -> Any:
    spans = [sorted(draw(st.tuples(*[st.integers(0, highest)] * 2))) for _ in range(draw(st.integers(1, 3)))]
    texts = [f"{start}-{stop}" for start, stop in spans]
    numbers = draw(st.lists(st.integers(0, highest), min_size=1, max_size=4))
    return draw(st.sampled_from(["all", ",".join(texts), texts, numbers, numbers[0], [*texts, numbers[0]]]))


def ramps() -> st.SearchStrategy[Ramp]:
    return st.builds(Ramp, FRACTION, FRACTION.filter(bool))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    data: dict[str, Any] = {"level": draw(st.sampled_from(["high", "low", "full"]))}
    kind = draw(st.sampled_from(["depth", "exact", "none"]))
    if kind == "depth":
        data["depth"] = draw(percents())
    elif kind == "exact":
        families = draw(st.sampled_from([("double",), ("single",), ("double", "single")]))
        data |= {family: draw(indices(18 if family == "double" else 37)) for family in families}
    data["every"] = draw(st.integers(1, 4))
    spans = indices(27).filter(lambda value: not (isinstance(value, str) and value.isdigit()))
    data["steps"] = draw(st.none() | percents() | spans.filter(lambda value: value != 0))
    data["strength"] = draw(FRACTION.filter(bool) | ramps())
    data["isolate"] = draw(st.booleans())
    names = st.lists(st.sampled_from(["dog", "the cat", "Käfer", "yes", "12"]), min_size=1, unique=True)
    data["regions"] = draw(st.none() | names)
    return Rule.model_validate(data)


@st.composite
def balances(draw: st.DrawFn) -> Balance:
    data: dict[str, Any] = {}
    first, more = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    regions = st.sampled_from([first, f"{first}-{first + more}", f"{first}+"])
    kinds = {"regions": regions, "area": percents(), "base_ratio": FRACTION | ramps(), "steps": percents()}
    for name in draw(st.sets(st.sampled_from(list(kinds))).filter(lambda found: found & {"base_ratio", "steps"})):
        data[name] = draw(kinds[name])
    return Balance.model_validate(data)


def disjoint(entries: list[Balance]) -> bool:
    return not any(a.covers(b) for i, b in enumerate(entries) for a in entries[:i])


def evidence() -> st.SearchStrategy[Any]:
    words = st.text("abc é:#-'\"\n1.", max_size=12)
    leaves = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6) | words
    values = st.recursive(leaves, lambda part: st.lists(part, max_size=3) | st.dictionaries(words, part, max_size=3))
    return st.dictionaries(words, values, max_size=3)


def routings() -> st.SearchStrategy[Routing]:
    text = st.text("abc é:#-'\"\n", max_size=20).map(str.strip)
    return st.builds(
        Routing,
        name=text.filter(bool),
        about=text,
        source=st.none() | text,
        blend=st.builds(
            Blend,
            mode=st.sampled_from(["shared", "split"]),
            base_ratio=FRACTION | ramps(),
            base_prompt=st.sampled_from(["plan", "composed"]),
        )
        | st.builds(Blend, base_ratio=FRACTION, base_area=st.just("regions")),
        unrouted=st.sampled_from(["plain", "open"]),
        background=st.sampled_from(["base", "none"]),
        pad=st.sampled_from(["none", "full"]),
        rules=st.lists(rules(), min_size=1, max_size=4),
        balance=st.lists(balances(), max_size=2).filter(disjoint),
        evidence=st.none() | evidence(),
    )


@given(routings())
def test_yaml_round_trip_loses_nothing(routing: Routing) -> None:
    assert Routing.from_yaml(routing.to_yaml()) == routing


@given(routings())
def test_json_is_yaml_too(routing: Routing) -> None:
    data = routing.model_dump(mode="json")
    assert Routing.from_yaml(json.dumps(data)) == routing


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_save_and_load(tmp_path: Path, suffix: str) -> None:
    routing = Routing(
        name="mine",
        model=ModelSize(double=4, single=8),
        rules=(
            Rule.model_validate({"level": "high", "single": [0, "2-3"], "steps": "3-3", "strength": Ramp(1, 0.25)}),
        ),
    )
    path = tmp_path / f"mine{suffix}"
    routing.save(path)
    assert Routing.load(path) == routing
    assert Routing.load(str(path)).rules[0].steps == routing.rules[0].steps


def test_the_file_of_a_routing_is_no_part_of_its_identity(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a\nrules: [{level: high}]\n")
    routing = Routing.load(path)
    assert routing == Routing.from_yaml("name: a\n\nrules:\n- level: high\n")
    assert hash(routing) == hash(Routing(name="a", rules=(Rule(level="high"),)))


def test_defaults_are_left_out() -> None:
    text = Routing(name="a", rules=(Rule(level="high"),)).to_yaml()
    assert text == "name: a\nrules:\n  - level: high\n"


def routing_with(rule: str, head: str = "") -> str:
    return f"name: test\n{head}rules:\n  - {{level: low}}\n  - {{level: high, {rule}}}\n"


@pytest.mark.parametrize(
    ("rule", "field", "complaint"),
    [
        ("depth: 0-33", "depth", 'a percent range such as "0%-33%"'),
        ("depth: 50%-120%", "depth", "ends at 100%"),
        ("depth: 50%-100.5%", "depth", "ends at 100%"),
        ("depth: 50%-50%", "depth", "50% is not below 50%"),
        ("depth: 0%-50%, single: 3", "", "not both"),
        ("single: x", "single", '"0-18", "17", "0-3,7"'),
        ("single: 9-2", "single", 'write "2-9"'),
        ("single: []", "single", "empty list"),
        ("single: true", "single", "no index or range"),
        ("single: -3", "single", "no index or range"),
        ("single: 1.5", "single", "no index or range"),
        ("every: 0", "every", "greater than or equal to 1"),
        ("every: true", "every", "valid integer"),
        ("steps: 0", "steps", "at least 1"),
        ('steps: "10"', "steps", "10-10 for that step"),
        ("steps: 60%-10%", "steps", "60% is not below 10%"),
        ("strength: 0", "strength", "greater than 0"),
        ("strength: 1.5", "strength", "at most 1"),
        ('strength: "1"', "strength", "expected a number"),
        ("strength: {from: 0, to: 0}", "strength", "greater than 0"),
        ("strength: {from: 1, to: 2}", "strength", "to: 2 is not a number from 0 to 1"),
        ("strength: {from: 1, too: 0}", "strength", "unknown key 'too'; valid keys: from, to"),
        ("strength: {from: 1}", "strength", "needs both keys"),
        ("isolate: 1", "isolate", "valid boolean"),
        ("regions: []", "regions", "leave the key out"),
        ("regions: [a, a]", "regions", "twice"),
        ("regions: [base]", "regions", "the base prompt is not routed"),
        ("depths: 0%-33%", "depths", "did you mean 'depth'"),
        (
            "anchor: true",
            "anchor",
            "belongs at the top, not in an entry of rules; valid keys in an entry of rules: level",
        ),
        ("mode: split", "mode", "belongs in blend, not in an entry of rules"),
        ("base_ratio: 0.5", "base_ratio", "belongs in blend or in an entry of balance, not in an entry of rules"),
    ],
)
def test_a_wrong_rule_is_refused_with_file_line_field_and_choices(rule: str, field: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        Routing.from_yaml(routing_with(rule), name="my.yaml")
    message = str(caught.value)
    place = f"rules[1].{field}" if field else "rules[1]"
    assert message.startswith(f"my.yaml:4: {place}: ")
    assert complaint in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules: [{level: high}]", "name: missing"),
        ("name: a\nrules: []", "my.yaml:2: rules: []:"),
        ("name: a\nrules: [{level: mid}]", "my.yaml:2: rules[0].level: 'mid': must be 'high', 'low' or 'full'"),
        ("name: a\nblend: {mode: both}\nrules: [{level: high}]", "'shared' or 'split'"),
        ("name: a\ntext_positions: middle\nrules: [{level: high}]", "'canvas' or 'region'"),
        ("name: a\nblend: {base_area: background}\nrules: [{level: high}]", "'canvas' or 'regions'"),
        ("name: a\nblend: {base_prompt: own}\nrules: [{level: high}]", "'plan' or 'composed'"),
        (
            "name: a\nblend: {mode: split, base_area: regions}\nrules: [{level: high}]",
            "blend: base_area regions goes with mode shared alone",
        ),
        ("name: a\nblend: {base_ratio: 1.1}\nrules: [{level: high}]", "blend.base_ratio: 1.1: must be from 0 to 1"),
        ("name: a\nmodel: {double: 4, single: 4}\nrules: [{level: hihg}]", "level: 'hihg'"),
        ("name: a\nmodel: {double: 0, single: 0}\nrules: [{level: high}]", "at least one block"),
        (
            "name: a\ndepth: 0%-50%\nrules: [{level: high}]",
            "depth: unknown key: belongs in an entry of rules or in an entry of loras, not",
        ),
        (
            "name: a\nblend: {pad: full}\nrules: [{level: high}]",
            "pad: unknown key: belongs at the top, not in blend",
        ),
        ("name: a\nunrouted: off\nrules: [{level: high}]", "'plain' or 'open'"),
    ],
)
def test_a_wrong_head_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=r"^my\.yaml") as caught:
        Routing.from_yaml(text, name="my.yaml")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("counts", [(3, 3), (1, 0), (0, 1), (19, 38)])
def test_models_that_a_routing_may_be_for(counts: tuple[int, int]) -> None:
    double, single = counts
    written = Routing.from_yaml(routing_with("depth: 0%-100%", f"model: {{double: {double}, single: {single}}}\n"))
    assert written.model == ModelSize(double=double, single=single)


def test_exact_ranges_are_checked_against_the_routings_own_model_when_read() -> None:
    head = "model: {double: 4, single: 8}\n"
    with pytest.raises(
        InputError, match=r"^my.yaml:5: rules\[1\].single: '0-8': index 8 is out of range \(valid: 0-7\)"
    ):
        Routing.from_yaml(routing_with("single: 0-8", head), name="my.yaml")
    with pytest.raises(InputError, match="matches no block"):
        Routing.from_yaml(routing_with("single: 1, every: 2", head))


def test_python_callers_get_pydantics_own_errors() -> None:
    with pytest.raises(ValidationError):
        Rule(level="high", every=0)
    with pytest.raises(ValueError, match="not a number from 0 to 1"):
        Ramp(0.5, float("nan"))


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{level: medium}", "level"),
        ("{level: low, every: 0}", "every"),
        ("{level: low, depth: 50%-40%}", "depth"),
        ("{level: low, strength: .nan}", "strength"),
        ("{level: low, regions: []}", "regions"),
    ],
)
def test_a_lone_rule_tells_its_own_mistake(rule: str, told: str) -> None:
    with pytest.raises(InputError, match=rf"rules\[0\].{told}"):
        Routing.from_yaml(f"{{name: n, about: a, rules: [{rule}]}}")


def test_no_rule_at_all() -> None:
    with pytest.raises(InputError, match="at least one rule"):
        Routing.from_yaml("{name: n, about: a, rules: []}")


def test_isolating_areas_hides_and_shows_no_text() -> None:
    rules = [
        {"level": "high", "steps": "0%-50%"},
        {"level": "low", "depth": "50%-100%", "strength": 0.5},
        {"level": "full", "regions": ["sun"]},
    ]
    routing = Routing.from_yaml(dump_yaml({"name": "mine", "rules": rules}), "mine")
    made = routing.isolating(["moon", "sea"])
    before, after = (one.resolve(2, 2, 4) for one in (routing, made))
    for level in ("high", "low", "full"):
        for area in ("moon", "sea", "sun"):
            assert (before.strength(level, area) == after.strength(level, area)).all()
    assert [(rule.level, rule.regions) for rule in made.rules[3:]] == [
        ("high", ("moon", "sea")),
        ("low", ("moon", "sea")),
    ]
    assert all(rule.isolate for rule in made.rules[3:])
    assert made.isolating(["moon", "sea"]).rules[5:] == made.rules[3:], "what isolates already, is left"
