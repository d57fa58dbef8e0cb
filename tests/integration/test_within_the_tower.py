"""What works within the vision tower, over a whole exchange."""

from __future__ import annotations

import pytest

from heliograph.strategies.base import Setting
from heliograph.testing import ask_in_process

SIGN = "what is on the sign?"


@pytest.mark.parametrize(
    ("strategy", "fine", "coarse"),
    [
        ("split-k", {"block": 4, "level": 22}, {"block": 4, "level": 34}),
        ("dynamicvit", {"ratio": 95, "level": 14}, {"ratio": 50, "level": 28}),
        ("tome", {"merge": 2, "level": 14}, {"merge": 9, "level": 28}),
    ],
)
def test_a_photo_is_answered_from(strategy: str, fine: Setting, coarse: Setting) -> None:
    plain = ask_in_process(SIGN, strategy="int8")
    near, far = (ask_in_process(SIGN, strategy=strategy, setting=one) for one in (fine, coarse))
    assert near.answer == plain.answer
    assert far.answer
    assert far.payload_bytes < near.payload_bytes / 2
