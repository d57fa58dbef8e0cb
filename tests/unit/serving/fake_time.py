"""Connections without sockets on an event loop whose time passes only while everybody waits."""

import asyncio
import contextlib
from concurrent.futures import Executor, Future

from heliograph.errors import ConnectionLostError
from heliograph.protocol.frames import HelloFrame, encode_frame
from heliograph.protocol.session import DeviceSession
from heliograph.serving.admission.guest import Guest
from heliograph.serving.connection import DeviceConnection
from heliograph.serving.fair.parties import Parties
from heliograph.serving.holding import Holdings
from heliograph.serving.kept import KeptSessions
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics
from heliograph.serving.patience import DraftPatience
from heliograph.serving.scheduler import Scheduler
from heliograph.serving.shared import Shared
from heliograph.serving.turns import Turns
from heliograph.serving.worker import OneByOne
from heliograph.transport.base import NORMAL_CLOSURE
from made_up_time import MadeUpTimeLoop

HASH = b"8 bytes!"


class NoThread(Executor):
    def submit(self, function, /, *arguments, **named):
        done = Future()
        done.set_result(function(*arguments, **named))
        return done


class Line:
    """A connection whose other end is the test."""

    def __init__(self, host="10.0.0.1"):
        self.address = host
        self.messages = asyncio.Queue()
        self.sent, self.closed = [], None
        self.reads = asyncio.Event()
        self.reads.set()

    def say(self, data):
        self.messages.put_nowait(data)

    def hang_up(self, code=1006):
        self.messages.put_nowait(b"" if code == NORMAL_CLOSURE else ConnectionLostError())

    async def receive(self):
        message = await self.messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, data):
        await self.reads.wait()
        self.sent.append(data)

    async def close(self, code=1000):
        await self.reads.wait()
        self.closed = code


class RecordingGuest(Guest):
    """Notes what the door is told."""

    def __init__(self, told):
        self.told = told

    def admit(self, inherits):
        self.told.append("greeted")

    async def refuse(self):
        self.told.append("refused")

    def over(self):
        self.told.append("over")


class Device:
    """A device on a line."""

    def __init__(self, shared, token="", host="10.0.0.1", **resuming):
        self.line = Line(host)
        self.session = DeviceSession(HASH, token, **resuming)
        self.session.start()
        self.heard, self.hooks = [], []
        self.connection = DeviceConnection(
            self.line,
            shared,
            RecordingGuest(self.hooks),
        )
        self.served = asyncio.ensure_future(self.connection.run())

    def say(self):
        self.line.say(self.session.bytes_to_send())

    async def hear(self, *kinds):
        """The next event of one of these kinds."""
        while True:
            for data in self.line.sent:
                self.heard += self.session.receive(data, 0.0)
            self.line.sent.clear()
            for place, event in enumerate(self.heard):
                if isinstance(event, kinds):
                    del self.heard[: place + 1]
                    return event
            await asyncio.sleep(0.01)

    async def gone(self, code=1006):
        self.line.hang_up(code)
        await self.served


def shared_of(cloud, tokens=frozenset(), weights=None, **limits):
    metrics, bounds, loop = Metrics(), Limits(**limits), asyncio.get_running_loop()
    kept = KeptSessions(bounds.longest_kept_s, bounds.max_kept_sessions, bounds.max_kept_bytes, loop.time)
    return Shared(
        cloud,
        Scheduler(OneByOne(cloud.run), loop.time),
        NoThread(),
        metrics,
        DraftPatience(),
        bounds,
        tokens,
        kept,
        Holdings(metrics, bounds.max_held_bytes),
        Turns(),
        asyncio.Lock(),
        loop.time,
        parties=Parties(weights or {}, bounds.thresholds),
    )


@contextlib.asynccontextmanager
async def serving(cloud, tokens=frozenset(), weights=None, **limits):
    """What a server shares, with its scheduler at work."""
    shared = shared_of(cloud, tokens, weights, **limits)
    working = asyncio.ensure_future(shared.scheduler.work())
    try:
        yield shared
    finally:
        working.cancel()


def run(conversation):
    """Run a coroutine on a loop of its own whose time is made up."""
    with asyncio.Runner(loop_factory=MadeUpTimeLoop) as runner:
        return runner.run(asyncio.wait_for(conversation, 1e6))


def now():
    return asyncio.get_running_loop().time()


def hello(token="", **resuming):
    return encode_frame(HelloFrame(HASH, token, **resuming))
