"""What a planned client learns from what questions took, and hands to the next plan: on made-up time, by hand.

By the curves ``webp`` takes 5 ms to encode; the own answer takes 12 ms of encoding and 400 ms of the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.codec.parts import no_parts
from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.controllers.planner import Goal
from heliograph.edge.device import Device
from heliograph.edge.planning.device_times import DeviceTimes
from heliograph.edge.planning.planned import PlannedClient
from heliograph.edge.planning.usable import engines, usable_on
from heliograph.errors import ServerUnreachableError
from heliograph.protocol import events as ev
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting
from heliograph.transport.base import Connection
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens
from made_up_time import now, run
from scripted_cloud import Cloud

WEBP = "webp size=64"


def curves(*more: Curve) -> Curves:
    every = (
        Curve("webp", "picture", (Point({"size": 64}, 200.0, 5.0, 0.2, {"all": 0.95}),)),
        Curve("local", "local", (Point({}, 0.0, 12.0, 0.0, {"all": 1.0}),)),
        *more,
    )
    answer_ms = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 400.0}
    return Curves(Origin("2026-11-22", "planner", "a machine", "abc", 1200), every, answer_ms)


def take(seconds: float) -> None:
    """Work for so long."""
    asyncio.get_running_loop()._jumping.now += seconds  # type: ignore[attr-defined]


class FakeDevice(Device):
    """Takes the seconds that a test names to encode, and to answer by itself."""

    def __init__(self) -> None:
        bundle: Any = SimpleNamespace(
            codec_kinds=(),
            local_model_path=Path("x"),
            hash=b"",
            calibration=None,
            familiarity=None,
            part=no_parts,
        )
        super().__init__(bundle)
        self.encode_s, self.answer_s = 0.005, 0.4
        self.encoded = list[tuple[tuple[int, int], str, Setting | None]]()
        self.local_model: Any = SimpleNamespace(answer=self._answer)

    def _answer(self, *_: Any, **__: Any) -> Answer:
        take(self.answer_s)
        return Answer("own", 0.9, 0.1)

    def encode(
        self,
        photo: Image.Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        take(self.encode_s)
        self.encoded.append((photo.size, strategy, setting))
        return EncodedImage("webp", b"", (b"s" * 100, b"t" * 100))

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        take(self.encode_s)
        return VisualTokens(np.zeros((1, 1), np.float32), Grid(1, 1))


async def answers(cloud: Cloud, event: ev.Event) -> None:
    if isinstance(event, ev.ImageFinished) or (isinstance(event, ev.QuestionAsked) and not event.image_follows):
        cloud.final("theirs")


Test = Callable[[PlannedClient, FakeDevice, DeviceTimes, Cloud], Awaitable[None]]


def check(test: Test, cloud: Cloud | None = None, known: Curves | None = None, **how: Any) -> None:
    async def whole() -> None:
        asked, device, times = cloud or Cloud(answers), FakeDevice(), DeviceTimes()
        async with PlannedClient(
            how.pop("open_connection", asked.open), device, curves=known or curves(), times=times, clock=now, **how
        ) as client:
            await test(client, device, times, asked)

    run(whole())


def photo() -> Image.Image:
    return Image.new("RGB", (8, 8))


GOAL, OWN = Goal(0.9), Goal(0.99)


# ---- encoding and answering ----------------------------------------------------------------------------
def test_the_first_encoding_loads_what_it_needs_and_that_is_kept_apart() -> None:
    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        device.encode_s = 0.505
        await client.ask(photo(), "colour?", GOAL)
        assert times.encode_s == {"loading pictures": pytest.approx(0.5)}
        device.encode_s = 0.02
        await client.ask(shown := photo(), "colour?", GOAL)
        assert times.encode_s == {"loading pictures": pytest.approx(0.5), WEBP: pytest.approx(0.02)}
        await client.ask(shown, "shape?", GOAL)  # which is held, and not encoded
        device.encode_s = 0.04
        await client.ask(photo(), "colour?", GOAL)
        assert times.encode_s[WEBP] == pytest.approx(0.03)

    check(test)


def test_an_own_answer_counts_as_two_parts_each_without_its_loading() -> None:
    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        device.encode_s, device.answer_s = 0.212, 0.9
        assert (await client.ask(photo(), "colour?", OWN)).report.answer == "own"
        assert times.encode_s == {"loading tokens": pytest.approx(0.2), "loading answer": pytest.approx(0.5)}
        device.encode_s, device.answer_s = 0.024, 0.7
        await client.ask(photo(), "colour?", OWN)
        assert times.encode_s["local"] == pytest.approx(0.024)
        assert times.encode_s["answer"] == pytest.approx(0.7)
        situation = client.plan(photo(), "colour?", OWN).situation
        assert situation.local_answer_s == pytest.approx(0.7)
        assert (situation.device_factor, situation.device_samples) == (pytest.approx(2.0), 1)

    check(test, only=frozenset({"local"}))


def test_on_a_device_known_to_be_slow_loading_is_what_is_beyond_its_usual_time() -> None:
    """Four times as slow as the curves' machine: 20 ms of encoding, 1.6 s of the own model."""

    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        times.note(WEBP, 0.02)
        device.encode_s, device.answer_s = 0.148, 2.0
        await client.ask(photo(), "colour?", OWN)
        assert times.encode_s["loading tokens"] == pytest.approx(0.1)
        assert times.encode_s["loading answer"] == pytest.approx(0.4)

    check(test, only=frozenset({"local"}))


def test_what_was_measured_is_the_usual_time_and_not_what_the_curves_say() -> None:
    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        times.note(WEBP, 0.1)
        device.encode_s = 0.35
        await client.ask(photo(), "colour?", GOAL)
        assert times.encode_s["loading pictures"] == pytest.approx(0.25)

    check(test)


def test_a_plan_counts_the_loading_that_is_to_come() -> None:
    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        assert client.plan(photo(), "colour?", GOAL).situation.loading_s == {}
        for name, seconds in (("loading pictures", 0.5), ("loading tokens", 2.0), ("loading answer", 3.0)):
            times.note(name, seconds)
        situation = client.plan(photo(), "colour?", GOAL).situation
        assert situation.loading_s == {"webp": 0.5, "local": 5.0}
        assert situation.local_answer_s is None
        await client.ask(photo(), "colour?", GOAL)
        assert client.plan(photo(), "colour?", GOAL).situation.loading_s == {"local": 5.0}

    check(test)


# ---- regions -------------------------------------------------------------------------------------------
CROP = Curve(
    "webp",
    "region",
    (Point({"size": 32}, 150.0, 5.0, 0.2, {"all": 0.999}, crop_setting={"size": 16}, crop_bytes=50.0),),
    crop="webp",
)


@pytest.mark.parametrize("region", ["always", "threshold"])
def test_a_plan_with_a_region_allows_one_and_says_how_it_travels(region: str) -> None:
    async def looks(cloud: Cloud, event: ev.Event) -> None:
        match event:
            case ev.ImageFinished() if len(cloud.of(ev.ImageFinished)) == 1:
                cloud.session.send_region(cloud.question_id, (0, 0, 512, 1024))
            case ev.ImageFinished() | ev.CropAnnounced(_, None):
                cloud.final("theirs")

    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        found = await client.ask(photo(), "colour?", OWN)
        assert cloud.of(ev.QuestionAsked)[0].question.region == region
        assert device.encoded == [((8, 8), "webp", {"size": 32, "quality": 75}), ((4, 8), "webp", {"size": 16})]
        assert found.decisions[1].endswith("1 region sent, the first answer stands")
        link = client.plan(photo(), "colour?", OWN).situation.link
        assert link is not None
        assert link.samples == 0  # two crossings at once tell less than one

    known = Curves(curves().origin, (curves().curves[0], CROP), curves().answer_ms)
    check(test, Cloud(looks), known, region=region)


def test_without_a_policy_no_plan_has_a_region() -> None:
    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        plan = client.plan(photo(), "colour?", GOAL)
        assert not plan.situation.region
        assert not any(candidate.crop for candidate in plan.candidates)
        await client.ask(photo(), "colour?", GOAL)
        assert cloud.of(ev.QuestionAsked)[0].question.region == "never"

    check(test, None, curves(CROP), region=None)


def test_what_a_region_is_sent_with_needs_no_curve_of_its_own() -> None:
    crop = replace(CROP, crop="avif")

    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        assert {candidate.crop for candidate in client.plan(photo(), "colour?", OWN).candidates} == {"", "avif"}

    check(test, None, curves(crop))


# ---- the link ------------------------------------------------------------------------------------------
def test_each_question_is_one_observation_and_the_first_two_more() -> None:
    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        samples = list[int]()
        for _ in range(3):
            device.encode_s = 0.005
            await client.ask(photo(), "colour?", GOAL)
            link = client.plan(photo(), "colour?", GOAL).situation.link
            assert link is not None
            samples.append(link.samples)
        assert samples == [3, 4, 5]
        sizes = [seen.size_bytes for seen, _ in client._link._answers]
        assert max(sizes) < 200 + 60  # each of its own question alone

    async def slow(cloud: Cloud, event: ev.Event) -> None:
        await asyncio.sleep(0.01)
        await answers(cloud, event)

    cloud = Cloud(slow)

    async def connect() -> Connection:
        await asyncio.sleep(0.5)
        return await cloud.open()

    check(test, cloud, open_connection=connect)


def test_a_device_that_opens_slowly_probes_with_patience() -> None:
    """It took 4 s to open a connection: a probe gets 16."""
    opened_s = list[float]()
    cloud = Cloud(answers)

    async def connect() -> Connection:
        opened_s.append(now())
        await asyncio.sleep(4.0 if len(opened_s) == 1 else 1e4)
        return await cloud.open()

    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        assert (await client.ask(photo(), "colour?", GOAL)).report.answer == "theirs"
        client._watch.failed(now())
        began_s = now()
        for later_s in (1.5, 17.0, 19.0, 20.5):
            await asyncio.sleep(began_s + later_s - now())
            await client.ask(photo(), "colour?", Goal(0.9, 1.0))
            await asyncio.sleep(0.01)
        assert [at_s - began_s for at_s in opened_s[1:]] == pytest.approx(
            [1.9, 20.9], abs=0.01
        )  # behind 0.4 s of the own answer

    check(test, cloud, open_connection=connect)


def test_closing_lets_go_of_the_connection_and_keeps_the_times(tmp_path: Path) -> None:
    async def whole() -> None:
        cloud, times = Cloud(answers), DeviceTimes(tmp_path / "times.json")
        client = PlannedClient(cloud.open, FakeDevice(), curves=curves(), times=times, clock=now)
        for _ in range(2):
            await client.ask(photo(), "colour?", GOAL)
        assert not cloud.connections[0]._incoming.closed
        await client.close()
        assert cloud.connections[0]._incoming.closed
        assert WEBP in DeviceTimes.load(tmp_path / "times.json").encode_s

    run(whole())


# ---- what was decided ----------------------------------------------------------------------------------
def test_decisions_name_the_plan_what_went_wrong_and_the_outcome() -> None:
    async def refuse() -> Connection:
        raise ServerUnreachableError

    async def test(client: PlannedClient, device: FakeDevice, times: DeviceTimes, cloud: Cloud) -> None:
        found = await client.ask(photo(), "colour?", GOAL)
        first, second, third = found.decisions
        assert first.startswith(f"{WEBP}: ")
        assert second == "server-unreachable after 0 ms: the device answers by itself meanwhile"
        assert third.startswith("answered after 405 ms (expected 412 ms)")

    check(test, open_connection=refuse)


def test_what_a_device_can_use() -> None:
    pictures = {name for plain in ("webp", "jpeg", "avif") for name in (plain, f"{plain}-bare")}
    assert usable_on(Device(None), STRATEGIES.names()) == pictures  # what guides a picture is in the bundle
    device = FakeDevice()
    with_model = usable_on(device, STRATEGIES.names())
    assert pictures | {"local"} <= with_model
    assert not {"klt", "meta"} & with_model
    device.bundle.local_model_path, device.bundle.codec_kinds = None, ("klt",)
    assert "local" not in usable_on(device, STRATEGIES.names())
    assert "klt" in usable_on(device, STRATEGIES.names())


def test_a_learned_codec_is_loaded_beside_the_tower() -> None:
    assert engines("webp") == ("pictures",)
    assert engines("klt") == ("tokens",)
    assert engines("meta") == ("tokens", "meta")
    assert engines("local") == ("tokens",)
    assert engines("roi-webp") == ("pictures", "tokens")
    assert engines("question-coded") == ("tokens", "meta", "question-coded")
    assert engines("caption") == ("tokens", "answer")
