"""How often answers agree with those from uncompressed tokens, by how far a stream is known.

::

    prefix --Codec.level--> level --LevelCurve.agreement_at--> share of answers, 0 to 1
    wanted share --LevelCurve.level_for--> level --Codec.encode--> a stream that can be stopped exactly there

A *level* says how far a photo is known, in the codec's own unit and with the same meaning for every photo: of ``klt``
the threshold, in eighth octaves of the finest step, above which everything is known, so that lower levels are finer; of
``meta`` how many latents are known, so that higher ones are. Bytes and retained energy differ from photo to photo at
equal agreement; the level does not. The curves are measured on held-out photos and lie in the bundle (``levels.json``,
written by ``heliograph fit`` and ``heliograph calibrate``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from heliograph.errors import BundleDamagedError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault

LEVELS = "levels.json"

_FORMAT = 1
_MAX_BYTES, _MAX_KINDS, _MAX_POINTS = 1 << 16, 16, 512
_MAX_LEVEL, _MAX_COUNT = 1 << 16, 1 << 24
_FALLING = frozenset({"klt"})
"""Kinds of codecs whose lower levels are finer."""

_damaged = partial(BundleDamagedError, BundlePart.LEVELS)


class LeveledCodec(Protocol):
    """A codec, as far as levels need it."""

    levels: LevelCurve | None

    def level(self, header: bytes, segments: Sequence[bytes]) -> int | None:
        """See :class:`heliograph.codec.base.Codec`."""


@dataclass(frozen=True)
class LevelCurve:
    """What was measured of one codec.

    Attributes:
        levels: from coarse to fine, at least two, all different; the first is that of an empty prefix.
        agreement: at each of them the share of answers, 0 to 1, that are those from uncompressed tokens; never falling.
        photos, questions: how many were measured.
    """

    levels: tuple[int, ...]
    agreement: tuple[float, ...]
    photos: int
    questions: int

    def agreement_at(self, level: int) -> float:
        """Expected share of answers at a level, linear between those measured; that of the nearest one beyond them."""
        return float(np.interp(self._fineness(level), [self._fineness(one) for one in self.levels], self.agreement))

    def level_for(self, share: float) -> int:
        """The coarsest level at which so large a share of answers is expected; the finest one measured where none is.

        Args:
            share: 0 to 1.
        """
        first, last = self.levels[0], self.levels[-1]
        step = 1 if first < last else -1
        return next((one for one in range(first, last, step) if self.agreement_at(one) >= share), last)

    def _fineness(self, level: int) -> int:
        """A number that rises from coarse to fine."""
        return level if self.levels[0] < self.levels[-1] else -level

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "levels": list(self.levels),
            "agreement": list(self.agreement),
            "photos": self.photos,
            "questions": self.questions,
        }

    @classmethod
    def from_json(cls, data: Any, *, falling: bool) -> Self:
        """What ``to_json`` gave.

        Args:
            data: JSON values.
            falling: the codec's lower levels are finer.

        Raises:
            BundleDamagedError: a number is missing or out of bounds, or numbers are not in order.
        """
        levels, agreement = data["levels"], data["agreement"]
        counts = data["photos"], data["questions"]
        if not isinstance(levels, list) or not isinstance(agreement, list) or any(type(n) is not int for n in counts):
            raise _damaged(FileFault.CONTENT)
        if len(levels) != len(agreement) or len(levels) < 2:
            raise _damaged(BundleFault.SHAPE)
        if len(levels) > _MAX_POINTS:
            raise _damaged(BundleFault.TOO_MANY)
        if not all(type(one) is int and abs(one) <= _MAX_LEVEL for one in levels):
            raise _damaged(BundleFault.RANGE)
        if not all(type(one) in (int, float) and 0 <= one <= 1 for one in agreement):
            raise _damaged(BundleFault.RANGE)
        if not all(1 <= one <= _MAX_COUNT for one in counts):
            raise _damaged(BundleFault.RANGE)
        if any((later < earlier) is not falling or later == earlier for earlier, later in pairwise(levels)):
            raise _damaged(BundleFault.ORDER)
        if any(later < earlier for earlier, later in pairwise(agreement)):
            raise _damaged(BundleFault.ORDER)
        return cls(tuple(levels), tuple(map(float, agreement)), *counts)


@dataclass(frozen=True)
class LevelCurves:
    """The curves of a bundle's codecs, by kind: ``levels.json``."""

    curves: Mapping[str, LevelCurve]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"format": _FORMAT, "codecs": {kind: one.to_json() for kind, one in self.curves.items()}}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """What ``to_json`` gave.

        Raises:
            BundleDamagedError: another format, or numbers that no fit writes.
        """
        try:
            if data["format"] != _FORMAT:
                raise _damaged(BundleFault.FORMAT)
            if not 1 <= len(data["codecs"]) <= _MAX_KINDS:
                raise _damaged(BundleFault.TOO_MANY if data["codecs"] else FileFault.EMPTY)
            made = {
                str(kind): LevelCurve.from_json(one, falling=kind in _FALLING) for kind, one in data["codecs"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(FileFault.CONTENT) from error
        return cls(made)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``levels.json``.

        Raises:
            BundleDamagedError: it is missing, too large, or not one of these.
        """
        return cls.from_json(read_json_object(path, max_bytes=_MAX_BYTES, error=_damaged, links=False))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(self.to_json()) + "\n", encoding="utf-8")


def expected_agreement(codec: LeveledCodec, header: bytes, segments: Sequence[bytes]) -> float | None:
    """Share of answers from a prefix that are expected to be those from uncompressed tokens, 0 to 1; None where nobody
    has measured that of the codec.

    Raises:
        StreamTruncatedError, StreamDamagedError, StreamVersionError: the header cannot be read.
    """
    level = None if codec.levels is None else codec.level(header, segments)
    return None if codec.levels is None or level is None else codec.levels.agreement_at(level)


def levels_missing() -> BundleDamagedError:
    """The error of a question whose controller reads levels, where the bundle has none of the stream's codec."""
    return _damaged(BundleFault.UNNAMED).noted("heliograph calibrate --levels --install measures it.")
