"""What waits for a device, and what is read of it: bounds in bytes and time. On made-up time, without sockets."""

import asyncio

import pytest

from heliograph.errors import ConnectionLostError
from heliograph.protocol.session import CloudSession
from heliograph.serving import reading
from heliograph.serving.metrics import Metrics
from heliograph.serving.reading import PORTION_BYTES, Reader
from heliograph.serving.turns import Allowance, Turns
from heliograph.serving.writing import Writer


class Queue:
    """A session that has some bytes to send."""

    def __init__(self, data=b""):
        self.data = data

    @property
    def queued_bytes(self):
        return len(self.data)

    def bytes_to_send(self):
        data, self.data = self.data, b""
        return data


@pytest.fixture
def writing(fake):
    """Run a test with a writer that may hold 10 bytes and has 30 s for a message."""

    def run(test):
        async def whole():
            line, session, metrics, room = fake.Line(), Queue(), Metrics(), []
            writer = Writer(line, session, metrics, 30.0, 10, lambda: room.append(fake.now()))
            return await test(writer, session, line, metrics, room)

        return fake.run(whole())

    return run


def test_a_writer_is_full_above_its_bound_and_has_room_again_when_all_is_sent(writing):
    async def test(writer, session, line, metrics, room):
        session.data = b"x" * 10
        writer.wake()
        await asyncio.wait_for(writer.room(), 1)
        assert not writer.full
        session.data = b"x" * 11
        assert (writer.full, writer.held_bytes) == (True, 11)
        writer.wake()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.room(), 1)
        line.reads.clear()
        running = asyncio.ensure_future(writer.run())
        await asyncio.sleep(5)
        session.data = b"y" * 3
        assert (writer.held_bytes, writer.full, metrics.sent_bytes_total) == (14, True, 0)  # what is on its way counts
        line.reads.set()
        await asyncio.sleep(1)
        assert (line.sent, metrics.sent_bytes_total, room) == ([b"x" * 11], 11, [pytest.approx(6.0)])
        assert not writer.full
        writer.wake()
        await asyncio.sleep(1)
        assert (line.sent[1:], metrics.sent_bytes_total, len(room)) == ([b"y" * 3], 14, 1)
        running.cancel()

    writing(test)


def test_nothing_to_send_is_no_message(writing):
    async def test(writer, session, line, metrics, room):
        await writer.flush()
        assert line.sent == []

    writing(test)


def test_a_device_that_takes_nothing_is_given_up_after_its_time_and_nobody_waits_for_it(writing):
    async def test(writer, session, line, metrics, room):
        line.reads.clear()
        session.data = b"x" * 11
        writer.wake()
        running = asyncio.ensure_future(writer.run())
        await asyncio.sleep(29.9)
        assert not running.done()
        await asyncio.sleep(0.2)
        with pytest.raises(TimeoutError):
            await running
        await asyncio.wait_for(writer.room(), 1)
        assert (writer.held_bytes, metrics.sent_bytes_total) == (0, 0)

    writing(test)


# ---- reading ---------------------------------------------------------------------------------------------
class Hearing:
    """A session that notes the portions that it is given."""

    closed, missing_bytes = False, 0

    def __init__(self):
        self.portions = []

    def events_of(self, data, now):
        self.portions.append(data)
        return [len(data)] if data else ["end"]


@pytest.fixture
def take(fake, monkeypatch):
    """Give a message to a session; every look at the processor's clock costs so much."""

    def run(data, look_s=0.0, missing_bytes=0, after=lambda session, allowance: None):
        spent = [0.0]

        def worked_s():
            spent[0] += look_s
            return spent[0]

        monkeypatch.setattr(reading, "worked_s", worked_s)

        async def whole():
            session, metrics = Hearing(), Metrics()
            session.missing_bytes = missing_bytes
            writer = Writer(fake.Line(), Queue(), metrics, 30.0, 10, lambda: None)
            allowance = Allowance(Turns(), 0.0, burst_s=1e9)
            reader = Reader(fake.Line(), session, writer, allowance, metrics, fake.now)
            events, slices = [], []

            def on_event(event):
                events.append(event)
                after(session, allowance)

            await reader.take(data, on_event, lambda: slices.append(len(events)))
            return session.portions, events, slices

        return fake.run(whole())

    return run


def test_a_message_is_read_in_portions_and_the_last_one_ends_a_slice(take):
    portions, events, slices = take(b"x" * 300)
    assert [len(portion) for portion in portions] == events == [PORTION_BYTES, PORTION_BYTES, 300 - 2 * PORTION_BYTES]
    assert slices == [3]


def test_a_slice_ends_after_a_millisecond_of_work(take):
    _, _, slices = take(b"x" * (4 * PORTION_BYTES), look_s=0.001)
    assert slices == [1, 2, 3, 4]
    _, _, slices = take(b"x" * (4 * PORTION_BYTES), look_s=0.0006)  # a look at the clock before, and one after each
    assert slices == [2, 4]


def test_the_rest_of_a_long_frame_is_taken_at_once(take):
    portions, _, _ = take(b"x" * 1000, missing_bytes=600)
    assert [len(portion) for portion in portions] == [600, 400]
    portions, _, _ = take(b"x" * 200, missing_bytes=3)
    assert [len(portion) for portion in portions] == [PORTION_BYTES, 200 - PORTION_BYTES]


def test_the_end_of_the_connection_is_told_once(take):
    assert take(b"") == ([b""], ["end"], [1])


def test_nothing_more_is_read_of_a_session_that_has_ended(take):
    def close(session, allowance):
        session.closed = True

    portions, _, _ = take(b"x" * 300, after=close)
    assert len(portions) == 1


def test_nobody_works_for_who_has_gone_but_to_hear_of_the_end(take):
    portions, _, _ = take(b"x" * 300, after=lambda session, allowance: allowance.close())
    assert len(portions) == 1


def test_how_a_connection_ended_is_known(fake):
    async def whole(message):
        line, metrics = fake.Line(), Metrics()
        session = CloudSession(b"8 bytes!", frozenset())
        writer = Writer(line, session, metrics, 30.0, 10, lambda: None)
        reader = Reader(line, session, writer, Allowance(Turns(), 0.0), metrics, fake.now)
        line.messages.put_nowait(message)
        data = await reader.message(15.0, 300.0)
        return data, reader.broke, metrics.received_bytes_total

    assert fake.run(whole(b"abc")) == (b"abc", False, 3)
    assert fake.run(whole(b"")) == (b"", False, 0)
    assert fake.run(whole(ConnectionLostError())) == (b"", True, 0)


@pytest.mark.parametrize(("greeted", "ended_s"), [(False, 15.0), (True, 304.0)])
def test_silence_is_borne_until_the_greeting_is_due_and_then_for_as_long_as_it_may(fake, greeted, ended_s):
    async def whole():
        line, metrics = fake.Line(), Metrics()
        session = CloudSession(b"8 bytes!", frozenset())
        writer = Writer(line, session, metrics, 30.0, 10, lambda: None)
        reader = Reader(line, session, writer, Allowance(Turns(), 0.0), metrics, fake.now)
        await asyncio.sleep(4)
        if greeted:
            list(session.receive(fake.hello(), fake.now()))
        with pytest.raises(TimeoutError):
            await reader.message(15.0, 300.0)
        return fake.now()

    assert fake.run(whole()) == pytest.approx(ended_s)
