"""Nothing that a model says may drive the terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.cli.text import byte_count, json_text, milliseconds, printable, shortened, table


@given(st.text())
def test_printable_is_one_line_without_controls(text: str) -> None:
    shown = printable(text)
    controls = [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert set(controls) <= {"\u200c", "\u200d"}
    assert len(shown.splitlines()) <= 1


def test_printable_writes_out_what_it_takes_away() -> None:
    assert printable("K52\x1b[2J\n\u202eabc\x9b\U000e0001") == "K52\\x1b[2J\\n\\u202eabc\\x9b\\U000e0001"
    assert printable("größe 東京 🙂 \\x1b") == "größe 東京 🙂 \\x1b"


WORDS = [
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, "I want"
    "\u0915\u094d\u200d\u0937",  # Hindi, a half form
    "\u0d28\u0d4d\u200d",  # Malayalam, a consonant that ends a word
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3 \u0dbd\u0d82\u0d9a\u0dcf",  # Sinhala, the name of the country
    "\u06f1\u06f4\u06f0\u06f0 \u0647\u200d.",  # Persian, an abbreviation after a year
    "Auf\u200clage",  # German, where no ligature may be
]
EMOJI = [
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
    "\U0001f469\U0001f3fd\u200d\U0001f680",  # an astronaut, with a tone of skin
    "\U0001f3f3\ufe0f\u200d\U0001f308",  # a flag with a rainbow
    "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
    "\U0001f642\u200d\u2194\ufe0f",  # a head that is shaken
    "\U0001f9d1\U0001f3fb\u200d\u2764\ufe0f\u200d\U0001f9d1\U0001f3ff",
]


@pytest.mark.parametrize("text", [*WORDS, *EMOJI, "a red \u2764\ufe0f"])
def test_joiners_stay_where_they_join(text: str) -> None:
    assert printable(text) == text
    assert printable(f"so: {text}, yes") == f"so: {text}, yes"


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
@pytest.mark.parametrize(
    "around", [" |", "|", "a|", "|a", "a| b", "a |b", "1|2", "K|5", "(|)", "a|\U0001f600", "\ufe0f|a"]
)
def test_stray_joiners_are_written_out(joiner: str, around: str) -> None:
    assert printable(around.replace("|", joiner)) == around.replace("|", f"\\u{ord(joiner):04x}")


def test_joiners_do_not_hide_each_other_or_other_controls() -> None:
    assert printable("a\u200c\u200db") == "a\\u200c\\u200db"
    assert printable("\u0645\u200d\u200d\u0645") == "\u0645\\u200d\\u200d\u0645"
    assert printable("\u0645\u200d\u202e\u0645") == "\u0645\u200d\\u202e\u0645"
    assert printable("\U0001f600\u200c\U0001f600") == "\U0001f600\\u200c\U0001f600"
    for control in "\u200e\u200f\u061c\u202a\u202e\u2066\u2069\u00ad\u2060\ufeff\U000e0041":
        assert control not in printable(f"a{control}b")


def test_what_has_no_width_takes_no_column() -> None:
    hindi, heart = "\u0915\u094d\u200d\u0937", "\u2764\ufe0f"
    made = table(["x", "n"], [[hindi, "1"], [heart, "2"], ["ab", "3"]])
    assert made.splitlines()[2:] == [f"{hindi}  1", f"{heart}   2", "ab  3"]


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
