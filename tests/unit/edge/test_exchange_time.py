"""One question on a link that is no connection: what is sent, heard, waited for and ignored, on made-up time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from heliograph.edge.budget import PayloadAccount
from heliograph.edge.exchange import DeviceSide, Exchange
from heliograph.edge.report import Draft
from heliograph.edge.streams import PhotoStream
from heliograph.errors import AnsweringFailedError, ConnectionLostError, HeliographError, TooManyError, UsageError
from heliograph.protocol import events as ev
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.question import Question
from heliograph.strategies.selection import needs_bundle
from made_up_time import now, run
from scripted_cloud import stream

QUESTION, PHOTO, CROP = 7, 3, 9


class Link:
    """What an exchange uses of a link; ``heard`` is what a cloud makes of all that was flushed, with its time."""

    failure: HeliographError | None = None

    def __init__(self, opening_s: float = 0.0) -> None:
        self.session, self.opening_s = DeviceSession(b""), opening_s
        self.session.start()
        self.events: asyncio.Queue[ev.Event] = asyncio.Queue()
        self.heard: list[tuple[float, ev.Event]] = []
        self.rooms: list[int] = []
        self._cloud = CloudSession(b"", frozenset(), needs_bundle=needs_bundle)

    def flush(self) -> None:
        if data := self.session.bytes_to_send():
            self.heard += [(now(), event) for event in self._cloud.receive(data, 0.0)]

    def say(self, event: ev.Event) -> None:
        """Let the device hear what a cloud says."""
        if isinstance(event, ev.RegionRequested):
            self._cloud.send_region(event.question_id, event.box)  # which then awaits a crop
        self.events.put_nowait(event)

    def queue_payload(self, payload_bytes: int) -> None:
        return None

    async def room(self, unsent_bytes: int) -> None:
        self.rooms.append(unsent_bytes)
        await asyncio.sleep(0)

    async def event(self) -> ev.Event:
        return await self.events.get()

    def of(self, kind: type[ev.Event]) -> list[ev.Event]:
        return [event for _, event in self.heard if isinstance(event, kind)]

    def times_of(self, kind: type[ev.Event]) -> list[float]:
        return [at_s for at_s, event in self.heard if isinstance(event, kind)]


def final(text: str = "blue", used: int = 1, question: int = QUESTION, flags: AnswerFlag = NO_FLAGS) -> ev.Event:
    return ev.FinalReceived(question, text, 0.5, used, flags)


Says = tuple[float, ev.Event]


def exchange(
    encoded: Any = None, *says: Says, question: Question | None = None, link: Link | None = None, **side: Any
) -> tuple[Draft | Exception, Exchange, Link, PhotoStream]:
    """What comes of a question when the cloud says these things at these times."""

    async def whole() -> tuple[Draft | Exception, Exchange, Link, PhotoStream]:
        used = link if link is not None else Link()
        photo = PhotoStream(PHOTO, None, encoded or stream(2))
        asked = question or Question("colour?", "fixed", 0)
        exchanged = Exchange(asked, DeviceSide(**side), photo, PayloadAccount(), lambda: 1000 * now())

        async def talk() -> None:
            for at_s, event in says:
                await asyncio.sleep(at_s - now())
                used.say(event)

        talking = asyncio.create_task(talk())
        try:
            found: Draft | Exception = await exchanged.run(used, QUESTION, None)  # type: ignore[arg-type]
        except Exception as error:
            found = error
        talking.cancel()
        left = [task for task in asyncio.all_tasks() if task not in (asyncio.current_task(), talking)]
        assert [task for task in left if "wait_for" not in str(task) and "whole" not in str(task)] == []
        return found, exchanged, used, photo

    return run(whole())


def test_the_final_answer_with_its_time_bytes_and_flags() -> None:
    found, *_ = exchange(stream(2), (2.5, final("red", 1, flags=AnswerFlag.CONTROLLER_FAILED)))
    assert found == Draft(2500.0, 101, 0.5, "red", True, AnswerFlag.CONTROLLER_FAILED)
    found, *_ = exchange(stream(2), (0.5, final("red", 0)))
    assert found == Draft(500.0, 1, 0.5, "red", False, NO_FLAGS)


def test_drafts_are_kept_in_order_and_shown() -> None:
    shown = list[Draft]()
    said = [(1.0, ev.DraftReceived(QUESTION, "a", 0.25, 1)), (2.0, ev.DraftReceived(QUESTION, "b", 0.75, 2))]
    _, exchanged, *_ = exchange(stream(2), *said, (3.0, final()), on_draft=shown.append)
    assert shown == exchanged.drafts == [Draft(1000.0, 101, 0.25, "a"), Draft(2000.0, 201, 0.75, "b")]


def test_what_concerns_other_questions_and_photos_is_ignored() -> None:
    others: list[Says] = [
        (1.0, ev.DraftReceived(QUESTION - 1, "other", 0.9, 1)),
        (1.1, final("other", question=QUESTION - 1)),
        (1.2, ev.ErrorReceived(AnsweringFailedError, QUESTION - 1)),
        (1.3, ev.RegionRequested(QUESTION - 1, (0, 0, 9, 9))),
        (1.4, ev.MoreRequested(PHOTO + 1, 5)),
        (1.5, ev.EnoughReceived(PHOTO)),
    ]
    found, exchanged, link, photo = exchange(stream(8), *others, (9.0, final()), question=Question("?", "pull"))
    assert isinstance(found, Draft)
    assert (found.text, found.t_ms, exchanged.drafts) == ("blue", 9000.0, [])
    assert photo.sent == 2  # a quarter of eight, and no more was asked for
    assert not link.of(ev.CropAnnounced)


@pytest.mark.parametrize("error", [AnsweringFailedError, TooManyError])
def test_an_error_of_this_question_ends_it(error: type[Exception]) -> None:
    found, _, link, _ = exchange(stream(8), (1.0, ev.ErrorReceived(error, QUESTION)), (2.0, final()))  # type: ignore[arg-type]
    assert type(found) is error
    assert link.of(ev.QuestionCancelled)  # this session did not hear of the error; to one that did it is no news


@pytest.mark.parametrize(("closed", "error"), [(None, ConnectionLostError), (UsageError, UsageError)])
def test_the_end_of_the_session_is_named(closed: Any, error: type[Exception]) -> None:
    found, *_ = exchange(stream(8), (1.0, ev.SessionClosed(closed)), (2.0, final()))
    assert type(found) is error


def test_more_after_the_end_sends_nothing() -> None:
    found, _, link, _ = exchange(stream(2), (1.0, ev.MoreRequested(PHOTO, 5)), (2.0, final()))
    assert isinstance(found, Draft)
    assert (len(link.of(ev.SegmentReceived)), len(link.of(ev.ImageFinished))) == (2, 1)


def test_more_counts_from_what_was_sent() -> None:
    """A quarter of 12 is 3; 2 more and then 100 more of the 7 that are left."""
    says = [(1.0, ev.MoreRequested(PHOTO, 2)), (2.0, ev.MoreRequested(PHOTO, 100)), (3.0, final())]
    _, _, link, _ = exchange(stream(12), *says, question=Question("?", "pull"))
    assert link.times_of(ev.SegmentReceived) == [0.0] * 3 + [1.0] * 2 + [2.0] * 7
    assert link.times_of(ev.ImageFinished) == [2.0]
    assert [event.total_segments for event in link.of(ev.ImageAnnounced)] == [12]  # type: ignore[attr-defined]


def test_a_chunk_that_was_begun_is_finished_first() -> None:
    async def whole() -> list[int]:
        counts = []
        for sent in (0, 1, 3, 5):
            link, photo = Link(), PhotoStream(PHOTO, None, stream(12), sent=sent)
            exchanged = Exchange(Question("?", "pull"), DeviceSide(), photo, PayloadAccount(), now)
            link.events.put_nowait(final())
            running = asyncio.create_task(exchanged._send(None))
            exchanged._link, exchanged._question_id = link, QUESTION  # type: ignore[assignment]
            await asyncio.sleep(1)
            running.cancel()
            counts.append(photo.sent)
        return counts

    assert run(whole()) == [3, 3, 6, 6]


@pytest.mark.parametrize(("opening_s", "at_s"), [(0.0, 1.0), (0.3, 1.0), (2.5, 2.5)])
def test_where_the_cloud_should_have_enough_it_is_given_a_second_or_an_opening_to_say_so(
    opening_s: float, at_s: float
) -> None:
    asked = Question("?", "energy", 128)  # reached by the third of 4 segments
    _, _, link, photo = exchange(
        stream(4, (0.1, 0.2, 0.6, 1.0)), (9.0, final()), question=asked, link=None if not opening_s else Link(opening_s)
    )
    assert link.times_of(ev.SegmentReceived) == [0.0, 0.0, 0.0, at_s]
    assert photo.finished


def test_enough_within_that_second_stops_it_there_and_more_takes_it_up_at_once() -> None:
    asked, encoded = Question("?", "energy", 128), stream(4, (0.1, 0.2, 0.6, 1.0))
    _, _, link, photo = exchange(encoded, (0.5, final()), question=asked)
    assert (photo.sent, photo.finished) == (3, False)
    _, _, link, photo = exchange(encoded, (0.5, ev.MoreRequested(PHOTO, 1)), (9.0, final()), question=asked)
    assert link.times_of(ev.SegmentReceived) == [0.0, 0.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("question", "message", "unsent"),
    [
        (Question("?", "push"), 100, 40),
        (Question("?", "push", confidence="error-head"), 200, 256),
        (Question("?", "fixed"), 200, 256),
    ],
)
def test_messages_are_small_where_drafts_are_judged(question: Question, message: int, unsent: int) -> None:
    """Segments of 100 bytes: one makes 40 bytes full, two make 128 full."""
    _, _, link, _ = exchange(stream(4), (1.0, final()), question=question)
    assert link.rooms == [unsent] * (400 // message)


# ---- regions -------------------------------------------------------------------------------------------
BOX = (0, 0, 512, 512)


def crop_after(seconds: float, segments: int = 1) -> Callable[[Any], Awaitable[PhotoStream]]:
    async def crop(box: Any) -> PhotoStream:
        await asyncio.sleep(seconds)
        return PhotoStream(CROP, None, stream(segments))

    return crop


def test_a_region_is_sent_when_it_is_there() -> None:
    _, exchanged, link, _ = exchange(
        stream(1), (1.0, ev.RegionRequested(QUESTION, BOX)), (9.0, final()), crop=crop_after(3.0)
    )
    assert [(event.question_id, event.image_id) for event in link.of(ev.CropAnnounced)] == [(QUESTION, CROP)]  # type: ignore[attr-defined]
    assert link.times_of(ev.CropAnnounced) == [4.0]
    assert link.times_of(ev.ImageFinished) == [0.0, 4.0]
    assert exchanged.regions_sent == 1


def test_a_region_that_comes_too_late_is_not_sent() -> None:
    found, exchanged, link, _ = exchange(
        stream(1), (1.0, ev.RegionRequested(QUESTION, BOX)), (2.0, final()), crop=crop_after(3.0)
    )
    assert isinstance(found, Draft)
    assert (found.t_ms, exchanged.regions_sent, link.of(ev.CropAnnounced)) == (2000.0, 0, [])


def test_a_region_that_nobody_can_make_is_refused() -> None:
    _, exchanged, link, _ = exchange(stream(1), (1.0, ev.RegionRequested(QUESTION, BOX)), (2.0, final()))
    assert [event.image_id for event in link.of(ev.CropAnnounced)] == [None]  # type: ignore[attr-defined]
    assert link.times_of(ev.CropAnnounced) == [1.0]
    assert exchanged.regions_sent == 0


def test_the_photo_is_not_sent_on_once_a_region_is_asked_for() -> None:
    """The first answer is there by then: of a photo that waits for MORE nothing more is of use."""
    says = [(1.0, ev.RegionRequested(QUESTION, BOX)), (2.0, ev.MoreRequested(PHOTO, 9)), (9.0, final())]
    _, _, link, photo = exchange(stream(8), *says, question=Question("?", "pull"), crop=crop_after(3.0, segments=4))
    assert photo.sent == 2
    assert len(link.of(ev.SegmentReceived)) == 2 + 4


def test_one_region_a_question() -> None:
    says = [(1.0, ev.RegionRequested(QUESTION, BOX)), (1.5, ev.RegionRequested(QUESTION, (0, 0, 9, 9))), (9.0, final())]
    _, exchanged, link, _ = exchange(stream(1), *says, crop=crop_after(3.0))
    assert (exchanged.regions_sent, len(link.of(ev.CropAnnounced))) == (1, 1)
