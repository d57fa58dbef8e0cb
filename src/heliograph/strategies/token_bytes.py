"""Visual tokens as plain bytes, one record per token: what ``int8``, ``int4``, ``downsample``, ``random-drop`` send.

A record is the token's scale (float16, little endian) and D signed levels of 8 or 4 bits; value = level * scale. A
scale per token costs 2 / D of the payload, needs no table ahead of the tokens, and makes every record readable
without the others. Two levels of 4 bits share a byte, the first in the low half; an odd last one has a byte to itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliograph.errors import StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import joined
from heliograph.types import FloatArray

_SMALLEST_SCALE = float(np.finfo(np.float16).smallest_subnormal)
_LARGEST_SCALE = float(np.finfo(np.float16).max)


def record_bytes(hidden_size: int, bits: int = 8) -> int:
    """Length of one token's record in bytes; ``bits`` is 8 or 4."""
    return 2 + (hidden_size * bits + 7) // 8


def token_records(values: FloatArray, bits: int = 8) -> tuple[bytes, ...]:
    """One record per row of ``values`` (k, D) float32; error of a value at most about scale / 2."""
    largest = (1 << (bits - 1)) - 1
    scales = np.abs(values).max(axis=1) / largest
    scales = np.clip(scales, _SMALLEST_SCALE, _LARGEST_SCALE).astype("<f2")
    steps = values / scales.astype(np.float32)[:, None]
    levels = np.clip(np.rint(steps), -largest, largest).astype(np.int8)
    stored = levels.view(np.uint8) if bits == 8 else _paired(levels)
    return tuple(scale.tobytes() + level.tobytes() for scale, level in zip(scales, stored, strict=True))


def read_records(segments: Sequence[bytes], hidden_size: int, most_tokens: int, bits: int = 8) -> FloatArray:
    """The (k, D) float32 rows that ``segments`` hold, k <= ``most_tokens``.

    Raises:
        StreamDamagedError: more rows than expected, not whole records, or a scale that is no finite number.
    """
    size = record_bytes(hidden_size, bits)
    data = joined(segments, most_tokens * size)
    if data is None or len(data) % size:
        raise StreamDamagedError(StreamFault.LENGTH)
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
    scales = rows[:, :2].copy().view("<f2").astype(np.float32)
    if not np.isfinite(scales).all():
        raise StreamDamagedError(StreamFault.VALUE)
    stored = rows[:, 2:].copy()
    levels = stored.view(np.int8) if bits == 8 else _unpaired(stored, hidden_size)
    return np.asarray(levels * scales, dtype=np.float32)


def _paired(levels: np.ndarray) -> np.ndarray:
    """(k, D) int8 in -8..7 to (k, (D + 1) // 2) uint8."""
    nibbles = np.pad(levels.view(np.uint8) & 15, ((0, 0), (0, levels.shape[1] % 2)))
    return np.asarray(nibbles[:, ::2] | nibbles[:, 1::2] << 4, dtype=np.uint8)


def _unpaired(stored: np.ndarray, hidden_size: int) -> np.ndarray:
    """The inverse of ``_paired``."""
    nibbles = np.stack([stored & 15, stored >> 4], axis=2).reshape(len(stored), 2 * stored.shape[1])[:, :hidden_size]
    return ((nibbles ^ 8).astype(np.int8) - 8).astype(np.int8)


def filled_with_mean(rows: FloatArray, places: np.ndarray, tokens: int) -> FloatArray:
    """(tokens, D) float32: ``rows`` (k, D) at ``places`` (k,), their mean elsewhere, zeros where k is 0."""
    mean = rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1], np.float32)
    values = np.tile(mean.astype(np.float32), (tokens, 1))
    values[places] = rows
    return values
