"""Where a codeword is cut into segments. Any cut decodes; these are small at first and grow with what was sent."""

from __future__ import annotations

FIRST_SEGMENT_BYTES = 8
_GROWTH = 24  # a segment is at least 1/24 of what came before it


def segment_ends(length: int) -> list[int]:
    """Where a codeword of ``length`` bytes is cut: 8-byte slices at first, growing by about 4 % of what is sent."""
    ends, end = [], 0
    while end < length:
        end = min(length, end + max(FIRST_SEGMENT_BYTES, end // _GROWTH))
        ends.append(end)
    return ends


def cut(codeword: bytes, ends: list[int]) -> tuple[bytes, ...]:
    """The segments that end at ``ends``."""
    return tuple(codeword[start:end] for start, end in zip([0, *ends], ends, strict=False))
