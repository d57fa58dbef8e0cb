"""A cloud that misbehaves: the command ends, in time, with the right name and nothing left hanging."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from command_output import messages
from heliograph.cli.main import main
from heliograph.reference.assets import demo_photo_path

ASK = ("ask", str(demo_photo_path()), "how many objects are there?", "--strategy", "webp")
SMALL = ("--setting", "size=64,quality=20")

Handler = Callable[[ServerConnection], Awaitable[None]]


@contextmanager
def odd_cloud(handler: Handler) -> Iterator[str]:
    """A websocket server in a thread that does whatever ``handler`` does."""
    loop, ready, urls = asyncio.new_event_loop(), threading.Event(), list[str]()

    async def work() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            urls.append(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            ready.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
    thread.start()
    ready.wait()
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def leave_after_the_question(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.close()


async def break_off(connection: ServerConnection) -> None:
    await connection.recv()
    connection.transport.abort()


async def send_noise(connection: ServerConnection) -> None:
    await connection.send(bytes(range(256)))
    await connection.wait_closed()


async def send_text(connection: ServerConnection) -> None:
    await connection.send("hello")
    await connection.wait_closed()


async def say_nothing(connection: ServerConnection) -> None:
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (leave_after_the_question, "connection-lost"),
        (break_off, "connection-lost"),
        (send_noise, "frame-damaged"),
        (send_text, "frame-damaged"),
    ],
)
def test_cloud_that_misbehaves(handler: Handler, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with odd_cloud(handler) as url:
        assert main([*ASK, *SMALL, "--server", url, "--timeout", "4"]) == (4 if name == "connection-lost" else 5)
    *retries, last = messages(capsys.readouterr().err)
    assert last.startswith(f"heliograph: {name}: ")
    lost = "trying again: The connection was lost before the answer was complete."
    assert retries == ([lost] if name == "connection-lost" else [])  # said once, however often it tries


def test_silent_cloud_ends_at_the_timeout(capsys: pytest.CaptureFixture[str]) -> None:
    with odd_cloud(say_nothing) as url:
        assert main([*ASK, *SMALL, "--server", url, "--timeout", "3"]) == 4
    assert messages(capsys.readouterr().err)[0].startswith("heliograph: timed-out: ")


def test_access_tokens(reference_pair: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from heliograph.serving.opening import load_cloud
    from heliograph.serving.web.application import CloudApplication
    from heliograph.serving.web.runner import BackgroundServer

    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("opensesame\n")
    wrong.write_text("openrye\n")
    cloud = load_cloud(str(reference_pair.model), reference_pair.bundle)
    with BackgroundServer(CloudApplication(cloud, frozenset({"opensesame"}))) as server:
        ask = [*ASK, *SMALL, "--server", server.url]
        assert main([*ask, "--token-file", str(right)]) == 0
        for refused in (ask, [*ask, "--token-file", str(wrong)]):
            capsys.readouterr()
            assert main(refused) == 5
            assert capsys.readouterr().err.splitlines()[-1].startswith("heliograph: unauthorized: ")


def test_other_bundle_is_refused_on_the_wire_and_in_files(
    reference_pair: Any, cloud_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from heliograph.codec.bundle import Bundle, write_bundle
    from heliograph.codec.manifest import ENCODER

    bundle = Bundle.load(reference_pair.bundle)
    other = write_bundle(
        tmp_path / "other",
        codecs=[bundle.codec("klt")],
        grid=bundle.grid,
        hidden_size=bundle.hidden_size,
        model="ab" * 32,  # another model's codec
        preprocessing=bundle.preprocessing,
        encoder=bundle.file(ENCODER),
    )
    assert other.hash != bundle.hash
    photo, stream = ASK[1], str(tmp_path / "out.hgs")
    assert main(["ask", photo, "what?", "--server", cloud_url, "--bundle", str(other.folder)]) == 5
    assert messages(capsys.readouterr().err)[0].startswith("heliograph: bundle-mismatch: ")
    assert main(["encode", photo, "-o", stream, "--bundle", str(other.folder)]) == 0
    capsys.readouterr()
    model = ("--model", str(reference_pair.model), "--bundle", str(reference_pair.bundle))
    assert main(["answer", stream, "what?", *model]) == 5
    assert messages(capsys.readouterr().err)[0].startswith("heliograph: bundle-mismatch: ")
