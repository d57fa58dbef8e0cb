"""Writes a trace beside the exchange: a thread of its own takes the events to the disk, and nobody waits for it."""

from __future__ import annotations

import base64
import json
import math
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from heliograph import __version__
from heliograph.clock import now_s
from heliograph.errors import HeliographError, OutputUnwritableError
from heliograph.reading.files import open_regular
from heliograph.tracing.table import FIELDS, FORMAT, MAX_TRACE_BYTES, VERSION

EARLIER = ".1"
"""Ending of the part before the newest one."""

_MODE = 0o600  # photos and questions are in it
_PAUSE_S = 0.05
_CLOSE_S = 5.0
_MAX_WAITING = 20_000
_MAX_WAITING_BYTES = 16 << 20
_OPENING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_BEGINNING = f'{{"format":"{FORMAT}"'.encode()

_Waiting = tuple[float, str, Mapping[str, Any]]


class TraceWriter:
    """A trace file, open for writing. :meth:`record` is a :data:`heliograph.tracing.table.TraceSink`.

    Recording costs a lock and an append. Where the disk is slower than the exchange, events are left out and counted;
    where it fails, there is one warning and no more trace; the exchange goes on in both cases.

    Args:
        path: a new file, or a trace to be written over.
        vantage_point: ``device`` or ``cloud``.
        content: photos, questions and answers go in; without them nothing can be answered again.
        on_warning: called once, from another thread, where the trace ends early.
        max_bytes: of one file; see :data:`heliograph.tracing.table.MAX_TRACE_BYTES`.
        clock: seconds, ascending.

    Raises:
        OutputUnwritableError: the file cannot be made, or is there and is no trace.
    """

    def __init__(
        self,
        path: Path,
        vantage_point: str,
        *,
        content: bool = True,
        on_warning: Callable[[str], None] = lambda text: None,
        max_bytes: int = MAX_TRACE_BYTES,
        clock: Callable[[], float] = now_s,
    ) -> None:
        self._path, self._max_bytes, self._clock = path, max_bytes, clock
        self._content, self._on_warning = content, on_warning
        self._started_s = clock()
        self._header = {
            "format": FORMAT,
            "version": VERSION,
            "vantage_point": vantage_point,
            "program": f"heliograph {__version__}",
            "reference_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "trace_id": secrets.token_hex(8),
            "part": 0,
            "content": content,
        }
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = self._lost = 0
        self._ended = False
        self._something, self._closing = threading.Event(), threading.Event()
        self._file = _created(path)
        self._written = 0
        try:
            self._write_line(self._header)
            self._file.flush()
        except OSError as error:
            self._file.close()
            raise OutputUnwritableError().noted(f"{path}: {error.strerror}.") from error
        self._thread = threading.Thread(target=self._work, name="heliograph-trace", daemon=True)
        self._thread.start()

    def record(self, name: str, data: Mapping[str, Any]) -> None:
        """Take one event; from any thread. Never raises and never waits for the disk.

        Args:
            name: one of :data:`heliograph.tracing.table.EVENTS`.
            data: fields by name, not to be changed afterwards; bytes as they are.
        """
        payload = data.get("payload")
        size = len(payload) if isinstance(payload, bytes) else 0
        with self._lock:
            if self._ended:
                return
            if len(self._waiting) >= _MAX_WAITING or self._waiting_bytes + size > _MAX_WAITING_BYTES:
                self._lost += 1
                return
            self._waiting.append((self._clock(), name, data))
            self._waiting_bytes += size
            wakes = len(self._waiting) == 1
        if wakes:  # otherwise the thread has been told already
            self._something.set()

    def close(self) -> None:
        """Write what is left, for at most five seconds, and close the file."""
        self._closing.set()
        self._something.set()
        self._thread.join(_CLOSE_S)
        with self._lock:
            self._ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- in the thread ---------------------------------------------------------------------------------
    def _work(self) -> None:
        try:
            last = False
            while not last:
                self._something.wait()
                self._something.clear()
                last = self._closing.is_set()
                self._write(*self._taken())
                self._closing.wait(_PAUSE_S)  # what comes meanwhile is written together
        except Exception as error:  # whatever it is, the exchange is worth more than its trace
            reason = getattr(error, "strerror", None) or "it could not be written"
            self._on_warning(f"the trace {self._path} ends here: {reason}")
        finally:
            with self._lock:
                self._ended = True
                self._waiting.clear()
            with suppress(OSError):
                self._file.close()

    def _taken(self) -> tuple[list[_Waiting], int]:
        with self._lock:
            taken, lost = self._waiting, self._lost
            self._waiting, self._waiting_bytes, self._lost = [], 0, 0
        return taken, lost

    def _write(self, events: list[_Waiting], lost: int) -> None:
        for at_s, name, data in events:
            self._write_event(at_s, name, data)
        if lost:
            self._write_event(self._clock(), "trace:lost", {"events": lost})
        self._file.flush()

    def _write_event(self, at_s: float, name: str, data: Mapping[str, Any]) -> None:
        if self._written >= self._max_bytes:
            self._go_on()
        time_ms = round((at_s - self._started_s) * 1e3, 3)
        self._write_line({"time": time_ms, "name": name, "data": self._plain_data(data)})

    def _go_on(self) -> None:
        """Begin the next part; the one before the last goes."""
        self._file.close()
        os.replace(self._path, self._path.with_name(self._path.name + EARLIER))
        self._header["part"] = int(str(self._header["part"])) + 1
        self._file, self._written = _opened(self._path), 0
        self._write_line(self._header)

    def _write_line(self, value: Mapping[str, Any]) -> None:
        line = json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        self._file.write(line)
        self._written += len(line)

    def _plain_data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if self._content:
            return {name: plain(value) for name, value in data.items()}
        return {name: plain(value) for name, value in data.items() if name in FIELDS and not FIELDS[name].content}


def plain(value: Any) -> Any:
    """A value as JSON can hold it: bytes in base64, numbers finite or null, text without halves of characters.

    >>> plain((b"hi", float("nan"), "one"))
    ['aGk=', None, 'one']
    """
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case str():
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        case float():
            return float(f"{value:.6g}") if math.isfinite(value) else None
        case Mapping():
            return {key: plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case _:
            return value


def _created(path: Path) -> BinaryIO:
    """The new file. What is there and is no trace stays: somebody mistook the name."""
    try:
        if path.exists():
            with open_regular(path, error=lambda _: OutputUnwritableError(), links=False) as there:
                begins = there.read(len(_BEGINNING))
            if begins and begins != _BEGINNING:
                raise OutputUnwritableError().noted(f"{path}: it is there, and it is no trace.")
        return _opened(path)
    except HeliographError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be written"
        raise OutputUnwritableError().noted(f"{path}: {reason}.") from error


def _opened(path: Path) -> BinaryIO:
    descriptor = os.open(path, _OPENING, _MODE)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, _MODE)  # of a file that was there before
        return os.fdopen(descriptor, "wb")
    except BaseException:
        os.close(descriptor)
        raise
