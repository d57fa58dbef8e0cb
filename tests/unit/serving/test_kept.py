"""Sessions that outlive their connection: bounded in time, number and bytes, and nobody else's."""

import asyncio
import contextlib

import pytest

from heliograph.protocol.events import (
    DraftReceived,
    ImageAnnounced,
    QuestionAsked,
    SegmentReceived,
    WelcomeReceived,
)
from heliograph.protocol.images import SessionMemory
from heliograph.question import Question
from heliograph.serving.desk.desk import Desk
from heliograph.serving.desk.states import QuestionEvent
from heliograph.serving.holding import Account
from heliograph.serving.jobs import Outcome
from heliograph.serving.kept import KeptSession, KeptSessions, Owner
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.websocket_client import open_websocket
from heliograph.types import Answer


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


ANN, BEN = Owner(b"ann" * 8, b"ann"), Owner(b"ben" * 8, b"ben")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def session_of(metrics):
    """A session with one photo of a size."""

    def make(size, segments=1):
        desk = Desk()
        desk.announce(ImageAnnounced(0, "klt", b""))
        for place in range(segments):
            desk.add_segment(SegmentReceived(0, place, bytes(size)), 0.0)
        account = Account(metrics)
        account.set(desk.held_bytes)
        return KeptSession(SessionMemory(), desk, account)

    return make


@pytest.fixture
def kept(clock):
    return KeptSessions(keep_s=10, max_sessions=2, max_bytes=100_000, clock=clock)


def test_a_session_is_kept_for_its_time_and_taken_once(kept, clock, metrics, session_of):
    session = session_of(30)
    kept.keep(b"a" * 16, session, ANN)
    assert kept.recall(b"b" * 16, ANN) is None
    assert kept.recall(b"a" * 16, ANN) is session
    assert kept.recall(b"a" * 16, ANN) is None
    kept.keep(b"a" * 16, session, ANN)
    assert metrics.held_bytes_open == kept.held_bytes > 30
    clock.now = 10.0
    assert kept.recall(b"a" * 16, ANN) is None
    assert metrics.held_bytes_open == 0


def test_the_oldest_goes_where_there_are_too_many_or_too_many_bytes(kept, metrics, session_of):
    for name in (b"a", b"b", b"c"):
        kept.keep(name * 16, session_of(10), ANN)
    assert kept.recall(b"a" * 16, ANN) is None
    kept.keep(b"d" * 16, session_of(94_000), ANN)
    assert kept.held_bytes <= 100_000
    assert metrics.held_bytes_open == kept.held_bytes
    assert kept.recall(b"b" * 16, ANN) is None
    assert kept.recall(b"d" * 16, ANN) is not None


def test_a_session_that_is_too_large_is_not_kept_and_pushes_none_out(kept, metrics, session_of):
    kept.keep(b"a" * 16, session_of(50), ANN)
    kept.keep(b"b" * 16, session_of(100_001), ANN)
    assert metrics.held_bytes_open == kept.held_bytes
    assert len(kept) == 1
    assert kept.recall(b"a" * 16, ANN) is not None


def test_another_access_token_takes_up_no_session(kept, session_of):
    class Holder:
        def hand_over(self):
            raise AssertionError

    kept.serve(b"s" * 16, Holder(), ANN)
    assert kept.recall(b"s" * 16, BEN) is None
    kept.keep(b"a" * 16, session_of(10), ANN)
    assert kept.recall(b"a" * 16, BEN) is None
    assert kept.recall(b"a" * 16, ANN) is not None


def test_sessions_without_a_segment_are_not_kept_and_push_none_out(kept, metrics, session_of):
    kept.keep(b"a" * 16, session_of(50), ANN)
    for number in range(66):
        kept.keep(bytes([number]) * 16, session_of(50, segments=0), BEN)
    assert len(kept) == 1
    assert metrics.held_bytes_open == kept.held_bytes
    assert kept.recall(b"a" * 16, ANN) is not None


@pytest.mark.parametrize("size", [10, 20_000])
def test_the_devices_of_one_access_token_push_out_none_of_another(kept, session_of, size):
    kept.keep(b"a" * 16, session_of(50), ANN)
    for number in range(66):
        kept.keep(bytes([number]) * 16, session_of(size), BEN)
    assert kept.recall(b"a" * 16, ANN) is not None
    assert kept.recall(bytes([65]) * 16, BEN) is not None  # their newest


def test_a_large_session_is_not_pushed_out_by_many_small_ones(clock, session_of):
    kept = KeptSessions(keep_s=10, max_sessions=20, max_bytes=1 << 20, clock=clock)
    kept.keep(b"a" * 16, session_of(500_000), ANN)
    for number in range(66):
        kept.keep(bytes([number]) * 16, session_of(10), BEN)
    assert len(kept) == 20
    assert kept.recall(b"a" * 16, ANN) is not None


def test_a_cloud_that_keeps_nothing_gives_no_token(cloud, device_type):
    async def greeted(url):
        device = device_type(await open_websocket(url), resumable=True)
        await device.flush()
        welcome = await device.until(WelcomeReceived)
        await device.connection.close()
        return welcome

    with BackgroundServer(CloudApplication(cloud, limits=Limits(keep_s=0))) as server:
        assert asyncio.run(greeted(server.url)).session_token == b""


def test_an_answer_that_was_under_way_is_not_made_again():
    desk = Desk()
    desk.announce(ImageAnnounced(0, "klt", b""))
    desk.ask(QuestionAsked(0, 0, Question("what", "fixed", 0)), 0.0)
    desk.add_segment(SegmentReceived(0, 0, b"x"), 0.0)
    desk.finish(0)
    desk.decide(0)
    job = desk.next_job(0.0, 0.0)
    desk.deliver(job, Outcome(Answer("red", 0.5, 1.0, (1,))))
    desk.interrupt()
    assert desk.questions == {}
    desk.ask(QuestionAsked(1, 0, Question("what", "fixed", 0)), 5.0)
    desk.ask(QuestionAsked(2, 0, Question("other", "fixed", 0)), 5.0)
    desk.decide(0)
    desk.settle()
    assert [(step.question_id, step.event) for step in desk.book.take_steps()][-1] == (1, QuestionEvent.ANSWERED)
    assert list(desk.questions) == [2]


def conversation_of(serve_url, device_type, keep):
    """A device that sends three segments, and goes on with five over a second connection."""

    async def whole():
        first = device_type(await open_websocket(serve_url), resumable=True)
        first.ask(controller="energy", target=255)
        first.send([b"x"] * 3, finish=False)
        await first.flush()
        welcome = await first.until(WelcomeReceived)
        await first.until(DraftReceived)
        with contextlib.suppress(Exception):
            await keep(first)
        second = device_type(await open_websocket(serve_url), session_token=welcome.session_token)
        await second.flush()
        again = await second.until(WelcomeReceived)
        if again.held:
            held = again.held[0]
            second.session.hold_image(held.image_id, 3, held.segments, finished=held.finished)
            second.ask(question_id=1, image_id=0, controller="energy", target=255)
            for _ in range(5):
                second.session.send_segment(0, b"x")
            second.session.finish_image(0)
        else:
            second.ask(question_id=1, image_id=1)
            second.send([b"x"], 1)
        await second.flush()
        final = await second.final()
        await second.connection.close()
        return again, final

    return asyncio.run(whole())


async def abort(device):
    device.connection.abort()
    await asyncio.sleep(0.1)


async def leave_open(device):
    """The link is dead and nobody has noticed."""


async def say_goodbye(device):
    await device.connection.close()
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("ending", [abort, leave_open])
def test_a_session_goes_on_where_it_was(serve, cloud, model, device_type, ending):
    application = CloudApplication(cloud)
    with BackgroundServer(application) as server:
        again, final = conversation_of(server.url, device_type, ending)
    assert [(image.image_id, image.segments, image.finished) for image in again.held] == [(0, 3, False)]
    assert final.text == "what seen at 8"
    assert "what seen at 3" in model.verified  # what was known of the answer is not lost
    assert application.metrics.held_bytes_open == 0


@pytest.mark.parametrize(
    ("limits", "ending"), [(Limits(), say_goodbye), (Limits(keep_s=0.01), abort), (Limits(max_kept_bytes=2), abort)]
)
def test_a_session_that_is_over_or_not_kept_begins_anew(cloud, device_type, limits, ending):
    application = CloudApplication(cloud, limits=limits)
    with BackgroundServer(application) as server:
        again, final = conversation_of(server.url, device_type, ending)
    assert again.held is None
    assert final.text == "what seen at 1"
    assert application.metrics.held_bytes_open == 0
