"""How long this device takes to encode, as it measured itself, kept between runs.

One small JSON file per bundle. A file that is damaged or cannot be written is no reason to answer nothing: the device
then starts without a history.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Self

from heliograph.config import STATE_VARIABLE, user_folder
from heliograph.controllers.curves import Curves, candidate_name
from heliograph.errors import FileUnreadableError
from heliograph.reading.json_values import read_json_object
from heliograph.strategies.base import Kind
from heliograph.strategies.selection import strategies_with

_FORMAT = 1
_KEPT = 9
_MAX_CANDIDATES = 256
_MAX_NAME = 200
_MAX_FILE_BYTES = 1 << 18
_MAX_S = 3600.0
"""Their encoding hardly depends on where the stream is cut: one history serves all cuts."""


class DeviceTimes:
    """Recent encoding times by candidate.

    Args:
        path: file to keep them in; None keeps them in memory alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seconds: dict[str, deque[float]] = {}

    @classmethod
    def load(cls, path: Path) -> Self:
        """What was kept in ``path``; empty where there is nothing usable."""
        times = cls(path)
        for name, seconds in _read(path):
            times.note(name, seconds)
        return times

    def note(self, name: str, seconds: float) -> None:
        """One encoding by :func:`heliograph.controllers.curves.candidate_name` took so long. Nonsense is left out."""
        key = _key(name)
        if not 0 < seconds <= _MAX_S or len(key) > _MAX_NAME:
            return
        if key not in self._seconds and len(self._seconds) >= _MAX_CANDIDATES:
            del self._seconds[next(iter(self._seconds))]
        self._seconds.setdefault(key, deque(maxlen=_KEPT)).append(seconds)

    @property
    def encode_s(self) -> dict[str, float]:
        """Median seconds by candidate, or by strategy for codecs."""
        return {name: median(seconds) for name, seconds in self._seconds.items()}

    def factor(self, curves: Curves) -> tuple[float, int]:
        """How many times as slow as the curves' machine this device is, and from how many encodings; 1.0 from none."""
        wanted = {
            _key(candidate_name(curve.strategy, point.setting)): point.encode_ms / 1000
            for curve in curves.curves
            if not curve.crop
            for point in curve.points
        }
        ratios = [one / wanted[name] for name, seconds in self._seconds.items() if wanted.get(name) for one in seconds]
        return (median(ratios), len(ratios)) if ratios else (1.0, 0)

    def save(self) -> None:
        """Keep them; where the disk refuses, they are lost when the program ends."""
        if self._path is None:
            return
        data = {"format": _FORMAT, "ways": {name: list(seconds) for name, seconds in self._seconds.items()}}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            fresh.write_text(json.dumps(data), encoding="utf-8")
            fresh.replace(self._path)


def state_path(bundle_hash: bytes) -> Path:
    """Where times with this bundle are kept: ``$HELIOGRAPH_STATE``, else the user's cache folder."""
    folder = os.environ.get(STATE_VARIABLE) or user_folder("XDG_CACHE_HOME", ".cache") / "heliograph"
    return Path(folder) / f"times-{bundle_hash.hex() or 'pictures'}.json"


def _key(name: str) -> str:
    strategy = name.partition(" ")[0]
    one_time = {*strategies_with(embedded=True), *strategies_with(kind=Kind.LOCAL)}  # whatever the setting
    return strategy if strategy in one_time else name


def _read(path: Path) -> Iterator[tuple[str, float]]:
    try:
        data = read_json_object(path, max_bytes=_MAX_FILE_BYTES)
        if data["format"] == _FORMAT:
            for name, seconds in list(data["ways"].items())[:_MAX_CANDIDATES]:
                for one in seconds[-_KEPT:]:
                    yield str(name), float(one)
    except (FileUnreadableError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return
