"""A cloud in a process of its own: ``heliograph serve`` as a user starts it, on a free port.

Drafts are not held back here: the demonstration shows how an answer grows, on any link.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from heliograph.clock import now_s
from heliograph.errors import ServerUnreachableError, TimedOutError

START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 10.0
_MAX_LINE_BYTES = 65_536


class CloudProcess:
    """A context manager; ``url`` is set on entering, when devices can connect.

    Args:
        model: as ``serve --model`` takes it.
        bundle: bundle folder; None for the shipped one.

    Raises:
        ServerUnreachableError: on entering, the process ended at once; it has printed why on standard error.
        TimedOutError: on entering, it was not ready in three minutes.
    """

    def __init__(self, model: str, bundle: Path | None) -> None:
        command = [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--model", model, "--json"]
        command += ["--draft-patience", "0"]
        self._command = command + (["--bundle", str(bundle)] if bundle is not None else [])
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        try:
            self.url = json.loads(self._first_line(self._process))["url"]
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _first_line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        deadline_s, line = now_s() + START_TIMEOUT_S, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(deadline_s - now_s()):
                    raise TimedOutError
                read = os.read(process.stdout.fileno(), _MAX_LINE_BYTES)
                if not read or len(line) > _MAX_LINE_BYTES:
                    raise ServerUnreachableError
                line += read
        return line

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
