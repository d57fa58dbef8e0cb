"""What a plan may choose from: what this device can do, and what a cloud with the same bundle and parts can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import scripted_cloud
from heliograph.clock import now_s
from heliograph.codec.parts import missing
from heliograph.controllers.curves import Curve, Curves, Origin, Point
from heliograph.controllers.planner import Goal, Plan
from heliograph.edge.device import Device
from heliograph.edge.planning.device_times import DeviceTimes
from heliograph.edge.planning.planned import PlannedClient
from heliograph.edge.planning.usable import REFUSALS, usable_on
from heliograph.errors import (
    BundleDamagedError,
    HeliographError,
    PartMismatchError,
    PartMissingError,
    ShapeError,
    StreamDamagedError,
)
from heliograph.protocol import events as ev
from heliograph.reasons import BundleFault, BundlePart, StreamFault
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting
from heliograph.strategies.selection import strategy_class
from heliograph.types import EncodedImage
from scripted_cloud import Cloud

NECKS = {"latent-neck", "feature-adapt"}  # they enter the tower, and are never planned with
PARTED = {"dynamicvit", "tokens-1d", "question-coded", "side-info", "entropic-student", "frankensplit", *NECKS}
SPEAKING = {"caption", "local"}
ELSEWHERE = {"jpeg-dct", "split-k", "nnc", "klt-nnc"}


class PartedDevice(Device):
    """Has a bundle of these codecs, the parts that a test names, and no encoder."""

    def __init__(self, parts: frozenset[str], codecs: tuple[str, ...] = ("klt", "meta", "pq"), *, local: bool) -> None:
        bundle: Any = SimpleNamespace(
            codec_kinds=codecs,
            local_model_path=Path("x") if local else None,
            hash=b"",
            calibration=None,
            familiarity=None,
        )
        super().__init__(bundle)
        self.parts = parts
        self.damaged = frozenset[str]()
        self.refusing: HeliographError | None = None
        self.sent = list[str]()

    def part(self, name: str) -> Any:
        if name in self.damaged:
            raise BundleDamagedError(BundlePart.PART, BundleFault.HASH)
        if name not in self.parts:
            raise missing(name)
        return object()

    def encode(
        self,
        photo: Image.Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        self.sent.append(strategy)
        if self.refusing is not None and strategy == "frankensplit":
            raise self.refusing
        return EncodedImage(strategy, b"h", (b"s" * 20,))


def every(device: Device) -> frozenset[str]:
    return usable_on(device, STRATEGIES.names())


def test_strategies_with_parts_are_planned_with_where_the_part_is() -> None:
    none = every(PartedDevice(frozenset(), local=False))
    assert not PARTED & none
    assert {"klt", "meta", "divprune", "prefilter", "avif-bare"} <= none
    some = PartedDevice(frozenset({"frankensplit", "tokens-1d"}), local=False)
    assert every(some) - none == {"frankensplit", "tokens-1d"}
    some.damaged = frozenset({"tokens-1d"})
    assert every(some) - none == {"frankensplit"}


def test_every_strategy_that_asks_for_a_part_says_so() -> None:
    assert {name for name in STRATEGIES.names() if getattr(strategy_class(name), "needs_part", False)} == PARTED


def test_what_needs_more_of_the_cloud_than_bundle_and_parts_is_never_planned_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HELIOGRAPH_NNC", "python")
    device = PartedDevice(frozenset(PARTED), local=True)
    assert not (ELSEWHERE | NECKS) & every(device)
    assert every(device) >= SPEAKING | PARTED - NECKS


def test_a_bundle_without_a_language_model_describes_nothing_and_one_without_a_codec_needs_none_of_it() -> None:
    assert not SPEAKING & every(PartedDevice(frozenset(PARTED), local=False))
    without = every(PartedDevice(frozenset(PARTED), ("klt",), local=False))
    assert not {"meta", "pq", "question-coded", "side-info"} & without
    assert {"klt", "divprune", "frankensplit"} <= without


def test_only_what_has_a_curve_is_looked_at() -> None:
    device = PartedDevice(frozenset(PARTED), local=False)
    assert usable_on(device, {"frankensplit", "webp", ""}) == {"frankensplit", "webp"}


@pytest.fixture(autouse=True)
def _any_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted cloud has no bundle that streams could be held against."""
    monkeypatch.setattr(scripted_cloud, "needs_bundle", lambda _: False)


# ---- refused by either end -----------------------------------------------------------------------------
def curves() -> Curves:
    """The quickest needs a part, the next one does not."""
    points = {"frankensplit": (100.0, 0.95), "webp": (400.0, 0.96)}
    made = [
        Curve(name, str(strategy_class(name).kind), (Point({}, size, 5.0, 1.0, {"all": quality}),))
        for name, (size, quality) in points.items()
    ]
    answer_ms = {"tokens": 20.0, "picture": 30.0, "region": 40.0, "local": 20.0}
    return Curves(Origin("2026-12-01", "planner", "a machine", "abc", 1200), tuple(made), answer_ms)


def refusing(error: HeliographError) -> Callable[[Cloud, ev.Event], Awaitable[None]]:
    """A cloud that cannot restore ``frankensplit``."""

    async def behave(cloud: Cloud, event: ev.Event) -> None:
        if isinstance(event, ev.QuestionAsked) and not event.image_follows:
            cloud.final("theirs")
        if isinstance(event, ev.ImageFinished):
            if cloud.of(ev.ImageAnnounced)[-1].strategy == "frankensplit":
                cloud.session.send_error(error, cloud.question_id)
            else:
                cloud.final("theirs")

    return behave


def asked(
    cloud: Cloud, device: PartedDevice, only: frozenset[str] | None = None, *, other_photo: bool = False
) -> tuple[list[Plan], Any, Any]:
    async def whole() -> tuple[list[Plan], Any, Any]:
        plans = list[Plan]()
        async with asyncio.timeout(20):
            client = PlannedClient(
                cloud.open, device, curves=curves(), times=DeviceTimes(), clock=now_s, region=None, only=only
            )
            async with client:
                photo = Image.new("RGB", (8, 8))
                first = await client.ask(photo, "colour?", Goal(0.9, 30.0), on_plan=plans.append)
                photo = Image.new("RGB", (9, 8)) if other_photo else photo
                second = await client.ask(photo, "colour?", Goal(0.9), on_plan=plans.append)
        for task in cloud.tasks:
            task.cancel()
        return plans, first, second

    return asyncio.run(whole())


@pytest.mark.parametrize("error", [PartMissingError(), PartMismatchError()])
def test_a_strategy_that_the_cloud_refuses_is_left_out_of_the_next_plans(error: HeliographError) -> None:
    device = PartedDevice(frozenset({"frankensplit"}), local=False)
    plans, first, second = asked(Cloud(refusing(error)), device)
    assert [plan.chosen.strategy for plan in plans] == ["frankensplit", "webp", "webp"]
    assert first.report.answer == second.report.answer == "theirs"
    assert first.decisions[1] == f"{error.name}: frankensplit is left out from now on"
    limit = plans[1].goal.answer_within_s
    assert limit is not None
    assert limit < 30.0  # what is left of it
    assert len(second.decisions) == 2
    assert device.sent == ["frankensplit", "webp"]


def test_a_strategy_that_refuses_one_photo_is_planned_with_for_the_next() -> None:
    device = PartedDevice(frozenset({"frankensplit"}), local=False)
    plans, first, second = asked(Cloud(refusing(ShapeError())), device, other_photo=True)
    assert [plan.chosen.strategy for plan in plans] == ["frankensplit", "webp", "frankensplit", "webp"]
    assert first.report.answer == second.report.answer == "theirs"
    assert first.decisions[1] == second.decisions[1] == "shape: frankensplit is left out for this question"


def test_a_strategy_that_the_device_cannot_carry_out_is_left_out_too() -> None:
    device = PartedDevice(frozenset({"frankensplit"}), local=False)
    device.refusing = missing("frankensplit")
    plans, first, _ = asked(Cloud(refusing(PartMissingError())), device)
    assert [plan.chosen.strategy for plan in plans] == ["frankensplit", "webp", "webp"]
    assert first.report.answer == "theirs"


def test_where_nothing_else_is_left_the_refusal_is_the_answer() -> None:
    device = PartedDevice(frozenset({"frankensplit"}), local=False)
    with pytest.raises(PartMismatchError):
        asked(Cloud(refusing(PartMismatchError())), device, frozenset({"frankensplit"}))


def test_damage_is_no_refusal() -> None:
    device = PartedDevice(frozenset({"frankensplit"}), local=False)
    device.refusing = StreamDamagedError(StreamFault.LENGTH)
    with pytest.raises(StreamDamagedError):
        asked(Cloud(refusing(PartMissingError())), device)
    assert not issubclass(StreamDamagedError, REFUSALS)
