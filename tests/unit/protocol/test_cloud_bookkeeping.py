"""What a cloud's session counts, keeps and says of its own: borders, results, and nothing twice."""

from __future__ import annotations

import pytest

from heliograph import errors
from heliograph.boxes import WireBox
from heliograph.protocol import events as ev
from heliograph.protocol.authentication import Nonces
from heliograph.protocol.frames import (
    AnswerFlag,
    AnswerFrame,
    CropFrame,
    ErrorFrame,
    Frame,
    FrameType,
    HelloFrame,
    IdFrame,
    ImageFrame,
    MoreFrame,
    QuestionFrame,
    RegionFrame,
    SegmentFrame,
    WelcomeFrame,
    encode_frame,
)
from heliograph.protocol.images import ImageBook, ImageCount
from heliograph.protocol.session import CloudSession

HASH = b"bundle-h"
TOKEN = bytes(range(16))
BOX = WireBox(1, 2, 30, 40)


def hear(cloud: CloudSession, *frames: Frame) -> list[ev.Event]:
    return cloud.receive(b"".join(map(encode_frame, frames)), 0.0)


def said(cloud: CloudSession, *frames: Frame) -> bool:
    """Whether the cloud has queued just these frames."""
    return cloud.bytes_to_send() == b"".join(map(encode_frame, frames))


def question(number: int, image_id: int, *, follows: bool = False) -> QuestionFrame:
    return QuestionFrame(number, image_id, 1, 230, 64, follows, b"what?")


@pytest.fixture
def cloud() -> CloudSession:
    """Greeted, with question 0 about photo 0, of which no segment is here."""
    cloud = CloudSession(HASH, frozenset())
    hear(cloud, HelloFrame(HASH, ""), question(0, 0, follows=True), ImageFrame(0, 1, b""))
    cloud.bytes_to_send()
    return cloud


@pytest.mark.parametrize(
    ("name", "told"), [("m" * 129, "m" * 128), ("é" * 65, "é" * 64), ("x" + "é" * 64, "x" + "é" * 63)]
)
def test_a_model_s_name_is_cut_at_128_bytes_and_between_characters(name: str, told: str) -> None:
    cloud = CloudSession(HASH, frozenset(), name)
    hear(cloud, HelloFrame(HASH, ""))
    assert said(cloud, WelcomeFrame(HASH, told))


def test_who_asks_is_known_by_the_time_there_is_to_be_room(cloud: CloudSession) -> None:
    asked = []

    def admit(token: bytes) -> None:
        asked.append((token, full.owner))
        raise errors.ServerBusyError

    full = CloudSession(HASH, frozenset({"a", "b"}), admit=admit)
    assert hear(full, HelloFrame(HASH, "b", resumable=True, session_token=TOKEN)) == [
        ev.SessionClosed(errors.ServerBusyError)
    ]
    assert said(full, ErrorFrame(errors.ServerBusyError.code, None))
    assert asked == [(TOKEN, full.owner)]
    assert cloud.owner != full.owner != b""


def test_the_drafts_that_are_kept_are_counted_in_bytes(cloud: CloudSession) -> None:
    hear(cloud, question(1, 0))
    assert cloud.draft_bytes == 0
    assert cloud.send_draft(0, "réd", 0.5, 1)
    assert cloud.send_draft(1, "blue", 0.5, 1)
    assert cloud.draft_bytes == 4 + 4
    assert cloud.send_draft(1, "", 0.5, 1)
    assert cloud.draft_bytes == 4
    assert cloud.send_final(0, "réd", 0.5, 1)
    assert cloud.draft_bytes == 0


def test_the_first_draft_may_be_empty_and_every_one_is_said_as_the_difference(cloud: CloudSession) -> None:
    assert cloud.send_draft(0, "", 0.0, 0)
    assert cloud.send_draft(0, "", 1.0, 1) is False
    assert cloud.send_draft(0, "ab", 1.0, 1)
    assert cloud.send_final(0, "abc", 1.0, 2, AnswerFlag.LOOKED)
    assert said(
        cloud,
        AnswerFrame(0, 0, 0, 0, b"", False),
        AnswerFrame(0, 1, 255, 0, b"ab", False),
        AnswerFrame(0, 2, 255, 2, b"c", True, AnswerFlag.LOOKED),
    )


def test_a_question_that_is_not_open_gets_nothing(cloud: CloudSession) -> None:
    assert cloud.send_final(0, "red", 1.0, 1)
    cloud.bytes_to_send()
    for question_id in (0, 7):
        assert cloud.send_draft(question_id, "red", 1.0, 1) is False
        assert cloud.send_final(question_id, "red", 1.0, 1) is False
        assert cloud.send_region(question_id, BOX) is False
        cloud.send_error(errors.TimedOutError(), question_id)
    assert said(cloud)


@pytest.mark.parametrize(
    ("confidence", "byte"), [(-0.5, 0), (0.0, 0), (0.25, 64), (0.5, 128), (1.0, 255), (1.5, 255), (float("inf"), 255)]
)
def test_a_confidence_is_said_times_255(cloud: CloudSession, confidence: float, byte: int) -> None:
    cloud.send_final(0, "a", confidence, 1)  # 0.25 * 255 = 63.75; 0.5 * 255 = 127.5, and 128 is the even neighbour
    assert said(cloud, AnswerFrame(0, 1, byte, 0, b"a", True))


@pytest.mark.parametrize(("used", "told"), [(-1, 0), (0, 0), (1, 1), (4096, 4096), (4097, 4096)])
def test_the_segments_used_are_said_as_far_as_a_photo_can_have_them(cloud: CloudSession, used: int, told: int) -> None:
    cloud.send_draft(0, "a", 0.0, used)
    assert said(cloud, AnswerFrame(0, told, 0, 0, b"a", False))


def test_enough_is_said_once_and_taken_back_by_more(cloud: CloudSession) -> None:
    assert cloud.send_enough(0)
    assert cloud.send_enough(0) is False
    assert cloud.send_more(0, 4096)
    assert cloud.send_enough(0)
    assert said(cloud, IdFrame(FrameType.ENOUGH, 0), MoreFrame(0, 4096), IdFrame(FrameType.ENOUGH, 0))


def test_of_a_photo_that_is_whole_or_not_held_nothing_is_wanted(cloud: CloudSession) -> None:
    hear(cloud, IdFrame(FrameType.IMAGE_END, 0))
    for image_id in (0, 1):
        assert cloud.send_enough(image_id) is False
        assert cloud.send_more(image_id, 1) is False
    assert said(cloud)


@pytest.mark.parametrize(("segments", "allowed"), [(0, False), (1, True), (4096, True), (4097, False)])
def test_one_to_4096_further_segments_can_be_asked_for(cloud: CloudSession, segments: int, allowed: bool) -> None:
    if allowed:
        assert cloud.send_more(0, segments)
        assert said(cloud, MoreFrame(0, segments))
        return
    with pytest.raises(errors.UsageError) as caught:
        cloud.send_more(0, segments)
    assert f"1 to 4096, not {segments}" in str(caught.value.__notes__)


@pytest.mark.parametrize("box", [(0, 0, 1024, 1024), (0, 0, 1, 1), (1023, 1023, 1024, 1024)])
def test_a_region_reaches_to_the_photo_s_edges(cloud: CloudSession, box: tuple[int, int, int, int]) -> None:
    assert cloud.send_region(0, WireBox(*box))
    assert said(cloud, RegionFrame(0, WireBox(*box)))


@pytest.mark.parametrize(
    "box", [(-1, 0, 5, 5), (0, -1, 5, 5), (0, 0, 1025, 5), (0, 0, 5, 1025), (5, 0, 5, 9), (0, 5, 9, 5), (6, 0, 5, 9)]
)
def test_a_region_has_an_area_within_the_photo(cloud: CloudSession, box: tuple[int, int, int, int]) -> None:
    with pytest.raises(errors.UsageError):
        cloud.send_region(0, WireBox(*box))
    assert said(cloud)


def test_a_crop_of_a_photo_that_is_gone_does_not_come(cloud: CloudSession) -> None:
    hear(cloud, ImageFrame(1, 1, b""), IdFrame(FrameType.FORGET, 1))
    cloud.send_region(0, BOX)
    assert hear(cloud, CropFrame(0, 1)) == [ev.CropAnnounced(0, None)]
    assert cloud.open_questions == (0,)
    assert hear(cloud, CropFrame(0, None)) == [ev.QuestionCancelled(0)]  # a second one was not asked for


def test_a_crop_s_photo_may_be_refused_without_another_question_s_notice(cloud: CloudSession) -> None:
    hear(cloud, question(1, 0))
    for number, image_id in ((0, 5), (1, 6)):
        cloud.send_region(number, BOX)
        assert hear(cloud, CropFrame(number, image_id)) == [ev.CropAnnounced(number, image_id)]
    assert hear(cloud, ImageFrame(5, 99, b"")) == [ev.CropAnnounced(0, None)]  # no such strategy
    assert hear(cloud, ImageFrame(6, 1, b"")) == [ev.ImageAnnounced(6, "klt", b"")]


def test_why_a_photo_was_refused_is_remembered_of_the_latest_64(cloud: CloudSession) -> None:
    for image_id in range(1, 66):
        hear(cloud, ImageFrame(image_id, 99, b""))  # no such strategy
    hear(cloud, question(1, 1), question(2, 2), question(3, 65))
    assert said(
        cloud,
        ErrorFrame(errors.UnknownImageError.code, 1),
        ErrorFrame(errors.UnknownNameError.code, 2),
        ErrorFrame(errors.UnknownNameError.code, 3),
    )


def test_a_question_that_is_no_text_ends_the_session(cloud: CloudSession) -> None:
    broken = QuestionFrame(1, 0, 1, 230, 64, False, b"wh\xff")
    assert hear(cloud, broken) == [ev.SessionClosed(errors.FrameDamagedError)]
    assert said(cloud, ErrorFrame(errors.FrameDamagedError.code, None))
    assert (cloud.closed, cloud.open_questions, cloud.image_count(0)) == (True, (), None)


def test_only_questions_about_a_lost_photo_fail(cloud: CloudSession) -> None:
    hear(cloud, ImageFrame(1, 1, b""), question(1, 1), question(2, 0), question(3, 1))
    cloud.drop_image(1)
    code = errors.UnknownImageError.code
    assert said(cloud, ErrorFrame(code, 1), ErrorFrame(code, 3))
    assert cloud.open_questions == (0, 2)
    assert cloud.image_count(1) is None
    cloud.drop_image(1)
    assert said(cloud)


def test_photos_passed_over_fail_their_own_questions_alone(cloud: CloudSession) -> None:
    hear(cloud, question(1, 1, follows=True), question(2, 2, follows=True), question(3, 3, follows=True))
    assert hear(cloud, ImageFrame(2, 1, b"")) == [ev.ImageAnnounced(2, "klt", b"")]
    assert said(cloud, ErrorFrame(errors.UnknownImageError.code, 1))
    assert cloud.open_questions == (0, 2, 3)


def test_a_question_about_a_photo_to_come_says_so_or_fails(cloud: CloudSession) -> None:
    hear(cloud, question(1, 1))
    assert said(cloud, ErrorFrame(errors.UnknownImageError.code, 1))
    (asked,) = hear(cloud, question(5, 0, follows=True))  # held already: what it says of it does not matter
    assert isinstance(asked, ev.QuestionAsked)
    assert hear(cloud, question(4, 0)) == [ev.SessionClosed(errors.ProtocolStateError)]


def test_segments_carry_their_place_and_the_header_counts(cloud: CloudSession) -> None:
    heard = hear(cloud, ImageFrame(1, 1, b"head"), SegmentFrame(None, b"abc"), SegmentFrame(0, b"d"))
    assert heard == [
        ev.ImageAnnounced(1, "klt", b"head"),
        ev.SegmentReceived(1, 0, b"abc"),
        ev.SegmentReceived(0, 0, b"d"),
    ]
    assert cloud.image_count(1) == ImageCount(payload_bytes=7, segments=1)
    assert cloud.image_count(0) == ImageCount(payload_bytes=1, segments=1)
    assert hear(cloud, SegmentFrame(None, b"")) == [ev.SegmentReceived(1, 1, b"")]


@pytest.mark.parametrize(
    ("held", "size", "fits"),
    [
        (ImageCount(8 << 20), 0, True),
        (ImageCount((8 << 20) - 1), 1, True),
        (ImageCount((8 << 20) - 1), 2, False),
        (ImageCount(0, 4095), 0, True),
        (ImageCount(0, 4096), 0, False),
    ],
)
def test_a_photo_has_8_mib_and_4096_segments(held: ImageCount, size: int, fits: bool) -> None:
    bytes_before, segments_before = held.payload_bytes, held.segments
    if fits:
        held.add_segment(size)
        assert (held.payload_bytes, held.segments) == (bytes_before + size, segments_before + 1)
        return
    with pytest.raises(errors.PayloadTooLargeError):
        held.add_segment(size)
    assert (held.payload_bytes, held.segments) == (bytes_before, segments_before)


def test_a_book_counts_ids_up_and_holds_64_photos() -> None:
    book = ImageBook()
    assert (book.last_id, book.next_id, book.is_new(0)) == (-1, 0, True)
    for image_id in range(1, 65):
        book.check_room()
        book.add(image_id, 2)
    with pytest.raises(errors.TooManyError):
        book.check_room()
    assert (book.last_id, book.is_new(64), book.is_new(65)) == (64, False, True)
    assert book.remove(1)
    assert book.remove(1) is False
    book.check_room()
    book.refuse(70)
    assert (book.last_id, book.is_new(70), 70 in book, 64 in book) == (70, False, False, True)
    book.held(2).enough = True
    assert len(list(book.resume())) == 63
    assert book.held(2) == ImageCount(payload_bytes=2)
    book.clear()
    assert book.get(2) is None


def test_the_latest_16384_nonces_are_remembered() -> None:
    nonces = Nonces()
    for number in range(16_384):
        assert nonces.is_new(number.to_bytes(8, "big"))
    assert nonces.is_new(bytes(8)) is False
    assert nonces.is_new(b"one more")
    assert nonces.is_new((1).to_bytes(8, "big")) is False
    assert nonces.is_new(bytes(8))  # the oldest one
