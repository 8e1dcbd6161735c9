"""What is read has bounds, and what is said is fit for a terminal."""

import json
import os
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
)
from strata.hierarchy.files import DEEPEST, LARGEST_TEXT, parse_document, read_bytes, read_document
from strata.hierarchy.plan import MOST_REGIONS, ScenePlan
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
    line = one_line("place: " + "x\n" * 10**6 + ": reason")
    assert len(line) == LONGEST_MESSAGE
    assert line.startswith("place: x")
    assert line.endswith(": reason")


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
    assert first_line(MemoryError()) == "MemoryError"


def test_pipes_devices_and_sockets_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.yaml"))
        for name in ("pipe", "zero", "socket"):
            with pytest.raises(InputError, match=r"yaml: cannot be read: is a (pipe|device|socket); must be a file$"):
                read_document(tmp_path / f"{name}.yaml")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory"):
        read_bytes(tmp_path)


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
