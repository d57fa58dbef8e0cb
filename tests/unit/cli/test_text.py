"""Nothing that a model says may drive the terminal."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from heliograph.cli.text import byte_count, json_text, milliseconds, printable, shortened, table


@given(st.text())
def test_printable_is_one_line_without_controls(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert len(shown.splitlines()) <= 1


def test_printable_writes_out_what_it_takes_away() -> None:
    assert printable("K52\x1b[2J\n\u202eabc\x9b\U000e0001") == "K52\\x1b[2J\\n\\u202eabc\\x9b\\U000e0001"
    assert printable("größe 東京 🙂 \\x1b") == "größe 東京 🙂 \\x1b"


@given(st.text())
def test_json_is_ascii_and_comes_back(text: str) -> None:
    shown = json_text({"answer": text})
    assert shown.isascii()
    assert not any(ord(c) < 32 or ord(c) == 127 for c in shown.replace("\n", ""))
    assert json.loads(shown) == {"answer": text}


def test_table_lines_up() -> None:
    made = table(["name", "bytes"], [["klt", "96"], ["東京", "1,024"]])
    assert made == "name  bytes\n----  -----\nklt      96\n東京  1,024"


def test_figures() -> None:
    assert byte_count(12345) == "12,345 B"
    assert milliseconds(840.4) == "840 ms"
    assert milliseconds(12_345) == "12.3 s"
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
