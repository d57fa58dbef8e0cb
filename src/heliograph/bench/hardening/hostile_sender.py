"""How long others wait for a server while one device sends it as much work as it can.

A real server and a real sender, each in a process of its own, over loopback.

Run it as ``python -m heliograph.bench.hardening.hostile_sender [SECONDS [SHAPE ...]]``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import sleep

import numpy as np

from heliograph.bench.hardening.hostile_shapes import SHAPES, open_raw, websocket_frame
from heliograph.clock import now_s
from heliograph.protocol.frames import HelloFrame, encode_frame
from heliograph.serving.child import CloudProcess

_TIMEOUT_S = 30.0
_CALM_S = 0.5
_HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
_HEADLINE = "shape                n   /health p50   p99 ms  ratio   WELCOME p50   p99 ms  ratio   (without: p99, p99)"


@dataclass(frozen=True)
class Waits:
    """How long others waited.

    Attributes:
        count: measurements of each kind.
        health_p50_ms, health_p99_ms: of ``GET /health``, from connecting to the last byte.
        welcome_p50_ms, welcome_p99_ms: of a device's greeting, from connecting to WELCOME.
    """

    count: int
    health_p50_ms: float
    health_p99_ms: float
    welcome_p50_ms: float
    welcome_p99_ms: float


@dataclass(frozen=True)
class Compared:
    """Waits without a hostile sender and, right after, beside one: whatever else the machine does is in both."""

    without: Waits
    beside: Waits

    @property
    def health_ratio(self) -> float:
        """Ratio of the 99th percentiles of ``GET /health``."""
        return self.beside.health_p99_ms / self.without.health_p99_ms

    @property
    def welcome_ratio(self) -> float:
        """Ratio of the 99th percentiles of the greeting."""
        return self.beside.welcome_p99_ms / self.without.welcome_p99_ms


def measure_hostile_senders(seconds: float, shapes: Sequence[str] = tuple(SHAPES)) -> dict[str, Compared]:
    """How long others wait, by shape of what one device sends, in one run of one server.

    Args:
        seconds: measured of each.
        shapes: of :data:`heliograph.bench.hardening.hostile_shapes.SHAPES`.
    """
    with CloudProcess("reference", None) as cloud:
        port = int(cloud.url.rpartition(":")[2])
        greeting = _greeting(port)
        found = dict[str, Compared]()
        for shape in shapes:
            without = _waits(port, greeting, seconds)
            with _sender(port, greeting, shape):
                found[shape] = Compared(without, _waits(port, greeting, seconds))
    return found


# ---- the server and the sender ---------------------------------------------------------------------------------
def _greeting(port: int) -> bytes:
    """HELLO, with the server's own bundle hash."""
    page = _health(port).partition(b"\r\n\r\n")[2]
    return websocket_frame(encode_frame(HelloFrame(bytes.fromhex(json.loads(page)["bundle_hash"]), "")))


@contextlib.contextmanager
def _sender(port: int, greeting: bytes, shape: str) -> Iterator[None]:
    """A process that sends as fast as the server takes it."""
    command = [sys.executable, "-m", "heliograph.bench.hardening.hostile_shapes", str(port), shape, greeting.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it has begun
            yield
        finally:
            process.kill()
    sleep(_CALM_S)


# ---- the others ------------------------------------------------------------------------------------------------
def _waits(port: int, greeting: bytes, seconds: float) -> Waits:
    health, welcome = list[float](), list[float]()
    end_s = now_s() + seconds
    while now_s() < end_s or len(health) < 2:
        started = now_s()
        _health(port)
        health.append(1e3 * (now_s() - started))
        started = now_s()
        with open_raw(port) as connection:
            connection.sendall(greeting)
            connection.recv(1 << 16)
            welcome.append(1e3 * (now_s() - started))
            connection.sendall(websocket_frame((1000).to_bytes(2, "big"), opcode=8))
    middle, late = np.percentile(np.asarray([health, welcome]), [50, 99], axis=1).tolist()
    return Waits(len(health), middle[0], late[0], middle[1], late[1])


def _health(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection:
        connection.sendall(_HEALTH)
        page = b""
        while part := connection.recv(1 << 16):
            page += part
    return page


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    seconds = float(arguments[0]) if arguments else 5.0
    print(_HEADLINE)
    for shape, both in measure_hostile_senders(seconds, arguments[1:] or tuple(SHAPES)).items():
        waits = both.beside
        health = f"{waits.health_p50_ms:12.2f} {waits.health_p99_ms:8.2f} {both.health_ratio:6.2f}"
        welcome = f"{waits.welcome_p50_ms:13.2f} {waits.welcome_p99_ms:8.2f} {both.welcome_ratio:6.2f}"
        without = f"({both.without.health_p99_ms:.2f}, {both.without.welcome_p99_ms:.2f})"
        print(f"{shape:18} {waits.count:4} {health} {welcome}   {without}")


if __name__ == "__main__":
    main(sys.argv[1:])
