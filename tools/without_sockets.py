"""A pytest plugin (``-p without_sockets``): no test gets a network socket, and what fails for that is written down.

An event loop's own pair of connected sockets is no network and stays.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_NETWORK = (socket.AF_INET, socket.AF_INET6)
_LOOKED_AT_EVERY_S, _MAX_WAITING_S = 0.25, 0.5


class SocketForbidden(BaseException):
    """A test wanted the network. Nothing that tries again catches it."""


class _Watch:
    """When the running test was first refused a socket; None where it was not."""

    refused_s: float | None = None


class _NoNetwork(socket.socket):
    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        if family in (-1, *_NETWORK) and fileno is None:
            _Watch.refused_s = _Watch.refused_s or time.monotonic()
            raise OSError("no network here")
        super().__init__(family, type, proto, fileno)


class _Failed:
    """Names of the tests that did not pass, for whatever reason; a test that waits for the network is ended."""

    def __init__(self, path: Path) -> None:
        self._path, self._names = path, set[str]()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        return (yield from self._watched())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        return (yield from self._watched())

    def _watched(self) -> Generator[None, Any, Any]:
        _Watch.refused_s = None
        signal.setitimer(signal.ITIMER_REAL, _LOOKED_AT_EVERY_S, _LOOKED_AT_EVERY_S)
        try:
            result = yield
        except SocketForbidden as ended:  # an ordinary failure
            raise AssertionError from ended
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert _Watch.refused_s is None, "it needs a socket"
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report a test that failed, also in its set-up or tear-down."""
        if report.failed:
            self._names.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Writes the names, one a line."""
        self._path.write_text("\n".join(sorted(self._names)), encoding="utf-8")


def _look(_number: int, _frame: object) -> None:
    if _Watch.refused_s is not None and time.monotonic() - _Watch.refused_s > _MAX_WAITING_S:
        raise SocketForbidden


def pytest_configure(config: Any) -> None:
    """Forbids sockets from here on; ``HELIOGRAPH_FAILED`` names the file for the names."""
    config.pluginmanager.register(_Failed(Path(os.environ["HELIOGRAPH_FAILED"])))
    signal.signal(signal.SIGALRM, _look)
    socket.socket = _NoNetwork  # type: ignore[misc]
