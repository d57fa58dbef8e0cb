"""What a device's session counts, keeps and refuses of its owner: borders, results, and nothing twice."""

from __future__ import annotations

import pytest

from heliograph import errors
from heliograph.boxes import WireBox
from heliograph.protocol import events as ev
from heliograph.protocol.authentication import TAG_BYTES
from heliograph.protocol.frames import (
    AnswerFrame,
    CropFrame,
    ErrorFrame,
    Frame,
    FrameType,
    HelloFrame,
    IdFrame,
    ImageFrame,
    LastImageEndFrame,
    MoreFrame,
    RegionFrame,
    SegmentFrame,
    WelcomeFrame,
    encode_frame,
)
from heliograph.protocol.questions import question_frame
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.protocol.states import State
from heliograph.question import Question

HASH = b"bundle-h"
MAX_ID = 2**28 - 1
KEY, NONCE = bytes(range(32)), b"8 random"


def hear(end: DeviceSession | CloudSession, *frames: Frame) -> list[ev.Event]:
    return end.receive(b"".join(map(encode_frame, frames)), 0.0)


def said(device: DeviceSession, *frames: Frame) -> bool:
    """Whether the device has queued just these frames."""
    return device.bytes_to_send() == b"".join(map(encode_frame, frames))


@pytest.fixture
def device() -> DeviceSession:
    """In an open session with photo 0, which was announced."""
    device = DeviceSession(HASH)
    device.start()
    device.announce_image(0, "klt", b"")
    hear(device, WelcomeFrame(HASH, "model"))
    device.bytes_to_send()
    return device


@pytest.mark.parametrize("length", [1, 7, 9])
def test_a_bundle_s_hash_has_8_bytes_or_none(length: int) -> None:
    for make in (lambda: DeviceSession(bytes(length)), lambda: CloudSession(bytes(length), frozenset())):
        with pytest.raises(errors.UsageError) as caught:
            make()
        assert caught.value.__notes__ == [f"bundle_hash must have 8 bytes, or none; it has {length}."]


def test_an_access_token_has_256_bytes_of_utf_8() -> None:
    device = DeviceSession(b"", "é" * 128)
    device.start()
    assert said(device, HelloFrame(b"", "é" * 128))
    for wrong, note in (
        ("é" * 128 + "x", "access_token must have 256 bytes at most."),
        ("\udcff", "the access token is no Unicode text: it holds a lone surrogate."),
    ):
        with pytest.raises(errors.UsageError) as caught:
            DeviceSession(b"", wrong)
        assert caught.value.__notes__ == [note]


def test_who_shows_a_session_token_wants_to_go_on_later_too() -> None:
    device = DeviceSession(b"", session_token=bytes(16))
    device.start()
    assert said(device, HelloFrame(b"", "", resumable=True, session_token=bytes(16)))
    assert hear(device, WelcomeFrame(b"", "m", bytes(range(16)))) == [
        ev.WelcomeReceived("m", b"", bytes(range(16)))  # a new one, as the old one was not known
    ]


@pytest.mark.parametrize(
    ("question_id", "image_id", "allowed"),
    [
        (5, 0, True),
        (MAX_ID, MAX_ID, True),
        (4, 0, False),
        (MAX_ID + 1, 0, False),
        (5, -1, False),
        (5, MAX_ID + 1, False),
    ],
)
def test_a_question_s_ids_count_up_to_28_bits(
    device: DeviceSession, question_id: int, image_id: int, allowed: bool
) -> None:
    device.ask(4, 0, "what?")
    device.bytes_to_send()
    if allowed:
        device.ask(question_id, image_id, "why?")
        assert said(device, question_frame(question_id, image_id, Question("why?"), image_follows=image_id > 0))
        assert device.open_questions == (4, question_id)
        return
    with pytest.raises(errors.UsageError):
        device.ask(question_id, image_id, "why?")
    assert said(device)
    assert device.open_questions == (4,)


def test_a_question_about_a_forgotten_photo_is_refused(device: DeviceSession) -> None:
    device.forget_image(0)
    device.forget_image(0)
    device.forget_image(7)
    assert said(device, IdFrame(FrameType.FORGET, 0))
    with pytest.raises(errors.UnknownImageError):
        device.ask(0, 0, "what?")
    assert said(device)


@pytest.mark.parametrize(
    ("image_id", "header", "total", "allowed"),
    [
        (1, 16, 4096, True),
        (MAX_ID, 0, 1, True),
        (0, 0, 0, False),
        (MAX_ID + 1, 0, 0, False),
        (1, 17, 0, False),
        (1, 0, -1, False),
        (1, 0, 4097, False),
    ],
)
def test_what_can_be_announced(device: DeviceSession, image_id: int, header: int, total: int, allowed: bool) -> None:
    if allowed:
        device.announce_image(image_id, "klt", bytes(header), total)
        assert said(device, ImageFrame(image_id, 1, bytes(header), total))
        return
    with pytest.raises(errors.UsageError) as caught:
        device.announce_image(image_id, "klt", bytes(header), total)
    assert header <= 16 or caught.value.__notes__ == ["header must have 16 bytes at most, not 17."]
    assert said(device)


def test_only_short_segments_of_the_photo_announced_last_go_without_its_id(device: DeviceSession) -> None:
    device.announce_image(1, "klt", b"")
    device.bytes_to_send()
    for image_id, size, shown in ((1, 127, None), (1, 128, 1), (0, 1, 0), (1, 0, None)):
        device.send_segment(image_id, bytes(size))
        assert said(device, SegmentFrame(shown, bytes(size)))


def test_the_largest_segment_has_a_mebibyte(device: DeviceSession) -> None:
    device.send_segment(0, bytes(1 << 20))
    assert said(device, SegmentFrame(0, bytes(1 << 20)))
    with pytest.raises(errors.PayloadTooLargeError):
        device.send_segment(0, bytes((1 << 20) + 1))


def test_the_end_of_a_photo_is_said_by_its_frame_or_with_a_key_by_the_seal(device: DeviceSession) -> None:
    device.finish_image(0)
    assert said(device, IdFrame(FrameType.IMAGE_END, 0))
    assert not device.wants_segments(0)
    keyed, seen = DeviceSession(HASH, key=KEY, nonce=NONCE), list[tuple[bool, Frame]]()
    keyed.start()
    keyed.announce_image(0, "klt", b"")
    keyed.announce_image(1, "klt", b"")
    keyed.bytes_to_send()
    keyed.on_frame = lambda sent, frame: seen.append((sent, frame))
    keyed.finish_image(0)
    keyed.finish_image(1)
    assert keyed.bytes_to_send()[-1 - TAG_BYTES] == 1
    assert seen == [(True, IdFrame(FrameType.IMAGE_END, 0)), (True, LastImageEndFrame())]


@pytest.mark.parametrize("key", [b"", KEY])
def test_a_closed_session_says_no_end_and_no_seal(key: bytes) -> None:
    device = DeviceSession(HASH, key=key, nonce=NONCE if key else b"")
    device.start()
    device.announce_image(0, "klt", b"")
    device.bytes_to_send()
    device.send_segment(0, b"x")
    held = device.queued_bytes
    device.close()
    device.seal()
    assert device.queued_bytes == held == 2
    assert device.has_key is bool(key)
    with pytest.raises(errors.UnknownImageError):
        device.finish_image(0)


def test_photos_of_an_earlier_connection_are_held_as_the_cloud_says() -> None:
    device = DeviceSession(HASH, session_token=bytes(16))
    device.start()
    device.hold_image(3, (8 << 20) - 1, 4095, finished=False)
    device.hold_image(5, 10, 2, finished=True)
    with pytest.raises(errors.UsageError) as caught:
        device.hold_image(5, 0, 0, finished=False)
    assert "image_id" in str(caught.value.__notes__)
    assert [device.wants_segments(image_id) for image_id in (3, 4, 5)] == [True, False, False]
    with pytest.raises(errors.ProtocolStateError):
        device.send_segment(5, b"")
    device.bytes_to_send()
    device.send_segment(3, b"x")  # the last byte and the last segment that there is room for
    assert said(device, SegmentFrame(3, b"x"))
    with pytest.raises(errors.PayloadTooLargeError):
        device.send_segment(3, b"")


@pytest.mark.parametrize(
    ("image_id", "allowed"),
    [(None, True), (0, True), (2, True), (MAX_ID, True), (1, False), (-1, False), (2**28, False)],
)
def test_a_crop_is_a_photo_that_is_held_or_to_come(device: DeviceSession, image_id: int | None, allowed: bool) -> None:
    device.announce_image(1, "klt", b"")
    device.forget_image(1)
    device.ask(0, 0, "what?")
    device.bytes_to_send()
    if not allowed:
        with pytest.raises(errors.UsageError):
            device.send_crop(0, image_id)
        assert said(device)
        return
    device.send_crop(1, image_id)  # no such question
    assert said(device)
    device.send_crop(0, image_id)
    assert said(device, CropFrame(0, image_id))


def test_a_question_is_given_up_once(device: DeviceSession) -> None:
    device.ask(0, 0, "what?")
    device.bytes_to_send()
    device.cancel(0)
    device.cancel(0)
    device.cancel(1)
    assert said(device, IdFrame(FrameType.CANCEL, 0))
    for late in (AnswerFrame(0, 1, 1, 0, b"x", True), RegionFrame(0, WireBox(0, 0, 1, 1))):
        assert hear(device, late) == []


def test_what_comes_about_a_forgotten_photo_is_passed_over(device: DeviceSession) -> None:
    device.forget_image(0)
    assert hear(device, IdFrame(FrameType.ENOUGH, 0), MoreFrame(0, 1)) == []
    assert hear(device, IdFrame(FrameType.ENOUGH, 1)) == [ev.SessionClosed(errors.ProtocolStateError)]


def test_enough_and_more_are_about_one_photo(device: DeviceSession) -> None:
    device.announce_image(1, "klt", b"")
    assert hear(device, IdFrame(FrameType.ENOUGH, 0)) == [ev.EnoughReceived(0)]
    assert [device.wants_segments(image_id) for image_id in (0, 1, 2)] == [False, True, False]
    assert hear(device, MoreFrame(0, 7)) == [ev.MoreRequested(0, 7)]
    assert device.wants_segments(0)


def test_drafts_grow_from_the_one_before_up_to_4000_characters(device: DeviceSession) -> None:
    device.ask(0, 0, "what?")
    long = "\U0001f600" * 3999
    assert hear(
        device,
        AnswerFrame(0, 1, 0, 0, b"ab", False),
        AnswerFrame(0, 2, 51, 2, b"c", False),
        AnswerFrame(0, 3, 255, 1, long.encode(), False),
    ) == [
        ev.DraftReceived(0, "ab", 0.0, 1),
        ev.DraftReceived(0, "abc", 0.2, 2),
        ev.DraftReceived(0, "a" + long, 1.0, 3),
    ]
    data = AnswerFrame(0, 4, 255, 1 + 4 * 3999, b"b", False)  # 4001 characters
    assert hear(device, data) == [ev.SessionClosed(errors.FrameDamagedError)]


def test_a_final_answer_or_an_error_ends_its_question_alone(device: DeviceSession) -> None:
    for number in range(3):
        device.ask(number, 0, "what?")
    hear(device, AnswerFrame(1, 1, 255, 0, b"red", True))
    assert device.open_questions == (0, 2)
    hear(device, ErrorFrame(errors.TimedOutError.code, 0), ErrorFrame(errors.TimedOutError.code, 1))
    assert device.open_questions == (2,)


def test_every_frame_is_seen_once_on_its_way(device: DeviceSession) -> None:
    seen: list[tuple[bool, Frame]] = []
    device.on_frame = lambda sent, frame: seen.append((sent, frame))
    device.send_segment(0, b"x")
    hear(device, IdFrame(FrameType.ENOUGH, 0), WelcomeFrame(HASH, "again"))  # the second is not allowed
    assert seen == [
        (True, SegmentFrame(None, b"x")),
        (False, IdFrame(FrameType.ENOUGH, 0)),
        (True, ErrorFrame(errors.ProtocolStateError.code, None)),
    ]


def test_bytes_are_counted_until_they_are_fetched_and_held_until_the_end() -> None:
    device = DeviceSession(HASH)
    assert (device.state, device.closed, device.last_heard_s, device.queued_bytes) == (State.NEW, False, None, 0)
    device.start()
    assert device.queued_bytes == 12  # head of two, version, length of the hash, hash
    assert len(device.bytes_to_send()) == 12
    assert (device.queued_bytes, device.bytes_to_send()) == (0, b"")
    assert device.receive(b"\x10", 3.0) == []
    assert (device.held_bytes, device.last_heard_s) == (1, 3.0)
    assert device.receive(b"", 4.0) == [ev.SessionClosed(errors.ConnectionLostError)]  # one byte of a frame was there
    assert (device.state, device.closed, device.held_bytes, device.last_heard_s) == (State.CLOSED, True, 0, 3.0)
    assert device.receive(b"", 5.0) == []


def test_an_error_without_a_question_ends_the_session_for_both_at_once(device: DeviceSession) -> None:
    device.ask(0, 0, "what?")
    device.bytes_to_send()
    error = ErrorFrame(errors.ServerBusyError.code, None)
    assert hear(device, error, AnswerFrame(0, 1, 1, 0, b"x", True)) == [
        ev.ErrorReceived(errors.ServerBusyError, None),
        ev.SessionClosed(errors.ServerBusyError),
    ]
    assert said(device)
    assert (device.closed, device.open_questions) == (True, ())
    cloud = CloudSession(HASH, frozenset())
    hear(cloud, HelloFrame(HASH, ""))
    cloud.bytes_to_send()
    for _ in range(2):
        cloud.send_error(errors.ServerBusyError(), None)
    assert cloud.bytes_to_send() == encode_frame(error)
    assert cloud.closed
