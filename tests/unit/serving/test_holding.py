"""Memory is counted as it is held, and bounded on what is counted."""

import asyncio

import pytest

from heliograph.bench.hardening.session_memory import SHAPES, measure_session_memory
from heliograph.errors import ServerBusyError, TooManyError
from heliograph.protocol.events import FinalReceived, SessionClosed, WelcomeReceived
from heliograph.serving.desk.photo import Photo


def test_segments_are_stored_joined_and_come_back_as_they_were():
    photo = Photo("klt", b"head", 5, now=1.0)
    parts = [b"", b"ab", b"c" * 300, b"", b"d"]
    for place, part in enumerate(parts):
        photo.add(part, float(place))
    assert photo.encoded().segments == tuple(parts)
    assert photo.encoded(3).segments == tuple(parts[:3])
    assert [photo.prefix_bytes(count) for count in range(6)] == [4, 4, 6, 306, 306, 307]
    assert (len(photo), photo.payload_bytes, photo.arrived_s(-1), photo.arrived_s(1)) == (5, 307, 4.0, 1.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_counted_is_what_is_held(shape):
    growth = measure_session_memory(shape, sessions=2)
    assert 0.3 <= growth.ratio <= 1.5
    assert growth.kept_bytes <= 1.5 * growth.kept_counted + 20_000


def sent(device, image_id, size):
    device.session.announce_image(image_id, "klt", b"")
    device.session.send_segment(image_id, bytes(size))
    device.say()


def test_the_session_that_holds_most_gives_way_and_no_other(fake, cloud):
    async def whole():
        async with fake.serving(cloud, max_held_bytes=1_500_000) as shared:
            modest, greedy, other = (fake.Device(shared) for _ in range(3))
            for device in (modest, greedy, other):
                device.say()
                await device.hear(WelcomeReceived)
            sent(modest, 0, 100_000)
            for image_id in range(4):
                sent(greedy, image_id, 170_000)
            await asyncio.sleep(0.1)
            assert not greedy.served.done()
            for image_id in range(4):
                sent(other, image_id, 160_000)
                await asyncio.sleep(0.1)
            closed = await greedy.hear(SessionClosed)
            most = shared.metrics.held_bytes_open
            modest.session.finish_image(0)
            modest.session.ask(0, 0, "what")
            modest.say()
            final = await modest.hear(FinalReceived)
            for device in (modest, other):
                await device.gone(1000)
            return closed.error_class, final.text, most, shared.metrics.held_bytes_open

    error, text, most, left = fake.run(whole())
    assert (error, text, left) == (ServerBusyError, "what seen at 1", 0)
    assert most <= 1_500_000


def test_a_session_that_alone_is_too_much_is_told_so(fake, cloud):
    async def whole():
        async with fake.serving(cloud, max_held_bytes=500_000) as shared:
            device = fake.Device(shared)
            sent(device, 0, 600_000)
            closed = await device.hear(SessionClosed)
            await device.served
            return closed.error_class, shared.metrics.held_bytes_open

    assert fake.run(whole()) == (TooManyError, 0)


def test_kept_sessions_and_restored_tokens_give_way_first(fake, cloud):
    async def whole():
        async with fake.serving(cloud, max_held_bytes=600_000) as shared:
            gone = fake.Device(shared, resumable=True)
            gone.say()
            await gone.hear(WelcomeReceived)
            sent(gone, 0, 300_000)
            await asyncio.sleep(0.1)
            await gone.gone()
            kept = len(shared.kept)
            device = fake.Device(shared)
            sent(device, 0, 400_000)
            await asyncio.sleep(0.1)
            device.session.finish_image(0)
            device.session.ask(0, 0, "what")
            device.say()
            final = await device.hear(FinalReceived)
            await device.gone(1000)
            return kept, len(shared.kept), final.text, shared.metrics.held_bytes_open

    assert fake.run(whole()) == (1, 0, "what seen at 1", 0)
