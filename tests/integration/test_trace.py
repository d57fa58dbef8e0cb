"""Both ends traced at once: what one says it sent the other says it received, and either holds the answer's prefix."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from heliograph.bench.tasks import scene_items
from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.codec.calibration import Calibration, Curve
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.report import AskReport
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.opening import load_cloud
from heliograph.serving.service import CloudService
from heliograph.tracing import Trace, TraceWriter, read_trace, replay
from heliograph.tracing.exchanges import questions_of
from heliograph.tracing.merging import merged
from heliograph.tracing.table import EVENTS, FRAMES
from heliograph.transport.base import Connection
from heliograph.transport.memory import MemoryConnection, memory_pair
from heliograph.types import Answer, VisualTokens

ACCESS_TOKEN, KEY = "an-access-token-of-some-length", bytes(range(32))
SURE = Curve(("min-entropy",), (0.0,), (1.0,), (1.0,), 0.0)
CALIBRATION = Calibration({"min-entropy": SURE}, {"min-entropy": SURE})
QUESTIONS = (Question("what color is it?", max_answer_tokens=8), Question("how many?", "energy", 128), "and now?")


def a_photo() -> Any:
    return next(iter(scene_items(8_020_000, 1, descriptions=False))).photo


@pytest.fixture(scope="module")
def loaded(reference_pair: Any) -> tuple[Cloud, Device]:
    plain, bundle = load_cloud(str(reference_pair.model), reference_pair.bundle), Bundle.load(reference_pair.bundle)
    return Cloud(plain.model, bundle.codecs, bundle.hash, CALIBRATION), Device(bundle)


def exchange(
    cloud: Cloud, device: Device, folder: Path, *, content: bool = True, key: bytes = b"", breaks: bool = False
) -> list[AskReport]:
    """Every question about one photo, in this process; traces of both ends in the folder."""

    async def whole() -> list[AskReport]:
        ends, serving = list[MemoryConnection](), list[asyncio.Task[None]]()
        with (
            TraceWriter(folder / "device.trace", "device", content=content) as ours,
            TraceWriter(folder / "cloud.trace", "cloud", content=content) as theirs,
        ):

            def seen(name: str, data: Mapping[str, Any]) -> None:
                theirs.record(name, data)
                if breaks and data.get("frame") == "SEGMENT" and data.get("index") == 1 and len(ends) == 1:
                    ends[0].abort()

            service = CloudService(cloud, frozenset({ACCESS_TOKEN}), keys=(key,) if key else (), trace=seen)
            async with service:

                async def connect() -> Connection:
                    here, there = memory_pair()
                    ends.append(there)
                    serving.append(asyncio.create_task(service.serve(there)))
                    return here

                photo = a_photo()
                async with DeviceClient(
                    connect, device, ACCESS_TOKEN, key=key, jitter=lambda: 0.0, trace=ours.record
                ) as client:
                    reports = [await client.ask(photo, one, strategy="klt", timeout_s=60) for one in QUESTIONS]
                await asyncio.gather(*serving)
            return reports

    return asyncio.run(whole())


def frames(trace: Trace, kind: str) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in event.data.items() if name not in ("connection", "session")}
        for event in trace.events
        if event.name == f"session:frame_{kind}"
    ]


def both(folder: Path) -> tuple[Trace, Trace]:
    return read_trace(folder / "device.trace"), read_trace(folder / "cloud.trace")


@pytest.mark.parametrize("key", [b"", KEY])
def test_what_one_end_sent_the_other_received_and_bytes_are_the_reports(
    loaded: tuple[Cloud, Device], tmp_path: Path, key: bytes
) -> None:
    reports = exchange(*loaded, tmp_path, key=key)
    device, cloud = both(tmp_path)
    sent, received = frames(device, "sent"), frames(cloud, "received")
    assert sent == received
    assert frames(cloud, "sent")[: len(frames(device, "received"))] == frames(device, "received")
    payload = sum(one.get("payload_bytes", 0) for one in sent)
    assert payload == sum(report.payload_bytes for report in reports) > 0
    answered = [event.data for event in device.events if event.name == "question:answered"]
    assert [one["payload_bytes"] for one in answered] == [report.payload_bytes for report in reports]
    assert [one["text"] for one in answered] == [report.answer for report in reports]


def test_events_have_the_fields_that_are_documented_and_decisions_their_numbers(
    loaded: tuple[Cloud, Device], tmp_path: Path
) -> None:
    exchange(*loaded, tmp_path)
    for trace in both(tmp_path):
        for event in trace.events:
            assert trace.vantage_point in EVENTS[event.name].written_by
            allowed = {*EVENTS[event.name].fields, *FRAMES.get(event.data.get("frame", ""), ())}
            assert set(event.data) <= allowed, (event.name, set(event.data) - allowed)
    cloud = both(tmp_path)[1]
    decided = [event.data for event in cloud.events if event.name == "controller:decided"]
    assert {one["decision"] for one in decided} >= {"enough"}
    assert all(one["received_bytes"] > 0 for one in decided if one["segments"])
    ended = [event.data for event in cloud.events if event.name == "model:job_ended"]
    started = [event.data for event in cloud.events if event.name == "model:job_started"]
    assert len(ended) == len(started) >= len(QUESTIONS)
    assert all(len(one["token_ids"]) >= 1 and one["min_entropy_bits"] >= 0 for one in ended)


def test_no_secret_is_in_either_file_and_only_the_owner_may_read_them(
    loaded: tuple[Cloud, Device], tmp_path: Path
) -> None:
    exchange(*loaded, tmp_path, key=KEY)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert ACCESS_TOKEN.encode() not in data
        assert KEY.hex().encode() not in data
        for name in (b"session_token", b"access_token", b"nonce", b'"tag"'):
            assert name not in data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_content_sizes_stay_and_words_and_photos_go(loaded: tuple[Cloud, Device], tmp_path: Path) -> None:
    reports = exchange(*loaded, tmp_path, content=False)
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert b"what color" not in data
        assert b'"payload":' not in data
        assert b"token_ids" not in data
    device, _ = both(tmp_path)
    assert sum(one.get("payload_bytes", 0) for one in frames(device, "sent")) == sum(r.payload_bytes for r in reports)


def test_a_session_that_goes_on_is_one_session_in_both_traces(loaded: tuple[Cloud, Device], tmp_path: Path) -> None:
    reports = exchange(*loaded, tmp_path, breaks=True)
    device, cloud = both(tmp_path)
    assert reports[0].reconnections == 1
    assert [event.data["cause"] for event in device.events if event.name == "connection:retry"] == ["connection-lost"]
    asked = questions_of(cloud)
    assert len(asked) == len(QUESTIONS) + 1  # the first one twice
    assert {one.session for one in asked} == {1}
    together = merged(device, cloud)
    assert together.connections == {1: 1, 2: 2}
    last = questions_of(device)[-1]
    assert last.photo is not None
    whole = loaded[1].encode(a_photo(), "klt")
    assert tuple(last.photo.segments) == whole.segments[: len(last.photo.segments)]


@pytest.mark.parametrize("end", ["device.trace", "cloud.trace"])
@pytest.mark.parametrize("breaks", [False, True])
def test_every_answer_is_made_again_from_either_end(
    loaded: tuple[Cloud, Device], tmp_path: Path, end: str, breaks: bool
) -> None:
    reports = exchange(*loaded, tmp_path, breaks=breaks)
    trace = read_trace(tmp_path / end)
    answered = [one for one in questions_of(trace) if one.final is not None]
    for report, one in zip(reports, answered, strict=True):
        found = replay(trace, loaded[0], one.question_id)
        assert (found.recorded, found.same, found.same_model) == (report.answer, True, True)
        assert found.same_tokens is (True if end == "cloud.trace" else None)
        assert one.final is not None
        assert len(found.prefix.segments) == one.final.segments_used


class Mistaken:
    """The reference model, but for its answers about one question; it answers one question at a time."""

    open_batch = None

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def answer(self, question: str, images: list[VisualTokens], *, max_new_tokens: int) -> Answer:
        if question == "how many?":
            return Answer("a hundred", 0.99, 0.01, (1, 2, 3))
        found: Answer = self._model.answer(question, images, max_new_tokens=max_new_tokens)
        return found


def test_a_wrong_answer_is_found_out(loaded: tuple[Cloud, Device], tmp_path: Path) -> None:
    """A cloud that was not itself for one question; a sound one, asked from the trace, says something else."""
    sound, device = loaded
    wrong = Cloud(Mistaken(sound.model), device.bundle.codecs, sound.bundle_hash)
    exchange(wrong, device, tmp_path)
    trace = read_trace(tmp_path / "cloud.trace")
    verdicts = {
        one.text: replay(trace, sound, one.question_id).same for one in questions_of(trace) if one.final is not None
    }
    assert verdicts == {"what color is it?": True, "how many?": False, "and now?": True}


def test_the_command_line_traces_draws_and_replays(
    pair_as_default: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from heliograph.reference.assets import demo_photo_path

    path = tmp_path / "device.trace"
    assert main(["ask", str(demo_photo_path()), "what is on the sign?", "--trace", str(path)]) == 0
    answer = capsys.readouterr().out.strip()
    assert main(["trace", str(path)]) == 0
    assert f'"{answer}" from' in capsys.readouterr().out
    assert main(["trace", str(path), "--replay"]) == 0
    shown = capsys.readouterr().out
    assert "the same answer" in shown
    assert answer in shown
    assert main(["ask", str(demo_photo_path()), "what?", "--trace-without-content"]) == 2
    assert "--trace-without-content needs --trace" in capsys.readouterr().err
