"""Messages with which a hostile device gives a server as much work as it can, by shape.

Every one is allowed by the protocol or refused by it; none is more than what any websocket client can send. The module
is run, as a process of its own, by :mod:`heliograph.bench.hardening.hostile_sender`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

from heliograph.protocol.frames import FrameType, IdFrame, ImageFrame, QuestionFrame, SegmentFrame, encode_frame
from heliograph.protocol.wire_ids import CONTROLLER_WIRE_IDS, STRATEGY_WIRE_IDS

_BINARY, _CONT, _PING, _FIN, _MASKED = 0x02, 0x00, 0x09, 0x80, 0x80
_MESSAGE_BYTES = 1 << 20
_MANY = 1 << 14  # small messages in one write
_TIMEOUT_S = 20.0
_SEED = 8_000_001
_TINY, _PHOTO_SEGMENTS = b"\x82xy", 4000


# ---- websocket by hand: no client of a library sends what is to be sent here, or as fast ------------------------
def websocket_frame(payload: bytes, opcode: int = _BINARY, fin: bool = True) -> bytes:
    """A client's frame; its mask is zero, so the payload stays as it is."""
    first, size = opcode | (_FIN if fin else 0), len(payload)
    if size < 126:
        head = bytes([first, _MASKED | size])
    elif size < 1 << 16:
        head = bytes([first, _MASKED | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, _MASKED | 127]) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def open_raw(port: int) -> socket.socket:
    """A connected websocket.

    Raises:
        OSError: refused, or not in time.
    """
    made = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
    key = base64.b64encode(os.urandom(16)).decode()
    made.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        part = made.recv(1)
        if not part:
            raise OSError
        answer += part
    return made


# ---- what is sent ------------------------------------------------------------------------------------------
def _question(question_id: int, image_id: int, text: bytes = b"?", follows: bool = True) -> bytes:
    return encode_frame(QuestionFrame(question_id, image_id, CONTROLLER_WIRE_IDS.of("energy"), 255, 64, follows, text))


def _image(image_id: int) -> bytes:
    return encode_frame(ImageFrame(image_id, STRATEGY_WIRE_IDS.of("jpeg"), b""))


def _named(type_: FrameType, number: int) -> bytes:
    return encode_frame(IdFrame(type_, number))


def _packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Messages of about a megabyte."""
    message = bytearray()
    for piece in pieces:
        message += piece
        if len(message) >= _MESSAGE_BYTES:
            yield websocket_frame(bytes(message))
            message.clear()


def _empty_segments() -> Iterator[bytes]:
    yield websocket_frame(_image(0))
    while True:
        yield websocket_frame(b"\x80" * _MESSAGE_BYTES)


def _tiny_segments() -> Iterator[bytes]:
    def pieces() -> Iterator[bytes]:
        for image_id in range(1 << 20):
            begun = _image(image_id) + _question(image_id, image_id)
            yield begun + _TINY * _PHOTO_SEGMENTS + _named(FrameType.FORGET, image_id)

    return _packed(pieces())


def _forgotten() -> Iterator[bytes]:
    return _packed(_image(n) + _named(FrameType.FORGET, n) for n in range(1 << 22))


def _cancels() -> Iterator[bytes]:
    yield websocket_frame(_image(0) + _question(0, 0))
    while True:
        yield websocket_frame(_named(FrameType.CANCEL, 0) * (_MESSAGE_BYTES // 2))


def _questions() -> Iterator[bytes]:
    return _packed(_question(n, 0, follows=False) for n in range(1 << 22))


def _open_questions() -> Iterator[bytes]:
    yield websocket_frame(_image(0) + b"\x81x")
    yield from _packed(
        _question(n, 0, b"what? " * 40) + (_named(FrameType.CANCEL, n - 60) if n >= 60 else b"") for n in range(1 << 20)
    )


def _one_byte_messages() -> Iterator[bytes]:
    yield websocket_frame(_image(0))
    while True:
        yield websocket_frame(b"\x80") * _MANY


def _empty_messages() -> Iterator[bytes]:
    while True:
        yield websocket_frame(b"") * _MANY


def _pings() -> Iterator[bytes]:
    while True:
        yield websocket_frame(b"", _PING) * _MANY


def _fragments() -> Iterator[bytes]:
    yield websocket_frame(b"", fin=False)
    while True:
        yield websocket_frame(b"", _CONT, fin=False) * _MANY


def _measured_prefixes() -> Iterator[bytes]:
    """Photos whose every prefix a controller wants measured."""
    from heliograph.codec.bundle import Bundle
    from heliograph.edge.device import Device
    from heliograph.reference.assets import shipped_bundle_folder
    from heliograph.reference.render import render_scene

    device = Device(Bundle.load(shipped_bundle_folder()))
    stream = device.encode(render_scene(_SEED).image, "klt")
    for n in range(1 << 20):
        yield websocket_frame(encode_frame(ImageFrame(n, STRATEGY_WIRE_IDS.of("klt"), stream.header)) + _question(n, n))
        for segment in stream.segments[:20]:
            yield websocket_frame(encode_frame(SegmentFrame(n, segment)))
        yield websocket_frame(_named(FrameType.FORGET, n))


SHAPES: dict[str, Callable[[], Iterator[bytes]]] = {
    "empty-segments": _empty_segments,
    "tiny-segments": _tiny_segments,
    "forgotten-photos": _forgotten,
    "cancels": _cancels,
    "questions": _questions,
    "open-questions": _open_questions,
    "one-byte-messages": _one_byte_messages,
    "empty-messages": _empty_messages,
    "pings": _pings,
    "fragments": _fragments,
    "measured-prefixes": _measured_prefixes,
}
"""What a hostile device sends after its greeting, by name."""


# ---- sending -----------------------------------------------------------------------------------------------
def send(port: int, shape: str, greeting: bytes) -> None:
    """Send messages of a shape as fast as the server takes them, until killed; begins anew where it is thrown out."""
    print("begun", flush=True)
    while True:
        with contextlib.suppress(OSError), open_raw(port) as connection:
            connection.sendall(greeting)
            connection.setblocking(False)
            for message in SHAPES[shape]():
                _push(connection, message)


def _push(connection: socket.socket, message: bytes) -> None:
    """Send all of a message, and read what comes meanwhile, as a client does."""
    rest = memoryview(message)
    while rest:
        readable, writable, _ = select.select([connection], [connection], [])
        if readable and not connection.recv(1 << 16):
            raise OSError
        if writable:
            rest = rest[connection.send(rest) :]


def main(arguments: Sequence[str]) -> None:
    """Port, shape, and the greeting's websocket frame in hexadecimal."""
    send(int(arguments[0]), arguments[1], bytes.fromhex(arguments[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
