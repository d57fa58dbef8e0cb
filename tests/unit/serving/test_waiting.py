"""What ends by itself, and when: greetings, questions without a photo, devices that do not read. On made-up time."""

import asyncio

import pytest

from heliograph.errors import StreamTruncatedError, TimedOutError, UnauthorizedError
from heliograph.protocol.codes import code_of_bytes
from heliograph.protocol.events import (
    DraftReceived,
    EnoughReceived,
    ErrorReceived,
    FinalReceived,
    SessionClosed,
    WelcomeReceived,
)
from heliograph.protocol.frames import FrameType, IdFrame, ImageFrame, QuestionFrame, encode_frame
from heliograph.question import Question
from heliograph.serving.turns import Allowance, Turns


def asked(device, controller="energy", target=255, segments=(b"x",) * 3, finish=False, **wish):
    device.session.ask(0, 0, Question("what", controller=controller, target=target, **wish))
    device.session.announce_image(0, "klt", b"")
    for segment in segments:
        device.session.send_segment(0, segment)
    if finish:
        device.session.finish_image(0)
    device.say()


# ---- the greeting --------------------------------------------------------------------------------------
def test_the_whole_greeting_has_one_deadline(fake, cloud):
    async def whole():
        async with fake.serving(cloud, hello_timeout_s=15.0) as shared:
            device, ended_s = fake.Device(shared), []
            device.served.add_done_callback(lambda _: ended_s.append(fake.now()))
            for byte in device.session.bytes_to_send():
                await asyncio.sleep(5.0)
                device.line.say(bytes([byte]))
            return ended_s, device.hooks, await device.hear(SessionClosed), shared.metrics.held_bytes_open

    at_s, hooks, closed, held = fake.run(whole())
    assert at_s == pytest.approx([15.0], abs=0.1)
    assert (hooks, closed.error_class, held) == (["over"], TimedOutError, 0)


def test_the_door_is_told_who_is_let_in_and_who_is_not(fake, cloud):
    async def whole():
        async with fake.serving(cloud, frozenset({"right"})) as shared:
            let_in, refused, silent = fake.Device(shared, "right"), fake.Device(shared, "wrong"), fake.Device(shared)
            let_in.say()
            refused.say()
            await let_in.hear(WelcomeReceived)
            closed = await refused.hear(SessionClosed)
            await silent.gone()
            await let_in.gone(1000)
            return let_in.hooks, refused.hooks, silent.hooks, closed.error_class

    assert fake.run(whole()) == (["greeted", "over"], ["refused", "over"], ["over"], UnauthorizedError)


# ---- questions that wait for their photo -----------------------------------------------------------------
@pytest.mark.parametrize(
    "wish",
    [
        {"controller": "energy", "target": 255},
        {"controller": "fixed", "target": 0},
        {"controller": "fixed", "target": code_of_bytes(1 << 20)},
        {"controller": "pull", "target": 255},
        {"controller": "energy", "target": 255, "byte_budget": 1 << 20},
    ],
)
def test_a_photo_that_stops_coming_is_answered_from_what_came(fake, cloud, wish):
    async def whole():
        async with fake.serving(cloud, question_timeout_s=100.0) as shared:
            device = fake.Device(shared)
            asked(device, **wish)
            await asyncio.sleep(50)
            device.session.send_segment(0, b"x")  # still coming: the wait begins anew
            device.say()
            final = await device.hear(FinalReceived, ErrorReceived)
            enough = [event for event in device.heard if isinstance(event, EnoughReceived)]
            await device.gone()
            return final, enough, fake.now()

    final, _, at_s = fake.run(whole())
    assert (final.text, final.segments_used) == ("what seen at 4", 4)
    assert 150 <= at_s < 170


def test_a_picture_that_stops_coming_is_a_named_error(fake, cloud):
    async def whole():
        async with fake.serving(cloud, question_timeout_s=100.0) as shared:
            device = fake.Device(shared)
            device.session.ask(0, 0, Question("what", controller="fixed"))
            device.session.announce_image(0, "jpeg", b"")
            device.session.send_segment(0, b"\xff\xd8\xff")
            device.say()
            failed = await device.hear(FinalReceived, ErrorReceived)
            await device.gone()
            return failed, fake.now()

    failed, at_s = fake.run(whole())
    assert issubclass(failed.error_class, StreamTruncatedError)
    assert at_s < 120


@pytest.mark.parametrize("announced", [True, False])
def test_a_photo_that_never_comes_is_a_named_error(fake, cloud, announced):
    async def whole():
        async with fake.serving(cloud, question_timeout_s=100.0) as shared:
            device = fake.Device(shared)
            device.session.ask(0, 0, Question("what", controller="energy", target=255))
            if announced:
                device.session.announce_image(0, "klt", b"")
            device.say()
            failed = await device.hear(FinalReceived, ErrorReceived)
            device.session.ask(1, 5, "and")
            device.session.announce_image(5, "klt", b"")
            device.session.send_segment(5, b"x")
            device.session.finish_image(5)
            device.say()
            final = await device.hear(FinalReceived)
            await device.gone()
            return failed, final.text

    failed, text = fake.run(whole())
    assert (failed.error_class, failed.question_id) == (TimedOutError, 0)
    assert text == "and seen at 1"  # the session lives


def test_a_long_segment_over_a_thin_link_is_waited_for(fake, cloud):
    async def whole():
        async with fake.serving(cloud, question_timeout_s=100.0) as shared:
            device = fake.Device(shared)
            asked(device, segments=())
            device.session.send_segment(0, b"x" * 400)
            device.session.finish_image(0)
            data = device.session.bytes_to_send()
            for byte in data[:-3]:
                device.line.say(bytes([byte]))
                await asyncio.sleep(1.0)
            device.line.say(data[-3:])
            final = await device.hear(FinalReceived, ErrorReceived)
            await device.gone()
            return final

    assert fake.run(whole()).text == "what seen at 1"


# ---- a device that does not read ---------------------------------------------------------------------------
def test_a_device_that_does_not_read_is_broken_off_and_kept(fake, cloud):
    async def whole():
        async with fake.serving(cloud, send_timeout_s=30.0, keep_s=1000.0) as shared:
            device = fake.Device(shared, resumable=True)
            device.say()
            token = (await device.hear(WelcomeReceived)).session_token
            asked(device)
            await device.hear(DraftReceived)
            device.line.reads.clear()
            device.session.send_segment(0, b"x")
            device.say()
            await device.served
            at_s = fake.now()
            again = fake.Device(shared, session_token=token)
            again.say()
            welcome = await again.hear(WelcomeReceived)
            await again.gone(1000)
            return at_s, welcome.held, shared.metrics.held_bytes_open

    at_s, held, left = fake.run(whole())
    assert 30 <= at_s < 32
    assert [(image.image_id, image.segments) for image in held] == [(0, 4)]
    assert left == 0


def test_what_waits_for_a_device_that_does_not_read_is_bounded(fake, cloud):
    """One message with 4,000 questions that fail, and many more messages: they are not worked on any further."""

    async def whole():
        async with fake.serving(cloud, max_unsent_bytes=1000, send_timeout_s=1e5, idle_timeout_s=1e5) as shared:
            device = fake.Device(shared)
            device.say()
            await device.hear(WelcomeReceived)
            device.line.reads.clear()
            asked(device, finish=True)
            most = 0
            failing = [encode_frame(QuestionFrame(n, 9, 1, 0, 64, False, b"?")) for n in range(1, 4000)]
            device.line.say(b"".join(failing))
            for number in range(4000, 4100):
                device.line.say(encode_frame(QuestionFrame(number, 9, 1, 0, 64, False, b"?")))
            for _ in range(200):
                await asyncio.sleep(0.05)
                most = max(most, device.connection._writer.held_bytes)
            device.line.reads.set()
            await device.hear(FinalReceived)
            await asyncio.sleep(100)
            left = device.line.messages.qsize()
            await device.gone()
            return most, left

    most, left = fake.run(whole())
    assert most < 6000  # the bound, and what one slice can add to it; without one it were 16,000
    assert left == 0


# ---- whose turn it is ------------------------------------------------------------------------------------------
def test_an_allowance_is_spent_earned_and_never_more_than_the_burst():
    allowance = Allowance(Turns(share=0.5), 0.0, burst_s=1.0, refill=0.1)
    assert allowance.spend(0.75, 0.0) == 0.0
    assert allowance.spend(0.5, 0.0) == pytest.approx(0.5)  # half of it was over, and waits twice as long
    assert allowance.spend(0.1, 1.0) == 0.0  # earned in a second
    assert allowance.spend(1.0, 1000.0) == 0.0
    assert allowance.spend(0.1, 1000.0) > 0.0


def test_those_that_are_over_their_allowance_wait_for_each_other():
    turns = Turns(share=0.5)
    greedy = [Allowance(turns, 0.0, burst_s=0.0) for _ in range(10)]
    waits = [one.spend(0.001, 0.0) for one in greedy]
    assert waits == pytest.approx([0.002 * place for place in range(1, 11)])
    assert Allowance(turns, 0.0).spend(0.001, 0.0) == 0.0  # who is not does not
    assert greedy[0].spend(0.001, 50.0) == pytest.approx(0.002)


def test_a_message_of_much_work_leaves_turns_to_others(fake, cloud):
    """Between any two turns of the loop there are few frames of one message, whatever it holds."""

    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            asked(device, segments=())
            await device.hear(WelcomeReceived)
            device.connection._reader._allowance = Allowance(Turns(), 0.0, burst_s=1e9)
            desk, most, before = device.connection._attendant.desk, 0, 0
            device.line.say(b"\x80" * 4000 + encode_frame(IdFrame(FrameType.IMAGE_END, 0)))
            while not desk.photos[0].finished:
                await asyncio.sleep(0)
                most, before = max(most, len(desk.photos[0]) - before), len(desk.photos[0])
            await device.gone()
            return most

    assert 0 < fake.run(whole()) <= 1500  # a slice ends by processor time: 1 ms, and 128 frames at least


def test_what_a_device_sent_before_it_left_is_not_worked_on(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            allowance = Allowance(Turns(), 0.0, burst_s=0.0)
            device.connection._reader._allowance = allowance
            asked(device, segments=())
            await device.hear(WelcomeReceived)
            device.line.say(b"\x80" * 4000)
            await asyncio.sleep(0)
            allowance.close()
            desk = device.connection._attendant.desk
            photo = desk.photos[0]
            await device.gone()
            return len(photo)

    assert fake.run(whole()) < 4000


def test_photos_that_came_and_went_leave_no_work_behind(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            device.say()
            await device.hear(WelcomeReceived)
            device.connection._reader._allowance = Allowance(Turns(), 0.0, burst_s=1e9)
            pairs = (
                encode_frame(ImageFrame(n, 1, b"")) + encode_frame(IdFrame(FrameType.FORGET, n)) for n in range(2000)
            )
            device.line.say(b"".join(pairs))
            most = 0
            while device.connection._session.memory.images.last_id < 1999:
                await asyncio.sleep(0)
                most = max(most, len(device.connection._attendant.desk.book.watchlist))
            await device.gone(1000)
            return most

    assert fake.run(whole()) <= 64
