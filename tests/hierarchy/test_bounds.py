"""What is read has bounds, and what is said is fit for a terminal."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from strata.hierarchy.errors import (
    LONGEST_MESSAGE,
    InputError,
    SettingError,
    file_error,
    first_line,
    one_line,
    printable,
    quote,
    shortened,
)
from strata.hierarchy.extras import needs_extra
from strata.hierarchy.file_model import LONGEST_TEXT
from strata.hierarchy.files import LARGEST_TEXT, parse_document, read_bytes, read_document
from strata.hierarchy.native import LARGEST_CAPTION
from strata.hierarchy.parsing import DEEPEST
from strata.hierarchy.plan import LONGEST_NAME, MOST_REGIONS, ScenePlan
from strata.hierarchy.typeset import measure, wrap
from strata.layers.routing import Routing


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb\u200b", "a\\u202eb\\u200b"),
        ("\ud800\u3164", "\\ud800\\u3164"),
        ("größer, 日本, \U0001f600", "größer, 日本, \U0001f600"),
    ],
)
def test_what_a_terminal_would_obey_or_not_show_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(InputError(f"{text} here")) == f"{shown} here"
    assert quote(text) == f"'{shown}'"


def test_a_long_message_keeps_its_start_and_its_end() -> None:
    place, reason = "p" * (LONGEST_MESSAGE // 2 - 1), "r" * (LONGEST_MESSAGE // 2 - 1)
    for middle in ("xxx", "x\n" * 10**6):
        line = one_line(f"{place}{middle}{reason}")
        assert len(line) == LONGEST_MESSAGE
        assert line.startswith(place)
        assert line.endswith(f"…{reason}")


def test_what_just_fits_is_not_cut() -> None:
    assert one_line("x" * LONGEST_MESSAGE) == "x" * LONGEST_MESSAGE
    assert [shortened(text, 3) for text in ("", "abc", "abcd")] == ["", "abc", "ab…"]


def test_a_key_of_two_megabytes_is_not_echoed() -> None:
    with pytest.raises(InputError, match="unknown key") as caught:
        ScenePlan.from_json(json.dumps({"k" * 2**21: 1, "width": 8, "height": 8, "prompt": ""}), "plan.yaml")
    assert len(str(caught.value)) < 500


def test_what_the_system_refused_is_told_with_the_file_if_there_is_one() -> None:
    assert file_error(OSError(28, "No space left on device")) == "No space left on device"
    assert file_error(OSError(28, "No space left on device", Path("a.png"))) == "a.png: No space left on device"
    assert file_error(OSError("quota exceeded")) == "quota exceeded"


def test_an_error_of_a_setting_names_the_first_one() -> None:
    error = SettingError("<true_cfg> 0.5: needs <steps>")
    assert (error.field, str(error), error.shown("--{}".format)) == (
        "true_cfg",
        "true_cfg 0.5: needs steps",
        "--true_cfg 0.5: needs --steps",
    )
    assert SettingError("no folder").field is None


def test_the_first_line_of_an_error_or_its_type() -> None:
    assert first_line(ValueError("\none\ntwo")) == "one"
    assert first_line(ValueError("keys detected:\n\n  a, b\nc")) == "keys detected: a, b"
    assert first_line(ValueError("keys detected:")) == "keys detected:"
    assert first_line(MemoryError()) == "MemoryError"


@pytest.mark.parametrize(
    ("error", "library"),
    [
        (ModuleNotFoundError("No module named 'scipy.ndimage'", name="scipy.ndimage"), "scipy"),
        (ModuleNotFoundError("No module named 'scipy'", name="scipy"), "scipy"),
        (ModuleNotFoundError("scipy"), "scipy"),  # raised by hand, as libraries do
    ],
)
def test_a_missing_library_is_told_with_the_extra_that_has_it(error: ModuleNotFoundError, library: str) -> None:
    with pytest.raises(InputError) as caught, needs_extra("llm"):
        raise error
    assert str(caught.value) == f"{library} is not installed; pip install 'strata-prompting[llm]'"


def test_pipes_devices_and_sockets_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.yaml"))
        for kind in ("pipe", "device", "socket"):
            path = tmp_path / f"{kind}.yaml"
            with pytest.raises(InputError) as caught:
                read_document(path)
            assert str(caught.value) == f"{path}: cannot be read: is a {kind}; must be a file"
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        read_bytes(tmp_path)


def test_a_pipe_that_takes_the_place_of_a_file_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    seen_before = os.stat(tmp_path / "file")
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits for somebody to write"))
    signal.alarm(20)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "stat", lambda path: seen_before)
            with pytest.raises(InputError, match=r"pipe: cannot be read: is a pipe"):
                read_bytes(tmp_path / "pipe")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_a_file_may_be_as_large_as_told_and_pictures_are_large(tmp_path: Path) -> None:
    (tmp_path / "four").write_bytes(b"1234")
    assert read_bytes(tmp_path / "four", 4) == b"1234"
    with pytest.raises(InputError, match="is larger than"):
        read_bytes(tmp_path / "four", 3)
    with (tmp_path / "picture").open("wb") as large:
        large.truncate(2 * LARGEST_TEXT)
    assert len(read_bytes(tmp_path / "picture")) == 2 * LARGEST_TEXT
    with (tmp_path / "caption").open("wb") as large:
        large.truncate(LONGEST_TEXT * MOST_REGIONS)
    assert len(read_bytes(tmp_path / "caption", LARGEST_CAPTION)) == LONGEST_TEXT * MOST_REGIONS


def test_texts_and_names_may_be_as_long_as_told() -> None:
    def plan(prompt: int, name: int) -> ScenePlan:
        region = {"name": "n" * name, "box": [0, 0, 8, 8], "full": "x"}
        return ScenePlan.from_json(
            json.dumps({"width": 8, "height": 8, "prompt": "w" * prompt, "regions": [region]}), "p"
        )

    assert len(plan(LONGEST_TEXT, LONGEST_NAME).prompt) == LONGEST_TEXT
    with pytest.raises(InputError, match=r"^p:1: prompt: '.*': must have at most 20000 characters, not 20001$"):
        plan(LONGEST_TEXT + 1, 1)
    with pytest.raises(InputError, match=r"^p:1: regions\[0\].name: '.*': must have at most 200 characters, not 201$"):
        plan(1, LONGEST_NAME + 1)


def test_too_large_a_text_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    with file.open("wb") as large:
        large.truncate(LARGEST_TEXT + 1)
    with pytest.raises(InputError, match=r"plan\.yaml: is larger than 8 MiB"):
        ScenePlan.load(file)


@pytest.mark.parametrize("syntax", ["yaml", "json"])
@pytest.mark.parametrize("depth", [DEEPEST + 1, 5000])
def test_deep_nesting_is_refused(syntax: str, depth: int) -> None:
    text = '{"a": ' + "[" * depth + "]" * depth + "}"
    with pytest.raises(InputError, match=f"nested more than {DEEPEST} levels deep"):
        parse_document(text, syntax=syntax)  # type: ignore[arg-type]
    parse_document('{"a": ' + "[" * 60 + "]" * 60 + "}", syntax=syntax)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["!!bool maybe", '!!int ""', "!!timestamp 2001-99-99", "!!float x"])
def test_a_tag_that_does_not_fit_is_told_with_its_line(value: str) -> None:
    with pytest.raises(InputError, match=r"^plan.yaml:2: not valid YAML: '.*' is no \w+ that can be read$"):
        ScenePlan.from_yaml(f"width: 8\nprompt: {value}\n", "plan.yaml")


@pytest.mark.parametrize("text", ['{"prompt": "\\ud800"}', '{"prompt": "a moon\\udfff"}', '{"\\ud800": 1}'])
def test_half_of_a_character_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="holds half of a character"):
        parse_document(text, syntax="json")
    with pytest.raises(InputError, match="holds half of a character"):
        parse_document(text)


def test_a_ratio_of_four_hundred_digits_is_refused() -> None:
    text = f"name: a\nblend: {{base_ratio: {'9' * 400}}}\nrules: [{{level: low}}]\n"
    with pytest.raises(InputError, match=r"r.yaml:2: blend.base_ratio: 9+….* a number"):
        Routing.from_yaml(text, "r.yaml")


def test_names_and_numbers_of_regions_are_bounded() -> None:
    with pytest.raises(InputError, match="at most 200 characters"):
        Routing.from_json(json.dumps({"name": "n" * 10**6, "rules": [{"level": "low"}]}))
    region = {"box": [0, 0, 8, 8], "full": "x"}
    plan = {"width": 8, "height": 8, "prompt": "", "regions": [{**region, "name": f"r{n}"} for n in range(3000)]}
    with pytest.raises(InputError, match=f"regions: .*at most {MOST_REGIONS} items"):
        ScenePlan.from_json(json.dumps(plan))


def test_a_long_word_is_divided_soon() -> None:
    begin = time.process_time()
    lines = wrap("w" * 5000, 15, 300)
    assert time.process_time() - begin < 1
    assert "".join(lines) == "w" * 5000
    assert all(measure(line, 15) <= 300 < measure(line + "w", 15) for line in lines[:-1])
    assert len(wrap("w" * 2_000_000, 15, 300, most=3)) == 3
