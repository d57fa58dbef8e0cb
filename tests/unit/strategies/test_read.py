"""Text that a reader found: which lines travel in which order, what prefixes show, and what damage meets."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import BundleDamagedError, StreamDamagedError, StreamTruncatedError, StreamVersionError
from heliograph.registry import STRATEGIES
from heliograph.strategies.perception import ReadLine
from heliograph.strategies.semantic.lines import MAX_CHARACTERS, PlacedText, decode_lines, encode_lines, placed
from heliograph.strategies.semantic.read import MAX_WORD_BYTES, NOTHING_READ
from heliograph.strategies.semantic.symbol_coder import TOTAL
from heliograph.strategies.semantic.text_model import TextModel, TextState, load_text_model, powers, text_model
from heliograph.types import EncodedImage
from strategy_tools import READ, Tools, encoded_by, photo, restored_by

NAME = "read"


class Reading(Tools):
    """A device whose reader finds these lines."""

    def __init__(self, lines: list[ReadLine]) -> None:
        super().__init__()
        object.__setattr__(self, "lines", lines)

    def text_lines(self, picture: Any) -> list[ReadLine]:
        found: list[ReadLine] = self.lines  # type: ignore[attr-defined]
        return found


def line(text: str, height: float = 0.05, score: float = 0.9, at: tuple[float, float] = (0.5, 0.5)) -> ReadLine:
    x, y = at
    return ReadLine(text, x - 0.01, y - 0.01, x + 0.01, y + 0.01, height, score)


def sent(*lines: ReadLine, **setting: int) -> EncodedImage:
    encoded: EncodedImage = STRATEGIES.load(NAME)().encode(photo(), Reading(list(lines)), setting)
    return encoded


def test_the_largest_and_surest_lines_go_first() -> None:
    lines = line("small", 0.03), line("large", 0.1), line("doubtful", 0.1, 0.5), line("  "), line("tiny", 0.01)
    encoded = sent(*lines)
    assert restored_by(encoded).text.splitlines() == [
        "large text middle center: large",
        "large text middle center: doubtful",
        "small text middle center: small",
        "tiny text middle center: tiny",
    ]
    assert restored_by(sent(*lines, lines=1)).text == "large text middle center: large"


def test_every_prefix_shows_whole_lines() -> None:
    encoded = encoded_by(NAME)
    data, whole = b"".join(encoded.segments), restored_by(encoded).text.splitlines()
    assert len(whole) == len(READ)
    shown = []
    for length in range(len(data)):
        try:
            shown.append(restored_by(EncodedImage(NAME, encoded.header, (data[:length],))).text.splitlines())
        except StreamTruncatedError:
            assert not shown
    assert all(one == whole[: len(one)] for one in shown)
    assert {len(one) for one in shown} >= set(range(1, len(whole)))
    for count in range(1, len(encoded.segments)):  # segments end where a line does
        assert len(restored_by(encoded.prefix(count)).text.splitlines()) >= count


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ((0.1, 0.1), "top left"),
        ((0.9, 0.5), "middle right"),
        ((0.5, 0.99), "bottom center"),
        ((2.0, -1.0), "top right"),
    ],
)
def test_places_are_told_in_words(at: tuple[float, float], words: str) -> None:
    assert f" text {words}: " in restored_by(sent(line("here", at=at))).text


def test_a_photo_without_text_says_so() -> None:
    encoded = sent()
    assert 1 <= encoded.payload_bytes - 1 <= 2
    assert restored_by(encoded).text == NOTHING_READ
    with pytest.raises(StreamTruncatedError):
        restored_by(EncodedImage(NAME, encoded.header, ()))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.text(max_size=12), st.integers(0, 3), st.integers(0, 8)), max_size=5))
def test_any_text_comes_back(lines: list[tuple[str, int, int]]) -> None:
    given_lines = [line(text) for text, *_ in lines]
    kept = placed(given_lines, 99)
    assert all(one.text and one.text.isprintable() for one in kept)
    codeword, ends = encode_lines(kept, text_model())
    assert decode_lines(codeword, text_model()) == (kept, True)
    assert len(ends) == len(kept)


def test_no_more_text_travels_than_is_read() -> None:
    long = [line("x" * 300) for _ in range(9)]
    kept = placed(long, 99)
    assert sum(len(one.text) for one in kept) == 1800 < MAX_CHARACTERS
    assert len(restored_by(sent(*long)).text.splitlines()) == 6
    assert placed([line("y" * 2001)], 99) == []


def test_what_signs_say_is_cheaper_than_noise() -> None:
    model = text_model()
    plain = len(encode_lines([PlacedText("NO PARKING", 1, 4), PlacedText("OPEN", 1, 4)], model)[0])
    noise = len(encode_lines([PlacedText("XQ~JZWVKQG", 1, 4), PlacedText("^}Zq", 1, 4)], model)[0])
    assert plain < 10 < noise
    twice = [PlacedText("xq7zkvw9", 1, 4)] * 2
    assert len(encode_lines(twice, model)[0]) < 1.5 * len(encode_lines(twice[:1], model)[0])  # what was there before


# ---- tables ------------------------------------------------------------------------------------------------
def test_frequencies_are_of_all_symbols_and_add_up() -> None:
    state = TextState(text_model())
    for symbol in (5, 96, 40, 41, 40, 41, 40, 0):
        sums = state.sums()
        assert (sums[0], sums[-1], len(sums)) == (0, TOTAL, 98)
        assert min(np.diff(sums)) >= 1
        state.take(symbol)


def test_powers_are_those_of_two() -> None:
    assert powers().tolist() == [round(2 ** (24 - k / 64)) for k in range(1600)]


def test_tables_that_do_not_fit_are_refused(tmp_path: Any) -> None:
    model = text_model()
    with pytest.raises(BundleDamagedError):
        load_text_model(tmp_path)
    for name, value in (
        ("sizes", model.sizes + 1),
        ("places", model.places[:8]),
        ("more", model.more * 0),
        ("match", model.match + 256),
        ("bigram", model.bigram[:1]),
    ):
        changed: TextModel = dataclasses.replace(model, **{name: value})
        changed.save(tmp_path)
        with pytest.raises(BundleDamagedError):
            load_text_model(tmp_path)
    model.save(tmp_path)
    assert np.array_equal(load_text_model(tmp_path).second, model.second)


# ---- what strangers send -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("header", "body", "error"),
    [
        (b"", b"x", StreamDamagedError),
        (b"\x01\x01", b"x", StreamDamagedError),
        (b"\x02", b"x", StreamVersionError),
        (b"\x00", b"x", StreamVersionError),
        (b"\x01", b"\x00" * (MAX_WORD_BYTES + 1), StreamDamagedError),
        (b"\x01", b"", StreamTruncatedError),
    ],
)
def test_damage_has_a_name(header: bytes, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        restored_by(EncodedImage(NAME, header, (body,)))


def test_bytes_behind_the_end_are_damage() -> None:
    encoded = encoded_by(NAME)
    for more in (b"\x00", b"\xff", b"abc"):
        with pytest.raises(StreamDamagedError):
            restored_by(EncodedImage(NAME, encoded.header, (*encoded.segments, more)))


def test_an_unknown_version_says_which_is_known() -> None:
    with pytest.raises(StreamVersionError) as caught:
        restored_by(EncodedImage(NAME, b"\x07", (b"x",)))
    assert "version 7" in caught.value.__notes__[0]


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=60))
def test_any_bytes_give_lines_or_a_named_error(body: bytes) -> None:
    try:
        text = restored_by(EncodedImage(NAME, b"\x01", (body,))).text
    except (StreamDamagedError, StreamTruncatedError):
        return
    assert text
    assert len(text) < MAX_CHARACTERS + 256 * 40
