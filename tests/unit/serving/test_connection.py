"""One device's connection: what it tells the door and the shelf, what it counts, and how it ends. On made-up time."""

import asyncio
import logging

import pytest

from heliograph.errors import ServerBusyError, TimedOutError, TooManyError, UnauthorizedError
from heliograph.protocol.access import owner_of
from heliograph.protocol.events import DraftReceived, FinalReceived, SessionClosed, WelcomeReceived
from heliograph.question import Question
from heliograph.serving.access_log import Visitor, token_label
from heliograph.serving.connection import DeviceConnection
from heliograph.serving.kept import Owner
from heliograph.serving.turns import Allowance, Turns
from heliograph.transport.base import NORMAL_CLOSURE, TRY_AGAIN_LATER

SESSION_BYTES = 32 * 1024


def photo(device, image_id=0, segments=(b"x",), finish=False):
    device.session.announce_image(image_id, "klt", b"")
    for segment in segments:
        device.session.send_segment(image_id, segment)
    if finish:
        device.session.finish_image(image_id)


def ask(device, question_id=0, finish=True, **wish):
    device.session.ask(question_id, 0, Question("what", **wish))
    photo(device, finish=finish)
    device.say()


async def greeted(fake, shared, **options):
    device = fake.Device(shared, **options)
    device.say()
    return device, await device.hear(WelcomeReceived)


# ---- the greeting ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("keep_s", "gets_one"), [(0.0, False), (0.5, True), (120.0, True)])
def test_a_token_to_go_on_with_is_given_where_sessions_are_kept(fake, cloud, keep_s, gets_one):
    async def whole():
        async with fake.serving(cloud, keep_s=keep_s) as shared:
            device, welcome = await greeted(fake, shared, resumable=True)
            await device.gone(NORMAL_CLOSURE)
            return welcome.session_token

    assert (fake.run(whole()) != b"") is gets_one


@pytest.mark.parametrize("tokens", [frozenset(), frozenset({"right"})])
def test_the_log_learns_who_comes(fake, cloud, caplog, tokens):
    caplog.set_level(logging.DEBUG, "heliograph.serving")

    async def whole():
        async with fake.serving(cloud, tokens) as shared:
            device, _ = await greeted(fake, shared, token="right" if tokens else "", host="10.0.0.7")
            visitor = device.connection._attendant.visitor
            await device.gone()
            return visitor

    assert fake.run(whole()) == Visitor("10.0.0.7", token_label(owner_of("right")) if tokens else "")
    assert [one.getMessage() for one in caplog.records] == ["session of 10.0.0.7 begins"]


def test_the_answer_to_a_wrong_token_takes_the_time_that_the_door_wants(fake, cloud):
    async def whole():
        async with fake.serving(cloud, frozenset({"right"})) as shared:
            device = fake.Device(shared, "wrong")

            async def refuse():
                await asyncio.sleep(7.0)

            device.connection._guest.refuse = refuse
            device.say()
            await asyncio.sleep(6.9)
            early = list(device.line.sent)
            closed = await device.hear(SessionClosed)
            await device.served
            return early, closed.error_class, fake.now(), device.line.closed

    early, error, at_s, code = fake.run(whole())
    assert (early, error, code) == ([], UnauthorizedError, NORMAL_CLOSURE)
    assert at_s == pytest.approx(7.0, abs=0.1)


def test_a_connection_draws_on_the_allowance_that_it_is_given_or_on_one_of_its_own(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            given = Allowance(Turns(), 0.0)
            with_one = DeviceConnection(fake.Line(), shared, None, given)
            first, second = (DeviceConnection(fake.Line(), shared)._reader._allowance for _ in range(2))
            return with_one._reader._allowance is given, first is not second, first._turns is shared.turns

    assert fake.run(whole()) == (True, True, True)


# ---- silence -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("owes", [True, False])
def test_who_waits_for_an_answer_may_be_silent_for_longer(fake, cloud, owes):
    async def whole():
        shared = fake.shared_of(cloud, idle_timeout_s=300.0, question_timeout_s=1e5)  # its model never works
        device, _ = await greeted(fake, shared)
        if owes:
            ask(device)
        await asyncio.sleep(299)
        early = device.served.done()
        await asyncio.sleep(600)
        late, errors, error = device.served.done(), shared.metrics.errors_total, device.connection._error
        if not late:
            await device.gone()
        return early, late, errors, error

    assert fake.run(whole()) == (False, not owes, int(not owes), None if owes else TimedOutError)


@pytest.mark.parametrize(("limits", "every_s"), [({}, 10.0), ({"retain_s": 40.0}, 5.0), ({"retain_s": 400.0}, 10.0)])
def test_what_waits_for_ever_is_looked_for_eight_times_within_the_shortest_time(fake, cloud, limits, every_s):
    async def whole():
        shared, at_s = fake.shared_of(cloud, question_timeout_s=80.0, **limits), []
        device, _ = await greeted(fake, shared)
        began_s = fake.now()
        device.connection._attendant.tidy = lambda: at_s.append(fake.now() - began_s)
        await asyncio.sleep(3.5 * every_s)
        await device.gone()
        return at_s

    assert fake.run(whole()) == pytest.approx([every_s, 2 * every_s, 3 * every_s], abs=0.05)


# ---- memory ------------------------------------------------------------------------------------------------
def test_a_session_is_counted_with_all_that_it_holds(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            await asyncio.sleep(0)
            empty = device.connection.account.held_bytes
            device.line.reads.clear()
            device.session.ask(0, 0, Question("what", "fixed"))
            photo(device, segments=(b"x" * 5000,))
            device.session.send_segment(0, b"y" * 1000)
            device.line.say(device.session.bytes_to_send()[:-300])  # its last frame is half here
            await asyncio.sleep(1)
            one = device.connection
            parts = (
                one._attendant.desk.held_bytes,
                one._session.held_bytes,
                one._session.draft_bytes,
                one._writer.held_bytes,
            )
            counted = one.account.held_bytes
            device.line.reads.set()
            await device.gone()
            return empty, parts, counted, shared.metrics.held_bytes_open

    empty, parts, counted, left = fake.run(whole())
    assert (empty, left) == (SESSION_BYTES, 0)
    assert min(parts) > 0
    assert counted == SESSION_BYTES + sum(parts)


def test_a_session_gives_back_its_restored_tokens_and_what_is_counted_of_them(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            ask(device)
            await device.hear(FinalReceived)
            before = device.connection.account.held_bytes
            device.connection.shed()
            after = device.connection.account.held_bytes
            await device.gone()
            return before - after

    assert fake.run(whole()) == 4 * 2 * 4  # (4, 2) in 32-bit floats


@pytest.mark.parametrize(("held", "error"), [(50_000, ServerBusyError), (50_001, TooManyError)])
def test_who_needs_more_than_half_of_the_room_alone_is_told_so(fake, cloud, held, error):
    async def whole():
        async with fake.serving(cloud, max_held_bytes=100_000) as shared:
            device, _ = await greeted(fake, shared)
            device.connection.account.set(held)
            device.connection.evict()
            counted = device.connection.account.held_bytes
            await device.served
            closed = await asyncio.wait_for(device.hear(SessionClosed), 1)
            return closed.error_class, counted, device.line.closed, shared.metrics.errors_total

    code = TRY_AGAIN_LATER if error is ServerBusyError else NORMAL_CLOSURE
    assert fake.run(whole()) == (error, SESSION_BYTES, code, 1)


def test_an_evicted_session_has_no_photo_and_no_place_at_the_model_any_more(fake, cloud):
    async def whole():
        shared = fake.shared_of(cloud)
        device = fake.Device(shared)
        ask(device)
        await device.hear(WelcomeReceived)
        await asyncio.sleep(0.1)
        waiting = list(shared.scheduler.waiting)
        device.connection.evict()
        held = device.connection._attendant.desk.photos
        left = list(shared.scheduler.waiting)
        await device.served
        return len(waiting), held, left, device.served.cancelled(), device.served.cancelling()

    assert fake.run(whole()) == (1, {}, [], False, 0)


# ---- the end -----------------------------------------------------------------------------------------------
def test_who_takes_no_goodbye_gets_ten_seconds_for_it(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device, _ = await greeted(fake, shared)
            device.line.reads.clear()
            began_s = fake.now()
            device.connection.evict()
            await device.served
            return fake.now() - began_s, device.line.closed, device.hooks[-1]

    assert fake.run(whole()) == (pytest.approx(10.0, abs=0.01), None, "over")


def test_who_is_cancelled_from_outside_is_cancelled(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device, _ = await greeted(fake, shared)
            device.served.cancel()
            with pytest.raises(asyncio.CancelledError):
                await device.served
            return device.line.closed, device.hooks, shared.metrics.held_bytes_open

    assert fake.run(whole()) == (NORMAL_CLOSURE, ["greeted", "over"], 0)


def test_a_session_can_be_taken_over_again_and_again_and_ends_with_its_last_connection(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            first = fake.Device(shared, resumable=True)
            photo(first)
            first.say()
            token, owner = (await first.hear(WelcomeReceived)).session_token, Owner(owner_of(""), b"10.0.0.1")
            held, served = [], []
            before = first
            for _ in range(3):
                device, welcome = await greeted(fake, shared, session_token=token)
                held.append([(one.image_id, one.segments) for one in welcome.held])
                await before.served
                served.append(shared.kept.is_served(token, owner))
                before = device
            await before.gone(NORMAL_CLOSURE)
            served.append(shared.kept.is_served(token, owner))
            return held, served, shared.metrics.held_bytes_open, len(shared.kept)

    assert fake.run(whole()) == ([[(0, 1)]] * 3, [True, True, True, False], 0, 0)


def test_where_tokens_are_needed_devices_with_one_token_share_a_bound_whatever_their_address(fake, cloud):
    async def whole():
        async with fake.serving(cloud, frozenset({"ann", "ben"}), max_kept_sessions=4) as shared:
            tokens = []
            for access, count in (("ann", 1), ("ben", 12)):
                for _ in range(count):
                    device = fake.Device(shared, access, resumable=True)
                    photo(device)
                    device.say()
                    tokens.append((await device.hear(WelcomeReceived)).session_token)
                    await device.gone()
            again, welcome = await greeted(fake, shared, token="ann", session_token=tokens[0])
            await again.gone(NORMAL_CLOSURE)
            return welcome.held is not None

    assert fake.run(whole())


def test_a_draft_is_told_while_the_photo_still_comes(fake, cloud):
    async def whole():
        async with fake.serving(cloud) as shared:
            device = fake.Device(shared)
            ask(device, finish=False, controller="fixed")
            draft = await device.hear(DraftReceived)
            await device.gone()
            return draft.text, device.hooks, shared.metrics.received_bytes_total > 0

    assert fake.run(whole()) == ("what seen at 1", ["greeted", "over"], True)
