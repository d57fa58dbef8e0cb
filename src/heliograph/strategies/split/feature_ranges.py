"""Ranges of features in a byte or two: how numbers become grey levels and back.

A range is written as powers of two, so that small and large ones are told equally well:

====  =====================================================================================================
byte  meaning
====  =====================================================================================================
span  2 ^ ((b - 128) / 8): 2^-16 to about 2^15.9
low   0 is 0; else the sign in bit 7 (1: negative) and 2 ^ ((m - 64) / 4), m in bits 0 to 6
====  =====================================================================================================

``shared``: one span s, of -s to s for all components. ``minmax`` and ``robust``: low and span of each component.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.errors import StreamTruncatedError
from heliograph.types import FloatArray

SCALINGS = ("shared", "minmax", "robust")
_SHARED, _ROBUST = 0, 2
_OUTSIDE = 2.5
"""Percent of a component that robust scaling cuts off at each end."""

Bytes = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
_LEVELS = 255


@dataclass(frozen=True)
class Ranges:
    """Ranges of each component, (K,) float64; of all together (1,).

    Attributes:
        low: what grey 0 stands for.
        span: how far it is from there to grey 255.
    """

    low: Doubles
    span: Doubles


def range_bytes(scaling: int, components: int) -> int:
    """How many bytes ranges take, by a place in :data:`SCALINGS`."""
    return 1 if scaling == _SHARED else 2 * components


def written_ranges(values: FloatArray, scaling: int) -> bytes:
    """The bytes of the ranges of features (T, P, K); what is read back holds them, up to 2^14 in size."""
    flat = values.reshape(-1, values.shape[2]).astype(np.float64)
    if scaling == _SHARED:
        return _span_codes(np.abs(flat).max(initial=0.0).reshape(1)).tobytes()
    outside = _OUTSIDE if scaling == _ROBUST else 0.0
    low, high = np.percentile(flat, [outside, 100 - outside], axis=0)
    codes = _low_codes(low)
    return np.stack([codes, _span_codes(high - _lows(codes))], axis=1).tobytes()


def read_ranges(data: bytes, scaling: int, components: int) -> Ranges:
    """Ranges from the beginning of ``data``.

    Raises:
        StreamTruncatedError: fewer bytes than they take.
    """
    size = range_bytes(scaling, components)
    if len(data) < size:
        raise StreamTruncatedError().noted(
            f"feature-video begins with {size} bytes of ranges, and {len(data)} are here."
        )
    codes = np.frombuffer(data[:size], dtype=np.uint8)
    if scaling == _SHARED:
        span = _spans(codes)
        return Ranges(-span, 2 * span)
    return Ranges(_lows(codes[::2]), _spans(codes[1::2]))


def to_grey(values: FloatArray, ranges: Ranges) -> Bytes:
    """Features (T, P, K) as grey levels of that shape; what lies outside is cut off."""
    steps = (values - ranges.low) / ranges.span * _LEVELS
    return np.asarray(np.rint(np.clip(steps, 0, _LEVELS)), dtype=np.uint8)


def from_grey(grey: Bytes, ranges: Ranges) -> FloatArray:
    """The inverse, to half a level."""
    return np.asarray(grey / _LEVELS * ranges.span + ranges.low, dtype=np.float32)


def _span_codes(spans: Doubles) -> Bytes:
    """The least codes whose spans are no shorter."""
    eighths = np.ceil(np.log2(np.maximum(spans, 2.0**-16)) * 8 - 1e-9)
    return np.asarray(np.clip(eighths + 128, 0, 255), dtype=np.uint8)


def _spans(codes: Bytes) -> Doubles:
    return np.asarray(np.exp2((codes.astype(np.float64) - 128) / 8))


def _low_codes(lows: Doubles) -> Bytes:
    """The greatest codes whose values are no higher."""
    negative = lows < 0
    quarters = np.log2(np.maximum(np.abs(lows), 2.0**-17)) * 4 + 64
    quarters = np.where(negative, np.ceil(quarters - 1e-9), np.floor(quarters + 1e-9))
    codes = np.clip(quarters, 1, 127) + 128 * negative
    return np.asarray(np.where(negative | (quarters >= 1), codes, 0), dtype=np.uint8)


def _lows(codes: Bytes) -> Doubles:
    sizes = np.exp2((codes.astype(np.float64) % 128 - 64) / 4)
    return np.asarray(np.where(codes == 0, 0.0, np.where(codes >= 128, -sizes, sizes)))
