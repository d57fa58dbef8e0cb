"""Every frame that a well-behaved other end never sends: the session is closed, and whatever is beside it goes on."""

from __future__ import annotations

import pytest

from heliograph import errors
from heliograph.boxes import WireBox
from heliograph.protocol import events as ev
from heliograph.protocol.frames import (
    AnswerFrame,
    CropFrame,
    Frame,
    FrameType,
    IdFrame,
    ImageFrame,
    MoreFrame,
    QuestionFrame,
    RegionFrame,
    SegmentFrame,
    WelcomeFrame,
    encode_frame,
)
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.protocol.states import CLOUD_RECEIVES, DEVICE_RECEIVES, State

HASH = b"bundle-h"


def ends(*, finished: bool = True) -> tuple[DeviceSession, CloudSession]:
    """In a session with question 0 about photo 0, whose one segment is there."""
    device, cloud = DeviceSession(HASH), CloudSession(HASH, frozenset())
    device.start()
    device.ask(0, 0, "what?")
    device.announce_image(0, "klt", b"")
    device.send_segment(0, b"x")
    if finished:
        device.finish_image(0)
    cloud.receive(device.bytes_to_send(), 0.0)
    device.receive(cloud.bytes_to_send(), 0.0)
    return device, cloud


BOX = WireBox(0, 0, 100, 100)
# frame, and the same of something that is known: heard, or passed over where it is answered or gone
TO_CLOUD: list[tuple[Frame, Frame | None, list[ev.Event]]] = [
    (IdFrame(FrameType.CANCEL, 1), IdFrame(FrameType.CANCEL, 0), [ev.QuestionCancelled(0)]),
    (CropFrame(1, None), None, []),
    (IdFrame(FrameType.FORGET, 1), IdFrame(FrameType.FORGET, 0), [ev.ImageForgotten(0)]),
    (IdFrame(FrameType.IMAGE_END, 1), None, []),
    (IdFrame(FrameType.IMAGE_END, 0), None, []),  # it is finished
    (SegmentFrame(1, b"y"), None, []),
    (SegmentFrame(0, b"y"), None, []),
    (SegmentFrame(None, b"y"), None, []),
    (ImageFrame(0, 1, b""), ImageFrame(1, 1, b""), [ev.ImageAnnounced(1, "klt", b"")]),
    (QuestionFrame(0, 0, 1, 0, 64, False, b"what?"), None, []),
]


@pytest.mark.parametrize(("frame", "known", "heard"), TO_CLOUD)
def test_a_device_that_breaks_the_rules_is_closed(frame: Frame, known: Frame | None, heard: list[ev.Event]) -> None:
    if known is not None:
        assert ends()[1].receive(encode_frame(known), 0.0) == heard
    _, cloud = ends()
    assert cloud.receive(encode_frame(frame), 0.0) == [ev.SessionClosed(errors.ProtocolStateError)]
    assert cloud.closed


def test_a_segment_before_any_photo_closes_the_cloud() -> None:
    device, cloud = DeviceSession(HASH), CloudSession(HASH, frozenset())
    device.start()
    cloud.receive(device.bytes_to_send(), 0.0)
    assert cloud.receive(encode_frame(SegmentFrame(None, b"")), 0.0) == [ev.SessionClosed(errors.ProtocolStateError)]


TO_DEVICE: list[tuple[Frame, Frame, list[ev.Event]]] = [
    (AnswerFrame(1, 1, 255, 0, b"x", True), AnswerFrame(0, 1, 255, 0, b"x", True), [ev.FinalReceived(0, "x", 1.0, 1)]),
    (IdFrame(FrameType.ENOUGH, 1), IdFrame(FrameType.ENOUGH, 0), [ev.EnoughReceived(0)]),
    (MoreFrame(1, 2), MoreFrame(0, 2), [ev.MoreRequested(0, 2)]),
    (RegionFrame(1, BOX), RegionFrame(0, BOX), [ev.RegionRequested(0, BOX)]),
]


@pytest.mark.parametrize(("frame", "known", "heard"), TO_DEVICE)
def test_a_cloud_that_breaks_the_rules_is_closed(frame: Frame, known: Frame, heard: list[ev.Event]) -> None:
    device, _ = ends()
    assert device.receive(encode_frame(known), 0.0) == heard
    device, _ = ends()
    assert device.receive(encode_frame(frame), 0.0) == [ev.SessionClosed(errors.ProtocolStateError)]
    assert device.closed


def test_more_takes_enough_back() -> None:
    device, _ = ends(finished=False)
    for frame, wanted in ((IdFrame(FrameType.ENOUGH, 0), False), (MoreFrame(0, 1), True)):
        device.receive(encode_frame(frame), 0.0)
        assert device.wants_segments(0) is wanted


def test_frames_of_the_other_direction_stay_refused_where_the_table_would_let_them_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device, cloud = ends()
    monkeypatch.setitem(CLOUD_RECEIVES, (State.OPEN, FrameType.WELCOME), State.OPEN)
    monkeypatch.setitem(DEVICE_RECEIVES, (State.OPEN, FrameType.SEGMENT), State.OPEN)
    closed = [ev.SessionClosed(errors.ProtocolStateError)]
    assert cloud.receive(encode_frame(WelcomeFrame(HASH, "model")), 0.0) == closed
    assert device.receive(encode_frame(SegmentFrame(0, b"x")), 0.0) == closed


def test_a_device_cannot_break_the_rules_by_its_own_methods() -> None:
    device, _ = ends()
    for call in (lambda: device.send_segment(0, b"x"), lambda: device.finish_image(0)):
        with pytest.raises(errors.ProtocolStateError):
            call()
    for call in (lambda: device.send_segment(1, b"x"), lambda: device.finish_image(1)):
        with pytest.raises(errors.UnknownImageError):
            call()
    with pytest.raises(errors.ProtocolStateError):
        device.start()
    device.close()
    with pytest.raises(errors.ProtocolStateError):
        device.announce_image(1, "klt", b"")
