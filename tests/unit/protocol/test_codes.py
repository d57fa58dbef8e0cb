"""Bounds in one byte, against numbers worked out by hand: 2 ** ((code - 1) / 12), rounded down."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.protocol.codes import bytes_of_code, code_of_bytes, code_of_milliseconds, milliseconds_of_code
from heliograph.protocol.questions import as_heard
from heliograph.question import Question

BOTH = pytest.mark.parametrize(
    ("code_of", "of_code"), [(code_of_bytes, bytes_of_code), (code_of_milliseconds, milliseconds_of_code)]
)
BY_HAND = {
    1: 1,  # 2 ** 0
    12: 1,  # 2 ** (11 / 12) = 1.888
    13: 2,  # 2 ** 1
    20: 2,  # 2 ** (19 / 12) = 2.997
    21: 3,  # 2 ** (20 / 12) = 3.175
    100: 304,  # 2 ** 8.25 = 256 * 1.18921 = 304.4
    121: 1024,  # 2 ** 10
    127: 1448,  # 2 ** 10.5 = 1448.2
    241: 1_048_576,  # 2 ** 20
    255: 2_353_973,  # 2 ** (254 / 12) = 2 ** 21 * 1.122462 = 2353973.6
}


@BOTH
def test_codes_stand_for_what_they_are_by_hand(
    code_of: Callable[[int | None], int], of_code: Callable[[int], int | None]
) -> None:
    for code, value in BY_HAND.items():
        assert of_code(code) == value
    for value, code in ((1, 12), (2, 20), (3, 24), (304, 100), (305, 100), (321, 100), (322, 101), (1023, 120)):
        assert code_of(value) == code  # the next one, 101, is 2 ** (100 / 12) = 322.5
    for value in (2_353_973, 2_353_974, 10**7, 10**300):
        assert code_of(value) == 255
    assert code_of(2_353_972) == 254


@BOTH
def test_none_is_code_0(code_of: Callable[[int | None], int], of_code: Callable[[int], int | None]) -> None:
    assert code_of(None) == 0
    assert of_code(0) is None


@BOTH
@given(value=st.integers(1, 5 * 10**6))
def test_the_largest_code_that_does_not_exceed_a_bound(
    value: int, code_of: Callable[[int | None], int], of_code: Callable[[int], int | None]
) -> None:
    code = code_of(value)
    assert (of_code(code) or 0) <= value
    assert code == 255 or (of_code(code + 1) or 0) > value


@BOTH
def test_codes_never_fall_and_double_every_octave(
    code_of: Callable[[int | None], int], of_code: Callable[[int], int | None]
) -> None:
    values = [of_code(code) or 0 for code in range(1, 256)]
    assert values == sorted(values)
    assert [of_code(1 + 12 * octave) for octave in range(21)] == [2**octave for octave in range(21)]


@BOTH
@pytest.mark.parametrize("wrong", [0, -1])
def test_a_bound_below_1_is_refused(
    wrong: int, code_of: Callable[[int | None], int], of_code: Callable[[int], int | None]
) -> None:
    with pytest.raises(UsageError):
        code_of(wrong)


@BOTH
@pytest.mark.parametrize("wrong", [-1, 256])
def test_a_code_beyond_one_byte_is_refused(
    wrong: int, code_of: Callable[[int | None], int], of_code: Callable[[int], int | None]
) -> None:
    with pytest.raises(UsageError):
        of_code(wrong)


@pytest.mark.parametrize(
    ("seconds", "heard_s"),
    [
        (1e-9, 0.001),  # at least a millisecond
        (0.001, 0.001),
        (0.0029, 0.002),
        (1.023999, 0.966),  # 1023 ms; code 120 is 2 ** (119 / 12) = 966.5
        (1.024, 1.024),
        (4.096, 4.096),
        (8.192, 8.192),
        (10_000.0, 2353.973),
        (1e300, 2353.973),
    ],
)
def test_seconds_are_rounded_down_to_whole_milliseconds_and_their_code(seconds: float, heard_s: float) -> None:
    heard = as_heard(Question("what?", answer_within_s=seconds))
    assert heard.answer_within_s == heard_s
    assert as_heard(heard) == heard


def test_hearing_twice_changes_nothing() -> None:
    for code in range(1, 256):
        seconds = (milliseconds_of_code(code) or 0) / 1000
        asked = Question("what?", "energy", 1, byte_budget=bytes_of_code(code), answer_within_s=seconds)
        assert as_heard(asked) == asked
