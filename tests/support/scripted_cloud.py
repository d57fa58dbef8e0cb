"""A cloud that does what a test says, over in-process connections, and a device that encodes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from PIL import Image

from heliograph.clock import now_s
from heliograph.codec.calibration import Calibration
from heliograph.edge.device import Device
from heliograph.errors import HeliographError
from heliograph.protocol.events import Event, ImageFinished, QuestionAsked, SegmentReceived
from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.session import CloudSession
from heliograph.strategies.base import Setting
from heliograph.strategies.selection import needs_bundle
from heliograph.transport.base import Connection
from heliograph.transport.memory import MemoryConnection, memory_pair
from heliograph.types import EncodedImage

PHOTO = Image.new("RGB", (8, 8))
SEGMENT = b"s" * 100

_E = TypeVar("_E", bound=Event)


def stream(segments: int, quality: tuple[float, ...] = ()) -> EncodedImage:
    """A stream of segments of 100 bytes behind a header of one byte."""
    return EncodedImage("jpeg", b"h", (SEGMENT,) * segments, quality)


@dataclass
class FakeDevice(Device):
    """Gives one prepared stream for every photo."""

    encoded: EncodedImage
    encodings: int = 0
    bundle_hash: bytes = b""  # type: ignore[assignment]
    calibration: Calibration | None = None  # type: ignore[assignment]
    _bundle = None
    before: Callable[[], object] = lambda: None

    def encode(
        self,
        photo: Image.Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        """The prepared stream, after ``before`` was called."""
        self.before()
        self.encodings += 1
        return self.encoded


Behaviour = Callable[["Cloud", Event], Awaitable[None]]


@dataclass
class Cloud:
    """What it heard, on as many connections as the device opens, each with a session of its own.

    Attributes:
        behave: called with every event.
        tokens: access tokens, one of which a device must show; none lets every device in.
        session_token: given to devices, to go on with; empty gives none.
        keeps: whether a session whose connection broke can go on over the next one.
        shown: session tokens that devices showed.
    """

    behave: Behaviour
    tokens: frozenset[str] = frozenset()
    session_token: bytes = b""
    keeps: bool = False
    shown: list[bytes] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)
    connections: list[MemoryConnection] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    session: CloudSession = field(init=False)
    question_id: int = -1
    _memory: SessionMemory | None = None

    def _recall(self, token: bytes) -> SessionMemory | None:
        self.shown.append(token)
        return self._memory if self.keeps else None

    async def open(self) -> Connection:
        """The device's end of a new connection."""
        device_end, cloud_end = memory_pair()
        self.connections.append(cloud_end)
        self.tasks.append(asyncio.create_task(self._serve(cloud_end)))
        return device_end

    async def _serve(self, connection: MemoryConnection) -> None:
        session = CloudSession(
            b"", self.tokens, session_token=self.session_token, recall=self._recall, needs_bundle=needs_bundle
        )
        while not session.closed:
            try:
                data = await connection.receive()
            except HeliographError:
                data = b""
            for event in session.receive(data, now_s()):
                self.session = session
                self.heard.append(event)
                if isinstance(event, QuestionAsked):
                    self.question_id = event.question_id
                if not session.closed:
                    self._memory = session.memory
                await self.behave(self, event)
            try:
                await connection.send(session.bytes_to_send())
            except HeliographError:
                return

    def of(self, kind: type[_E]) -> list[_E]:
        """The events of one kind."""
        return [event for event in self.heard if isinstance(event, kind)]

    def final(self, text: str = "blue", used: int = 1, flags: AnswerFlag = NO_FLAGS) -> None:
        """Answer the newest question."""
        self.session.send_final(self.question_id, text, 0.8, used, flags)


def final_at_the_end(text: str = "blue") -> Behaviour:
    """A draft for every segment, the answer behind the last one; a further question about the photo has another."""

    async def behave(cloud: Cloud, event: Event) -> None:
        match event:
            case SegmentReceived(_, index):
                cloud.session.send_draft(cloud.question_id, f"draft {index}", 0.5, index + 1)
            case ImageFinished():
                cloud.final(text, len(cloud.of(SegmentReceived)))
            case QuestionAsked(image_follows=False):
                cloud.final("again")

    return behave


def run(test: Callable[[], Awaitable[None]]) -> None:
    """A test within 20 seconds, after which no task of the device may be left."""

    async def whole() -> None:
        async with asyncio.timeout(20):
            await test()
        leftover = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in leftover:
            task.cancel()
        names = {task.get_coro().__qualname__ for task in leftover}  # type: ignore[union-attr]
        assert names <= {"Cloud._serve"}, names

    asyncio.run(whole())
