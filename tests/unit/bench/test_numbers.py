"""One number format for every report."""

from __future__ import annotations

import pytest

from heliograph.bench.numbers import cell_text, interval_text, number_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (15430.2, "15,430"),
        (1e6, "1,000,000"),
        (129.458, "129"),
        (99.949, "99.9"),
        (11.99, "12"),
        (3.0, "3"),
        (0.234623, "0.235"),
        (0.000113533, "0.000114"),
        (-0.0007937, "-0.000794"),
        (1.2e-5, "0.000012"),
        (-1234.5, "-1,234"),
    ],
)
def test_numbers_have_the_digits_that_matter(value: float, text: str) -> None:
    assert number_text(value) == text


def test_values_are_written_with_their_interval() -> None:
    assert interval_text(15430, (13230, 19520)) == "15,430 [13,230, 19,520]"
    assert interval_text(0.5, None) == "0.5"
    assert interval_text(None, None) == "not reached"


@pytest.mark.parametrize(
    ("cell", "text"), [("2215", "2,215"), ("420,000", "420,000"), ("size=2048", "size=2048"), ("47", "47"), ("", "")]
)
def test_whole_cells_get_separators(cell: str, text: str) -> None:
    assert cell_text(cell) == text
