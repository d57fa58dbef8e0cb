"""A cloud in a process of its own, for measured runs: the ``serve`` command as a user starts it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from heliograph.clock import now_s
from heliograph.errors import ServerUnreachableError
from heliograph.transport.websocket_client import open_websocket

START_TIMEOUT_S = 180.0
_POLL_S = 0.25


class CloudProcess:
    """A context manager that starts ``heliograph serve`` on a free port and ends it.

    Args:
        model: as ``serve --model`` takes it.

    Raises:
        ServerUnreachableError: on entering, where the server ends at once or does not answer in time.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        port = _free_port()
        self.url = f"ws://127.0.0.1:{port}"
        command = [sys.executable, "-m", "heliograph.cli.main", "serve", "--host", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "--port", str(port), "--model", self._model],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def opening_bytes(self) -> int:
        """Bytes on the TCP stream, both directions, until a websocket is open."""

        async def opened() -> int:
            connection = await open_websocket(self.url)
            try:
                return connection.sent_bytes + connection.received_bytes
            finally:
                await connection.close()

        return asyncio.run(opened())

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline_s = now_s() + START_TIMEOUT_S
        while now_s() < deadline_s and self._process.poll() is None:
            try:
                self.opening_bytes()
                return
            except ServerUnreachableError:
                time.sleep(_POLL_S)
        raise ServerUnreachableError

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
