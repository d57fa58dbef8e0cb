"""What a curve reads of a draft answer: every input's value, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from heliograph.codec.calibration import INPUTS, Signals

DRAFT = Signals(
    min_entropy_bits=1.0,
    first_bits=2.0,
    entropy_bits=1.0,
    margin=0.5,
    answer_tokens=4,
    stable_drafts=3,
    token_error=1.0,
    answer_differs=0.2,
    retained_energy=0.75,
    received_bytes=255,
    stable_bytes=63,
)
NEARLY_ONE = math.log((1 - 1e-6) / 1e-6)

VALUES = [
    ("min-entropy", {}, 0.0),  # half against half
    ("min-entropy", {"min_entropy_bits": 2.0}, math.log(1 / 3)),
    ("min-entropy", {"min_entropy_bits": 0.0}, NEARLY_ONE),
    ("min-entropy", {"min_entropy_bits": 1000.0}, -NEARLY_ONE),
    ("first-token", {}, math.log(1 / 3)),
    ("entropy", {}, 0.0),
    ("entropy", {"entropy_bits": math.e}, 1.0),
    ("entropy", {"entropy_bits": 0.0}, math.log(1e-6)),
    ("margin", {}, math.log(3)),  # three quarters against one
    ("margin", {"margin": 0.0}, 0.0),
    ("margin", {"margin": 1.0}, NEARLY_ONE),
    ("tokens", {}, 0.5),
    ("tokens", {"answer_tokens": 0}, 0.0),
    ("tokens", {"answer_tokens": 32}, 4.0),
    ("tokens", {"answer_tokens": 33}, 4.0),
    ("stable-drafts", {}, 2.0),
    ("stable-drafts", {"stable_drafts": 1}, 1.0),
    ("stable-drafts", {"stable_drafts": 0}, 0.0),
    ("stable-drafts", {"stable_drafts": -5}, 0.0),
    ("stable-bytes", {}, 6.0),
    ("stable-bytes", {"stable_bytes": 0}, 0.0),
    ("stable-bytes", {"stable_bytes": -5}, 0.0),
    ("token-error", {}, 0.0),
    ("token-error", {"token_error": 0.0}, math.log(1e-6)),
    ("answer-differs", {}, math.log(4)),  # one in five differs
    ("answer-differs", {"answer_differs": 1.0}, -NEARLY_ONE),
    ("energy", {}, 0.75),
    ("bytes", {}, 8.0),
    ("bytes", {"received_bytes": 0}, 0.0),
    ("bytes", {"received_bytes": -5}, 0.0),
]


@pytest.mark.parametrize(("name", "changes", "value"), VALUES)
def test_values_by_hand(name: str, changes: dict[str, float], value: float) -> None:
    assert INPUTS[name](replace(DRAFT, **changes)) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *[
            (name, {field: value})
            for name, field in (
                ("token-error", "token_error"),
                ("answer-differs", "answer_differs"),
                ("energy", "retained_energy"),
            )
            for value in (None, math.nan)
        ],
        ("min-entropy", {"min_entropy_bits": math.inf}),
        ("first-token", {"first_bits": math.nan}),
        ("entropy", {"entropy_bits": math.inf}),
        ("margin", {"margin": math.nan}),
    ],
)
def test_what_is_unknown_is_no_number(name: str, changes: dict[str, float | None]) -> None:
    assert math.isnan(INPUTS[name](replace(DRAFT, **changes)))


def test_every_input_has_a_row() -> None:
    assert {name for name, _, _ in VALUES} == set(INPUTS)
