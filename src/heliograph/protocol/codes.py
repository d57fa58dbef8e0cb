"""Bytes and milliseconds in one byte: 12 codes per octave, about 6 % from one to the next; 0 says that there is none.

Exact integers, so that both ends agree on every machine.
"""

from __future__ import annotations

from heliograph.errors import UsageError

STEPS_PER_OCTAVE = 12
MAX_CODE = 255
NO_BOUND = 0


def code_of_bytes(byte_budget: int | None) -> int:
    """The largest code that stands for no more than ``byte_budget`` bytes; from 2.35 MB on 255, for None 0.

    Raises:
        UsageError: below 1 byte.
    """
    return _code(byte_budget)


def bytes_of_code(code: int) -> int | None:
    """The byte budget behind a code: ``floor(2 ** ((code - 1) / 12))`` bytes; None behind 0.

    Raises:
        UsageError: ``code`` is not in 0 to 255.
    """
    return _value(code)


def code_of_milliseconds(milliseconds: int | None) -> int:
    """The largest code that stands for no more than ``milliseconds``; from 39 minutes on 255, for None 0.

    Raises:
        UsageError: below 1 ms.
    """
    return _code(milliseconds)


def milliseconds_of_code(code: int) -> int | None:
    """The time behind a code: ``floor(2 ** ((code - 1) / 12))`` ms; None behind 0.

    Raises:
        UsageError: ``code`` is not in 0 to 255.
    """
    return _value(code)


def _code(value: int | None) -> int:
    if value is None:
        return NO_BOUND
    if value < 1:
        raise UsageError.of_argument("a bound in bytes or milliseconds", "1 or more", value)
    # The largest code with 2 ** ((code - 1) / 12) < value + 1, which is 2 ** (code - 1) < (value + 1) ** 12.
    return min(MAX_CODE, int((value + 1) ** STEPS_PER_OCTAVE - 1).bit_length())


def _value(code: int) -> int | None:
    if not 0 <= code <= MAX_CODE:
        raise UsageError.of_argument("code", f"0 to {MAX_CODE}", code)
    return None if code == NO_BOUND else _root(2 ** (code - 1), STEPS_PER_OCTAVE)


def _root(value: int, degree: int) -> int:
    """The largest integer r with ``r ** degree <= value``, by bisection."""
    low, high = 1, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if int(middle**degree) <= value else (low, middle - 1)
    return low
