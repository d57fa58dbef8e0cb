"""How far the device expects to stream before the cloud has enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.codec.calibration import Calibration, Curve
from heliograph.codec.expectation import Expectation
from heliograph.edge.stop import chunk_end, expected_segments
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


def test_level_is_expected_where_the_agreement_of_a_prefix_is_as_wanted() -> None:
    agreement = (0.1, 0.6, 0.6, 0.9)
    encoded = replace(stream(4, (1.0,) * 4), predicted_agreement=agreement)
    for target, expected in ((0, 1), (153, 2), (154, 4), (229, 4), (255, 4)):
        assert expected_segments(encoded, Question("?", "level", target)) == expected
    assert expected_segments(stream(4, (1.0,) * 4), Question("?", "level", 1)) == 4  # nobody has measured it


def test_every_prefix_is_judged_by_its_own_energy_and_bytes() -> None:
    """``fixed`` counts bytes: a header of 1 and 100 each; the code of 201 bytes is reached by the second."""
    from heliograph.protocol.codes import bytes_of_code, code_of_bytes

    for count in (1, 2, 3, 7):
        code = code_of_bytes(1 + 100 * count)
        wanted = next(number for number in range(1, 9) if 1 + 100 * number >= bytes_of_code(code))
        assert expected_segments(stream(9), Question("?", "fixed", code)) == wanted
    energy = (0.9, 0.1, 0.1)
    assert expected_segments(stream(3, energy), Question("?", "energy", 128)) == 1


def test_a_cloud_that_judges_answers_is_not_foreseen_without_a_calibration() -> None:
    seen = list[EncodedImage]()

    def foresee(prefix: EncodedImage) -> Expectation | None:
        seen.append(prefix)
        return Expectation(0.0, 0.0)

    assert expected_segments(stream(5), Question("?", "push", 0), foresee=foresee) == 5
    assert seen == []


def test_push_by_the_error_head_sees_the_expectation_of_each_prefix() -> None:
    curve = Curve(("answer-differs",), (0.0,), (1.0,), (1.0,), 0.0)
    calibration = Calibration({"min-entropy": curve, "error-head": curve}, {"min-entropy": curve})
    seen = list[int]()

    def foresee(prefix: EncodedImage) -> Expectation | None:
        seen.append(len(prefix.segments))
        return Expectation(0.1, 1 - len(prefix.segments) / 8)

    asked = Question("?", "push", round(0.7 * 255), "error-head")
    assert expected_segments(stream(8), asked, calibration, foresee) == 6  # six eighths are the first above 0.7
    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("segments", "sent", "end"),
    [(12, 0, 3), (12, 2, 3), (12, 3, 6), (12, 11, 12), (12, 12, 12), (5, 0, 2), (5, 4, 5), (1, 0, 1), (0, 0, 0)],
)
def test_a_chunk_is_a_quarter_rounded_up(segments: int, sent: int, end: int) -> None:
    assert chunk_end(stream(segments), sent) == end
