"""Whether a photo is of the kind that a codec was fitted on, measured on the device before anything is sent.

::

    tokens (N, D) --Codec.encode, decode--> restored (N, D) --misfit--> one byte of the stream's header
    that byte, FittedRange of the bundle --likelihood--> chance that the photo is of the fitted kind

A codec restores photos of its own kind well and others badly at the same bytes. What it leaves of them, as a share of
how much their tokens vary, is the *misfit*. Its quantiles on held-out photos lie in the bundle (``familiarity.json``,
written by ``heliograph fit`` and ``heliograph calibrate``); why this measure, and not the distance of tokens from
their mean, is told in ``docs/decisions/0029-unfamiliar-photos.md``.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from heliograph.codec.header import with_extra
from heliograph.errors import BundleDamagedError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.types import EncodedImage, FloatArray, VisualTokens

FAMILIARITY = "familiarity.json"
WHOLE_STREAM = 0
UNFAMILIAR_BELOW = 0.5
"""A photo with a smaller chance of being of the fitted kind is reported as unlike anything the codec was fitted on."""

_FORMAT = 1
_MAX_BYTES, _MAX_KINDS, _MAX_PREFIX = 1 << 16, 16, 1 << 24
_MIDDLE, _STEPS_PER_OCTAVE = 128, 32
_MIN_MISFIT, _MAX_MISFIT = 2.0**-30, 2.0**30
_OTHER_KINDS = 0.01 / 16
"""Density of photos of other kinds: one photo in a hundred, spread evenly over sixteen standard deviations."""

_NORMAL_95 = 1.645
_MIN_SPREAD = 0.05
_damaged = partial(BundleDamagedError, BundlePart.FAMILIARITY)


class PrefixCodec(Protocol):
    """A codec whose streams restore tokens from any prefix, as far as the misfit needs it."""

    fitted: FittedRange | None

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        """See :class:`heliograph.codec.base.Codec`."""

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        """See :class:`heliograph.codec.base.Codec`."""


def misfit(tokens: FloatArray, restored: FloatArray) -> float:
    """Squared error of restored tokens as a share of how much the photo's tokens vary around their own mean.

    Args:
        tokens: (N, D) of the photo.
        restored: (N, D) from its stream.
    """
    wide = tokens.astype(np.float64)
    varies = float(np.square(wide - wide.mean(axis=0)).sum())
    error = float(np.square(restored.astype(np.float64) - wide).sum())
    if error == 0:
        return _MIN_MISFIT
    return min(max(error / varies, _MIN_MISFIT), _MAX_MISFIT) if varies > 0 else _MAX_MISFIT


def misfit_code(value: float) -> int:
    """A misfit as one byte, 1 to 255: 128 for 1, 32 steps for every doubling."""
    return min(max(round(_MIDDLE + _STEPS_PER_OCTAVE * math.log2(value)), 1), 255)


def misfit_of(code: int) -> float:
    """The misfit that a code from 1 to 255 stands for."""
    value: float = 2.0 ** ((code - _MIDDLE) / _STEPS_PER_OCTAVE)
    return value


@dataclass(frozen=True)
class FittedRange:
    """The misfit of held-out photos of the kind that a codec was fitted on.

    Attributes:
        payload_bytes: of the prefix that is restored to measure it; :data:`WHOLE_STREAM` for all of the stream.
        quantiles: misfit at each of :data:`SHARES`, never falling.
        photos: how many were measured.
    """

    payload_bytes: int
    quantiles: tuple[float, ...]
    photos: int

    SHARES: ClassVar[tuple[float, ...]] = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

    @classmethod
    def of(cls, payload_bytes: int, misfits: Sequence[float]) -> Self:
        """The range of measured misfits, at least one."""
        found = np.quantile(np.asarray(misfits, dtype=np.float64), cls.SHARES)
        return cls(payload_bytes, tuple(float(f"{value:.5g}") for value in found), len(misfits))

    @property
    def highest(self) -> float:
        """The misfit that one fitted photo in a hundred exceeds."""
        return self.quantiles[-1]

    def part_of(self, value: float) -> int:
        """Which of the seven parts of the range, 1 to 7, a misfit of at most ``highest`` lies in; 0 above it."""
        return 0 if value > self.highest else 1 + bisect_left(self.quantiles, value)

    def stated(self, part: int, code: int) -> float | None:
        """The misfit that a header states: its code where there is one, else the upper end of its part; None of
        neither."""
        if code:
            return misfit_of(code)
        return self.quantiles[part - 1] if 1 <= part <= len(self.quantiles) else None

    def likelihood(self, value: float) -> float:
        """Chance, 0 to 1, that a photo with this misfit is of the fitted kind.

        Bayes' rule: the logarithm of the misfit of fitted photos is taken as normal, that of one photo in a hundred as
        anything. A photo that the codec restores better than most is of the fitted kind.
        """
        middle, high = self.quantiles[3], self.quantiles[5]
        spread = max(math.log(high / middle) / _NORMAL_95, _MIN_SPREAD)
        deviations = max(math.log(value / middle) / spread, 0.0)
        density = 0.99 * math.exp(-(deviations**2) / 2) / math.sqrt(2 * math.pi)
        return density / (density + _OTHER_KINDS)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"payload_bytes": self.payload_bytes, "quantiles": list(self.quantiles), "photos": self.photos}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """What ``to_json`` gave.

        Raises:
            BundleDamagedError: a number is missing or out of bounds, or quantiles fall.
        """
        size, photos, quantiles = data["payload_bytes"], data["photos"], data["quantiles"]
        if type(size) is not int or type(photos) is not int or not isinstance(quantiles, list):
            raise _damaged(FileFault.CONTENT)
        if len(quantiles) != len(cls.SHARES):
            raise _damaged(BundleFault.SHAPE)
        if not all(type(one) in (int, float) and _MIN_MISFIT <= one <= _MAX_MISFIT for one in quantiles):
            raise _damaged(BundleFault.RANGE)
        if not 0 <= size <= _MAX_PREFIX or photos < 1:
            raise _damaged(BundleFault.RANGE)
        if any(later < earlier for earlier, later in pairwise(quantiles)):
            raise _damaged(BundleFault.ORDER)
        return cls(size, tuple(map(float, quantiles)), photos)


@dataclass(frozen=True)
class FittedRanges:
    """The ranges of a bundle's codecs, by kind: ``familiarity.json``."""

    ranges: Mapping[str, FittedRange]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"format": _FORMAT, "codecs": {kind: one.to_json() for kind, one in self.ranges.items()}}

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
            return cls({str(kind): FittedRange.from_json(one) for kind, one in data["codecs"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(FileFault.CONTENT) from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``familiarity.json``.

        Raises:
            BundleDamagedError: it is missing, too large, or not one of these.
        """
        return cls.from_json(read_json_object(path, max_bytes=_MAX_BYTES, error=_damaged, links=False))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(self.to_json()) + "\n", encoding="utf-8")


def prefix_misfit(
    codec: PrefixCodec,
    tokens: VisualTokens,
    payload_bytes: int,
    made: EncodedImage | None = None,
    made_max_bytes: int | None = None,
) -> float:
    """The misfit of a photo, from the first ``payload_bytes`` of its stream.

    Args:
        codec: whose streams restore tokens from any byte prefix.
        tokens: (N, D) float32.
        payload_bytes: header and codeword; :data:`WHOLE_STREAM` for all of it.
        made: its stream, where there is one already.
        made_max_bytes: that it was cut at; None for a whole one.
    """
    short = made_max_bytes is not None and (not payload_bytes or made_max_bytes < payload_bytes)
    stream = codec.encode(tokens, max_bytes=payload_bytes or None) if made is None or short else made
    data = b"".join(stream.segments)
    if payload_bytes:
        data = data[: max(payload_bytes - len(stream.header), 0)]
    return misfit(tokens.values, codec.decode(stream.header, [data]).values)


def measured_stream(
    codec: PrefixCodec,
    tokens: VisualTokens,
    max_bytes: int | None,
    encode: Callable[..., EncodedImage] | None = None,
    *,
    whole: bool = True,
) -> EncodedImage:
    """The stream of a codec that measures misfits by a prefix; with its misfit in the header where that is higher than
    of the fitted photos. Photos of the fitted kind cost no byte more.

    Args:
        codec: such as ``klt``; without a fitted range nothing is measured.
        tokens: (N, D) float32.
        max_bytes: of header and segments; None for all.
        encode: makes the stream of the tokens within ``max_bytes``; None for ``codec.encode`` with nothing else said.
        whole: without ``max_bytes`` the stream is all of the photo's.

    Raises:
        ShapeError: N or D do not fit, or a value is not finite.
    """
    encode = partial(codec.encode, tokens) if encode is None else encode
    encoded = encode(max_bytes=max_bytes)
    if codec.fitted is None:
        return encoded
    cut_at = max_bytes if whole else encoded.payload_bytes
    found = prefix_misfit(codec, tokens, codec.fitted.payload_bytes, encoded, cut_at)
    if found <= codec.fitted.highest or (max_bytes is not None and max_bytes <= len(encoded.header)):
        return encoded
    if max_bytes is not None:
        encoded = encode(max_bytes=max_bytes - 1)
    return replace(encoded, header=with_extra(encoded.header, misfit_code(found)))
