"""Visual tokens as plain bytes, one record per token: what ``int8``, ``downsample`` and ``random-drop`` send.

A record is the token's scale (float16, little endian) and D signed bytes; value = byte * scale. A scale per token
costs 2 / D of the payload, needs no table ahead of the tokens, and makes every record readable without the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliograph.errors import StreamDamagedError
from heliograph.strategies.base import joined
from heliograph.types import FloatArray

_LARGEST = 127
_SMALLEST_SCALE = float(np.finfo(np.float16).smallest_subnormal)
_LARGEST_SCALE = float(np.finfo(np.float16).max)


def record_bytes(hidden_size: int) -> int:
    """Length of one token's record in bytes."""
    return 2 + hidden_size


def token_records(values: FloatArray) -> tuple[bytes, ...]:
    """One record per row of ``values`` (k, D) float32; error of a value at most about scale / 2."""
    scales = np.abs(values).max(axis=1) / _LARGEST
    scales = np.clip(scales, _SMALLEST_SCALE, _LARGEST_SCALE).astype("<f2")
    steps = values / scales.astype(np.float32)[:, None]
    levels = np.clip(np.rint(steps), -_LARGEST, _LARGEST).astype(np.int8)
    return tuple(scale.tobytes() + level.tobytes() for scale, level in zip(scales, levels, strict=True))


def read_records(segments: Sequence[bytes], hidden_size: int, most_tokens: int) -> FloatArray:
    """The (k, D) float32 rows that ``segments`` hold, k <= ``most_tokens``.

    Raises:
        StreamDamagedError: more rows than expected, not whole records, or a scale that is no finite number.
    """
    size = record_bytes(hidden_size)
    data = joined(segments, most_tokens * size)
    if data is None or len(data) % size:
        raise StreamDamagedError
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
    scales = rows[:, :2].copy().view("<f2").astype(np.float32)
    if not np.isfinite(scales).all():
        raise StreamDamagedError
    levels = rows[:, 2:].copy().view(np.int8)
    return np.asarray(levels * scales, dtype=np.float32)
