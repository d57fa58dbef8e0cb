"""What a session has beyond question and answer: going on over another connection, wishes, regions and crops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heliograph import errors
from heliograph.boxes import WireBox
from heliograph.protocol import events as ev
from heliograph.protocol.frames import (
    AnswerFlag,
    CropFrame,
    ErrorFrame,
    HeldImage,
    ImageFrame,
    QuestionFrame,
    QuestionOptions,
    encode_frame,
)
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.question import Question

HASH = b"bundle-h"
TOKEN = bytes(range(16))


def talk(device: DeviceSession, cloud: CloudSession) -> tuple[list[ev.Event], list[ev.Event]]:
    """Carry everything queued once in each direction: what the cloud and then the device reported."""
    heard_by_cloud = carry(device, cloud)
    return heard_by_cloud, carry(cloud, device)


def carry(sender: DeviceSession | CloudSession, receiver: DeviceSession | CloudSession) -> list[ev.Event]:
    data = sender.bytes_to_send()
    return receiver.receive(data, 1.0) if data else []


@pytest.fixture
def device() -> DeviceSession:
    device = DeviceSession(HASH, "key")
    device.start()
    return device


@pytest.fixture
def cloud() -> CloudSession:
    tokens = frozenset({"other", "key"})
    return CloudSession(HASH, tokens, "reference", needs_bundle=lambda strategy: strategy != "jpeg")


def ask_about_photo(device: DeviceSession, cloud: CloudSession) -> None:
    device.ask(0, 0, "what is on the sign?")
    device.announce_image(0, "klt", b"head")
    talk(device, cloud)


def resumable_pair(recall: Callable[[bytes], SessionMemory | None]) -> tuple[DeviceSession, CloudSession]:
    device = DeviceSession(HASH, resumable=True)
    device.start()
    return device, CloudSession(HASH, frozenset(), session_token=TOKEN, recall=recall)


def test_a_session_goes_on_over_another_connection() -> None:
    device, cloud = resumable_pair(lambda token: None)
    assert talk(device, cloud) == (
        [ev.HelloReceived(HASH, resumed=False, resumable=True)],
        [ev.WelcomeReceived("", HASH, TOKEN)],
    )
    device.ask(1, 2, "what?")
    device.announce_image(2, "klt", b"h")
    device.send_segment(2, b"abc")
    carry(device, cloud)
    cloud.send_enough(2)
    device.send_segment(2, b"lost")
    memory = cloud.memory
    cloud.receive(b"", 1.0)
    shown = list[bytes]()
    again = CloudSession(HASH, frozenset(), recall=lambda token: shown.append(token) or memory)  # type: ignore[func-returns-value]
    device = DeviceSession(HASH, session_token=TOKEN)
    device.start()
    heard_by_cloud, heard_by_device = talk(device, again)
    assert shown == [TOKEN]
    assert heard_by_cloud == [ev.HelloReceived(HASH, resumed=True, resumable=True)]
    assert heard_by_device == [ev.WelcomeReceived("", HASH, TOKEN, (HeldImage(2, 1, False),))]
    device.hold_image(2, 4, 1, finished=False)
    assert device.wants_segments(2)
    device.ask(3, 2, "what?")
    device.send_segment(2, b"lost")
    device.finish_image(2)
    assert carry(device, again) == [
        ev.QuestionAsked(3, 2, Question("what?", "energy", 230)),
        ev.SegmentReceived(2, 1, b"lost"),
        ev.ImageFinished(2),
    ]
    assert again.send_final(3, "red", 1.0, 2)


def test_a_session_that_is_not_known_begins_anew() -> None:
    _, cloud = resumable_pair(lambda token: None)
    device = DeviceSession(HASH, session_token=b"x" * 16)
    device.start()
    assert talk(device, cloud)[1] == [ev.WelcomeReceived("", HASH, TOKEN)]


def test_who_does_not_ask_for_a_token_gets_none(device: DeviceSession) -> None:
    cloud = CloudSession(HASH, frozenset(), session_token=TOKEN)
    assert talk(device, cloud)[1] == [ev.WelcomeReceived("", HASH)]


def test_nothing_is_recalled_for_who_shows_no_token() -> None:
    shown = list[bytes]()
    device, cloud = resumable_pair(lambda token: shown.append(token) or SessionMemory())  # type: ignore[func-returns-value]
    assert talk(device, cloud)[0] == [ev.HelloReceived(HASH, resumed=False, resumable=True)]
    assert shown == []


def test_a_session_is_not_told_before_the_access_token_is_right() -> None:
    def recall(token: bytes) -> SessionMemory | None:
        raise AssertionError

    cloud = CloudSession(HASH, frozenset({"key"}), recall=recall)
    device = DeviceSession(HASH, "wrong", session_token=TOKEN)
    device.start()
    assert talk(device, cloud)[0] == [ev.SessionClosed(errors.UnauthorizedError)]


@pytest.mark.parametrize("wrong", [b"x", b"x" * 17])
def test_session_tokens_have_16_bytes(wrong: bytes) -> None:
    with pytest.raises(errors.UsageError):
        DeviceSession(HASH, session_token=wrong)
    with pytest.raises(errors.UsageError):
        CloudSession(HASH, frozenset(), session_token=wrong)


def test_options_travel_and_questions_without_them_have_not_grown(device: DeviceSession, cloud: CloudSession) -> None:
    talk(device, cloud)
    device.ask(0, 0, "what?")
    plain = device.bytes_to_send()
    asked = Question("what?", "push", 9, "margin", byte_budget=64, answer_within_s=0.128, region="random")
    device.ask(1, 0, asked)
    full = device.bytes_to_send()
    assert (len(plain), len(full)) == (11, 15)
    cloud.receive(plain, 1.0)
    assert cloud.receive(full, 1.0) == [ev.QuestionAsked(1, 0, asked, True)]
    cloud.receive(encode_frame(QuestionFrame(2, 0, 1, 1, 64, True, b"?", QuestionOptions(confidence_id=7))), 0.0)
    cloud.receive(encode_frame(QuestionFrame(3, 0, 1, 1, 64, True, b"?", QuestionOptions(region_id=99))), 0.0)
    unknown = errors.UnknownNameError.code
    assert cloud.bytes_to_send() == encode_frame(ErrorFrame(unknown, 2)) + encode_frame(ErrorFrame(unknown, 3))


def looked_at(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    assert cloud.send_region(0, WireBox(1, 2, 30, 40))
    carry(cloud, device)


def test_a_region_and_its_crop(device: DeviceSession, cloud: CloudSession) -> None:
    looked_at(device, cloud)
    assert not cloud.send_region(0, WireBox(1, 2, 30, 40))  # one for each question
    device.send_crop(0, 5)
    device.announce_image(5, "webp", b"")
    device.send_segment(5, b"picture")
    device.finish_image(5)
    assert carry(device, cloud) == [
        ev.CropAnnounced(0, 5),
        ev.ImageAnnounced(5, "webp", b""),
        ev.SegmentReceived(5, 0, b"picture"),
        ev.ImageFinished(5),
    ]
    cloud.send_final(0, "red", 1.0, 1, AnswerFlag.LOOKED)
    assert carry(cloud, device) == [ev.FinalReceived(0, "red", 1.0, 1, AnswerFlag.LOOKED)]


def test_a_crop_may_be_refused_held_already_or_not_be_there(device: DeviceSession, cloud: CloudSession) -> None:
    looked_at(device, cloud)
    device.send_crop(0, None)
    assert carry(device, cloud) == [ev.CropAnnounced(0, None)]
    device.ask(1, 0, "and?")
    carry(device, cloud)
    cloud.send_region(1, WireBox(0, 0, 1024, 1024))
    carry(cloud, device)
    device.send_crop(1, 0)
    assert carry(device, cloud) == [ev.CropAnnounced(1, 0)]
    with pytest.raises(errors.UsageError):
        device.send_crop(1, -1)


def test_a_crop_that_cannot_be_taken_leaves_the_question_open(cloud: CloudSession) -> None:
    device = DeviceSession(b"another!", "key")
    device.start()
    device.ask(0, 0, "what?")
    device.announce_image(0, "jpeg", b"")
    talk(device, cloud)
    cloud.send_region(0, WireBox(1, 2, 30, 40))
    carry(cloud, device)
    device.send_crop(0, 1)
    device.announce_image(1, "klt", b"")  # refused: another bundle
    assert carry(device, cloud) == [ev.CropAnnounced(0, 1), ev.CropAnnounced(0, None)]
    assert cloud.open_questions == (0,)


def test_a_crop_that_nobody_asked_for_ends_its_question(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    cloud.receive(encode_frame(CropFrame(0, None)), 0.0)
    assert carry(cloud, device) == [ev.ErrorReceived(errors.TooManyRegionsError, 0)]
    assert cloud.receive(encode_frame(CropFrame(0, 7)), 0.0) == []  # on its way when the question ended
    assert cloud.receive(encode_frame(CropFrame(1, 7)), 0.0) == [ev.SessionClosed(errors.ProtocolStateError)]


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 1025, 5), (-1, 0, 5, 5), (5, 9, 9, 9)])
def test_regions_lie_within_the_photo(box: WireBox, device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    with pytest.raises(errors.UsageError):
        cloud.send_region(0, box)


def test_the_owner_of_a_session_is_known_by_a_digest(device: DeviceSession, cloud: CloudSession) -> None:
    assert cloud.owner == b""
    talk(device, cloud)
    assert len(cloud.owner) == 16
    assert b"key" not in cloud.owner
    other, elsewhere = DeviceSession(HASH, "other"), CloudSession(HASH, frozenset({"other"}))
    other.start()
    talk(other, elsewhere)
    assert elsewhere.owner != cloud.owner
    again, same = DeviceSession(HASH, "key"), CloudSession(HASH, frozenset())
    again.start()
    talk(again, same)
    assert same.owner == cloud.owner


def test_a_photo_that_the_cloud_drops_is_unknown_from_then_on(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    cloud.drop_image(0)
    cloud.drop_image(7)  # not held
    assert carry(cloud, device) == [ev.ErrorReceived(errors.UnknownImageError, 0)]
    device.send_segment(0, b"on its way")
    device.ask(1, 0, "and?")
    assert carry(device, cloud) == []
    assert carry(cloud, device) == [ev.ErrorReceived(errors.UnknownImageError, 1)]


def test_crops_that_are_lost_together_may_be_answered_one_by_one(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    device.ask(1, 0, "and?")
    carry(device, cloud)
    for question_id in (0, 1):
        cloud.send_region(question_id, WireBox(1, 2, 30, 40))
        cloud.receive(encode_frame(CropFrame(question_id, 5)), 0.0)
    announced = encode_frame(ImageFrame(6, 2, b""))  # 5 is passed over
    lost = []
    for event in cloud.events_of(announced, 0.0):
        if isinstance(event, ev.CropAnnounced):
            lost.append(event.question_id)
            cloud.send_final(event.question_id, "red", 1.0, 1)  # as a server does at once
    assert lost == [0, 1]


def test_what_a_frame_lacks_is_known_once_its_head_is_there(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    device.send_segment(0, b"x" * 1000)
    data = device.bytes_to_send()
    missing = []
    for place in range(len(data)):
        cloud.receive(data[place : place + 1], 0.0)
        missing.append(cloud.missing_bytes)
    assert missing[:3] == [0, 0, 1000]
    assert missing[-2:] == [1, 0]
