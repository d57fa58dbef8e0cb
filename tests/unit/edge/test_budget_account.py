"""The account of one question's payload bytes, counted by hand: a header of 2 bytes, segments of 3, 4 and 5."""

from __future__ import annotations

import pytest

from heliograph.edge.budget import PayloadAccount
from heliograph.edge.streams import PhotoStream
from heliograph.types import EncodedImage

ENCODED = EncodedImage("jpeg", b"hh", (b"123", b"1234", b"12345"))


def photo(**state: object) -> PhotoStream:
    return PhotoStream(1, None, ENCODED, **state)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("max_bytes", "spent", "stream", "taken"),
    [
        (None, 10**9, photo(), True),
        (5, 0, photo(), True),  # header and first segment
        (4, 0, photo(), False),
        (10, 5, photo(), True),
        (10, 6, photo(), False),
        (10, 6, photo(announced=True, sent=1, sent_bytes=5), True),
        (10, 7, photo(announced=True, sent=1, sent_bytes=5), False),
        (10, 0, photo(announced=True, sent=1, sent_bytes=6), True),  # what the cloud holds counts as well
        (10, 0, photo(announced=True, sent=1, sent_bytes=7), False),
        (1, 9, photo(announced=True, sent=3, sent_bytes=14), True),  # nothing is left to be sent
    ],
)
def test_the_next_segment_with_a_header_that_was_not_sent(
    max_bytes: int | None, spent: int, stream: PhotoStream, taken: bool
) -> None:
    assert PayloadAccount(max_bytes, spent).takes(stream, ENCODED) is taken


@pytest.mark.parametrize(
    ("max_bytes", "spent", "held", "crop_sent", "taken"),
    [
        (None, 10**9, 0, 0, True),
        (14, 0, 0, 0, True),
        (13, 0, 0, 0, False),
        (20, 6, 0, 0, True),
        (20, 7, 0, 0, False),
        (20, 0, 6, 0, True),
        (20, 0, 7, 0, False),
        (20, 7, 0, 1, True),  # a byte of the region is there already
    ],
)
def test_all_that_is_missing_of_a_region(
    max_bytes: int | None, spent: int, held: int, crop_sent: int, taken: bool
) -> None:
    account, crop = PayloadAccount(max_bytes, spent), photo(sent_bytes=crop_sent)
    assert account.takes_crop(crop, ENCODED, photo(sent_bytes=held)) is taken


@pytest.mark.parametrize(("max_bytes", "held", "sees"), [(None, 99, False), (9, 8, False), (9, 9, True), (9, 10, True)])
def test_a_cloud_that_holds_as_much_as_the_bound_knows_that_nothing_follows(
    max_bytes: int | None, held: int, sees: bool
) -> None:
    assert PayloadAccount(max_bytes).cloud_sees_limit(photo(sent_bytes=held)) is sees


@pytest.mark.parametrize(
    ("max_bytes", "spent", "stream", "segments"),
    [
        (None, 10**9, photo(), 3),
        (4, 0, photo(), 0),
        (5, 0, photo(), 1),
        (8, 0, photo(), 1),
        (9, 0, photo(), 2),
        (14, 0, photo(), 3),
        (13, 0, photo(), 2),
        (9, 0, photo(announced=True, sent=1, sent_bytes=5), 2),
        (9, 6, photo(announced=True, sent=1, sent_bytes=5), 1),
        (99, 6, photo(announced=True, sent=3, sent_bytes=14), 3),
    ],
)
def test_segments_that_there_will_be_at_the_bound(
    max_bytes: int | None, spent: int, stream: PhotoStream, segments: int
) -> None:
    assert PayloadAccount(max_bytes, spent).segments_within(stream, ENCODED) == segments


def test_nothing_is_spent_at_first_and_nothing_is_bounded() -> None:
    assert (PayloadAccount().max_bytes, PayloadAccount().spent_bytes) == (None, 0)


def test_what_never_left_is_given_back_but_no_more_than_this_connection_took() -> None:
    account = PayloadAccount(100)
    account.refund(7)
    assert account.spent_bytes == 0
    account.spend(10)
    account.spend(2)
    account.enter_connection()
    account.refund(7)
    assert account.spent_bytes == 12  # those were of an earlier question
    account.spend(5)
    account.refund(3)
    assert account.spent_bytes == 14
    account.refund(3)
    assert account.spent_bytes == 12
