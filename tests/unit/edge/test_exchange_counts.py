"""What an exchange says of its photo while it is under way, and whether a photo that was cut short is of use to it."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.edge.budget import PayloadAccount
from heliograph.edge.exchange import DeviceSide, Exchange
from heliograph.edge.streams import PhotoStream
from heliograph.question import Question
from heliograph.types import EncodedImage
from scripted_cloud import stream


def exchange(photo: PhotoStream, max_bytes: int | None = None, question: Question | None = None) -> Exchange:
    asked = question or Question("?", "fixed", 0)
    return Exchange(asked, DeviceSide(), photo, PayloadAccount(max_bytes), lambda: 0.0)


def test_what_may_leave_is_what_the_account_allows() -> None:
    """A header of 1 byte and segments of 100."""
    assert exchange(PhotoStream(1, None)).total_bytes is None
    assert exchange(PhotoStream(1, None, stream(4))).total_bytes == 401
    assert exchange(PhotoStream(1, None, stream(4)), 300).total_bytes == 201


def test_before_it_runs_everything_that_was_sent_has_left() -> None:
    asked = exchange(PhotoStream(1, None, stream(4), sent=2, sent_bytes=201))
    assert (asked.left_bytes, asked.regions_sent, asked.drafts) == (201, 0, [])


QUALITY = (0.1, 0.6, 0.9, 1.0)


@pytest.mark.parametrize(
    ("encoded", "state", "max_bytes", "question", "more"),
    [
        (stream(4), {"sent": 2, "finished": True}, None, None, True),
        (stream(4), {"sent": 2, "finished": True}, 301, None, True),
        (stream(4), {"sent": 2, "finished": True}, 300, None, False),  # two of four segments fit, as before
        (stream(4), {"sent": 2, "finished": False}, None, None, False),  # it can be gone on with
        (stream(4), {"sent": 4, "finished": True}, None, None, False),  # all of it is there
        (None, {"sent": 0, "finished": True}, None, None, False),
        (stream(4, QUALITY), {"sent": 2, "finished": True}, None, Question("?", "energy", 128), False),
        (stream(4, QUALITY), {"sent": 2, "finished": True}, None, Question("?", "energy", 200), True),
        (stream(4, QUALITY), {"sent": 2, "finished": True}, None, Question("?", "pull", 128), True),
    ],
)
def test_more_of_a_photo_that_was_cut_short(
    encoded: EncodedImage | None, state: dict[str, Any], max_bytes: int | None, question: Question | None, more: bool
) -> None:
    assert exchange(PhotoStream(1, None, encoded, **state), max_bytes, question).can_use_more() is more


def test_a_side_that_says_nothing_foresees_nothing_and_refuses_regions() -> None:
    side = DeviceSide()
    assert (side.on_draft, side.calibration, side.crop, side.trace, side.on_progress) == (None,) * 5
    assert side.foresee(stream(1)) is None
