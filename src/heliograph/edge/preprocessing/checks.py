"""Numbers of a bundle's preprocessing, checked before anything is done with them."""

from __future__ import annotations

import math
from typing import Any

MAX_SIDE = 4096
"""Pixels of any picture that an encoder takes."""

RESAMPLERS = range(6)
"""Pillow's filter numbers."""


def whole(allowed: range, value: Any) -> int:
    """An integer of a range.

    Raises:
        ValueError: anything else; truth values and floats too.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise ValueError("out of range")
    return int(value)


def side(value: Any) -> int:
    """Pixels, 1 to 4096.

    Raises:
        ValueError: anything else.
    """
    return whole(range(1, MAX_SIDE + 1), value)


def finite(value: Any) -> float:
    """A number.

    Raises:
        TypeError, ValueError: anything else, infinities too.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number
