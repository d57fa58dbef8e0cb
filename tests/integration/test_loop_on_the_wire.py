"""The whole loop with the reference model over a real websocket: whatever stops the stream, and whatever drafts came
before, the final answer is what greedy decoding says on the prefix it was made from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliograph.bench.tasks import Item, scene_items
from heliograph.boxes import pixel_box, wire_box
from heliograph.codec.bundle import Bundle
from heliograph.codec.calibration import Calibration, Curve
from heliograph.codec.manifest import REGION
from heliograph.controllers.region.find import RegionSetting
from heliograph.edge import exchange
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.region import RegionSending
from heliograph.edge.report import AskReport
from heliograph.errors import BundleDamagedError
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.base import Connection
from heliograph.transport.links import parse_link
from heliograph.transport.shaped import open_shaped
from heliograph.transport.websocket_client import open_websocket

LIMIT = 8
THIN = parse_link("20kbit,20ms")
SURE = Curve(("min-entropy",), (0.0,), (1.0,), (1.0,), 0.0)
CALIBRATION = Calibration({"min-entropy": SURE}, {"min-entropy": SURE})


@pytest.fixture(scope="module")
def loaded(reference_pair: Any) -> tuple[Cloud, Device]:
    plain = load_cloud(str(reference_pair.model), reference_pair.bundle)
    bundle = Bundle.load(reference_pair.bundle)
    finder = finder_of(plain, RegionSetting(layer=0, generic_question="describe the picture."))
    return Cloud(plain.model, bundle.codecs, bundle.hash, CALIBRATION, finder), Device(bundle)


@pytest.fixture(scope="module")
def url(loaded: tuple[Cloud, Device]) -> Iterator[str]:
    with BackgroundServer(CloudApplication(loaded[0])) as server:
        yield server.url


def finder_of(cloud: Cloud, setting: RegionSetting) -> Any:
    return cloud.model.region_finder(setting)


def questions() -> list[tuple[Item, str]]:
    items = scene_items(8_010_000, 3, descriptions=False)
    return [(item, record.question) for item in items for record in item.records[:3]]


def asked(
    url: str,
    device: Device,
    on_final: Callable[[], None] = lambda: None,
    region_sending: RegionSending | None = None,
    **options: Any,
) -> list[AskReport]:
    """Every question over a thin link, so that drafts come before the final answer."""

    async def whole() -> list[AskReport]:
        reports = list[AskReport]()

        async def connect() -> Connection:
            return await open_shaped(lambda: open_websocket(url), THIN)

        async with DeviceClient(connect, device) as client:
            for item, question in questions():
                photo = item.photo.copy()
                asked = Question(question, max_answer_tokens=LIMIT, **options)
                reports.append(await client.ask(photo, asked, strategy="klt", region_sending=region_sending))
                on_final()
        return reports

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("controller", "target"),
    [("push", 128), ("push", 250), ("pull", 200), ("energy", 128), ("level", 200), ("fixed", 0)],
)
def test_the_final_answer_is_greedy_on_the_final_prefix(
    url: str, loaded: tuple[Cloud, Device], controller: str, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, device = loaded
    used, finals = list[int](), list[int]()
    original = exchange.Exchange._draft

    def noting(self: Any, text: str, confidence: float, segments_used: int, *rest: Any) -> Any:
        used.append(segments_used)
        return original(self, text, confidence, segments_used, *rest)

    monkeypatch.setattr(exchange.Exchange, "_draft", noting)
    reports = asked(url, device, controller=controller, target=target, on_final=lambda: finals.append(used[-1]))
    for (item, question), report, segments in zip(questions(), reports, finals, strict=True):
        asked_for = Question(question, controller, target).level_agreement
        prefix = device.encode(item.photo, "klt", None, asked_for).prefix(segments)
        wanted = cloud.model.answer(question, [cloud.restore(prefix)], max_new_tokens=LIMIT)
        assert report.answer == wanted.text


@pytest.mark.parametrize("target", [200, 220, 238])
def test_klt_stops_exactly_at_the_level_of_the_wanted_agreement(
    url: str, loaded: tuple[Cloud, Device], target: int
) -> None:
    """The bytes are those of a stream that ends there, at most two of its last ones more: this one goes on for whoever
    wants more. The cloud has asked for none of them."""
    device = loaded[1]
    codec, photo = device.codec("klt"), next(scene_items(8_000_321, 1, descriptions=False)).photo
    assert codec.levels is not None
    level = codec.levels.level_for(target / 255)
    assert level % 8  # a fineness of its own

    async def ask() -> AskReport:
        async with DeviceClient(lambda: open_websocket(url), device) as client:
            return await client.ask(photo, Question("what is in the picture?", "level", target), strategy="klt")

    report = asyncio.run(ask())
    assert report.stopped_early
    ended = device.encode(photo, "klt", {"level": level})
    assert 0 <= report.payload_bytes - ended.payload_bytes <= 2


def test_a_region_of_the_original_is_looked_at(url: str, loaded: tuple[Cloud, Device], reference_pair: Any) -> None:
    cloud, device = loaded
    sending = RegionSending("webp", {"size": 64, "quality": 50})
    reports = asked(url, device, controller="fixed", target=0, region="always", region_sending=sending)
    assert [report.regions_sent for report in reports] == [1] * len(reports)
    assert not any(report.region_missed or report.controller_failed for report in reports)
    for (item, question), report in zip(questions(), reports, strict=True):
        whole = cloud.restore(device.encode(item.photo, "klt"))
        first = cloud.model.answer(question, [whole], max_new_tokens=LIMIT)
        assert cloud.finder is not None
        box = wire_box(cloud.finder.find(question, whole, (1024, 1024)).box, 1024, 1024)
        crop = item.photo.crop(pixel_box(box, *item.photo.size))
        local = cloud.restore(device.encode(crop, sending.strategy, sending.setting))
        second = cloud.model.answer(question, [whole, local], max_new_tokens=LIMIT)
        more_confident = second if second.confidence > first.confidence else first
        assert (report.answer, report.looked) == (more_confident.text, more_confident is second)


def test_a_region_may_travel_as_tokens(url: str, loaded: tuple[Cloud, Device]) -> None:
    sending = RegionSending("klt", {"max_bytes": 200})
    reports = asked(url, loaded[1], controller="fixed", target=0, region="always", region_sending=sending)
    assert [report.regions_sent for report in reports] == [1] * len(reports)
    assert not any(report.region_missed for report in reports)


@dataclass
class FolderBundle:
    """As much of a bundle as a finder needs."""

    folder: Path

    @property
    def file_names(self) -> frozenset[str]:
        return frozenset(path.name for path in self.folder.iterdir())

    def file(self, name: str) -> Path:
        return self.folder / name


def test_a_cloud_finds_regions_with_what_its_bundle_says(loaded: tuple[Cloud, Device], tmp_path: Path) -> None:
    cloud, bundle = loaded[0], FolderBundle(tmp_path)
    assert RegionSetting.of(bundle) is None  # type: ignore[arg-type]
    (tmp_path / REGION).write_text(json.dumps(RegionSetting(layer=1).to_json()), encoding="utf-8")
    setting = RegionSetting.of(bundle)  # type: ignore[arg-type]
    assert setting == RegionSetting(layer=1)
    finder = cloud.model.region_finder(setting)
    item, question = questions()[0]
    tokens = cloud.model.encode_image(item.photo)
    assert finder.find(question, tokens, (512, 512)).box[2] <= 512
    for damage in ("{}", "[", "null"):
        (tmp_path / REGION).write_text(damage, encoding="utf-8")
        with pytest.raises(BundleDamagedError):
            RegionSetting.of(bundle)  # type: ignore[arg-type]
