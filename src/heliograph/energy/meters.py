"""Whatever counts joules on this machine, and what is said where nothing does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from heliograph.energy.joules import Measured
from heliograph.energy.nvml import NvmlMeter
from heliograph.energy.rapl import POWERCAP, RaplMeter
from heliograph.errors import FileUnreadableError, MissingExtraError


class Meter(Protocol):
    """Counters of joules."""

    @property
    def domains(self) -> frozenset[str]:
        """What is counted."""

    def read(self) -> dict[str, Measured]:
        """Joules since the last reading, by domain."""


@dataclass
class Meters:
    """What this machine has.

    Attributes:
        found: those that count something.
        notes: for each that does not, why, as a sentence.
        measured: joules by domain, of everything within :meth:`measuring` so far.
    """

    found: tuple[Meter, ...]
    notes: tuple[str, ...]
    measured: dict[str, Measured] = field(default_factory=dict)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Count what the block uses, and whatever else the machine does meanwhile."""
        for meter in self.found:
            meter.read()
        yield
        for meter in self.found:
            for domain, used in meter.read().items():
                before = self.measured.get(domain)
                self.measured[domain] = used if before is None else before + used


def available_meters(root: Path = POWERCAP, nvml: Any = None) -> Meters:
    """The meters of this machine; none where it has none, which is no error.

    Args:
        root: folder of RAPL's zones.
        nvml: the module ``pynvml``; None imports it where it is installed.
    """
    found: list[Meter] = []
    notes = []
    try:
        rapl = RaplMeter(root)
        if rapl.domains:
            found.append(rapl)
        else:
            notes.append(f"RAPL: there is none in {root}, as in most virtual machines and containers.")
    except FileUnreadableError as error:
        notes.append(f"RAPL: {' '.join(getattr(error, '__notes__', ()))} {error.next_step or ''}".strip())
    try:
        cards = NvmlMeter(nvml)
        if cards.domains:
            found.append(cards)
        else:
            notes.append("NVML: no graphics card that counts its energy.")
    except MissingExtraError as error:
        notes.append(f"NVML: {error}")
    return Meters(tuple(found), tuple(notes))
