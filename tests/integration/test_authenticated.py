"""Photos with a key over a real websocket, before a real model: the same answers, and none from what was changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.edge.client import DeviceClient
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.edge.report import AskReport
from heliograph.errors import ConnectionLostError, KeyFileError, StreamForgedError
from heliograph.question import Question
from heliograph.reasons import ForgedFault
from heliograph.reference.assets import demo_photo_path
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.transport.base import DEFAULT_QUEUE_BYTES, Connection, Delivery
from heliograph.transport.websocket_client import open_websocket

PHOTO, QUESTION = demo_photo_path(), "how many objects are there?"
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
SEAL_BYTES, END_BYTES = 5, 3  # a seal; one in place of IMAGE_END


@dataclass
class Changing:
    """A connection that shows every message to a meddler before it goes on."""

    inner: Connection
    up: Callable[[bytes], bytes] = lambda data: data
    down: Callable[[bytes], bytes] = lambda data: data
    sent: list[bytes] = field(default_factory=list)

    async def send(self, data: bytes) -> None:
        self.sent.append(data)
        await self.inner.send(self.up(data))

    async def receive(self) -> bytes:
        return self.down(await self.inner.receive())

    async def drain(self, limit_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        await self.inner.drain(limit_bytes)

    def backlog_bytes(self) -> int:
        return self.inner.backlog_bytes()

    def delivery(self) -> Delivery:
        return self.inner.delivery()

    async def ping(self) -> None:
        await self.inner.ping()

    async def close(self) -> None:
        await self.inner.close()

    def abort(self) -> None:
        self.inner.abort()

    @property
    def sent_bytes(self) -> int:
        return self.inner.sent_bytes

    @property
    def received_bytes(self) -> int:
        return self.inner.received_bytes


@pytest.fixture(scope="module")
def device(reference_pair) -> Device:  # type: ignore[no-untyped-def]
    return Device(Bundle.load(reference_pair.bundle))


@pytest.fixture(scope="module")
def keyed_url(reference_pair) -> Iterator[str]:  # type: ignore[no-untyped-def]
    cloud = load_cloud(str(reference_pair.model), reference_pair.bundle)
    with BackgroundServer(CloudApplication(cloud, keys=(OTHER_KEY, KEY))) as server:
        yield server.url


Ask = Callable[..., AskReport]


def ask(device: Device, url: str, key: bytes, connections: list[Changing] | None = None, **more: object) -> AskReport:
    meddling = {name: more.pop(name) for name in ("up", "down") if name in more}
    options = {name: more.pop(name) for name in ("controller", "byte_budget") if name in more}

    async def opener() -> Connection:
        made = Changing(await open_websocket(url), **meddling)  # type: ignore[arg-type]
        if connections is not None:
            connections.append(made)
        return made

    async def whole() -> AskReport:
        async with DeviceClient(opener, device, key=key) as client:
            return await client.ask(PHOTO, Question(QUESTION, **options), **more)  # type: ignore[arg-type]

    return asyncio.run(whole())


@pytest.mark.parametrize(
    "how",
    [
        {"strategy": "klt", "controller": "fixed"},
        {"strategy": "klt", "controller": "fixed", "byte_budget": 128},
        {"strategy": "klt", "controller": "energy"},
        {"strategy": "klt", "controller": "pull"},
        {"strategy": "jpeg"},
        {},
    ],
    ids=str,
)
def test_the_answer_is_the_one_without_a_key(device: Device, cloud_url: str, keyed_url: str, how: dict) -> None:  # type: ignore[type-arg]
    plain, keyed = ask(device, cloud_url, b"", **how), ask(device, keyed_url, KEY, **how)
    assert keyed.answer == plain.answer
    if how.get("controller") in (
        "fixed",
        "energy",
    ):  # the others may stop elsewhere: the cloud sees seals, not segments
        assert keyed.payload_bytes == plain.payload_bytes


@pytest.mark.parametrize(
    ("how", "most"),
    [
        ({"strategy": "klt", "controller": "fixed", "setting": {"max_bytes": 100}}, END_BYTES),  # one message
        ({"strategy": "klt", "controller": "fixed"}, SEAL_BYTES + END_BYTES),
        ({"strategy": "jpeg", "controller": "fixed"}, SEAL_BYTES + END_BYTES),
        ({"strategy": "klt", "controller": "energy"}, SEAL_BYTES + END_BYTES),
        ({"strategy": "klt", "controller": "pull"}, 3 * SEAL_BYTES + END_BYTES),  # one for every quarter
    ],
    ids=str,
)
def test_a_stream_carries_two_tags_at_most(
    device: Device, cloud_url: str, keyed_url: str, how: dict, most: int
) -> None:  # type: ignore[type-arg]
    sizes = []
    for url, key in ((cloud_url, b""), (keyed_url, KEY)):
        connections: list[Changing] = []
        ask(device, url, key, connections, **how)
        sizes.append(sum(map(len, connections[0].sent)))
    hello = 8 + 8  # nonce and tag
    assert 0 < sizes[1] - sizes[0] - hello <= most


@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_flipped_bit_of_a_segment_is_answered_from_without_a_key_only(
    device: Device, cloud_url: str, keyed_url: str, place: int
) -> None:
    segment = max(device.encode(load_photo(PHOTO), "klt").segments[:8], key=len)
    forged = segment[:place] + bytes((segment[place] ^ 0x10,)) + segment[place + 1 :]

    def forging(data: bytes) -> bytes:
        return data.replace(segment, forged, 1)

    how = {"strategy": "klt", "controller": "fixed", "up": forging}
    assert ask(device, cloud_url, b"", **how).answer
    with pytest.raises(StreamForgedError):
        ask(device, keyed_url, KEY, **how)


def test_a_flipped_bit_of_an_answer_is_not_believed(device: Device, keyed_url: str) -> None:
    with pytest.raises(StreamForgedError):
        ask(device, keyed_url, KEY, strategy="jpeg", controller="fixed", down=_flip_answer)


def _flip_answer(data: bytes) -> bytes:
    if data[:1] and data[0] >> 3 == 10:  # FINAL
        return data[:-5] + bytes((data[-5] ^ 1,)) + data[-4:]
    return data


@pytest.mark.parametrize(("key", "reason"), [(b"", ForgedFault.KEY_WANTED), (bytes(32), ForgedFault.KEY_REFUSED)])
def test_without_the_key_there_is_no_answer_and_the_server_lives(
    device: Device, keyed_url: str, key: bytes, reason: ForgedFault
) -> None:
    with pytest.raises(StreamForgedError) as found:
        ask(device, keyed_url, key, strategy="jpeg")
    assert found.value.fault is reason
    assert ask(device, keyed_url, KEY, strategy="jpeg").answer


def test_a_key_at_a_cloud_without_one_is_said(device: Device, cloud_url: str) -> None:
    with pytest.raises(StreamForgedError) as found:
        ask(device, cloud_url, KEY, strategy="jpeg")
    assert found.value.fault is ForgedFault.KEY_REFUSED


def test_a_recorded_session_is_not_answered_again(device: Device, keyed_url: str) -> None:
    connections: list[Changing] = []
    ask(device, keyed_url, KEY, connections, strategy="jpeg")

    async def replay() -> bytes:
        connection = await open_websocket(keyed_url)
        try:
            await connection.send(b"".join(connections[0].sent))
            return await asyncio.wait_for(connection.receive(), 20)
        finally:
            await connection.close()

    assert asyncio.run(replay()) == bytes((0x70, 1, StreamForgedError.code))


def test_a_session_goes_on_after_its_connection_broke(device: Device, keyed_url: str) -> None:
    connections: list[Changing] = []

    def breaking(data: bytes) -> bytes:
        if len(connections) == 1 and len(connections[0].sent) == 4:
            connections[0].abort()
            raise ConnectionLostError
        return data

    report = ask(device, keyed_url, KEY, connections, strategy="klt", controller="fixed", up=breaking)
    assert report.reconnections == 1
    assert report.answer == ask(device, keyed_url, KEY, strategy="klt", controller="fixed").answer


# ---- the command line -----------------------------------------------------------------------------------
@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    path.write_text(f"# of this camera\n\n{KEY.hex()}\n")
    path.chmod(0o600)
    return path


def test_ask_with_a_key_file(keyed_url: str, pair_as_default, key_file: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    argv = ["ask", str(PHOTO), QUESTION, "--server", keyed_url, "--json"]
    assert main(argv) == 5
    said = json.loads(capsys.readouterr().out)
    assert said["error"] == "stream-forged"
    assert "--key-file" in said["message"]
    assert main([*argv, "--key-file", str(key_file)]) == 0
    assert json.loads(capsys.readouterr().out)["answer"]


def test_encode_answer_and_inspect_with_a_key_file(pair_as_default, key_file: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    def run(*argv: object) -> dict:  # type: ignore[type-arg]
        assert main([*map(str, argv), "--json"]) == 0
        made: dict = json.loads(capsys.readouterr().out)  # type: ignore[type-arg]
        return made

    path, other = tmp_path / "out.hgs", tmp_path / "other.txt"
    assert run("encode", PHOTO, "-o", path, "--budget", 100, "--key-file", key_file)["authenticated"]
    other.write_text(OTHER_KEY.hex())
    assert run("inspect", path)["authentication"] == "not checked"
    assert run("inspect", path, "--key-file", key_file)["authentication"] == "right"
    assert run("answer", path, QUESTION, "--key-file", key_file)["answer"] == run("answer", path, QUESTION)["answer"]
    for command in (["inspect", str(path)], ["answer", str(path), QUESTION]):
        assert main([*command, "--key-file", str(other)]) == 5
        said = capsys.readouterr().err
        assert "stream-forged" in said
        assert str(path) in said
    run("encode", PHOTO, "-o", path, "--budget", 100)
    assert run("inspect", path)["authentication"] == "none"
    assert main(["answer", str(path), QUESTION, "--key-file", str(key_file)]) == 5
    assert "stream-forged" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "# nothing\n", "not hex", "00" * 15, "00" * 65, "00" * 16 + "\nzz", "\xff" * 40])
def test_files_that_hold_no_key_are_named(text: str, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "key.txt"
    path.write_text(text, encoding="latin-1")
    for command in (["ask", str(PHOTO), QUESTION], ["encode", str(PHOTO), "-o", str(tmp_path / "x.hgs")], ["serve"]):
        assert main([*command, "--key-file", str(path)]) == 3
        assert KeyFileError.name in capsys.readouterr().err
    for missing in (tmp_path / "missing", tmp_path):
        assert main(["ask", str(PHOTO), QUESTION, "--key-file", str(missing)]) == 3
        assert KeyFileError.name in capsys.readouterr().err


def test_a_key_file_that_others_can_read_is_said(pair_as_default, key_file: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    argv = ["encode", str(PHOTO), "-o", str(tmp_path / "x.hgs"), "--budget", "60", "--key-file", str(key_file)]
    assert main(argv) == 0
    assert "chmod" not in capsys.readouterr().err
    key_file.chmod(0o644)
    assert main(argv) == 0
    assert "can be read by others" in capsys.readouterr().err
