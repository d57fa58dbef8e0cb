"""A flood of connections beside an honest device, at a real server with a slow model: turns count, not seconds."""

import asyncio
import time
from itertools import pairwise

import pytest

from heliograph.errors import ServerBusyError
from heliograph.protocol.access import owner_of
from heliograph.protocol.events import FinalReceived
from heliograph.protocol.session import DeviceSession
from heliograph.question import Question
from heliograph.serving.limits import Limits
from heliograph.serving.service import CloudService
from heliograph.transport.websocket_client import open_websocket

ANSWER_S, CROWD = 0.01, 63


@pytest.fixture
def slow(model):
    quick = model.answer

    def answer(*given, **named):
        time.sleep(ANSWER_S)
        return quick(*given, **named)

    model.answer = answer
    return model


async def asking(device, text, times):
    """Ask one question after the other about a photo that is there."""
    for number in range(times):
        device.ask(number, 0, text)
        if number == 0:
            device.send([b"x"])
        await device.flush()
        assert isinstance(await device.final(), FinalReceived)


async def beside(server, device_type, flood, honest, times):
    """Let an honest device ask beside a crowd; tokens are what each shows."""
    crowd = [device_type(await open_websocket(server.url), flood) for _ in range(CROWD)]
    guest = device_type(await open_websocket(server.url), honest)
    flooding = [asyncio.create_task(asking(one, "flood", 10**6)) for one in crowd]
    await asyncio.sleep(5 * ANSWER_S)
    await asking(guest, "honest", times)
    for task in flooding:
        task.cancel()
    await asyncio.gather(*flooding, return_exceptions=True)
    for device in (*crowd, guest):
        await device.connection.close()


def between(model):
    """The median number of answers from one of the honest device to its next."""
    texts = [text for text, _ in model.answered]
    places = [place for place, text in enumerate(texts) if text == "honest"]
    gaps = sorted(later - place for place, later in pairwise(places))
    return gaps[len(gaps) // 2]


def test_63_connections_of_one_token_take_no_more_turns_than_one_of_another(serve, cloud, slow, device_type):
    server = serve(cloud, access_tokens=frozenset({"crowd", "one"}))
    asyncio.run(beside(server, device_type, "crowd", "one", 12))
    assert between(slow) <= 6  # 2 where the device asks again at once; by connections it is 64


def test_a_crowd_of_the_same_token_shares_by_turns(serve, cloud, slow, device_type):
    server = serve(cloud, access_tokens=frozenset({"crowd", "one"}))
    asyncio.run(beside(server, device_type, "one", "one", 3))
    assert between(slow) > 30


# ---- who is one party ------------------------------------------------------------------------------------------
def party_of(fake, cloud, *devices, tokens=frozenset(), weights=None):
    """Which parties devices belong to, of (token, address), by number; and the weight of the first."""

    async def whole():
        shared = fake.shared_of(cloud, frozenset(tokens), weights)
        greeted = [fake.Device(shared, token, host) for token, host in devices]
        for device in greeted:
            device.say()
        await asyncio.sleep(1)
        parties = [device.connection._attendant.party for device in greeted]
        for device in greeted:
            device.served.cancel()
        return [parties.index(party) for party in parties], parties[0].weight

    return fake.run(whole())


def test_devices_are_told_apart_by_token_where_there_are_several(fake, cloud):
    devices = [("a", "10.0.0.1"), ("a", "10.0.0.2"), ("b", "10.0.0.1")]
    assert party_of(fake, cloud, *devices, tokens={"a", "b"}) == ([0, 0, 2], 1.0)


def test_devices_are_told_apart_by_address_where_all_show_the_same(fake, cloud):
    devices = [("a", "10.0.0.1"), ("a", "10.0.0.2"), ("a", "10.0.0.1"), ("a", "2001:db8::1"), ("a", "2001:db8::2")]
    for tokens in ((), ("a",)):
        assert party_of(fake, cloud, *devices, tokens=tokens) == ([0, 1, 0, 3, 3], 1.0)


def test_where_the_transport_has_no_addresses_every_connection_is_for_itself(fake, cloud):
    assert party_of(fake, cloud, ("", ""), ("", "")) == ([0, 1], 1.0)


def test_devices_are_told_apart_by_key_where_there_are_several(cloud):
    keys = (b"k" * 32, b"l" * 32)

    async def whole():
        async with CloudService(cloud, keys=keys) as service:
            sessions = []
            for key in (keys[0], keys[0], keys[1]):
                connection = await service.connect()
                session = DeviceSession(b"8 bytes!", key=key, nonce=bytes([len(sessions)]) * 8)
                session.start()
                session.ask(0, 0, Question("what", "fixed", 0))
                await connection.send(session.bytes_to_send())
                await connection.receive()
                sessions.append(connection)
            known = len(service._shared.parties)
            for connection in sessions:
                await connection.close()
            return known

    assert asyncio.run(whole()) == 2


def test_a_tokens_weight_is_that_of_its_party(cloud):
    service = CloudService(cloud, frozenset({"a", "b"}), weights={"a": 3.0, "b": 1.0})
    parties = service._shared.parties
    assert (parties.of(owner_of("a")).weight, parties.of(owner_of("b")).weight) == (3.0, 1.0)


def test_who_floods_is_refused_and_the_other_is_not(serve, cloud, slow, device_type):
    """With a bound so low that the crowd's own wait is over it."""
    limits = Limits(shed_drafts_s=0.05, shed_looks_s=0.05, refuse_s=8 * ANSWER_S)
    server = serve(cloud, access_tokens=frozenset({"crowd", "one"}), limits=limits)

    async def whole():
        refused = []
        crowd = [device_type(await open_websocket(server.url), "crowd") for _ in range(20)]
        guest = device_type(await open_websocket(server.url), "one")

        async def flood(device):
            for number in range(10**6):
                device.ask(number, 0, "flood")
                if number == 0:
                    device.send([b"x"])
                await device.flush()
                told = await device.final()
                if not isinstance(told, FinalReceived):
                    refused.append(told.error_class)
                    return

        flooding = [asyncio.create_task(flood(one)) for one in crowd]
        while not refused:
            await asyncio.sleep(ANSWER_S)
        await asking(guest, "honest", 3)
        for task in flooding:
            task.cancel()
        await asyncio.gather(*flooding, return_exceptions=True)
        for device in (*crowd, guest):
            await device.connection.close()
        return refused

    assert set(asyncio.run(whole())) == {ServerBusyError}
