"""How far the device expects to stream before the cloud has enough."""

from __future__ import annotations

import pytest

from heliograph.edge.stop import expected_segments
from heliograph.question import Question
from heliograph.types import EncodedImage


def stream(segments: int, quality: tuple[float, ...] = ()) -> EncodedImage:
    return EncodedImage("jpeg", b"h", (b"s" * 100,) * segments, quality)


@pytest.mark.parametrize(
    ("controller", "target", "expected"),
    [("fixed", 0, 40), ("fixed", 1, 1), ("energy", 0, 1), ("energy", 255, 40), ("energy", 128, 21)],
)
def test_expected_segments_runs_the_controller_itself(controller: str, target: int, expected: int) -> None:
    quality = tuple((k + 1) / 40 for k in range(40))
    assert expected_segments(stream(40, quality), Question("?", controller, target)) == expected


def test_pictures_have_no_energy_and_are_expected_whole() -> None:
    assert expected_segments(stream(7), Question("?", "energy", 10)) == 7
    assert expected_segments(stream(0), Question("?", "energy", 10)) == 0
