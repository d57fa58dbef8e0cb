"""Ordered codes and streams with a question at one end, over a whole exchange with the shipped parts."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.report import AskReport
from heliograph.errors import PartMismatchError
from heliograph.question import Question
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.strategies.base import Setting
from heliograph.testing import ask_in_process, serving_in_process

STAR, SIGN = "what color is the star?", "what does the sign say?"
PHOTO = demo_photo_path()


def reports(strategy: str, setting: Setting, questions: list[str]) -> list[AskReport]:
    """Of each question on one connection."""

    async def asked() -> list[AskReport]:
        device = Device(Bundle.load(shipped_bundle_folder()))
        async with serving_in_process() as service, DeviceClient(service.connect, device) as client:
            return [await client.ask(PHOTO, one, strategy=strategy, setting=setting) for one in questions]

    return asyncio.run(asked())


def test_codes_are_answered_from_and_held_for_the_next_question() -> None:
    few, more = reports("tokens-1d", {"codes": 4}, [STAR]), reports("tokens-1d", {}, [STAR, SIGN])
    assert few[0].answer
    assert 4 < few[0].payload_bytes < 12 < more[0].payload_bytes < 48
    assert more[1].payload_bytes == 0


def test_the_cloud_stops_codes_when_it_has_enough() -> None:
    report = ask_in_process(Question(STAR, controller="fixed", target=20), strategy="tokens-1d")
    assert report.answer
    assert 3 < report.payload_bytes <= 24


def test_side_information_takes_not_a_byte_more_and_none_for_the_next_question() -> None:
    side, plain = reports("side-info", {"latents": 12}, [STAR, SIGN]), reports("meta", {"latents": 12}, [STAR])
    assert side[0].payload_bytes == plain[0].payload_bytes
    assert side[1].payload_bytes == 0
    assert side[0].answer
    assert side[1].answer


def test_every_question_has_a_coded_stream_of_its_own() -> None:
    star, sign = reports("question-coded", {"latents": 12}, [STAR, SIGN])
    assert star.payload_bytes > 8
    assert sign.payload_bytes > 8


def test_a_device_with_another_part_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.codec import parts

    device = Device(Bundle.load(shipped_bundle_folder()))
    own = device.part("tokens-1d")
    monkeypatch.setattr(device, "part", lambda name: parts.Part(name, own.folder, own.card, b"\x00\x00", own.files))

    async def asked() -> AskReport:
        async with serving_in_process() as service, DeviceClient(service.connect, device) as client:
            return await client.ask(PHOTO, STAR, strategy="tokens-1d")

    with pytest.raises(PartMismatchError):
        asyncio.run(asked())
