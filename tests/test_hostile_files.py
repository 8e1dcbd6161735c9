"""Whatever stands in a file, reading it ends in a result or in one printable line, and soon."""

from pathlib import Path

import pytest

from tests.hostile_files import try_case


def _wrong(seeds: range, folder: Path) -> list[str]:
    return [wrong for seed in seeds if (wrong := try_case(seed, folder)) is not None]


def test_a_hundred_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    assert _wrong(range(100), tmp_path) == []


@pytest.mark.slow
def test_two_thousand_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    assert _wrong(range(100, 2100), tmp_path) == []
