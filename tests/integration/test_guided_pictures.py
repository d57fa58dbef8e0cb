"""Guided pictures over a whole exchange: the question decides what is sent where it guides, and nothing else does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.codec.container import read_stream
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.strategies.base import Family, Setting
from heliograph.strategies.selection import strategies_with
from heliograph.testing import ask_in_process, serving_in_process

SIGN, STAR = "what is on the sign?", "what colour is the star?"
PHOTO = demo_photo_path()


def payloads(strategy: str, setting: Setting, questions: list[str]) -> list[int]:
    """Bytes that each question costs on one connection."""

    async def asked() -> list[int]:
        device = Device(Bundle.load(shipped_bundle_folder()))
        async with serving_in_process() as service, DeviceClient(service.connect, device) as client:
            reports = [await client.ask(PHOTO, one, strategy=strategy, setting=setting) for one in questions]
            return [report.payload_bytes for report in reports]

    return asyncio.run(asked())


def test_a_question_that_guides_gets_a_stream_of_its_own() -> None:
    questions = [SIGN, STAR, SIGN]
    sign, star, again = payloads("roi-avif", {"size": 96, "quality": 35, "guide": "question"}, questions)
    assert sign != star
    assert min(sign, star) > 100
    assert again == 0  # held for this very question
    whole, *more = payloads("roi-avif", {"size": 96, "quality": 35}, questions)
    assert whole > 100
    assert more == [0, 0]


@pytest.mark.parametrize("strategy", strategies_with(family=Family.GUIDED))
def test_a_small_guided_picture_is_answered_from(strategy: str) -> None:
    report = ask_in_process(SIGN, strategy=strategy, setting={"size": 128, "quality": 50})
    plain = ask_in_process(SIGN, strategy="jpeg", setting={"size": 128, "quality": 50})
    assert report.answer
    assert 300 < report.payload_bytes < plain.payload_bytes


def test_a_file_is_made_for_a_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def encoded(*more: str) -> bytes:
        out = tmp_path / "out.hgs"
        setting = ["--strategy", "prefilter", "--setting", "size=96,quality=35,guide=question"]
        assert main(["encode", str(PHOTO), "-o", str(out), *setting, *more]) == 0
        return b"".join(read_stream(out.read_bytes()).segments)

    streams = {encoded(), encoded("--question", SIGN), encoded("--question", STAR)}
    assert len(streams) == 3
    assert encoded("--question", STAR) in streams
    out = tmp_path / "more.hgs"
    assert main(["encode", str(PHOTO), "-o", str(out), "--question", " "]) == 2
    assert "question-empty" in capsys.readouterr().err
    assert not out.exists()
