"""How much of the observer's thread one session gets, and that whoever stays within it waits for nothing.

Time and processor seconds are made up: the codec says what it costs to measure a prefix.
"""

import asyncio
from types import SimpleNamespace

import pytest

from heliograph.errors import StreamDamagedError
from heliograph.protocol.events import EnoughReceived, ErrorReceived, FinalReceived
from heliograph.question import Question
from heliograph.serving import measuring
from heliograph.serving.measuring import Meter
from heliograph.serving.turns import Allowance, Turns

PHOTO_SEGMENTS = 18
PREFIX_S = 0.1 / PHOTO_SEGMENTS  # of processor: 100 ms for the photo


@pytest.fixture
def costly(cloud, monkeypatch):
    """A cloud whose codec takes made-up processor seconds for every prefix, and notes when."""
    spent = SimpleNamespace(s=0.0, prefix_s=PREFIX_S, measured=[])
    monkeypatch.setattr(measuring, "worked_s", lambda: spent.s)
    retained = cloud.retained_energy

    def retained_energy(encoded):
        spent.measured.append((asyncio.get_running_loop().time(), len(encoded.segments)))
        spent.s += spent.prefix_s
        return retained(encoded) if b"damaged" in encoded.segments else min(0.9, len(encoded.segments) / 20)

    monkeypatch.setattr(cloud, "retained_energy", retained_energy)
    return cloud, spent


async def stream(device, image_id, every_s, segments=PHOTO_SEGMENTS, forget=True):
    """Ask about a photo that comes segment by segment and never has enough."""
    device.session.ask(image_id, image_id, Question("what", controller="energy", target=255))
    device.session.announce_image(image_id, "klt", b"")
    for _ in range(segments):
        device.session.send_segment(image_id, b"x")
        device.say()
        await asyncio.sleep(every_s)
    if forget:
        device.session.cancel(image_id)
        device.session.forget_image(image_id)
        device.say()


def measured_of(fake, costly, photos, every_s, pause_s):
    cloud, spent = costly

    async def whole():
        async with fake.serving(cloud, draft_patience=1.0) as shared:
            device = fake.Device(shared)
            for image_id in range(photos):
                await stream(device, image_id, every_s)
                await asyncio.sleep(pause_s)
            await device.gone()

    fake.run(whole())
    return spent


@pytest.mark.parametrize(
    ("photos", "every_s", "pause_s"),
    [(5, 0.001, 0.0), (30, 0.01, 2.0)],  # five as quick as can be; 100 ms of work every 2.18 s for ever
)
def test_a_device_within_its_allowance_waits_for_nothing(fake, costly, photos, every_s, pause_s):
    spent = measured_of(fake, costly, photos, every_s, pause_s)
    each = [segments for _, segments in spent.measured if segments]
    assert each == photos * list(range(1, PHOTO_SEGMENTS + 1))


def test_a_device_beyond_it_gets_a_small_share_and_always_the_newest_prefix(fake, costly):
    """0.6 s at once, then (0.1 + 0.05) / (1 + 0.1) of the time: c of work every c / 0.136 s."""
    cloud, spent = costly

    async def whole():
        async with fake.serving(cloud, draft_patience=1.0) as shared:
            device = fake.Device(shared)
            await stream(device, 0, 0.01, segments=1500, forget=False)
            took_s = fake.now()
            await device.gone()
            return took_s

    took_s = fake.run(whole())
    assert took_s == pytest.approx(15.0, abs=0.1)
    assert spent.s == pytest.approx(0.6 + (took_s - 0.6) * 0.15 / 1.1, rel=0.1)
    late = [(at_s, segments) for at_s, segments in spent.measured if at_s > 5]
    assert all(abs(segments - at_s / 0.01) <= 2 for at_s, segments in late)


def test_sessions_over_their_allowance_share_one_queue():
    """The queue gives out a tenth of the thread: 20 sessions that owe 5 ms each wait up to 20 x 5 ms / 0.1."""
    turns = Turns.for_measuring()
    sessions = [Allowance.for_measuring(turns, 0.0) for _ in range(20)]
    assert [session.spend(0.6, 0.0) for session in sessions] == [0.0] * 20
    assert [session.spend(0.005, 0.0) for session in sessions] == pytest.approx([0.05 * (n + 1) for n in range(20)])
    assert Allowance.for_measuring(turns, 0.0).spend(0.1, 0.0) == 0.0


def test_a_complete_photo_and_another_device_do_not_wait(fake, costly):
    cloud, spent = costly
    spent.prefix_s = 10.0  # owes 9.4 s: rests for 94

    async def whole():
        async with fake.serving(cloud) as shared:
            greedy, other = fake.Device(shared), fake.Device(shared)
            await stream(greedy, 0, 1.0, segments=1, forget=False)
            begun_s = fake.now()
            greedy.session.send_segment(0, b"x")
            greedy.session.finish_image(0)
            greedy.say()
            final = await greedy.hear(FinalReceived)
            spent.prefix_s = PREFIX_S
            other.session.ask(0, 0, Question("what", controller="energy", target=1))
            other.session.announce_image(0, "klt", b"")
            other.session.send_segment(0, b"x")
            other.say()
            await other.hear(EnoughReceived)
            waited_s = fake.now() - begun_s
            await greedy.gone()
            await other.gone()
            return final.segments_used, waited_s

    used, waited_s = fake.run(whole())
    assert used == 2
    assert waited_s < 0.1


def test_a_time_to_answer_in_is_kept_for_a_device_that_rests(fake, costly):
    cloud, spent = costly
    spent.prefix_s = 10.0

    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            device.session.ask(0, 0, Question("what", controller="energy", target=255, answer_within_s=4.096))
            device.session.announce_image(0, "klt", b"")
            for _ in range(20):
                device.session.send_segment(0, b"x")
                device.say()
                await asyncio.sleep(0.1)
            await device.hear(FinalReceived)
            at_s = fake.now()
            await device.gone()
            return at_s

    assert fake.run(whole()) == pytest.approx(4.096, abs=0.1)


def test_a_damaged_prefix_is_charged_too(fake, costly):
    cloud, spent = costly
    spent.prefix_s = 1.0  # 0.4 s over: rests for 4

    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            device.session.ask(0, 0, Question("what", controller="energy", target=255))
            device.session.announce_image(0, "klt", b"")
            device.session.send_segment(0, b"damaged")
            device.say()
            failed = await device.hear(ErrorReceived)
            await stream(device, 1, 0.0, segments=1, forget=False)
            await asyncio.sleep(10.0)
            await device.gone()
            return failed.error_class

    assert fake.run(whole()) is StreamDamagedError
    assert [round(at_s) for at_s, _ in spent.measured] == [0, 4]


def test_a_meter_counts_work_that_fails(monkeypatch):
    ticks = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr(measuring, "worked_s", lambda: next(ticks))
    meter = Meter()
    assert meter.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        meter.run(divmod, 7, 0)
    assert meter.worked_s == 2.5


def test_a_photo_that_is_complete_by_the_time_its_turn_comes_is_not_measured_any_more(fake, costly):
    cloud, spent = costly

    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            async with shared.measuring:  # another session's turn
                await stream(device, 0, 0.1, segments=1, forget=False)
                device.session.finish_image(0)
                device.say()
                await asyncio.sleep(1)
            final = await asyncio.wait_for(device.hear(FinalReceived), 30)
            assert spent.measured == []
            await stream(device, 1, 0.1, segments=2, forget=False)  # and the session's next photo is
            await device.gone()
            return final.segments_used

    assert fake.run(whole()) == 1
    assert [segments for _, segments in spent.measured] == [1, 2]


def test_what_needs_no_measuring_waits_for_no_other_sessions_turn(fake, costly):
    cloud, spent = costly

    async def whole():
        async with fake.serving(cloud, draft_patience=1.0) as shared:
            device = fake.Device(shared)
            async with shared.measuring:
                device.session.ask(0, 0, Question("what", controller="fixed", target=1))
                device.session.announce_image(0, "klt", b"")
                device.session.send_segment(0, b"x" * 1024)
                device.say()
                enough = await asyncio.wait_for(device.hear(EnoughReceived), 30)
            await device.gone()
            return enough.image_id

    assert fake.run(whole()) == 0
    assert spent.measured == []
