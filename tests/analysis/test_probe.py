"""The files of a probe."""

from pathlib import Path

import numpy as np
import pytest

from strata.analysis.probe import Facts, Label, Probe, ProbedRegion
from strata.hierarchy.errors import InputError


def small_probe() -> Probe:
    """A probe of random numbers: two words, one region, 2 phases, 3 blocks, 2×3 tokens."""
    facts = Facts(
        strata="0",
        model="tiny",
        width=24,
        height=16,
        rows=2,
        cols=3,
        steps=(0, 2),
        total_steps=4,
        phases=((0, 0), (2, 2)),
        blocks=("double 0", "double 1", "single 0"),
        labels=(
            Label(kind="text", text="base", quote="a red circle"),
            Label(kind="text", text="left/low", area="left", level="low", quote="red"),
            Label(kind="word", text="base", word="red", quote="red"),
            Label(kind="word", text="left/low", area="left", level="low", word="red", quote="red"),
        ),
        words=(2, 3),
        areas=("left", "background"),
        regions=(ProbedRegion(name="left", tokens=(0, 3)),),
        concepts=("circle",),
        plan={"width": 24},
    )
    rng = np.random.default_rng(0)
    return Probe(facts, **{name: rng.random(shape, dtype=np.float32) for name, shape in facts.shapes().items()})


def test_saved_and_loaded(tmp_path: Path) -> None:
    probe = small_probe()
    paths = probe.save(tmp_path / "probe")
    assert sorted(path.name for path in paths) == sorted(path.name for path in tmp_path.iterdir())
    for path in (tmp_path / "probe", *paths):
        again = Probe.load(path)
        assert again.facts == probe.facts
        assert np.array_equal(again.shares, probe.shares)
        assert np.array_equal(again.entropy, probe.entropy)
        for name in ("maps", "words_to_image", "concepts"):
            assert getattr(again, name).dtype == np.float32
            np.testing.assert_allclose(getattr(again, name), getattr(probe, name), atol=1e-3)


def test_maps_of_words_and_texts() -> None:
    probe = small_probe()
    assert np.allclose(probe.map("red"), probe.maps[2:].sum(0).mean((0, 1)))
    assert np.allclose(probe.map("red", "base", "double 1", 1), probe.maps[2, 1, 1])
    assert np.allclose(probe.map("left/low", phase=0), probe.maps[1, 0].mean(0))
    assert np.allclose(probe.map("base", block="single 0"), probe.maps[0, :, 2].mean(0))
    assert np.allclose(probe.word_to_image("red", "left/low", "single 0"), probe.words_to_image[1, :, 2].mean(0))
    assert np.allclose(probe.concept("circle", phase=1), probe.concepts[0, 1].mean(0))


def test_what_was_not_probed() -> None:
    probe = small_probe()
    for ask, message in (
        (lambda: probe.map("blue"), "map 'blue': was not probed; valid words: red; texts: base, left/low"),
        (lambda: probe.map("left/high"), "map 'left/high': was not probed; valid words: red; texts: base, left/low"),
        (lambda: probe.map("left/low", "base"), "text 'base': 'left/low' is a whole text itself"),
        (lambda: probe.word_to_image("left/low"), "word 'left/low': was not probed; valid: red"),
        (lambda: probe.map("red", "right/low"), "text 'right/low': there is none such of the word 'red'; valid: base"),
        (lambda: probe.map("red", block="single 7"), "block 'single 7': was not probed; valid: double 0"),
        (lambda: probe.map("red", phase=2), "phase 2: there are 2; valid: 0-1"),
        (lambda: probe.concept("square"), "concept 'square': was not probed; valid: circle"),
    ):
        with pytest.raises(InputError, match=message):
            ask()


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        Probe.load(tmp_path / "missing")
    arrays, facts = small_probe().save(tmp_path / "probe")
    facts.write_text(facts.read_text().replace('"rows": 2', '"rows": 3'))
    with pytest.raises(InputError, match="does not belong to"):
        Probe.load(arrays)
    small_probe().save(tmp_path / "probe")
    arrays.write_bytes(arrays.read_bytes()[:50])
    with pytest.raises(InputError, match="cannot be read"):
        Probe.load(arrays)
    facts.write_text(facts.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(InputError, match="format"):
        Probe.load(arrays)
