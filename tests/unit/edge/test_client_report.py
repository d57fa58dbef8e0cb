"""What a client's report says of an answer of the device's own, and of one from the cloud, field by field."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.edge.client import DeviceClient
from heliograph.edge.progress import SendingProgress
from heliograph.edge.report import AskReport
from heliograph.protocol import events as ev
from heliograph.question import Question
from heliograph.transport.base import Connection
from heliograph.types import Answer, Grid, VisualTokens
from made_up_time import now, run
from scripted_cloud import PHOTO, Cloud, FakeDevice, final_at_the_end, stream


def take(seconds: float) -> None:
    """Work for so long."""
    asyncio.get_running_loop()._jumping.now += seconds  # type: ignore[attr-defined]


class OwnModel(FakeDevice):
    """Encodes in a quarter of a second and answers in half a second."""

    asked: Any = None

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        take(0.25)
        return VisualTokens(np.zeros((1, 1), np.float32), Grid(1, 1))

    @property
    def local_model(self) -> Any:  # type: ignore[override]
        def answer(text: str, tokens: VisualTokens, *, max_new_tokens: int) -> Answer:
            take(0.5)
            self.asked = text, tokens.values.shape, max_new_tokens
            return Answer("own", 0.75, 0.1)

        return SimpleNamespace(answer=answer)


def test_an_own_answer_costs_time_and_no_byte(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path, quality=90)
    path.write_bytes(path.read_bytes()[:-900])

    async def whole() -> tuple[AskReport, Any]:
        device = OwnModel(stream(1))

        async def nowhere() -> Connection:
            raise AssertionError("no connection is wanted")

        async with DeviceClient(nowhere, device, clock=now) as client:
            report = await client.ask(path, Question("colour?", max_answer_tokens=17), strategy="local")
            assert not client.connected
            return report, device.asked

    report, asked = run(whole())
    assert asked == ("colour?", (1, 1), 17)
    (note,) = report.photo_notes
    assert "ends early" in note
    assert replace(report, photo_notes=()) == AskReport("own", 0.75, "local", {}, 0, 0, 0, 250.0, 750.0, 750.0)


def test_times_and_bytes_of_a_cloud_answer() -> None:
    """Encoding takes 0.25 s; drafts come with it; the answer half a second later. Two questions, two accounts."""

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        match event:
            case ev.SegmentReceived(_, 0):
                cloud.session.send_draft(cloud.question_id, "draft", 0.5, 1)
            case ev.ImageFinished():
                answering.append(asyncio.create_task(later(cloud)))
            case ev.QuestionAsked(image_follows=False):
                cloud.final("again", 0)

    async def later(cloud: Cloud) -> None:
        await asyncio.sleep(0.5)
        cloud.final("blue", 2)
        await cloud.connections[-1].send(cloud.session.bytes_to_send())

    answering = list[Any]()

    async def whole() -> None:
        cloud, ends = Cloud(behave), list[Connection]()

        async def connect() -> Connection:
            ends.append(await cloud.open())
            return ends[-1]

        async with DeviceClient(connect, FakeDevice(stream(2), before=lambda: take(0.25)), clock=now) as client:
            first = await client.ask(PHOTO, "colour?", strategy="jpeg")
            up, down = ends[0].sent_bytes, ends[0].received_bytes
            second = await client.ask(PHOTO, "shape?", strategy="jpeg")
            assert (first.encode_ms, first.first_draft_ms, first.final_ms) == (250.0, 250.0, 750.0)
            assert (first.wire_bytes_up, first.wire_bytes_down) == (up, down)
            assert [draft.text for draft in first.drafts] == ["draft"]
            assert (first.photo_seen, first.stopped_early, first.reconnections) == (True, False, 0)
            assert (first.cloud_bundle, first.likelihood, first.strategy) == ("", None, "jpeg")
            assert (second.encode_ms, second.first_draft_ms, second.final_ms) == (0.0, 0.0, 0.0)
            assert (second.wire_bytes_up, second.wire_bytes_down) == (
                ends[0].sent_bytes - up,
                ends[0].received_bytes - down,
            )
            assert (second.drafts, second.photo_seen, second.answer) == ((), False, "again")

    run(whole())


def test_progress_from_connecting_to_the_last_byte() -> None:
    seen = list[tuple[float, SendingProgress]]()

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.ImageFinished):
            answering.append(asyncio.create_task(later(cloud)))

    async def later(cloud: Cloud) -> None:
        await asyncio.sleep(1.0)
        cloud.final()
        await cloud.connections[-1].send(cloud.session.bytes_to_send())

    answering = list[Any]()

    async def whole() -> None:
        cloud = Cloud(behave)

        async def connect() -> Connection:
            await asyncio.sleep(0.25)
            return await cloud.open()

        async with DeviceClient(connect, FakeDevice(stream(2)), clock=now) as client:
            await client.ask(PHOTO, "?", strategy="jpeg", on_progress=lambda ms, one: seen.append((ms, one)))

    run(whole())
    assert seen[0][1].connecting
    assert (seen[0][0], seen[0][1].left_bytes, seen[0][1].total_bytes) == (0.0, 0, None)
    at_ms, last = seen[-1]
    assert at_ms == pytest.approx(300.0)  # it looks every 100 ms
    assert last == SendingProgress(connecting=False, encoding=False, left_bytes=201, total_bytes=201)


def test_what_is_held_is_told_only_over_an_open_connection() -> None:
    ways = [("jpeg", {}), ("webp", {}), ("jpeg", {"size": 64})]

    async def whole() -> None:
        async with DeviceClient(Cloud(final_at_the_end()).open, FakeDevice(stream(2)), clock=now) as client:
            assert client.held("no such file", ways) == []  # of which nothing is read
            await client.ask(PHOTO, "colour?", strategy="jpeg")
            assert client.connected
            assert client.held(PHOTO, ways) == [("jpeg", {})]
            assert client.held(Image.new("RGB", (8, 8)), ways) == []
            await client.close()
            assert (client.connected, client.held("no such file", ways)) == (False, [])

    run(whole())


@pytest.mark.parametrize("named", [None, "webp"])
def test_the_bundles_best_codec_is_the_default(named: str | None) -> None:
    class Preferring(FakeDevice):
        @property
        def preferred_strategy(self) -> str:
            return "jpeg"

    async def whole() -> str:
        async with DeviceClient(Cloud(final_at_the_end()).open, Preferring(stream(1)), clock=now) as client:
            return (await client.ask(PHOTO, "?", strategy=named)).strategy

    assert run(whole()) == (named or "jpeg")
