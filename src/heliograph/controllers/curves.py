"""What each way of sending is worth: quality against payload bytes, as a calibration split measured it.

``curves.json`` lies beside the bundle's codecs and is what :mod:`heliograph.controllers.planner` decides from.

Quality is the share of answers that equal the answer from the uncompressed photo; where the uncompressed photo does not
show what is asked for (small print), the share that equals the answer from photo and region at full size. Per strategy
and kind of question the measured points are made monotone in bytes (pool adjacent violators: Ayer et al., "An empirical
distribution function for sampling with incomplete information", 1955), so that chance does not make more bytes look
worse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from heliograph.controllers.question_kind import MAX_KINDS, QuestionKinds, is_kind
from heliograph.errors import BundleDamagedError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.strategies.base import Setting, label

FORMAT = 1
ALL = "all"
SIGHTS = ("tokens", "picture", "region", "local")
"""What an answer is made from; each takes its own time."""

_MAX_FILE_BYTES = 1 << 20
_MAX_CURVES, _MAX_POINTS, _MAX_KNOBS, _MAX_TEXT = 64, 256, 8, 200
_MAX_VALUE = 1e12
_STRATEGY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

_damaged = partial(BundleDamagedError, BundlePart.CURVES)


@dataclass(frozen=True)
class Point:
    """One setting as it was measured, means over questions or photos.

    Attributes:
        setting: of the strategy.
        crop_setting: of the region behind it; empty where none is sent.
        payload_bytes: header and segments of the first photo.
        crop_bytes: payload bytes of the region.
        encode_ms, restore_ms: processor time of the machine that measured, device side and cloud side.
        crop_encode_ms: of the region, device side.
        quality: 0 to 1 by kind of question; the kind ``all`` is always there.
    """

    setting: Setting
    payload_bytes: float
    encode_ms: float
    restore_ms: float
    quality: Mapping[str, float]
    crop_setting: Setting = field(default_factory=dict)
    crop_bytes: float = 0.0
    crop_encode_ms: float = 0.0


@dataclass(frozen=True)
class Curve:
    """One strategy's points by bytes, cheapest first, with qualities that never fall.

    Attributes:
        strategy: registry name of what is sent first.
        crop: registry name of what a region is sent with; empty where none is.
        sight: one of :data:`SIGHTS`.
        points: at least one.
        origin: of a measurement other than the file's; None for the file's own.
    """

    strategy: str
    sight: str
    points: tuple[Point, ...]
    crop: str = ""
    origin: Origin | None = None

    def quality(self, payload_bytes: float, kind: str = ALL) -> float:
        """Quality at a number of payload bytes: linear in log bytes between points, 0 below the first one."""
        kept = [point.payload_bytes for point in self.points]
        if payload_bytes < kept[0]:
            return 0.0
        logs = np.log(np.maximum(kept, 1.0))
        return float(np.interp(np.log(max(payload_bytes, 1.0)), logs, [_quality(p, kind) for p in self.points]))


@dataclass(frozen=True)
class Origin:
    """Where the curves come from; for people."""

    date: str
    suite: str
    machine: str
    commit: str
    questions: int


@dataclass(frozen=True)
class Curves:
    """Everything the planner knows before it has seen a link.

    Attributes:
        origin: of the measurement.
        curves: of every way of sending.
        answer_ms: processor milliseconds of one answer by what it is made from (:data:`SIGHTS`), on the machine that
            measured.
        kinds: tells what kind of question is asked; empty where nothing was counted.
    """

    origin: Origin
    curves: tuple[Curve, ...]
    answer_ms: Mapping[str, float]
    kinds: QuestionKinds = field(default_factory=lambda: QuestionKinds({}, {}))

    @property
    def own(self) -> Self:
        """The same without the curves of other measurements."""
        return replace(self, curves=tuple(curve for curve in self.curves if curve.origin is None))

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Every measurement behind the curves, the file's own first."""
        return tuple(dict.fromkeys((self.origin, *(curve.origin for curve in self.curves if curve.origin is not None))))

    def expected_quality(self, point: Point, shares: Mapping[str, float]) -> float:
        """Quality of one point for a question of the kinds in ``shares``; that of ``all`` where nothing is known."""
        if not shares:
            return _quality(point, ALL)
        return sum(share * _quality(point, kind) for kind, share in shares.items())

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "format": FORMAT,
            "origin": vars(self.origin),
            "answer_ms": {name: _short(value) for name, value in self.answer_ms.items()},
            "curves": [
                {
                    "strategy": curve.strategy,
                    "crop": curve.crop,
                    "sight": curve.sight,
                    "points": [_point_json(p) for p in curve.points],
                    **({} if curve.origin is None else {"origin": vars(curve.origin)}),
                }
                for curve in self.curves
            ],
            "kinds": self.kinds.to_json(),
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``curves.json``.

        Raises:
            BundleDamagedError: not there, too large, or not what :meth:`to_json` gives.
        """
        return cls.from_json(read_json_object(path, max_bytes=_MAX_FILE_BYTES, error=_damaged, links=False))

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Checked JSON values.

        Raises:
            BundleDamagedError: not what :meth:`to_json` writes.
        """
        try:
            if data["format"] != FORMAT:
                raise _damaged(BundleFault.FORMAT)
            _check_count(data["curves"], _MAX_CURVES)
            origin = _origin(data["origin"])
            answer_ms = {sight: _number(data["answer_ms"][sight]) for sight in SIGHTS}
            return cls(origin, tuple(map(_curve, data["curves"])), answer_ms, QuestionKinds.from_json(data["kinds"]))
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise _damaged(FileFault.CONTENT) from error


def monotone(costs: Sequence[float], qualities: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to ``qualities`` (least squares), ordered by ``costs``, ascending.

    >>> monotone([1, 2, 3], [0.5, 0.9, 0.7])
    [0.5, 0.8, 0.8]
    """
    blocks: list[tuple[float, int]] = []
    for index in sorted(range(len(costs)), key=lambda i: costs[i]):
        total, count = qualities[index], 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    return [round(total / count, 12) for total, count in blocks for _ in range(count)]


def made_monotone(points: Sequence[Point]) -> tuple[Point, ...]:
    """Points by bytes, each kind's quality never falling."""
    ordered = sorted(points, key=lambda p: p.payload_bytes + p.crop_bytes)
    costs = [p.payload_bytes + p.crop_bytes for p in ordered]
    kinds = sorted({kind for p in ordered for kind in p.quality})
    lines = {kind: monotone(costs, [_quality(p, kind) for p in ordered]) for kind in kinds}
    return tuple(
        Point(**(vars(p) | {"quality": {kind: lines[kind][i] for kind in kinds}})) for i, p in enumerate(ordered)
    )


def candidate_name(strategy: str, setting: Setting, crop: str = "", crop_setting: Setting | None = None) -> str:
    """One way of sending as one line: ``meta max_bytes=1024 + webp size=128,quality=35``."""
    first = f"{strategy} {label(setting)}" if setting else strategy
    return f"{first} + {crop} {label(crop_setting or {})}" if crop else first


def _quality(point: Point, kind: str) -> float:
    return point.quality.get(kind, point.quality[ALL])


def _point_json(point: Point) -> dict[str, Any]:
    kept = vars(point) | {"quality": {kind: _short(value) for kind, value in point.quality.items()}}
    return {name: _short(value) if isinstance(value, float) else value for name, value in kept.items()}


def _curve(data: Any) -> Curve:
    crop = data["crop"]
    if not _STRATEGY.fullmatch(data["strategy"]) or (crop and not _STRATEGY.fullmatch(crop)):
        raise _damaged(FileFault.CONTENT)
    if data["sight"] not in SIGHTS:
        raise _damaged(BundleFault.UNKNOWN)
    _check_count(data["points"], _MAX_POINTS)
    origin = _origin(data["origin"]) if "origin" in data else None
    return Curve(data["strategy"], data["sight"], made_monotone([_point(p) for p in data["points"]]), crop, origin)


def _origin(data: Any) -> Origin:
    words = {name: _text(data[name]) for name in ("date", "suite", "machine", "commit")}
    return Origin(**words, questions=int(_number(data["questions"])))


def _check_count(entries: Any, most: int) -> None:
    if not 1 <= len(entries) <= most:
        raise _damaged(BundleFault.TOO_MANY if entries else FileFault.EMPTY)


def _point(data: Any) -> Point:
    quality = {kind: _number(value) for kind, value in data["quality"].items() if is_kind(kind)}
    if ALL not in quality:
        raise _damaged(FileFault.CONTENT)
    _check_count(quality, MAX_KINDS)
    if max(quality.values()) > 1:
        raise _damaged(BundleFault.RANGE)
    names = ("payload_bytes", "encode_ms", "restore_ms", "crop_bytes", "crop_encode_ms")
    numbers = {name: _number(data[name]) for name in names}
    return Point(
        setting=_setting(data["setting"]), crop_setting=_setting(data["crop_setting"]), quality=quality, **numbers
    )


def _setting(data: Any) -> Setting:
    if not isinstance(data, dict):
        raise _damaged(FileFault.CONTENT)
    if len(data) > _MAX_KNOBS:
        raise _damaged(BundleFault.TOO_MANY)
    for knob, value in data.items():
        if not _text(knob).isidentifier() or not isinstance(value, int | float | str) or len(str(value)) > _MAX_TEXT:
            raise _damaged(FileFault.CONTENT)
    return dict(data)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _damaged(FileFault.CONTENT)
    if not 0 <= value <= _MAX_VALUE:  # NaN fails too
        raise _damaged(BundleFault.RANGE)
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise _damaged(FileFault.CONTENT)
    return value


def _short(value: float) -> float:
    return float(f"{value:.5g}")
