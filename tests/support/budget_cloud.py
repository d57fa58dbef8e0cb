"""A cloud that draws nothing but bytes, for tests of how many of them a question may send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from heliograph.edge.client import DeviceClient
from heliograph.edge.report import AskReport
from heliograph.protocol import events as ev
from heliograph.question import Question
from heliograph.types import EncodedImage
from made_up_time import now, run
from scripted_cloud import Cloud, FakeDevice

PHOTO, OTHER = Image.new("RGB", (64, 64)), Image.new("RGB", (65, 65))


BYTE = b"\xee"
"""Of all payload, and of no frame's head here, so that what left can be counted without the code that sent it."""


def stream(header: int, *segments: int, quality: tuple[float, ...] = ()) -> EncodedImage:
    return EncodedImage("jpeg", BYTE * header, tuple(BYTE * size for size in segments), quality)


@dataclass
class Photos:
    """Behaves as a cloud that draws nothing but bytes: it answers at the budget and at the end of a photo."""

    received: dict[int, int] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    question: ev.QuestionAsked | None = None

    async def __call__(self, cloud: Cloud, event: ev.Event) -> None:
        match event:
            case ev.HelloReceived():
                self.question = None
            case ev.QuestionAsked():
                self.question = event
                if event.image_id in self.received and not self.has_enough():
                    cloud.session.send_more(event.image_id, 4096)
            case ev.ImageAnnounced():
                self.received[event.image_id] = len(event.header)
            case ev.SegmentReceived():
                self.received[event.image_id] += len(event.payload)
            case ev.ImageFinished():
                self.finished.add(event.image_id)
        if self.question is not None and self.has_enough():
            if self.question.image_id not in self.finished:
                cloud.session.send_enough(self.question.image_id)
            self.question = None
            cloud.final()

    def has_enough(self) -> bool:
        assert self.question is not None
        image_id, budget = self.question.image_id, self.question.question.byte_budget
        reached = budget is not None and self.received.get(image_id, 0) >= budget
        return reached or image_id in self.finished


Asking = Callable[[DeviceClient], Awaitable[Any]]


def over(cloud: Cloud, device: FakeDevice, asking: Asking) -> Any:
    async def whole() -> Any:
        async with DeviceClient(cloud.open, device, clock=now, jitter=lambda: 0.0) as client:
            return await asking(client)

    return run(whole())


def asked(cloud: Cloud, encoded: EncodedImage, **how: Any) -> AskReport:
    async def once(client: DeviceClient) -> AskReport:
        return await client.ask(PHOTO, Question("colour?", **how), strategy="jpeg")

    report: AskReport = over(cloud, FakeDevice(encoded), once)
    return report
