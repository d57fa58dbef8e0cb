"""JSON that is not quite JSON, or more of it than anybody needs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import FileUnreadableError, KeyFileError
from heliograph.reading.json_values import MAX_DEPTH, parse_json, read_json, read_json_object
from heliograph.reasons import FileFault

WHOLE = st.integers(-(2**64), 2**64)
PLAIN = st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
VALUES = st.recursive(
    PLAIN | TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=30
)


@given(VALUES, st.booleans())
def test_what_is_json_comes_back(value: Any, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b"1e999",
        b'{"a": [0, -1e999]}',
        b"1" + b"0" * 20,
        b"9" * 5000,
        b"-18446744073709551617",
        b'{"a": 1, "a": 2}',
        b'{"x": {"\\u0061": 1, "a": 1}}',
        b'"\\ud800"',
        b'{"\\uDC00": 1}',
        b"[1] [2]",
        b"{'a': 1}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_the_rest_is_refused_by_name(text: bytes) -> None:
    with pytest.raises(KeyFileError) as found:
        parse_json(text, error=KeyFileError)
    assert found.value.fault is FileFault.NOT_JSON


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"b":[', b"]}]")])
def test_depth_is_bounded(opening: bytes, closing: bytes) -> None:
    levels = opening.count(b"[") + opening.count(b"{")
    allowed = MAX_DEPTH // levels
    parse_json(opening * allowed + b"1" + closing * allowed)
    for count in (allowed + 1, 100_000):
        with pytest.raises(FileUnreadableError):
            parse_json(opening * count + b"1" + closing * count)


def test_brackets_in_strings_are_no_depth() -> None:
    text = "[" * 1000 + '\\"{' * 1000
    assert parse_json(json.dumps({text: text}).encode()) == {text: text}
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"  # both halves


def test_strings_that_do_not_end_are_passed_over_once() -> None:
    for text in (b'"' + b'\\"' * 300_000, b'"' + b"\\" * 300_001, b'["' * 20 + b"\\"):
        with pytest.raises(FileUnreadableError):
            parse_json(text)


def test_from_files(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_text('{"a": 0.5}')
    assert read_json(path, max_bytes=10) == read_json_object(path, max_bytes=10) == {"a": 0.5}
    with pytest.raises(FileUnreadableError) as found:
        read_json(path, max_bytes=9)
    assert found.value.fault is FileFault.TOO_LARGE
    path.write_text("[1e308, -0.0]")
    assert math.isfinite(read_json(path, max_bytes=100)[0])
    with pytest.raises(KeyFileError) as refused:
        read_json_object(path, max_bytes=100, error=KeyFileError)
    assert refused.value.fault is FileFault.CONTENT
    path.write_text("{")
    with pytest.raises(KeyFileError) as refused:
        read_json_object(path, max_bytes=100, error=KeyFileError)
    assert refused.value.fault is FileFault.NOT_JSON
    assert refused.value.__notes__ == [f"{path}."]
