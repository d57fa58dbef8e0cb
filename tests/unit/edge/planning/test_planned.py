"""Questions asked by plan, against a scripted cloud over in-process connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.clock import now_s
from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.controllers.planner import Goal, Plan
from heliograph.edge.device import Device
from heliograph.edge.planning.device_times import DeviceTimes
from heliograph.edge.planning.planned import PlannedClient
from heliograph.errors import HeliographError, ServerUnreachableError
from heliograph.protocol.events import ImageFinished, QuestionAsked
from heliograph.protocol.session import CloudSession
from heliograph.question import Question
from heliograph.strategies.base import Setting
from heliograph.strategies.selection import needs_bundle
from heliograph.tracing.table import EVENTS, FRAMES, TraceSink
from heliograph.transport.base import Connection
from heliograph.transport.memory import MemoryConnection, memory_pair
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens

PHOTO = Image.new("RGB", (8, 8))
GOAL = Goal(0.9, 0.4)


def curves() -> Curves:
    """A cheap picture, a good one, and an own answer that would take ten seconds."""
    every = (
        Curve(
            "webp",
            "picture",
            (
                Point({"size": 32, "quality": 20}, 200.0, 5.0, 0.2, {"all": 0.5}),
                Point({"size": 64, "quality": 20}, 400.0, 5.0, 0.2, {"all": 0.95}),
            ),
        ),
        Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 1.0}),)),
    )
    answer_ms = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 10_000.0}
    return Curves(Origin("2026-11-22", "planner", "a machine", "abc", 1200), every, answer_ms)


class FakeDevice(Device):
    """Sends one prepared stream; answers ``own`` where it has a model."""

    def __init__(self, *, local: bool = True) -> None:
        super().__init__(None)
        self.asked: list[Setting | None] = []
        self._bundle: Any = SimpleNamespace(
            codec_kinds=(),
            local_model_path=Path("x") if local else None,
            hash=b"",
            preferred_codec="klt",
            calibration=None,
            familiarity=None,
        )
        self.answered: list[tuple[str, int]] = []
        self.local_model: Any = SimpleNamespace(answer=self._answer)

    def _answer(self, question: str, tokens: VisualTokens, *, max_new_tokens: int) -> Answer:
        self.answered.append((question, max_new_tokens))
        return Answer("own", 0.9, 0.1)

    def encode(
        self,
        photo: Image.Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        self.asked.append(setting)
        return EncodedImage("webp", b"", (b"s" * 100, b"t" * 100))

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        return VisualTokens(np.zeros((1, 1), np.float32), Grid(1, 1))


@dataclass
class Cloud:
    """Answers ``theirs`` when the photo is there, as long as it is reachable and awake."""

    reachable: bool = True
    awake: bool = True
    opened: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    async def open(self) -> Connection:
        self.opened += 1
        if not self.reachable:
            raise ServerUnreachableError
        device_end, cloud_end = memory_pair()
        self.tasks.append(asyncio.create_task(self._serve(cloud_end)))
        return device_end

    async def _serve(self, connection: MemoryConnection) -> None:
        session, question = CloudSession(b"", frozenset(), needs_bundle=needs_bundle), -1
        while not session.closed:
            for event in session.receive(await connection.receive(), now_s()):
                if isinstance(event, QuestionAsked):
                    question = event.question_id
                    self.questions.append(event.question)
                finished = isinstance(event, ImageFinished) or (
                    isinstance(event, QuestionAsked) and not event.image_follows
                )
                if finished and self.awake:
                    session.send_final(question, "theirs", 0.8, 2)
            try:
                await connection.send(session.bytes_to_send())
            except HeliographError:
                return


Test = Callable[[Cloud, PlannedClient], Awaitable[None]]


def run(
    test: Test, device: FakeDevice | None = None, times: DeviceTimes | None = None, trace: TraceSink | None = None
) -> None:
    async def whole() -> None:
        cloud, times_of = Cloud(), times or DeviceTimes()
        planned = PlannedClient(cloud.open, device or FakeDevice(), curves=curves(), times=times_of, trace=trace)
        async with asyncio.timeout(20), planned as client:
            await test(cloud, client)
        for task in cloud.tasks:
            task.cancel()

    asyncio.run(whole())


def test_the_planned_way_is_sent_and_its_cost_remembered() -> None:
    device, times = FakeDevice(), DeviceTimes()

    async def test(cloud: Cloud, client: PlannedClient) -> None:
        plans = list[Plan]()
        for _ in range(2):
            found = await client.ask(Image.new("RGB", (8, 8)), "colour?", GOAL, on_plan=plans.append)
            assert found.report.answer == "theirs"
            assert len(found.decisions) == 2
        assert [plan.chosen.name for plan in plans] == ["webp size=64,quality=20"] * 2
        assert plans[0].situation.link is not None
        assert plans[1].situation.link is not None
        assert plans[0].situation.link.samples == 0 < plans[1].situation.link.samples
        assert not plans[0].situation.connected
        assert plans[1].situation.connected

    run(test, device, times)
    assert device.asked == [{"size": 64, "quality": 20}] * 2
    assert set(times.encode_s) <= {"loading pictures", "webp size=64,quality=20"}
    assert "webp size=64,quality=20" in times.encode_s


def test_plans_are_traced_with_what_they_chose_from_and_why_another_was_made() -> None:
    events = list[tuple[str, Mapping[str, Any]]]()

    async def test(cloud: Cloud, client: PlannedClient) -> None:
        await client.ask(PHOTO, "colour?", GOAL)
        cloud.awake = False
        await client.ask(Image.new("RGB", (8, 8)), "colour?", GOAL)

    run(test, trace=lambda name, data: events.append((name, data)))
    made = [data for name, data in events if name == "plan:made"]
    assert [one["name"] for one in made] == ["webp size=64,quality=20"] * 2 + ["local"]
    assert (made[0]["quality"], made[0]["answer_within_ms"], made[0]["payload_bytes"]) == (0.9, 400.0, 400)
    assert {one["name"] for one in made[0]["candidates"]} == {
        *("webp size=32,quality=20", "webp size=64,quality=20", "local"),
    }
    (failed,) = [data for name, data in events if name == "plan:failed"]
    assert failed["reason"].startswith("no answer after")
    answers = [(data["strategy"], data["text"]) for name, data in events if name == "question:answered"]
    assert answers == [("webp", "theirs"), ("local", "own")]
    for name, data in events:
        assert set(data) <= {*EVENTS[name].fields, *FRAMES.get(data.get("frame", ""), ())}, name


def test_the_plan_changes_nothing_of_a_question_but_when_its_stream_stops() -> None:
    asked = Question("colour?", "push", 204, "margin", 4096, 2.048, "threshold", 17)
    device = FakeDevice()

    async def test(cloud: Cloud, client: PlannedClient) -> None:
        await client.ask(PHOTO, asked, GOAL)
        assert cloud.questions == [replace(asked, controller="fixed", target=0, region="never")]
        cloud.reachable = False
        await client.close()
        assert (await client.ask(PHOTO, asked, GOAL)).report.answer == "own"

    run(test, device)
    assert device.answered == [("colour?", 17)]


def test_the_same_photo_is_held() -> None:
    async def test(cloud: Cloud, client: PlannedClient) -> None:
        await client.ask(PHOTO, "colour?", GOAL)
        again = await client.ask(PHOTO, "colour?", GOAL)
        assert again.plan.chosen.payload_bytes == 0
        assert again.report.payload_bytes == 0

    run(test)


def test_where_the_cloud_cannot_be_reached_the_device_answers_and_comes_back_later() -> None:
    async def test(cloud: Cloud, client: PlannedClient) -> None:
        cloud.reachable = False
        found = await client.ask(PHOTO, "colour?", GOAL)
        assert found.report.answer == "own"
        assert found.plan.chosen.strategy == "local"
        assert any("server-unreachable" in line for line in found.decisions)
        opened = cloud.opened
        assert (await client.ask(PHOTO, "colour?", GOAL)).report.answer == "own"
        assert cloud.opened == opened  # no probe is due yet, and nothing is tried in vain
        cloud.reachable = True
        for _ in range(40):
            found = await client.ask(PHOTO, "colour?", GOAL)
            assert found.plan.situation.link is not None
            if found.plan.situation.link.up:
                break
            await asyncio.sleep(0.1)
        assert found.plan.situation.link is not None
        assert found.plan.situation.link.up
        assert cloud.opened == opened + 2  # two probes, and no more

    run(test)


def test_where_the_cloud_is_silent_the_device_answers_meanwhile() -> None:
    async def test(cloud: Cloud, client: PlannedClient) -> None:
        cloud.awake = False
        found = await client.ask(PHOTO, "colour?", GOAL)
        assert found.report.answer == "own"
        assert any("no answer after" in line for line in found.decisions)
        assert client.plan(PHOTO, "colour?", GOAL).chosen.strategy == "local"

    run(test)


def test_without_a_model_of_its_own_the_device_says_what_is_wrong() -> None:
    async def test(cloud: Cloud, client: PlannedClient) -> None:
        cloud.reachable = False
        with pytest.raises(ServerUnreachableError):
            await client.ask(PHOTO, "colour?", GOAL)

    run(test, FakeDevice(local=False))


def test_only_some_strategies_can_be_allowed(tmp_path: Path) -> None:
    async def test() -> None:
        times = DeviceTimes(tmp_path / "times.json")
        only = frozenset({"local"})
        async with PlannedClient(Cloud().open, FakeDevice(), curves=curves(), times=times, only=only) as client:
            for _ in range(2):  # the first one loads, which is kept apart
                found = await client.ask(PHOTO, "colour?", GOAL)
            assert {c.strategy for c in found.plan.candidates} == {"local"}
            assert "the quickest" in found.plan.rule
        assert "answer" in DeviceTimes.load(tmp_path / "times.json").encode_s

    asyncio.run(test())
