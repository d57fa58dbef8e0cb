"""A cloud with a model and codec that answer at once and tell what they were given, behind a real websocket."""

import asyncio
import importlib.util
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from attended_session import Attended
from heliograph.clock import now_s
from heliograph.codec.expectation import Expectation
from heliograph.errors import StreamDamagedError
from heliograph.protocol.events import (
    DraftReceived,
    EnoughReceived,
    ErrorReceived,
    FinalReceived,
    MoreRequested,
    RegionRequested,
    SessionClosed,
    WelcomeReceived,
)
from heliograph.protocol.session import DeviceSession
from heliograph.question import Question
from heliograph.reasons import StreamFault
from heliograph.serving.cloud import Cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.websocket_client import open_websocket
from heliograph.types import Answer, Grid, VisualTokens

BUNDLE_HASH = b"8 bytes!"


class CountingCodec:
    """Tokens tell how many segments they were restored from; a prefix of k segments retains k / 10 of the energy."""

    kind = "klt"
    levels = None

    def stated_grid(self, header):
        return Grid(2, 2)

    def decode(self, header, segments):
        if b"damaged" in segments:
            raise StreamDamagedError(StreamFault.CHECKSUM)
        return VisualTokens(np.full((4, 2), len(segments), np.float32), Grid(2, 2))

    def retained_energy(self, header, segments):
        if b"damaged" in segments:
            raise StreamDamagedError(StreamFault.CHECKSUM)
        return min(1.0, len(segments) / 10)

    def level(self, header, segments):
        """That of a prefix of k segments is k."""
        return len(segments)

    def expect(self, header, segments, question=""):
        """A prefix of k segments gives another answer with a chance of 1 - k / 10."""
        return Expectation(0.1, 1 - self.retained_energy(header, segments))


class TellingModel:
    """Answers ``QUESTION seen at K``; can be held up, and fails on request."""

    name, grid, hidden_size = "telling", Grid(2, 2), 2
    confidence, second_confidence = 0.5, 0.75

    def __init__(self):
        self.free = threading.Event()
        self.free.set()
        self.encoded, self.answered, self.verified = [], [], []

    def check_grid(self, grid):
        assert grid == self.grid

    def forget_questions(self):
        """Nothing is kept."""

    def encode_image(self, photo):
        self.encoded.append(photo.size)
        return VisualTokens(np.full((4, 2), 100.0, np.float32), self.grid)

    def answer(self, question, images, *, max_new_tokens):
        self.free.wait()
        if question == "explode":
            raise RuntimeError("a secret that must not travel")
        self.answered.append((question, int(images[0].values[0, 0])))
        seen = " and ".join(f"{image.values[0, 0]:.0f}" for image in images)
        confidence = self.confidence if len(images) == 1 else self.second_confidence
        return Answer(f"{question} seen at {seen}", confidence, 1.0, (int(images[0].values[0, 0]),))

    def verify_draft(self, question, images, draft, *, max_new_tokens):
        answer = self.answer(question, images, max_new_tokens=max_new_tokens)
        self.verified.append(draft.text)
        return SimpleNamespace(answer=answer, kept_tokens=1)


@pytest.fixture
def model():
    return TellingModel()


@pytest.fixture
def cloud(model):
    return Cloud(model, {"klt": CountingCodec()}, BUNDLE_HASH)


@pytest.fixture
def serve():
    """Start servers that end with the test."""
    running = []

    def start(cloud, **options):
        server = BackgroundServer(CloudApplication(cloud, **options))
        server.__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


class Device:
    """A device session on a real websocket."""

    def __init__(self, connection, token="", **resuming):
        self.connection = connection
        self.session = DeviceSession(BUNDLE_HASH, token, **resuming)
        self.session.start()
        self.events = []

    def ask(self, question_id=0, image_id=0, text="what", controller="fixed", target=0, **options):
        self.session.ask(question_id, image_id, Question(text, controller, target, **options))

    def send(self, segments, image_id=0, strategy="klt", finish=True, total=0):
        self.session.announce_image(image_id, strategy, b"", total)
        for segment in segments:
            self.session.send_segment(image_id, segment)
        if finish:
            self.session.finish_image(image_id)

    async def flush(self):
        await self.connection.send(self.session.bytes_to_send())

    async def until(self, *kinds):
        """The next event of one of these kinds; others before it are kept in ``events``."""
        while True:
            for place, event in enumerate(self.events):
                if isinstance(event, kinds):
                    del self.events[: place + 1]
                    return event
            data = await asyncio.wait_for(self.connection.receive(), 20)
            self.events += self.session.receive(data, now_s())

    async def final(self):
        return await self.until(FinalReceived, ErrorReceived, SessionClosed)


@pytest.fixture
def talk():
    """Run a conversation of an async function with a device connected to a server."""

    def run(server, conversation, token="", ssl=None):
        async def whole():
            connection = await open_websocket(server.url, ssl=ssl)
            try:
                return await conversation(Device(connection, token))
            finally:
                await connection.close()

        return asyncio.run(whole())

    return run


EVENTS = SimpleNamespace(
    Draft=DraftReceived,
    Enough=EnoughReceived,
    Error=ErrorReceived,
    More=MoreRequested,
    Region=RegionRequested,
    Welcome=WelcomeReceived,
    Closed=SessionClosed,
)


@pytest.fixture
def events():
    return EVENTS


@pytest.fixture
def device_type():
    return Device


@pytest.fixture(scope="session")
def fake():
    """Connections without sockets, on made-up time."""
    spec = importlib.util.spec_from_file_location("fake_time", Path(__file__).with_name("fake_time.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def attended(fake, cloud):
    """Run a test with a session that is attended to."""

    def run(test, **limits):
        async def whole():
            one = Attended(fake, cloud, **limits)
            one.hear()
            done = test(one)
            return await done if asyncio.iscoroutine(done) else done

        return fake.run(whole())

    return run
