"""A routing's `loras`: read with lines in errors, written back, resolved as the other rules are."""

import numpy as np
import pytest

from strata.hierarchy.errors import InputError
from strata.layers.routing import Routing

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
