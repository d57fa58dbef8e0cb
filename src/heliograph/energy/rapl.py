"""Joules of processor packages and memory, read from RAPL counters in Linux's ``/sys/class/powercap``.

::

    intel-rapl:0          package-0     counted     <- holds core and uncore, which are left out
    intel-rapl:0:0        core
    intel-rapl:0:1        dram          counted: no part of the package's counter
    intel-rapl:1          psys          apart: the whole platform, packages included
    intel-rapl-mmio:0     package-0     left out: the same package by another way

A counter counts microjoules and starts again from 0 beyond ``max_energy_range_uj``. Virtual machines have none, and
since CVE-2020-8694 only root may read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from heliograph.clock import now_s
from heliograph.energy.joules import DRAM, PACKAGE, PLATFORM, Measured
from heliograph.errors import FileUnreadableError
from heliograph.reading.files import read_text
from heliograph.reasons import FileFault

POWERCAP = Path("/sys/class/powercap")

_ZONE = re.compile(r"intel-rapl:\d+(?::\d+)?")  # of AMD's processors too
_MAX_BYTES = 256
_MICRO = 1e-6
_READ_STEP = "Let this user read it (sudo chmod a+r), or run as root."


@dataclass
class _Counter:
    """One zone.

    Attributes:
        path: its folder.
        domain: what it counts.
        range_uj: the largest reading; the next one is 0.
        last_uj: the last reading.
    """

    path: Path
    domain: str
    range_uj: int
    last_uj: int = 0

    def advance(self) -> int:
        """Microjoules since the last reading; a counter that went back has begun anew once."""
        now = _number(self.path / "energy_uj")
        used = now - self.last_uj
        self.last_uj = now
        return used if used >= 0 else used + self.range_uj + 1


class RaplMeter:
    """The counters of one machine.

    Args:
        root: folder of the zones.

    Raises:
        FileUnreadableError: there are zones, and one may not be read or holds no number; with path and next step.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._counters = [made for path in _zones(root) if (made := _counter(path)) is not None]
        self._since_s = now_s()
        self.read()

    @property
    def domains(self) -> frozenset[str]:
        """What is counted; empty where the machine has no RAPL, or hides it."""
        return frozenset(one.domain for one in self._counters)

    def read(self) -> dict[str, Measured]:
        """Joules since the last reading, by domain. Call it more often than a counter goes round (minutes to an hour).

        Raises:
            FileUnreadableError: a counter can no longer be read.
        """
        now = now_s()
        seconds, self._since_s = now - self._since_s, now
        used: dict[str, int] = {}
        for counter in self._counters:
            used[counter.domain] = used.get(counter.domain, 0) + counter.advance()
        return {
            domain: Measured(_MICRO * microjoules, frozenset((domain,)), seconds)
            for domain, microjoules in used.items()
        }


def _zones(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if _ZONE.fullmatch(path.name))
    except OSError:
        return []


def _counter(path: Path) -> _Counter | None:
    name = _text(path / "name")
    domain = PACKAGE if name.startswith(PACKAGE) else name if name in (DRAM, PLATFORM) else None
    return None if domain is None else _Counter(path, domain, _number(path / "max_energy_range_uj"))


def _number(path: Path) -> int:
    text = _text(path)
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}: no number of microjoules.")
    return int(text)


def _text(path: Path) -> str:
    try:
        return read_text(path, max_bytes=_MAX_BYTES).strip()
    except FileUnreadableError as error:
        if error.fault is FileFault.FORBIDDEN:
            error.about(path, _READ_STEP)
        raise
