"""A cloud serves whatever carries messages: one file makes a transport, and no web server is needed for it."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from starlette.websockets import WebSocketDisconnect

from heliograph.errors import (
    ConnectionLostError,
    FrameDamagedError,
    ServerBusyError,
    TimedOutError,
    UnauthorizedError,
)
from heliograph.protocol.events import FinalReceived, SessionClosed, WelcomeReceived
from heliograph.protocol.session import DeviceSession
from heliograph.question import Question
from heliograph.serving.limits import Limits
from heliograph.serving.service import CloudService
from heliograph.serving.turns import ALLOWANCE, Allowance, Turns
from heliograph.serving.web.asgi_connection import AsgiConnection
from heliograph.transport.memory import memory_pair
from processes import run_python

HASH = b"8 bytes!"

IN_ONE_PROCESS = """
import asyncio, json, sys
from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.question import Question
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder, shipped_model_folder
from heliograph.serving.cloud import Cloud
from heliograph.serving.service import CloudService
from heliograph.transport.memory import memory_pair
from heliograph.vlm.opening import open_model

async def whole():
    bundle = Bundle.from_pretrained(shipped_bundle_folder())
    model = open_model(str(shipped_model_folder()))
    cloud = Cloud(model, bundle.codecs, bundle.hash, bundle.calibration)
    serving = []
    async with CloudService(cloud) as service:
        async def open_connection():
            device_end, cloud_end = memory_pair()
            serving.append(asyncio.create_task(service.serve(cloud_end)))
            return device_end
        async with DeviceClient(open_connection, Device(bundle)) as client:
            questions = [Question(text, "fixed") for text in json.loads(sys.argv[1])]
            reports = [await client.ask(demo_photo_path(), question) for question in questions]
        await asyncio.gather(*serving)
    answers = [[report.answer, report.payload_bytes] for report in reports]
    servers = {"starlette", "uvicorn", "websockets"} & {name.partition(".")[0] for name in sys.modules}
    print(json.dumps([answers, sorted(servers), len(serving)]))

asyncio.run(whole())
"""


def test_a_device_is_served_in_one_process_without_any_web_server(cloud_url):
    """The answers are those that the same device gets over a websocket."""
    questions = ["what color is the circle?", "how many shapes are there?"]
    done = run_python("-c", IN_ONE_PROCESS, json.dumps(questions))
    answers, servers, connections = json.loads(done.stdout.splitlines()[-1])
    assert servers == []
    assert connections == 1
    assert answers == asyncio.run(asked_over_a_websocket(cloud_url, questions))
    assert answers[0][1] > 0
    assert answers[1][1] == 0  # the photo is held


async def asked_over_a_websocket(url, questions):
    from heliograph.codec.bundle import Bundle
    from heliograph.edge.client import DeviceClient
    from heliograph.edge.device import Device
    from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
    from heliograph.transport.websocket_client import open_websocket

    bundle = Bundle.from_pretrained(shipped_bundle_folder())
    async with DeviceClient(lambda: open_websocket(url), Device(bundle)) as client:
        reports = [await client.ask(demo_photo_path(), Question(text, "fixed")) for text in questions]
    return [[report.answer, report.payload_bytes] for report in reports]


# ---- how a connection ends -----------------------------------------------------------------------------------
class Device:
    """A session over one end of a memory pair."""

    def __init__(self, service, token="", **resuming):
        self.end, served_end = memory_pair()
        self.session = DeviceSession(HASH, token, **resuming)
        self.session.start()
        self.served = asyncio.create_task(service.serve(served_end))

    async def say(self):
        await self.end.send(self.session.bytes_to_send())

    async def hear(self, *kinds):
        while True:
            for event in self.session.receive(await self.end.receive(), 0.0):
                if isinstance(event, kinds):
                    return event


def ask(device):
    device.session.ask(0, 0, "what")
    device.session.announce_image(0, "klt", b"")
    device.session.send_segment(0, b"x")


@pytest.mark.parametrize("broken", [True, False])
def test_a_session_is_kept_where_its_connection_breaks(cloud, broken):
    async def whole():
        async with CloudService(cloud, limits=Limits(keep_s=60.0)) as service:
            device = Device(service, resumable=True)
            ask(device)
            await device.say()
            token = (await device.hear(WelcomeReceived)).session_token
            if broken:
                device.end.abort()
            else:
                await device.end.close()
            await device.served
            again = Device(service, session_token=token)
            await again.say()
            welcome = await again.hear(WelcomeReceived)
            await again.end.close()
            await again.served
            return welcome.held

    held = asyncio.run(whole())
    assert held is None if not broken else [(one.image_id, one.segments) for one in held] == [(0, 1)]


def test_a_full_cloud_says_so_at_the_end_of_the_connection(cloud):
    class Full:
        def admit(self, inherits):
            raise ServerBusyError

        def over(self):
            pass

    async def whole():
        async with CloudService(cloud) as service:
            end, served_end = memory_pair()
            served = asyncio.create_task(service.serve(served_end, Full()))
            session = DeviceSession(HASH, "")
            session.start()
            await end.send(session.bytes_to_send())
            said = session.receive(await end.receive(), 0.0)
            with pytest.raises(ServerBusyError):
                await end.receive()
            await served
            return said

    assert SessionClosed(ServerBusyError) in asyncio.run(whole())


def test_a_session_that_is_refused_ends_in_order(cloud):
    async def whole():
        async with CloudService(cloud, frozenset({"right"})) as service:
            device = Device(service, "wrong")
            await device.say()
            closed = await device.hear(SessionClosed)
            end = await device.end.receive()
            await device.served
            return closed.error_class, end

    assert asyncio.run(whole()) == (UnauthorizedError, b"")


def test_a_session_on_a_made_up_clock_is_answered(cloud):
    """The clock is the caller's: every time that the service takes is one of these."""
    times = []

    def clock():
        times.append(1000.0 + len(times) / 1e3)
        return times[-1]

    async def whole():
        async with CloudService(cloud, clock=clock) as service:
            device = Device(service)
            ask(device)
            device.session.finish_image(0)
            await device.say()
            final = await device.hear(FinalReceived)
            await device.end.close()
            await device.served
            return final.text

    assert asyncio.run(whole()) == "what seen at 1"
    assert len(times) > 5


# ---- the websocket -----------------------------------------------------------------------------------------
class Websocket:
    """What starlette gives an application, with messages that a test has chosen."""

    def __init__(self, *messages, extensions=None, client=("10.0.0.1", 5000), error=None):
        self.scope = {"extensions": {}} if extensions is None else {"extensions": extensions}
        self.client = SimpleNamespace(host=client[0]) if client else None
        self.messages, self.error, self.sent = list(messages), error, []

    async def receive(self):
        return self.messages.pop(0)

    async def send_bytes(self, data):
        if self.error is not None:
            raise self.error
        self.sent.append(data)

    async def close(self, code):
        await self.send_bytes(code)


def message(data):
    return {"type": "websocket.receive", "bytes": data}


def left(**code):
    return {"type": "websocket.disconnect", **code}


def test_messages_of_a_websocket_come_whole_and_in_order():
    websocket = Websocket(message(b"one"), message(b""), message(bytearray(b"two")), left(code=1000))
    connection = AsgiConnection(websocket, Turns())

    async def whole():
        return [await connection.receive() for _ in range(3)]

    assert asyncio.run(whole()) == [b"one", b"two", b""]
    assert connection.address == "10.0.0.1"
    assert AsgiConnection(Websocket(client=None), Turns()).address == ""


@pytest.mark.parametrize("code", [{"code": 1006}, {"code": 1001}, {}])
def test_a_websocket_that_ends_without_a_normal_closure_broke(code):
    with pytest.raises(ConnectionLostError):
        asyncio.run(AsgiConnection(Websocket(left(**code)), Turns()).receive())


@pytest.mark.parametrize("text", [{"text": "hello"}, {"text": "hello", "bytes": None}])
def test_a_text_message_is_no_message_of_ours(text):
    websocket = Websocket({"type": "websocket.receive", **text})
    with pytest.raises(FrameDamagedError):
        asyncio.run(AsgiConnection(websocket, Turns()).receive())


@pytest.mark.parametrize("error", [WebSocketDisconnect(1006), RuntimeError("closed already"), OSError("broken pipe")])
def test_whatever_says_that_the_device_has_left_is_a_lost_connection(error):
    connection = AsgiConnection(Websocket(error=error), Turns())
    for work in (lambda: connection.send(b"x"), connection.close):
        with pytest.raises(ConnectionLostError):
            asyncio.run(work())


def test_what_is_sent_and_how_it_is_closed_go_through():
    websocket = Websocket()
    connection = AsgiConnection(websocket, Turns())

    async def whole():
        await connection.send(b"x")
        await connection.close()
        await connection.close(1013)

    asyncio.run(whole())
    assert websocket.sent == [b"x", 1000, 1013]


def test_empty_messages_are_paid_for_from_the_allowance_of_the_websocket(fake):
    allowance = Allowance(Turns(share=0.5), 0.0, burst_s=100e-6, refill=0.0)
    websocket = Websocket(*[message(b"")] * 5, message(b"at last"), extensions={ALLOWANCE: allowance})

    async def whole():
        connection = AsgiConnection(websocket, Turns(), fake.now)
        assert connection.allowance is allowance
        assert await connection.receive() == b"at last"
        return fake.now()

    assert fake.run(whole()) == pytest.approx(300e-6)  # two are within the allowance; half of the loop for three


def test_a_websocket_without_an_allowance_gets_one_of_the_server():
    turns = Turns(share=0.5)
    for websocket in (Websocket(), SimpleNamespace(scope={})):
        allowance = AsgiConnection(websocket, turns, lambda: 0.0).allowance
        allowance.spend(1.0, 0.0)  # far beyond it: in the server's queue
    assert turns.reserve(0.0, 0.0) == pytest.approx(2 * 2 * (1.0 - 0.2))


def test_a_silent_device_is_timed_out_over_any_transport(fake, cloud):
    async def whole():
        async with fake.serving(cloud, hello_timeout_s=15.0) as shared:
            device = fake.Device(shared)
            closed = await device.hear(SessionClosed)
            await device.served
            return closed.error_class, device.line.closed

    assert fake.run(whole()) == (TimedOutError, 1000)
