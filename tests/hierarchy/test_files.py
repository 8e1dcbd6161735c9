"""Documents: lines, refusals, messages and writing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.hierarchy.errors import InputError
from strata.hierarchy.files import (
    dump_yaml,
    first_difference,
    parse_document,
    read_document,
    read_json_lines,
    syntax_of,
    write_atomic,
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
data = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
mappings = st.dictionaries(st.text(), data, max_size=5)


@given(mappings)
def test_yaml_gives_back_what_was_dumped(mapping: dict[str, Any]) -> None:
    assert parse_document(dump_yaml(mapping)).data == mapping


@pytest.mark.parametrize(
    "text", ["1e5", "no", "on", "~", "12:30", "0x1f", "010", "2020-01-01", "=", "<<", "- a", " a "]
)
def test_text_stays_text(text: str) -> None:
    assert parse_document(dump_yaml({text: text})).data == {text: text}


def test_scalars_follow_yaml_1_2() -> None:
    document = parse_document("a: no\nb: 1e-3\nc: 12:30\nd: true\ne: -2\nf:\ng: 2020-01-01\n")
    assert document.data == {"a": "no", "b": 0.001, "c": "12:30", "d": True, "e": -2, "f": None, "g": "2020-01-01"}


def all_paths(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path}.union(*(all_paths(child, (*path, key)) for key, child in items))


@given(mappings, st.sampled_from([None, 1, "\t"]))
def test_json_and_yaml_know_a_line_of_every_path(mapping: dict[str, Any], indent: int | str | None) -> None:
    as_json = parse_document(json.dumps(mapping, indent=indent), syntax="json")
    assert as_json.data == mapping
    assert set(as_json.lines) == all_paths(mapping) == set(parse_document(dump_yaml(mapping)).lines)


def test_lines() -> None:
    yaml_lines = parse_document("a: 1\nb:\n  - x\n  - c: 2\n    d:\n      3\n").lines
    json_lines = parse_document('{"a": 1,\n"b":\n[ "x",\n{"c": 2,\n"d": 3}]}', syntax="json").lines
    expected = {(): 1, ("a",): 1, ("b",): 2, ("b", 0): 3, ("b", 1): 4, ("b", 1, "c"): 4, ("b", 1, "d"): 5}
    assert yaml_lines == json_lines == expected


def test_a_key_that_has_no_line_has_that_of_what_is_around_it() -> None:
    document = parse_document("a: 1\nb:\n  - x\n  - c: 2\n")
    assert [document.line(path) for path in [("b", 1, "d"), ("b", 1, "d", "e"), ("b", 7), ("z", "y"), ()]] == [
        4,
        4,
        2,
        1,
        1,
    ]


def test_lines_of_json_are_counted_with_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    documents = list(read_json_lines(path))
    assert [(document.data, document.line(("a",))) for document in documents] == [({"a": 1}, 1), ({"a": 2}, 3)]
    path.write_text('{"a": 1}\n{"a": "\\ud800"}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:2: a: .*: holds half of a character"):
        list(read_json_lines(path))
    path.write_text('\n{"a": 1}\n7\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:3: must be a JSON mapping, not 7"):
        list(read_json_lines(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1: must be a mapping (key: value lines), not null"),
        ("- 1", "f:1: must be a mapping (key: value lines), not [1]"),
        ("a: 1\nb: 2\na: 3", "f:3: key 'a': already given in line 1"),
        ("a: 1\n2: 3", "f:2: key '2': keys must be text (write it in quotes)"),
        ("? [a]\n: 1", "f:1: key a list or mapping: keys must be text (write it in quotes)"),
        ("a: &x 1\nb: *x", "f:2: not valid YAML: aliases (*x) are not supported"),
        ("a: 1\nb: [1,", "f:2: not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: 1\n---\nb: 2", "f:2: not valid YAML: but found another document"),
        ("a: 1\nb: \x01", "f:2: not valid YAML: character 1 is not allowed"),
        ("\n\nb: \x01", "f:3: not valid YAML: character 1 is not allowed"),
        ("[" * 5000, "f:1: not valid YAML: nested more than 64 levels deep"),
        ('a: "\\Uffffffff"', "f: not valid YAML: Python int too large to convert to C int"),
        ("a: !!int x", "f:1: not valid YAML: 'x' is no int that can be read"),
    ],
)
def test_bad_yaml(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_document(text, "f")
    assert str(caught.value) == message


@pytest.mark.parametrize("inner", ["", "1"])
@pytest.mark.parametrize("syntax", ["yaml", "json"])
def test_mappings_and_lists_within_each_other(syntax: Any, inner: str) -> None:
    def nested(lists: int) -> str:
        return f'{{"a": {"[" * lists}{inner}{"]" * lists}}}'

    found = parse_document(nested(63), "f", syntax=syntax).data["a"]
    for _ in range(62):
        (found,) = found
    assert found == ([1] if inner else [])
    with pytest.raises(InputError, match="nested more than 64 levels deep"):
        parse_document(nested(64), "f", syntax=syntax)


def test_yaml_builds_no_objects() -> None:
    with pytest.raises(InputError, match="f:1: not valid YAML: could not determine a constructor"):
        parse_document("a: !!python/object/apply:os.system ['true']", "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n"a": 2}', "f:2: key 'a': already given in line 1"),
        ('{"b": {"a": 1,\n\n"a": 2}}', "f:3: key 'a': already given in line 1"),
        ('{"a": 1,\n}', "f:2: not valid JSON"),
        ('{"a": NaN}', "f: not valid JSON: NaN is no JSON number"),
        ("[1,\n2]", "f:1: must be a mapping"),
        ('{"a":' * 100_000, "f: nested more than 64 levels deep"),
    ],
)
def test_bad_json(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_document(text, "f", syntax="json")
    # Where a dangling comma is reported differs between Python versions.
    assert str(caught.value).startswith(message) or (
        message.startswith("f:2: not") and "not valid JSON" in str(caught.value)
    )


@given(st.text())
def test_any_text_parses_or_is_refused_in_one_line(text: str) -> None:
    for syntax in ("yaml", "json"):
        message = "f:"
        try:
            parse_document(text, "f", syntax=syntax)
        except InputError as error:
            message = str(error)
        assert message.startswith("f:")
        assert "\n" not in message


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read: No such file or directory$"):
        read_document(tmp_path / "none.yaml")
    (tmp_path / "two_regions.yaml").touch()
    (tmp_path / "two_region.yaml.d").mkdir()
    with pytest.raises(InputError, match=r"No such file or directory; did you mean 'two_regions\.yaml'\?$"):
        read_document(tmp_path / "two_region.yml")
    with pytest.raises(InputError, match=r"cannot be read: No such file or directory$"):
        read_document(tmp_path / "gone" / "two_regions.yaml")
    (tmp_path / "link.yaml").symlink_to("nowhere.yaml")
    with pytest.raises(InputError, match=r"No such file or directory; it is a link to 'nowhere.yaml'$"):
        read_document(tmp_path / "link.yaml")
    with pytest.raises(InputError, match=r"suffix '\.txt': must be one of \.yaml, \.yml, \.json"):
        read_document(tmp_path / "plan.txt")
    assert (syntax_of("a.JSON"), syntax_of("a.yml"), syntax_of("a.yaml")) == ("json", "yaml", "yaml")
    with pytest.raises(InputError, match="cannot be read"):
        read_document("\0.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_document(tmp_path / "folder.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9")
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 6\)"):
        read_document(tmp_path / "latin.yaml")


def test_reading_accepts_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.YML").write_bytes(b"\xef\xbb\xbfa: 1")
    document = read_document(tmp_path / "a.YML")
    assert (document.data, document.root, document.name) == ({"a": 1}, tmp_path, str(tmp_path / "a.YML"))


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.yaml"
    write_atomic(target, "a: é\n")
    write_atomic(target, "b: é\n")
    assert target.read_bytes() == "b: é\n".encode()
    write_atomic(target, b"\x00\xff")
    assert target.read_bytes() == b"\x00\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]
    with pytest.raises(InputError, match="cannot be written: No such file"):
        write_atomic(tmp_path / "none" / "a.yaml", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_atomic(tmp_path / "folder", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "folder"]


def test_a_file_is_on_the_disk_before_it_takes_the_others_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")
    kept = []
    monkeypatch.setattr(os, "fsync", lambda file: kept.append((os.stat(file).st_size, (tmp_path / "a").read_text())))
    write_atomic(tmp_path / "a", "newer")
    assert kept == [(len("newer"), "old")]
    assert (tmp_path / "a").read_text() == "newer"


def test_writing_keeps_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_only_lists_of_numbers_stand_on_one_line() -> None:
    assert dump_yaml({"name": "träume"}) == "name: träume\n"
    for box in ([1, [2, 3.5]], (1, (2, 3.5))):
        assert dump_yaml({"box": box, "mixed": [1, "two"]}) == "box: [1, [2, 3.5]]\nmixed:\n  - 1\n  - two\n"


def test_what_a_file_has_otherwise_is_told_as_json_has_it() -> None:
    given = {"steps": 2, "windows": (1, None)}
    assert first_difference({"steps": 2, "windows": [1, None], "more": 0}, given) is None
    assert first_difference({"steps": 3, "windows": []}, given) == ("steps", 3, 2)
    assert first_difference({"steps": 2}, given) == ("windows", None, [1, None])
