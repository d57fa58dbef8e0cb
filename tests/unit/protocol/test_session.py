"""The two ends against each other: the flow, the refusals, and what survives them."""

from __future__ import annotations

import pytest

from heliograph import errors
from heliograph.boxes import WireBox
from heliograph.protocol import events as ev
from heliograph.protocol.frames import AnswerFrame, ErrorFrame, HelloFrame, ImageFrame, QuestionFrame, encode_frame
from heliograph.protocol.limits import MAX_IMAGES, MAX_OPEN_QUESTIONS, MAX_SEGMENT_BYTES
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.protocol.states import State
from heliograph.question import Question

HASH = b"bundle-h"


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
    return CloudSession(HASH, frozenset({"other", "key"}), "reference")


def opened(device: DeviceSession, cloud: CloudSession) -> None:
    talk(device, cloud)
    assert device.state is cloud.state is State.OPEN


def ask_about_photo(device: DeviceSession, cloud: CloudSession) -> None:
    device.ask(0, 0, "what is on the sign?")
    device.announce_image(0, "klt", b"head")
    talk(device, cloud)


def test_everything_can_be_sent_before_welcome_and_question_goes_first(
    device: DeviceSession, cloud: CloudSession
) -> None:
    question = Question("Straße?", controller="fixed", target=9, max_answer_tokens=1024)
    device.ask(0, 0, question)
    device.announce_image(0, "klt", b"head")
    device.send_segment(0, b"a")
    device.send_segment(0, b"b" * 300)
    device.finish_image(0)
    heard_by_cloud, heard_by_device = talk(device, cloud)
    assert heard_by_cloud == [
        ev.HelloReceived(HASH),
        ev.QuestionAsked(0, 0, question, image_follows=True),
        ev.ImageAnnounced(0, "klt", b"head"),
        ev.SegmentReceived(0, 0, b"a"),
        ev.SegmentReceived(0, 1, b"b" * 300),
        ev.ImageFinished(0),
    ]
    assert heard_by_device == [ev.WelcomeReceived("reference", HASH)]
    assert cloud.last_heard_s == 1.0


def test_drafts_travel_as_differences_and_unchanged_ones_not_at_all(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    assert cloud.send_draft(0, "a réd bal", 0.5, 1)
    assert not cloud.send_draft(0, "a réd bal", 0.6, 2)
    assert carry(cloud, device) == [ev.DraftReceived(0, "a réd bal", 128 / 255, 1)]
    assert cloud.bytes_to_send() == b""


def test_final_equals_what_was_sent_after_any_drafts(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    texts = ["", "a ré", "a rè", "a rè ball on a very long table", "b"]
    for count, text in enumerate(texts):
        cloud.send_draft(0, text, count / 4, count)
    cloud.send_final(0, "b\x1b[31m", 2.0, 5)
    heard = carry(cloud, device)
    assert [event.text for event in heard] == [*texts, "b\x1b[31m"]  # type: ignore[union-attr]
    assert [event.segments_used for event in heard] == [0, 1, 2, 3, 4, 5]  # type: ignore[union-attr]
    assert heard[-1] == ev.FinalReceived(0, "b\x1b[31m", 1.0, 5)
    assert abs(heard[1].confidence - 0.25) <= 1 / 510  # type: ignore[union-attr]
    assert device.open_questions == cloud.open_questions == ()


def test_confidence_that_is_no_number_counts_as_unsure(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    cloud.send_final(0, "x", float("nan"), 1)
    assert carry(cloud, device) == [ev.FinalReceived(0, "x", 0.0, 1)]


def test_enough_stops_the_device_and_late_segments_are_marked(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    device.send_segment(0, b"in time")
    carry(device, cloud)
    assert device.wants_segments(0)
    device.send_segment(0, b"late")  # leaves before ENOUGH is heard
    assert cloud.send_enough(0)
    assert not cloud.send_enough(0)
    assert carry(cloud, device) == [ev.EnoughReceived(0)]
    assert not device.wants_segments(0)
    assert carry(device, cloud) == [ev.SegmentReceived(0, 1, b"late", late=True)]
    count = cloud.image_count(0)
    assert count is not None
    assert count.segments == 2


def test_more_takes_enough_back(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    cloud.send_enough(0)
    cloud.send_more(0, 3)
    cloud.send_region(0, WireBox(1, 2, 30, 40))
    assert carry(cloud, device) == [
        ev.EnoughReceived(0),
        ev.MoreRequested(0, 3),
        ev.RegionRequested(0, WireBox(1, 2, 30, 40)),
    ]
    assert device.wants_segments(0)


def test_a_second_question_about_a_photo_costs_no_photo_bytes(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    device.send_segment(0, b"x" * 100)
    carry(device, cloud)
    device.ask(1, 0, "why?")
    data = device.bytes_to_send()
    assert len(data) - len("why?") == 6
    assert cloud.receive(data, 2.0) == [ev.QuestionAsked(1, 0, Question("why?", "energy", 230, max_answer_tokens=64))]


def test_wrong_version_is_named_and_ends_the_session(cloud: CloudSession) -> None:
    data = bytearray(encode_frame(HelloFrame(HASH, "key")))
    data[2] = 1
    assert cloud.receive(bytes(data), 0.0) == [ev.SessionClosed(errors.ProtocolVersionError)]
    assert cloud.bytes_to_send() == encode_frame(ErrorFrame(42, None))
    assert cloud.receive(bytes(data), 0.0) == []


@pytest.mark.parametrize("token", ["", "ke", "key2", "KEY"])
def test_wrong_token_is_refused_and_nothing_after_it_is_heard(token: str, cloud: CloudSession) -> None:
    device = DeviceSession(HASH, token)
    device.start()
    device.ask(0, 0, "let me in?")
    heard_by_cloud, heard_by_device = talk(device, cloud)
    assert heard_by_cloud == [ev.SessionClosed(errors.UnauthorizedError)]
    assert heard_by_device == [
        ev.ErrorReceived(errors.UnauthorizedError, None),
        ev.SessionClosed(errors.UnauthorizedError),
    ]


def test_without_tokens_every_device_may_enter() -> None:
    device, cloud = DeviceSession(b"", "whatever"), CloudSession(HASH, frozenset())
    device.start()
    opened(device, cloud)
    device.ask(0, 0, "let me in?")
    heard_by_cloud, heard_by_device = talk(device, cloud)
    assert [type(event) for event in heard_by_cloud] == [ev.QuestionAsked]
    assert heard_by_device == []


@pytest.mark.parametrize(("device_hash", "cloud_hash"), [(b"another!", HASH), (b"", HASH), (HASH, b""), (b"", b"")])
def test_klt_needs_equal_bundles_and_jpeg_does_not(device_hash: bytes, cloud_hash: bytes) -> None:
    device = DeviceSession(device_hash)
    cloud = CloudSession(cloud_hash, frozenset(), needs_bundle=lambda strategy: strategy == "klt")
    device.start()
    opened(device, cloud)
    device.ask(0, 0, "what?")
    device.announce_image(0, "klt", b"")
    device.send_segment(0, b"ignored")
    device.ask(1, 0, "again?")
    device.ask(2, 1, "as pixels?")
    device.announce_image(1, "jpeg", b"")
    heard_by_cloud, heard_by_device = talk(device, cloud)
    assert [type(event) for event in heard_by_cloud] == [ev.QuestionAsked, ev.QuestionAsked, ev.ImageAnnounced]
    assert heard_by_device == [
        ev.ErrorReceived(errors.BundleMismatchError, 0),
        ev.ErrorReceived(errors.BundleMismatchError, 1),
    ]
    assert cloud.open_questions == device.open_questions == (2,)


def test_question_lengths_on_the_device(device: DeviceSession) -> None:
    for empty in ("", " \n\t"):
        with pytest.raises(errors.QuestionEmptyError):
            device.ask(0, 0, empty)
    for long in ("x" * 2001, "x" * 100_000):
        with pytest.raises(errors.QuestionTooLongError):
            device.ask(0, 0, long)
    device.ask(0, 0, "\U0001f600" * 2000)
    with pytest.raises(errors.UsageError):
        device.ask(1, 0, "\udcff")


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (b"", errors.QuestionEmptyError),
        (b"  ", errors.QuestionEmptyError),
        (b"x" * 2001, errors.QuestionTooLongError),
        (b"x" * 100_000, errors.QuestionTooLongError),
        (b"\xff" * 100_000, errors.QuestionTooLongError),
    ],
)
def test_question_lengths_on_the_wire_fail_the_question_only(
    text: bytes, error_class: type[errors.HeliographError], device: DeviceSession, cloud: CloudSession
) -> None:
    opened(device, cloud)
    assert cloud.receive(encode_frame(QuestionFrame(0, 0, 1, 1, 64, True, text)), 0.0) == []
    assert cloud.bytes_to_send() == encode_frame(ErrorFrame(error_class.code, 0))
    assert cloud.receive(encode_frame(QuestionFrame(1, 0, 1, 1, 64, True, b"<image>?")), 0.0)[0] == ev.QuestionAsked(
        1, 0, Question("<image>?", "energy", 1), image_follows=True
    )


def test_unknown_photo_strategy_and_controller_fail_the_question_only(
    device: DeviceSession, cloud: CloudSession
) -> None:
    opened(device, cloud)
    cloud.receive(encode_frame(QuestionFrame(0, 5, 1, 1, 64, False, b"?")), 0.0)
    cloud.receive(encode_frame(QuestionFrame(1, 0, 15, 1, 64, True, b"?")), 0.0)
    cloud.receive(encode_frame(QuestionFrame(2, 0, 1, 1, 64, True, b"?")), 0.0)
    cloud.receive(encode_frame(ImageFrame(0, 100, b"")), 0.0)
    numbers = [errors.UnknownImageError.code, errors.UnknownNameError.code, errors.UnknownNameError.code]
    assert cloud.bytes_to_send() == b"".join(
        encode_frame(ErrorFrame(number, question)) for question, number in enumerate(numbers)
    )
    assert not cloud.closed


def test_a_question_whose_photo_is_passed_over_fails(device: DeviceSession, cloud: CloudSession) -> None:
    opened(device, cloud)
    device.ask(0, 0, "what?")
    device.announce_image(3, "klt", b"")
    assert talk(device, cloud)[1] == [ev.ErrorReceived(errors.UnknownImageError, 0)]
    assert device.open_questions == ()


def test_too_many_photos_and_questions_are_refused_on_both_ends(device: DeviceSession, cloud: CloudSession) -> None:
    opened(device, cloud)
    for number in range(MAX_IMAGES):
        device.announce_image(number, "klt", b"")
        device.ask(number, number, "what?")
    assert MAX_IMAGES == MAX_OPEN_QUESTIONS == 64
    with pytest.raises(errors.TooManyError):
        device.announce_image(64, "klt", b"")
    with pytest.raises(errors.TooManyError):
        device.ask(64, 0, "what?")
    carry(device, cloud)
    cloud.receive(encode_frame(QuestionFrame(64, 0, 1, 1, 64, False, b"?")), 0.0)
    assert cloud.bytes_to_send() == encode_frame(ErrorFrame(errors.TooManyError.code, 64))
    device.cancel(0)
    device.forget_image(0)
    device.announce_image(64, "klt", b"")
    heard = carry(device, cloud)
    assert heard == [ev.QuestionCancelled(0), ev.ImageForgotten(0), ev.ImageAnnounced(64, "klt", b"")]


def test_payload_is_bounded_and_only_the_photo_is_lost(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    with pytest.raises(errors.PayloadTooLargeError):
        device.send_segment(0, b"x" * (MAX_SEGMENT_BYTES + 1))
    piece = b"x" * MAX_SEGMENT_BYTES
    for _ in range(7):
        device.send_segment(0, piece)
    device.send_segment(0, piece[:-4])  # 8 MiB with the 4 bytes of header
    carry(device, cloud)
    with pytest.raises(errors.PayloadTooLargeError):
        device.send_segment(0, b"x")
    assert cloud.receive(bytes.fromhex("8178"), 0.0) == [ev.ImageForgotten(0)]
    assert carry(cloud, device) == [ev.ErrorReceived(errors.PayloadTooLargeError, 0)]
    assert not cloud.closed


def test_answers_after_cancel_are_dropped_on_both_ends(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    cloud.send_draft(0, "late", 0.5, 1)
    device.cancel(0)
    assert carry(cloud, device) == []
    assert carry(device, cloud) == [ev.QuestionCancelled(0)]
    assert not cloud.send_final(0, "late", 0.5, 1)
    assert cloud.bytes_to_send() == b""


def test_an_error_of_one_question_leaves_the_others(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    device.ask(1, 0, "why?")
    carry(device, cloud)
    cloud.send_error(errors.AnsweringFailedError(), 0)
    cloud.send_final(1, "because", 1.0, 0)
    assert carry(cloud, device) == [
        ev.ErrorReceived(errors.AnsweringFailedError, 0),
        ev.FinalReceived(1, "because", 1.0, 0),
    ]


def test_an_error_number_from_a_later_version_is_still_an_error(device: DeviceSession, cloud: CloudSession) -> None:
    opened(device, cloud)
    heard = device.receive(encode_frame(ErrorFrame(255, None)), 0.0)
    assert heard == [ev.ErrorReceived(errors.HeliographError, None), ev.SessionClosed(errors.HeliographError)]


@pytest.mark.parametrize("wire", ["8101", "3000", "2802ff00", "1000", "0000", "5900", "48050000000061"])
def test_frames_before_hello_or_from_the_wrong_end_close_the_cloud(wire: str, cloud: CloudSession) -> None:
    heard = cloud.receive(bytes.fromhex(wire), 0.0)
    assert isinstance(heard[-1], ev.SessionClosed)
    assert heard[-1].error_class in (errors.ProtocolStateError, errors.FrameDamagedError)
    assert cloud.bytes_to_send()[:2] == b"\x70\x01"
    assert cloud.closed


@pytest.mark.parametrize(
    "answer",
    [
        AnswerFrame(0, 0, 0, 1, b"", False),  # shares more than there is
        AnswerFrame(0, 0, 0, 0, b"\xff", False),  # not UTF-8
        AnswerFrame(0, 0, 0, 0, b"x" * 4001, True),  # too long
    ],
)
def test_damaged_answers_close_the_device_with_an_error_to_the_cloud(
    answer: AnswerFrame, device: DeviceSession, cloud: CloudSession
) -> None:
    ask_about_photo(device, cloud)
    assert device.receive(encode_frame(answer), 0.0) == [ev.SessionClosed(errors.FrameDamagedError)]
    assert cloud.receive(device.bytes_to_send(), 0.0) == [
        ev.ErrorReceived(errors.FrameDamagedError, None),
        ev.SessionClosed(errors.FrameDamagedError),
    ]


def test_ids_never_go_back(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    with pytest.raises(errors.UsageError):
        device.ask(0, 0, "again?")
    with pytest.raises(errors.UsageError):
        device.announce_image(0, "klt", b"")
    heard = cloud.receive(encode_frame(ImageFrame(0, 1, b"")), 0.0)
    assert heard == [ev.SessionClosed(errors.ProtocolStateError)]


def test_end_of_stream_tells_whether_something_was_cut_off(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    assert device.receive(b"", 0.0) == [ev.SessionClosed(errors.ConnectionLostError)]
    idle = CloudSession(HASH, frozenset())
    assert idle.receive(b"", 0.0) == [ev.SessionClosed(None)]
    with pytest.raises(errors.ProtocolStateError):
        device.start()


def test_answers_beyond_the_bound_are_cut_and_accepted(device: DeviceSession, cloud: CloudSession) -> None:
    ask_about_photo(device, cloud)
    cloud.send_final(0, "\U0001f600" * 4001, 1.0, 1)
    assert carry(cloud, device) == [ev.FinalReceived(0, "\U0001f600" * 4000, 1.0, 1)]


def test_events_do_not_depend_on_how_the_stream_is_cut(device: DeviceSession) -> None:
    device.ask(0, 0, "what?")
    device.announce_image(0, "klt", b"head")
    device.send_segment(0, b"x" * 200)
    data = device.bytes_to_send()
    whole = CloudSession(HASH, frozenset()).receive(data, 0.0)
    assert len(whole) == 4
    for cut in range(1, len(data)):
        pieces = CloudSession(HASH, frozenset())
        assert pieces.receive(data[:cut], 0.0) + pieces.receive(data[cut:], 0.0) == whole


def test_a_cloud_that_is_told_nothing_of_strategies_takes_no_photo_without_its_bundle() -> None:
    device, cloud = DeviceSession(b""), CloudSession(HASH, frozenset())
    device.start()
    device.ask(0, 0, "what?")
    device.announce_image(0, "jpeg", b"")
    assert talk(device, cloud)[1][-1] == ev.ErrorReceived(errors.BundleMismatchError, 0)
