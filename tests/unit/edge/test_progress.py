"""How far a question is, as its client sees it."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.edge.client import DeviceClient
from heliograph.edge.progress import SendingProgress, watched
from scripted_cloud import PHOTO, Cloud, FakeDevice, final_at_the_end, run, stream


def test_reports_what_has_changed_and_nothing_else() -> None:
    seen: list[SendingProgress] = []
    states = [SendingProgress(True, True), SendingProgress(True, True), SendingProgress(False, True)]

    async def run() -> None:
        ended = asyncio.Event()

        def look() -> SendingProgress:
            if len(states) == 1:
                ended.set()
            return states.pop(0) if len(states) > 1 else states[0]

        async with watched(look, lambda: 1.0, lambda _, progress: seen.append(progress)):
            await ended.wait()

    asyncio.run(run())
    assert seen == [SendingProgress(True, True), SendingProgress(False, True)]


def test_nobody_watches_behind_the_question() -> None:
    async def run() -> None:
        async with watched(lambda: SendingProgress(True, True), lambda: 0.0, lambda *_: None):
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 2
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_an_error_of_the_body_comes_through() -> None:
    async def run() -> None:
        async with watched(lambda: SendingProgress(True, True), lambda: 0.0, lambda *_: None):
            raise KeyError("body")

    with pytest.raises(KeyError, match="body"):
        asyncio.run(run())


def test_a_client_says_how_far_a_photo_is() -> None:
    seen: list[SendingProgress] = []

    async def test() -> None:
        async with DeviceClient(Cloud(final_at_the_end()).open, FakeDevice(stream(5))) as client:
            report = await client.ask(
                PHOTO, "colour?", strategy="jpeg", on_progress=lambda _, progress: seen.append(progress)
            )
            assert all(one.left_bytes <= (one.total_bytes or 0) <= report.payload_bytes for one in seen)

    run(test)
    assert seen
    assert seen[0].total_bytes is None  # nothing is encoded yet
