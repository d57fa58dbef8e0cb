"""Asking by plan on made-up time: how long the cloud is waited for, and when a lost link is looked for again.

The device answers by itself in 412 ms: 12 ms of encoding and 400 ms of its model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.controllers.planner import Goal, Plan
from heliograph.edge.device import Device
from heliograph.edge.planning.device_times import DeviceTimes
from heliograph.edge.planning.planned import PlannedClient, PlannedReport
from heliograph.errors import HeliographError, ServerUnreachableError, TimedOutError
from heliograph.protocol import events as ev
from heliograph.strategies.base import Setting
from heliograph.transport.base import Connection
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens
from made_up_time import now, run
from scripted_cloud import PHOTO, Cloud

CURVES = Curves(
    Origin("2026-11-22", "planner", "a machine", "abc", 1200),
    (
        Curve("webp", "picture", (Point({"size": 64}, 200.0, 5.0, 0.2, {"all": 0.95}),)),
        Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 1.0}),)),
    ),
    {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 400.0},
)
GOAL = Goal(0.9, 3.0)


class FakeDevice(Device):
    def __init__(self, *, local: bool = True) -> None:
        path = Path("x") if local else None
        bundle: Any = SimpleNamespace(
            codec_kinds=(), local_model_path=path, hash=b"", calibration=None, familiarity=None
        )
        super().__init__(bundle)
        self.local_model: Any = SimpleNamespace(answer=lambda *_, **__: Answer("own", 0.9, 0.1))

    def encode(
        self,
        photo: Image.Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        return EncodedImage("webp", b"", (b"s" * 100, b"t" * 100))

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        return VisualTokens(np.zeros((1, 1), np.float32), Grid(1, 1))


class Scene:
    """A cloud that answers after some seconds (None: never), and can be out of reach or hang."""

    def __init__(self) -> None:
        self.answers_s: float | None = 0.0
        self.reachable, self.hangs, self.opening_s = True, False, 0.0
        self.opened_s = list[float]()
        self.cloud = Cloud(self._behave)

    async def _behave(self, cloud: Cloud, event: ev.Event) -> None:
        complete = isinstance(event, ev.ImageFinished) or (
            isinstance(event, ev.QuestionAsked) and not event.image_follows
        )
        if complete and self.answers_s is not None:
            self.answering = asyncio.create_task(self._answer(cloud, self.answers_s))

    async def _answer(self, cloud: Cloud, after_s: float) -> None:
        await asyncio.sleep(after_s)
        cloud.final("theirs")
        await cloud.connections[-1].send(cloud.session.bytes_to_send())

    async def open(self) -> Connection:
        self.opened_s.append(now())
        await asyncio.sleep(1e5 if self.hangs else self.opening_s)
        if not self.reachable:
            raise ServerUnreachableError
        return await self.cloud.open()


def check(test: Callable[[Scene, PlannedClient], Awaitable[None]], *, local: bool = True) -> None:
    async def whole() -> None:
        scene, times = Scene(), DeviceTimes()
        async with PlannedClient(scene.open, FakeDevice(local=local), curves=CURVES, times=times, clock=now) as client:
            await test(scene, client)

    run(whole())


async def ask(client: PlannedClient, goal: Goal = GOAL, **how: Any) -> PlannedReport:
    return await client.ask(Image.new("RGB", (8, 8)), "colour?", goal, **how)


@pytest.mark.parametrize(
    ("deadline_s", "took_s"),
    [
        (3.0, 3.0 - 0.412),  # so late that its own answer is still in time
        (0.5, None),  # twice what the cloud should take, which is longer
    ],
)
def test_the_cloud_is_waited_for_until_an_own_answer_would_be_late(deadline_s: float, took_s: float | None) -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.answers_s = None
        plans = list[Plan]()
        found = await ask(client, Goal(0.9, deadline_s), on_plan=plans.append)
        expected_s = 2 * plans[0].chosen.total_s if took_s is None else took_s
        assert expected_s > deadline_s - 0.412 - 1e-9
        assert now() == pytest.approx(expected_s)
        assert (found.report.strategy, found.report.answer) == ("local", "own")
        assert [plan.chosen.strategy for plan in plans] == ["webp", "local"]
        assert plans[1].goal.answer_within_s == pytest.approx(max(deadline_s - expected_s, 0.001))
        assert "no answer after" in found.decisions[1]
        assert found.plan is plans[1]

    check(test)


def test_an_answer_just_before_that_is_the_clouds() -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.answers_s = 2.5
        found = await ask(client)
        assert (found.report.answer, len(found.decisions)) == ("theirs", 2)

    check(test)


def test_without_a_deadline_the_cloud_has_all_the_time_there_is() -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.answers_s = 100.0
        assert (await ask(client, Goal(0.9))).report.answer == "theirs"
        assert now() == 100.0

    check(test)


def test_without_a_deadline_the_end_of_the_time_is_when_the_device_answers_by_itself() -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.answers_s = None
        found = await ask(client, Goal(0.9), timeout_s=50.0)
        assert (found.report.answer, now()) == ("own", 50.0)

    check(test)


def test_without_a_model_of_its_own_the_question_waits_to_its_end_and_the_next_one_tries_the_link_again() -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.answers_s = None
        with pytest.raises(TimedOutError):
            await ask(client, timeout_s=20.0)
        assert now() == 20.0
        scene.answers_s = 0.0
        assert (await ask(client)).report.answer == "theirs"
        scene.reachable = False
        await scene.cloud.connections[-1].close()
        await asyncio.sleep(1)
        with pytest.raises(HeliographError):
            await ask(client, timeout_s=20.0)
        scene.reachable = True
        assert (await ask(client)).report.answer == "theirs"

    check(test, local=False)


def test_a_lost_link_is_looked_for_after_1_2_and_4_seconds_and_two_answers_bring_it_back() -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.reachable = False
        assert (await ask(client)).report.answer == "own"
        asked_s = [0.5, 1.0, 1.5, 2.9, 3.0, 6.9, 7.0]
        for at_s in asked_s:
            await asyncio.sleep(at_s - now())
            found = await ask(client)
            assert found.report.answer == "own"
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert scene.opened_s == [0.0, 1.0, 3.0, 7.0]
        scene.reachable = True
        for at_s, up in ((14.9, False), (15.0, False), (15.1, False), (15.2, True)):
            await asyncio.sleep(at_s - now())
            assert client.plan(PHOTO, "colour?", GOAL).situation.link.up is up  # type: ignore[union-attr]
            assert (await ask(client)).report.answer == ("theirs" if up else "own")
            await asyncio.sleep(0.01)
        assert scene.opened_s[4:] == [15.0, pytest.approx(15.1), pytest.approx(15.2)]

    check(test)


def test_a_probe_that_hangs_is_given_up_after_five_seconds() -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.reachable = False
        await ask(client)
        scene.hangs = True
        for at_s in (1.0, 5.9, 6.1, 7.9, 8.1):
            await asyncio.sleep(at_s - now())
            await ask(client)
            await asyncio.sleep(0.01)
        assert scene.opened_s == [0.0, 1.0, pytest.approx(8.1)]  # given up at 6, and looked for 2 s later

    check(test)


def test_a_probe_on_a_link_that_opened_slowly_gets_four_openings() -> None:
    async def test(scene: Scene, client: PlannedClient) -> None:
        scene.reachable = False
        await ask(client)
        client._opening_s, scene.hangs = 3.0, True
        for at_s in (1.0, 12.9, 13.1, 14.9, 15.1):
            await asyncio.sleep(at_s - now())
            await ask(client)
            await asyncio.sleep(0.01)
        assert scene.opened_s == [0.0, 1.0, pytest.approx(15.1)]  # given up at 13, and looked for 2 s later

    check(test)
