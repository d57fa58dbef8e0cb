"""A client in another language, written from docs/protocol.md alone, before a real ``heliograph serve``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.errors import StreamForgedError, UnauthorizedError
from heliograph.question import Question
from heliograph.reference.assets import demo_photo_path
from heliograph.transport.websocket_client import open_websocket
from heliograph.types import EncodedImage
from processes import serving

QUESTIONS = ["how many objects are there?", "what is written on the sign?"]
TOKEN, KEY = "a token", bytes(range(32))

Node = Callable[..., Any]


@pytest.fixture(scope="module")
def device(reference_pair: Any) -> Device:
    return Device(Bundle.load(reference_pair.bundle))


def url_of(reference_pair: Any, *options: str | Path) -> Iterator[str]:
    with serving("--vlm", reference_pair.model, "--bundle", reference_pair.bundle, *options) as (url, _):
        yield url


@pytest.fixture(scope="module")
def url(reference_pair: Any, node: Node) -> Iterator[str]:
    yield from url_of(reference_pair)


@pytest.fixture(scope="module")
def guarded_url(reference_pair: Any, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cloud that wants a token and a key."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "tokens").write_text(TOKEN)
    (folder / "key").write_text(KEY.hex())
    yield from url_of(reference_pair, "--token-file", folder / "tokens", "--key-file", folder / "key")


def wish(url: str, device: Device, encoded: EncodedImage, **more: Any) -> dict[str, Any]:
    return {
        "url": url,
        "bundle": device.bundle_hash.hex(),
        "token": "",
        "questions": QUESTIONS,
        "controller": "fixed",
        "target": 0,
        "strategy": encoded.strategy,
        "header": encoded.header.hex(),
        "segments": [segment.hex() for segment in encoded.segments],
        **more,
    }


def python_answers(
    url: str, device: Device, strategy: str, token: str = "", key: bytes = b""
) -> list[tuple[str, float]]:
    async def whole() -> list[tuple[str, float]]:
        found = []
        async with DeviceClient(lambda: open_websocket(url, token), device, token, key=key) as client:
            for question in QUESTIONS:
                report = await client.ask(demo_photo_path(), Question(question, "fixed"), strategy=strategy)
                found.append((report.answer, round(report.confidence, 4)))
        return found

    return asyncio.run(whole())


def finals(done: dict[str, Any]) -> list[tuple[str, float]]:
    return [(e["text"], round(e["confidence"], 4)) for e in done["heard"] if e["said"] == "final"]


@pytest.mark.parametrize("strategy", ["jpeg", "klt"])
def test_a_stranger_s_client_gets_the_same_answers(node: Node, url: str, device: Device, strategy: str) -> None:
    encoded = device.encode(load_photo(demo_photo_path()), strategy)
    done = node("ask.js", wish(url, device, encoded))
    assert done["code"] == 1000
    assert done["heard"][0]["said"] == "welcome"
    assert done["heard"][0]["bundle"] == device.bundle_hash.hex()
    assert finals(done) == python_answers(url, device, strategy)


@pytest.mark.parametrize("strategy", ["jpeg", "klt"])
def test_so_it_does_with_a_key(node: Node, guarded_url: str, device: Device, strategy: str) -> None:
    encoded = device.encode(load_photo(demo_photo_path()), strategy)
    done = node("ask.js", wish(guarded_url, device, encoded, token=TOKEN, key=KEY.hex()))
    assert done["code"] == 1000
    assert finals(done) == python_answers(guarded_url, device, strategy, TOKEN, KEY)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"token": TOKEN}, StreamForgedError),
        ({"token": TOKEN, "key": bytes(32).hex()}, StreamForgedError),
        ({"token": "another", "key": KEY.hex()}, UnauthorizedError),
    ],
)
def test_it_hears_why_it_is_refused(
    node: Node, guarded_url: str, device: Device, given: dict[str, str], error: type
) -> None:
    encoded = EncodedImage("jpeg", b"", (b"no picture",))
    done = node("ask.js", wish(guarded_url, device, encoded, **given))
    assert done["heard"][-1] == {"said": "error", "number": error.code, "question": None}  # type: ignore[attr-defined]
    assert done["code"] == 1000


def test_drafts_are_joined_from_their_differences(node: Node) -> None:
    """The bytes of the documented exchange."""
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = text.split("\n## An exchange, byte by byte\n")[1].split("\n## ")[0].splitlines()
    said = "".join(row.split("`")[1] for row in rows if row.startswith("| cloud |"))
    heard = node("hear.js", {"bytes": said.replace(" ", ""), "questions": 2})
    assert [(e["said"], e.get("text")) for e in heard] == [
        ("welcome", None),
        ("draft", "red"),
        ("draft", "red ball"),
        ("enough", None),
        ("final", "red ball"),
        ("error", None),
    ]
