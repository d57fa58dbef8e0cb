"""A pytest plugin (``-p without_sockets``): no test gets a network socket, and what fails for that is written down.

An event loop's own pair of connected sockets is no network and stays.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

_NETWORK = (socket.AF_INET, socket.AF_INET6)


class SocketForbidden(AssertionError):
    """A test wanted the network."""


class _NoNetwork(socket.socket):
    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,  # as the standard library's
    ) -> None:
        if family in (-1, *_NETWORK):
            raise SocketForbidden
        super().__init__(family, type, proto, fileno)


class _Failed:
    """Names of the tests that did not pass, for whatever reason."""

    def __init__(self, path: Path) -> None:
        self._path, self._names = path, set[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._names.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._path.write_text("\n".join(sorted(self._names)), encoding="utf-8")


def pytest_configure(config: Any) -> None:
    """Forbids sockets from here on; ``HELIOGRAPH_FAILED`` names the file for the names."""
    config.pluginmanager.register(_Failed(Path(os.environ["HELIOGRAPH_FAILED"])))
    socket.socket = _NoNetwork  # type: ignore[misc]
