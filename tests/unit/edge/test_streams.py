"""The book of a session's photos: what is held, what goes when there are too many, and what a broken session keeps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.edge.streams import NO_LIMIT, HeldPhotos, PhotoStream, half_way
from heliograph.protocol.frames import HeldImage
from heliograph.types import EncodedImage

ENCODED = EncodedImage("jpeg", b"h", (b"12", b"345"))


class Session:
    """Remembers what it was told about photos."""

    closed = False

    def __init__(self) -> None:
        self.forgotten, self.held = list[int](), list[tuple[int, int, int, bool]]()

    def forget_image(self, image_id: int) -> None:
        self.forgotten.append(image_id)

    def hold_image(self, image_id: int, payload_bytes: int, segments: int, *, finished: bool) -> None:
        self.held.append((image_id, payload_bytes, segments, finished))


@pytest.mark.parametrize(
    ("sizes", "count"),
    [((), 0), ((9,), 1), ((5, 5), 1), ((4, 6), 2), ((6, 4), 1), ((1, 1, 1, 1), 2), ((1, 1, 1), 2), ((0, 0), 1)],
)
def test_the_first_segments_with_half_of_the_bytes(sizes: tuple[int, ...], count: int) -> None:
    assert half_way([b"s" * size for size in sizes]) == count


@pytest.mark.parametrize(
    ("encoded", "sent", "finished", "whole", "cut"),
    [
        (ENCODED, 2, True, True, False),
        (ENCODED, 2, False, False, False),
        (ENCODED, 1, True, False, True),
        (ENCODED, 1, False, False, False),
        (None, 0, True, False, True),
    ],
)
def test_whole_and_cut(encoded: EncodedImage | None, sent: int, finished: bool, whole: bool, cut: bool) -> None:
    photo = PhotoStream(1, None, encoded, sent=sent, finished=finished)
    assert (photo.whole, photo.cut) == (whole, cut)


def test_a_new_stream_has_sent_nothing_and_may_send_all() -> None:
    photo = PhotoStream(1, "source")
    assert (photo.sent, photo.sent_bytes, photo.announced, photo.finished) == (0, 0, False, False)
    assert photo.allowed == 2**31
    assert photo.payload_bytes(0) == 0  # nothing is encoded
    assert PhotoStream(1, None, ENCODED).payload_bytes(1) == 3


def test_what_the_cloud_lost_is_sent_from_the_start_under_another_number() -> None:
    photo = PhotoStream(1, None, ENCODED, announced=True, sent=2, sent_bytes=6, finished=True, allowed=7)
    photo.lose(9)
    assert photo == PhotoStream(9, None, ENCODED, resumed=photo.resumed)


def test_numbers_are_used_once() -> None:
    photos, session = HeldPhotos(), Session()
    assert [photos.next_id(), photos.begin("a", None, session).image_id, photos.next_id()] == [1, 2, 3]  # type: ignore[arg-type]


def test_what_is_held_and_what_was_dropped() -> None:
    photos, session = HeldPhotos(), Session()
    assert (len(photos), bool(photos), "a" in photos, photos.get("a"), photos.holds_whole("a")) == (
        *(0, False, False, None, False),
    )
    photo = photos.begin("a", "source", session)  # type: ignore[arg-type]
    assert (len(photos), "a" in photos, photos.get("a") is photo, photo.source) == (1, True, True, "source")
    assert not photos.holds_whole("a")
    photo.encoded, photo.sent, photo.finished = ENCODED, 2, True
    assert photos.holds_whole("a")
    photos.forget("a", session)  # type: ignore[arg-type]
    photos.forget("a", session)  # type: ignore[arg-type]
    assert (len(photos), session.forgotten) == (0, [photo.image_id])
    photos.begin("b", None, session)  # type: ignore[arg-type]
    photos.clear()
    assert ("b" in photos, session.forgotten) == (False, [photo.image_id])


def test_a_session_that_is_gone_is_told_nothing() -> None:
    photos, session = HeldPhotos(), Session()
    for key in ("a", "b"):
        photos.begin(key, None, session)  # type: ignore[arg-type]
    photos.forget("a", None)
    session.closed = True
    photos.forget("b", session)  # type: ignore[arg-type]
    assert (len(photos), session.forgotten) == (0, [])


def test_the_33rd_photo_takes_the_place_of_the_oldest() -> None:
    photos, session = HeldPhotos(), Session()
    for key in range(32):
        photos.begin(key, None, session)  # type: ignore[arg-type]
    assert (len(photos), session.forgotten) == (32, [])
    photos.begin(32, None, session)  # type: ignore[arg-type]
    assert (len(photos), session.forgotten, 0 in photos, 1 in photos) == (32, [1], False, True)


def test_a_stream_that_was_cut_begins_anew() -> None:
    photos, session = HeldPhotos(), Session()
    photo = photos.begin("a", None, session)  # type: ignore[arg-type]
    photo.sent = 1
    photos.restart_stream(photo, session)  # type: ignore[arg-type]
    assert (session.forgotten, photo.image_id, photo.sent) == ([1], 2, 0)


def test_what_the_cloud_kept_goes_on_and_the_rest_begins_anew() -> None:
    photos, session = HeldPhotos(), Session()
    kept, lost, ended = (photos.begin(key, None, session) for key in ("kept", "lost", "ended"))  # type: ignore[arg-type]
    for photo in (kept, lost, ended):
        photo.encoded, photo.announced, photo.sent, photo.sent_bytes, photo.allowed = ENCODED, True, 2, 6, 2
    held = [HeldImage(kept.image_id, 1, False), HeldImage(77, 4, True), HeldImage(ended.image_id, 2, True)]
    photos.resume(session, held)  # type: ignore[arg-type]
    assert session.held == [(1, 3, 1, False), (77, 0, 4, True), (3, 6, 2, True)]
    assert session.forgotten == [77]  # given up while the link was down
    states = [(one.image_id, one.announced, one.sent, one.sent_bytes, one.finished) for one in (kept, lost, ended)]
    assert states == [(1, True, 1, 3, False), (4, False, 0, 0, False), (3, True, 2, 6, True)]
    assert [one.allowed for one in (kept, lost, ended)] == [NO_LIMIT] * 3
    photos.resume(session, None)  # type: ignore[arg-type]
    assert [photo.image_id for photo in (kept, lost, ended)] == [5, 6, 7]


def test_keys_tell_strategies_apart() -> None:
    from heliograph.edge.streams import photo_key

    keys: list[Any] = [photo_key(1, "webp", {}), photo_key(1, "jpeg", {}), photo_key(2, "webp", {})]
    assert len(set(keys)) == 3


def test_a_stream_made_for_a_question_is_held_for_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.edge import streams

    assert streams.photo_key(1, "webp", {}, "who?") == streams.photo_key(1, "webp", {}, "what?")
    monkeypatch.setattr(streams, "strategy_class", lambda name: lambda: SimpleNamespace(asks=lambda setting: True))
    keys = [streams.photo_key(1, "webp", {}, question) for question in ("who?", "what?", "")]
    assert len(set(keys)) == 3
