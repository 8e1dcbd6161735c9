"""The table in docs/models.md is what the tests are marked with, and no cell of it stands without a test."""

import pytest

from tests.shows import DOC, MARKED, THINGS, claimed, of_items, shows, table, written

AGAIN = "run python -m pytest -m shows --write-models"


def test_every_cell_has_its_test() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert written(text) == table(claimed(text)), AGAIN


def test_every_test_that_is_named_shows_it(request: pytest.FixtureRequest) -> None:
    """Of the files that were collected, be it only some."""
    marked = request.config.stash[MARKED]
    files = {item.nodeid.partition("::")[0] for item in request.session.items}
    for cell, (test,) in claimed(DOC.read_text(encoding="utf-8")).items():
        path = test.partition("::")[0]
        assert (DOC.parents[1] / path).is_file(), f"{cell}: {path} is gone; {AGAIN}"
        if path in files:
            assert test in marked.get(cell, ()), f"{cell}: {test} is not marked with it; {AGAIN}"


def test_everything_shown_is_in_the_table(request: pytest.FixtureRequest) -> None:
    missing = sorted(request.config.stash[MARKED].keys() - claimed(DOC.read_text(encoding="utf-8")).keys())
    assert not missing, f"{missing}: {AGAIN}"


def test_names_that_are_not_known_cannot_be_marked() -> None:
    for family, things in (("flux9", ("LoRA",)), ("flux", ("lora",)), ("flux", ())):
        with pytest.raises(ValueError, match="must be of flux, "):
            shows(family, *things)
    assert shows("flux", *THINGS).args == ("flux", *THINGS)


def test_marks_are_read_from_items(request: pytest.FixtureRequest) -> None:
    assert of_items([request.node]) == {}
    request.node.add_marker(shows("flux", "LoRA"))
    found = of_items([request.node])
    assert found == {("flux", "LoRA"): [request.node.nodeid]}
    assert "| FLUX.1 |  |  |  |  |  |  | ✓ |" in table(found)
    assert f"- FLUX.1, LoRA: `{request.node.nodeid}`" in table(found)
