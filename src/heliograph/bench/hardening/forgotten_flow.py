"""How long the next question waits after a NAT has forgotten the open connection, beside a client that opens a new
one."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

from PIL import Image

from heliograph.bench.hardening.namespaces import CLOUD, CLOUD_HOST, DEVICE, RoutedNamespaces
from heliograph.clock import now_s
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.report import AskReport
from heliograph.question import Question
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.websocket_client import open_websocket

_QUESTIONS = ("how many objects are there?", "what is on the sign?")


@dataclass(frozen=True)
class ForgottenFlow:
    """What was measured, in seconds from the question to the answer.

    Attributes:
        timeout_s: of every question.
        next_s: on the connection that was open, after its flow was forgotten.
        fresh_s: of a client that opens a connection.
        reconnections: of the question on the forgotten one.
        payload_bytes: sent with it; 0 where the cloud had kept the photo.
        wire_bytes: of it, both directions, the forgotten connection and the new one together.
        same_answer: it was that of the fresh client.
    """

    timeout_s: float
    next_s: float
    fresh_s: float
    reconnections: int
    payload_bytes: int
    wire_bytes: int
    same_answer: bool

    def data(self) -> dict[str, float | int | bool]:
        """The measurement as JSON values."""
        return asdict(self)


def measure_forgotten_flow(
    application: CloudApplication, device: Device, photo: Image.Image, timeout_s: float
) -> ForgottenFlow:
    """Ask twice over one connection, whose flow is forgotten in between; then from a fresh client.

    Args:
        application: the cloud; served on a namespace's address for so long.
        device: encodes the photo.
        photo: asked about.
        timeout_s: of every question.

    Raises:
        UsageError: there can be no network namespaces here.
        TimedOutError: the forgotten flow was not noticed within ``timeout_s``.
    """
    with RoutedNamespaces() as network:
        with network.inside(CLOUD):
            server = BackgroundServer(application, CLOUD_HOST).__enter__()
        try:
            with network.inside(DEVICE):
                return asyncio.run(_measured(network, server.url, device, photo, timeout_s))
        finally:
            server.__exit__(None, None, None)


async def _measured(
    network: RoutedNamespaces, url: str, device: Device, photo: Image.Image, timeout_s: float
) -> ForgottenFlow:
    async def ask(client: DeviceClient, question: str) -> tuple[AskReport, float]:
        started_s = now_s()
        report = await client.ask(photo, Question(question, max_answer_tokens=16), timeout_s=timeout_s)
        return report, now_s() - started_s

    async with DeviceClient(lambda: open_websocket(url), device) as client:
        await ask(client, _QUESTIONS[0])
        network.forget_flows()
        late, next_s = await ask(client, _QUESTIONS[1])
    async with DeviceClient(lambda: open_websocket(url), device) as client:
        fresh, fresh_s = await ask(client, _QUESTIONS[1])
    return ForgottenFlow(
        timeout_s,
        next_s,
        fresh_s,
        late.reconnections,
        late.payload_bytes,
        late.wire_bytes,
        late.answer == fresh.answer,
    )
