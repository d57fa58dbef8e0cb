"""What sessions take in memory beside what the server's counters say of it, in a fresh process.

Devices send the shapes that take most for their payload; half of the sessions stay open, half are broken off and kept.
Run it as ``python -m heliograph.bench.hardening.session_memory [SESSIONS [SHAPE ...]]``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from heliograph.clock import now_s
from heliograph.errors import ConnectionLostError
from heliograph.protocol.frames import FrameType, HelloFrame, IdFrame, ImageFrame, QuestionFrame, encode_frame
from heliograph.protocol.limits import MAX_IMAGES, MAX_OPEN_QUESTIONS, MAX_QUESTION_CHARACTERS, MAX_SEGMENTS_PER_IMAGE
from heliograph.protocol.wire_ids import CONTROLLER_WIRE_IDS, STRATEGY_WIRE_IDS
from heliograph.serving.cloud import Cloud
from heliograph.serving.connection import DeviceConnection
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
from heliograph.types import Answer, Grid, VisualTokens

_SESSIONS = 64
_PHOTOS = 1
_ROOM_BYTES = 1 << 40


@dataclass(frozen=True)
class Growth:
    """Growth of memory with one shape of session.

    Attributes:
        open_bytes, kept_bytes: memory that the open and then the kept sessions have taken, measured.
        open_counted, kept_counted: what the counters say of each.
    """

    open_bytes: int
    open_counted: int
    kept_bytes: int
    kept_counted: int

    @property
    def ratio(self) -> float:
        """Measured by counted, all together."""
        return (self.open_bytes + self.kept_bytes) / (self.open_counted + self.kept_counted)


def measure_session_memory(shape: str, sessions: int = _SESSIONS) -> Growth:
    """Memory of ``sessions`` open and as many kept sessions of a shape, in a process of its own."""
    command = [sys.executable, "-m", "heliograph.bench.hardening.session_memory", "--child", shape, str(sessions)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    return Growth(**json.loads(done.stdout.splitlines()[-1]))


# ---- what devices send -------------------------------------------------------------------------------------
def _image(image_id: int) -> bytes:
    return encode_frame(ImageFrame(image_id, STRATEGY_WIRE_IDS.of("klt"), b""))


def _question(question_id: int, image_id: int, text: bytes, controller: str) -> bytes:
    return encode_frame(QuestionFrame(question_id, image_id, CONTROLLER_WIRE_IDS.of(controller), 0, 64, True, text))


def _photos(segment: bytes, count: int = _PHOTOS) -> bytes:
    return b"".join(_image(n) + segment * MAX_SEGMENTS_PER_IMAGE for n in range(count))


def _questions() -> bytes:
    """The longest questions allowed, each with the longest draft allowed."""
    texts = [f"{n:08d}".ljust(MAX_QUESTION_CHARACTERS, "\U0001f600").encode() for n in range(MAX_OPEN_QUESTIONS)]
    return _image(0) + b"\x81x" + b"".join(_question(n, 0, text, "fixed") for n, text in enumerate(texts))


def _answered() -> bytes:
    """Many photos, of each of which the restored tokens are held."""
    photos = (_image(n) + b"\x81x" + encode_frame(IdFrame(FrameType.IMAGE_END, n)) for n in range(MAX_IMAGES))
    return b"".join(photo + _question(n, n, b"what?", "fixed") for n, photo in enumerate(photos))


SHAPES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: _image(0) + b"\x81x",
    "empty-segments": lambda: _photos(b"\x80"),
    "tiny-segments": lambda: _photos(b"\x82xy"),
    "many-photos": lambda: b"".join(_image(n) + b"\x81x" for n in range(MAX_IMAGES)),
    "questions": _questions,
    "restored-tokens": _answered,
}
"""One session's frames after its greeting, by name."""


# ---- the server, without sockets -----------------------------------------------------------------------------
class _Line:
    """A connection whose device sends one message, then keeps silent or is gone."""

    address = ""

    def __init__(self, message: bytes) -> None:
        self._messages: Iterator[bytes] = iter([message])
        self.idle, self.gone = asyncio.Event(), asyncio.Event()

    async def receive(self) -> bytes:
        """The message, then nothing until the link breaks."""
        for message in self._messages:
            return message
        self.idle.set()
        await self.gone.wait()
        raise ConnectionLostError

    async def send(self, data: bytes) -> None:
        """Accept the message and drop it."""

    async def close(self, code: int = NORMAL_CLOSURE) -> None:
        """Do nothing: there is no socket."""


class _Model:
    """A model that gives answers and tokens as large as a small model's, at once."""

    name, grid, hidden_size = "model", Grid(8, 8), 576

    def check_grid(self, grid: Grid) -> None:
        """Every grid is its own."""

    def forget_questions(self) -> None:
        """Do nothing: no question is kept."""

    def answer(self, question: str, images: list[VisualTokens], *, max_new_tokens: int) -> Answer:
        """A long one, of objects of its own."""
        count = 1024
        ids = tuple(1000 + n for n in range(count))
        return Answer("\U0001f600" * 3990 + question[:8], 0.5, 1.0, ids, token_bits=tuple(n / 7 for n in range(count)))

    def verify_draft(self, question: str, images: list[VisualTokens], draft: Answer, *, max_new_tokens: int) -> Any:
        """Answer from scratch."""
        return SimpleNamespace(answer=self.answer(question, images, max_new_tokens=max_new_tokens), kept_tokens=0)


class _Codec:
    """Restores every prefix to tokens of the model's size."""

    kind = "klt"

    def stated_grid(self, header: bytes) -> Grid:
        """The model's own grid."""
        return _Model.grid

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        """(64, 576) of zeros."""
        return VisualTokens(np.ones((64, 576), np.float32), Grid(8, 8))


def _shared() -> Shared:
    metrics, limits = Metrics(), Limits(max_unsent_bytes=_ROOM_BYTES, draft_patience=0.0)
    model: Any = _Model()
    codec: Any = _Codec()
    cloud = Cloud(model, {"klt": codec}, b"8 bytes!")
    kept = KeptSessions(limits.keep_s, _ROOM_BYTES, _ROOM_BYTES, now_s)
    observer = ThreadPoolExecutor(max_workers=1)
    return Shared(
        cloud,
        Scheduler(OneByOne(cloud.run)),
        observer,
        metrics,
        DraftPatience(0.0),
        limits,
        frozenset(),
        kept,
        Holdings(metrics, _ROOM_BYTES),
        Turns(1.0),
    )


async def _serve(shared: Shared, message: bytes, sessions: int) -> tuple[list[_Line], list[asyncio.Task[None]]]:
    """Sessions that have taken the message and gone quiet."""
    hello = encode_frame(HelloFrame(b"8 bytes!", "", resumable=True))
    lines, tasks = list[_Line](), list[asyncio.Task[None]]()
    for _ in range(sessions):
        line = _Line(hello + message)
        lines.append(line)
        tasks.append(asyncio.create_task(DeviceConnection(line, shared).run()))
        await line.idle.wait()
    while True:
        jobs = shared.metrics.model_jobs_total
        await asyncio.sleep(0.5)
        if jobs == shared.metrics.model_jobs_total:
            return lines, tasks


def _now_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def _measure(shape: str, sessions: int) -> Growth:
    shared, message = _shared(), SHAPES[shape]()
    working = asyncio.create_task(shared.scheduler.work())
    lines, tasks = await _serve(shared, message, 1)  # what is made once only
    lines[0].gone.set()
    await asyncio.gather(*tasks)
    shared.kept.drop_one()
    before, counted = _now_bytes(), shared.metrics.held_bytes_open
    lines, tasks = await _serve(shared, message, sessions)
    for line in lines:
        line.gone.set()
    await asyncio.gather(*tasks)
    kept, kept_counted = _now_bytes() - before, shared.metrics.held_bytes_open - counted
    before, counted = before + kept, shared.metrics.held_bytes_open
    lines, tasks = await _serve(shared, message, sessions)
    opened, open_counted = _now_bytes() - before, shared.metrics.held_bytes_open - counted
    working.cancel()
    for task in tasks:
        task.cancel()
    return Growth(opened, open_counted, kept, kept_counted)


def main(arguments: Sequence[str]) -> None:
    """Measure and print; with ``--child`` one shape as JSON."""
    if arguments[:1] == ["--child"]:
        tracemalloc.start()
        print(json.dumps(asdict(asyncio.run(_measure(arguments[1], int(arguments[2]))))))
        return
    sessions = int(arguments[0]) if arguments else _SESSIONS
    print(f"{'shape':16} {'open MB':>8} {'counted':>8} {'kept MB':>8} {'counted':>8} {'ratio':>6}")
    for shape in arguments[1:] or SHAPES:
        found = measure_session_memory(shape, sessions)
        numbers = [found.open_bytes, found.open_counted, found.kept_bytes, found.kept_counted]
        print(f"{shape:16} " + " ".join(f"{number / 1e6:8.2f}" for number in numbers) + f" {found.ratio:6.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
