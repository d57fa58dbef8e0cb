"""What is held of photos and questions is gone after its time, and nobody else takes it up. On made-up time."""

import asyncio
import gc
import weakref

import pytest

from heliograph.errors import UnknownImageError
from heliograph.protocol.events import ErrorReceived, FinalReceived, WelcomeReceived
from heliograph.question import Question
from heliograph.serving.retention import Retention


async def answered(fake, shared, question="what", **options):
    """A device whose question was answered."""
    device = fake.Device(shared, **options)
    device.session.ask(0, 0, question)
    device.session.announce_image(0, "klt", b"")
    device.session.send_segment(0, b"secret")
    device.session.finish_image(0)
    device.say()
    final = await device.hear(FinalReceived)
    assert final.text == f"{question} seen at 1"
    return device


class Watched:
    """Whether the things of a session are still in memory."""

    def __init__(self, device):
        desk = device.connection._attendant.desk
        things = [*desk.photos.values(), *desk.questions.values()]
        things += [photo.tokens.values for photo in desk.photos.values() if photo.tokens is not None]
        assert things
        self._watched = [weakref.ref(thing) for thing in things]

    @property
    def gone(self):
        gc.collect()
        return [watched() is None for watched in self._watched]


def test_a_photo_is_dropped_after_its_time_while_its_session_goes_on(fake, cloud):
    async def whole():
        async with fake.serving(cloud, retain_s=60.0) as shared:
            device = await answered(fake, shared)
            watched = Watched(device)
            await asyncio.sleep(55)
            device.session.ask(1, 0, "again")  # it is used: its time begins anew
            device.say()
            again = await device.hear(FinalReceived)
            await asyncio.sleep(55)
            before = watched.gone
            await asyncio.sleep(20)
            after = watched.gone
            device.session.ask(2, 0, "too late")
            device.say()
            late = await device.hear(FinalReceived, ErrorReceived)
            held = shared.metrics.held_bytes_open
            await device.gone()
            return again, before, after, late, held

    again, before, after, late, held = fake.run(whole())
    assert again.text == "again seen at 1"
    assert not any(before)
    assert all(after)
    assert late.error_class is UnknownImageError
    assert held < 40_000


def test_a_kept_session_is_dropped_after_its_time(fake, cloud):
    async def whole():
        async with fake.serving(cloud, retain_s=60.0, keep_s=600.0) as shared:
            tidying = asyncio.ensure_future(Retention(shared).work())
            device = await answered(fake, shared, resumable=True)
            watched = Watched(device)
            await device.gone()
            del device
            await asyncio.sleep(30)
            kept, before = len(shared.kept), watched.gone
            await asyncio.sleep(60)
            tidying.cancel()
            return kept, before, len(shared.kept), watched.gone, shared.metrics.held_bytes_open

    kept, before, left, after, held = fake.run(whole())
    assert (kept, left, held) == (1, 0, 0)
    assert not all(before)
    assert all(after)


def test_nothing_stays_of_the_last_job_when_its_session_has_ended(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device = await answered(fake, shared)
            watched = Watched(device)
            await device.gone(1000)
            del device
            await asyncio.sleep(1)
            return watched.gone

    assert all(fake.run(whole()))


@pytest.mark.parametrize(("retain_s", "open_session"), [(60.0, True), (None, False)])
def test_the_model_forgets_its_questions(fake, cloud, model, retain_s, open_session):
    forgotten = []
    model.forget_questions = lambda: forgotten.append(fake.now())

    async def whole():
        async with fake.serving(cloud, retain_s=retain_s, keep_s=10.0, idle_timeout_s=1e5) as shared:
            retention = Retention(shared)
            tidying = asyncio.ensure_future(retention.work())
            device = await answered(fake, shared)
            shared.metrics.sessions_open = 1
            asked_s = fake.now()
            await asyncio.sleep(59)
            while_open = list(forgotten)
            await device.gone(1000)
            shared.metrics.sessions_open = 0
            await asyncio.sleep(20)
            tidying.cancel()
            return asked_s, while_open

    asked_s, while_open = fake.run(whole())
    assert any(asked_s < at_s <= asked_s + 60 for at_s in while_open) is open_session
    assert forgotten[-1] > 59  # and in any case when the last session has gone


def test_a_draft_that_nobody_asks_for_again_is_dropped(fake, cloud):
    async def whole():
        async with fake.serving(cloud, question_timeout_s=50.0, idle_timeout_s=1e5) as shared:
            device = fake.Device(shared, resumable=True)
            device.say()
            token = (await device.hear(WelcomeReceived)).session_token
            device.session.ask(0, 0, Question("what", controller="energy", target=255))
            device.session.announce_image(0, "klt", b"")
            device.session.send_segment(0, b"x")
            device.say()
            await asyncio.sleep(1)
            await device.gone()
            again = fake.Device(shared, session_token=token)
            again.say()
            await again.hear(WelcomeReceived)
            desk = again.connection._attendant.desk
            drafts = list(desk.book.interrupted)
            await asyncio.sleep(70)
            left = list(desk.book.interrupted)
            await again.gone(1000)
            return drafts, left

    drafts, left = fake.run(whole())
    assert drafts == [(0, "what")]
    assert left == []


# ---- whose session it is -------------------------------------------------------------------------------------
@pytest.mark.parametrize("broken", [True, False])
def test_another_access_token_takes_up_nothing_and_disturbs_nobody(fake, cloud, broken):
    async def whole():
        async with fake.serving(cloud, frozenset({"ann", "ben"})) as shared:
            ann = await answered(fake, shared, token="ann", resumable=True)
            token = ann.session.session_token if hasattr(ann.session, "session_token") else ann.connection._token
            if broken:
                await ann.gone()
            ben = fake.Device(shared, "ben", session_token=token)
            ben.say()
            refused = await ben.hear(WelcomeReceived)
            undisturbed = broken or not ann.served.done()
            again = fake.Device(shared, "ann", session_token=token)
            again.say()
            taken = await again.hear(WelcomeReceived)
            for device in (ben, again):
                await device.gone(1000)
            return refused, undisturbed, taken, token

    refused, undisturbed, taken, token = fake.run(whole())
    assert refused.held is None
    assert refused.session_token not in (b"", token)
    assert undisturbed
    assert [image.image_id for image in taken.held] == [0]


def test_where_everybody_is_let_in_those_of_one_address_share_a_bound(fake, cloud):
    async def whole():
        async with fake.serving(cloud, max_kept_sessions=4) as shared:
            ann = await answered(fake, shared, host="10.0.0.1", resumable=True)
            token = ann.connection._token
            await ann.gone()
            for number in range(12):
                other = await answered(fake, shared, host="10.0.0.2", resumable=True, token=str(number))
                await other.gone()
            again = fake.Device(shared, host="10.0.0.9", session_token=token)  # it may have another address by now
            again.say()
            welcome = await again.hear(WelcomeReceived)
            await again.gone(1000)
            return welcome.held, len(shared.kept)

    held, kept = fake.run(whole())
    assert len(held) == 1
    assert kept == 3
