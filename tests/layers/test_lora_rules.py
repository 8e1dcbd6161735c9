"""A routing's `loras`: read with lines in errors, written back, resolved as the other rules are."""

import numpy as np
import pytest

from strata.hierarchy.errors import InputError
from strata.hierarchy.loras import Lora
from strata.hierarchy.plan import PlacedLora
from strata.hierarchy.style import LORA
from strata.layers.drawing import draw_schedule
from strata.layers.lora_rules import lora_notes
from strata.layers.routing import Routing
from strata.layers.table import schedule_table
from strata.layers.views import views

HEAD = "name: a\nmodel: {double: 2, single: 4}\nrules: [{level: high}]\n"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{depth: 0%-200%}", r"my.yaml:4: loras\[0\].depth: .*a percent range ends at 100%"),
        ("{double: 2}", r"my.yaml:4: loras\[0\].double: .*index 2 is out of range"),
        ("{depth: 0%-50%, single: 0}", "give either depth"),
        ("{strength: 1.5}", r"loras\[0\].strength: .*at most 1"),
        ("{names: []}", r"loras\[0\].names: .*leave the key out for all"),
        ("{regions: [base]}", r"loras\[0\].regions: .*the base prompt is not routed"),
        ("{level: high}", r"loras\[0\].level: unknown key"),
    ],
)
def test_a_wrong_rule_is_refused(rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Routing.from_yaml(f"{HEAD}loras: [{rule}]\n", "my.yaml")


def test_written_rescaled_and_resolved() -> None:
    text = (
        HEAD + "loras: [{names: [style], single: 2-3, steps: 1-1, strength: 0.5}, {regions: [boat], depth: 0%-50%}]\n"
    )
    routing = Routing.from_yaml(text)
    assert Routing.from_yaml(routing.to_yaml()) == routing
    schedule = routing.resolve(2, 8, 2)
    assert schedule.rescaled
    expected = np.zeros((2, 10), dtype=np.float32)
    expected[1, 6:] = 0.5
    assert (schedule.lora_strength("car", "style") == expected).all()
    expected[:, :5] = 1
    assert (schedule.lora_strength("boat", "style") == expected).all()
    assert not schedule.lora_strength("car", "other").any()
    with pytest.raises(InputError, match=r"loras\[0\].steps: .*index 1 is out of range"):
        routing.resolve(2, 8, 1)
    assert (Routing.from_yaml(HEAD).resolve(2, 4, 3).lora_strength("any", "any") == 1).all()


SHOWN = """name: a
rules: [{level: high}, {level: low, steps: 0%-50%}]
loras:
  - {names: [style, "\\x1b"], depth: 50%-100%}
  - {regions: [boat], steps: 1, strength: 0.5}
  - {regions: [boat], steps: 1-1}
"""


def test_shown_in_words_as_a_table_and_as_a_picture() -> None:
    schedule = Routing.from_yaml(SHOWN).resolve(2, 4, 2)
    assert schedule.summary()[2:] == [
        "LoRA style and \\x1b: blocks single 1-3, steps 0-1 of 2, strength 1",
        "LoRAs: blocks double 0-1 and single 0-3, steps 0 of 2, strength 0.5, only boat",
        "LoRAs: blocks double 0-1 and single 0-3, steps 1 of 2, strength 1, only boat",
    ]
    shown = views(schedule)[2:]
    assert [(view.level, view.name, view.areas) for view in shown] == [
        (None, "LoRA style and \x1b", "all areas"),
        (None, "LoRAs", "boat"),
    ]
    assert shown[1].strength.tolist() == [[0.5] * 6, [1.0] * 6]
    rows = [line for line in schedule_table(schedule).splitlines() if "LoRA" in line]
    assert [row.count("█") for row in rows] == [9, 0, 9, 18]
    assert [row.count("▒") for row in rows] == [0, 18, 0, 0]
    with_them, without = (
        np.asarray(draw_schedule(routing.resolve(2, 4, 2)))
        for routing in (Routing.from_yaml(SHOWN), Routing.from_yaml(SHOWN.partition("loras")[0]))
    )
    coloured = [int((pixels == LORA).all(axis=2).sum()) for pixels in (with_them, without)]
    cell = 43 * 27  # px of a cell without its lines, at this size
    assert coloured == [(6 + 6) * cell + (2 + 3) * 16 * 16, 0], "its cells; and a swatch for each panel and each rule"


def test_what_rules_do_that_may_not_be_meant_is_noted() -> None:
    def notes(text: str, *files: str) -> str:
        placed = [PlacedLora("global", Lora(file=file), ()) for file in files]
        return "; ".join(lora_notes(Routing.from_yaml(f"{HEAD}loras: [{text}]").loras, placed))

    assert "there is no LoRA to draw with" in notes("{names: [style]}")
    assert notes("{names: [style]}", "style.safetensors") == ""
    told = notes("{names: [style]}, {names: [style]}", "a/style.safetensors", "style.safetensors")
    assert told.endswith("name of 2 files, and all of them are meant: a/style.safetensors, style.safetensors")
    assert notes("{}", "a/style.safetensors", "style.safetensors") == ""
    assert notes("{names: [style]}", "style.safetensors", "style.safetensors") == "", "one file in two areas"
    assert lora_notes((), []) == []


def test_a_lora_that_no_rule_is_for_is_noted_once() -> None:
    def silent(text: str, *placed: tuple[str, str]) -> list[str]:
        loras = [PlacedLora(area, Lora(file=f"a/{name}.safetensors"), ()) for area, name in placed]
        return lora_notes(Routing.from_yaml(f"{HEAD}loras: [{text}]").loras if text else (), loras)

    note = "LoRA '{}' of {} does nothing: none of the routing's loras is for it"
    both = ("global", "style"), ("boat", "ink")
    assert silent("", *both) == silent("{}", *both) == []
    assert silent("{names: [style]}", *both, *both) == [note.format("ink", "'boat'")]
    assert silent("{regions: [boat]}", *both) == [note.format("style", "the whole picture")]
    assert silent("{names: [style]}, {regions: [boat]}", *both) == []
    assert silent("{names: [style], regions: [boat]}", *both) == [
        note.format("style", "the whole picture"),
        note.format("ink", "'boat'"),
    ]
