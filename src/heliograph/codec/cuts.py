"""Where a codeword is cut into segments. Any cut decodes; these are small at first and grow with what was sent."""

from __future__ import annotations

from collections.abc import Iterable

FIRST_SEGMENT_BYTES = 8
_LEAST = 4
_GROWTH = 24  # a segment is at least 1/24 of what came before it


def segment_ends(length: int, also: Iterable[int] = ()) -> list[int]:
    """Where a codeword of ``length`` bytes is cut: 8-byte slices at first, growing by about 4 % of what is sent.

    Places in ``also`` within it are ends too, for who wants to stop exactly there; the next slice begins there. A slice
    grows by up to 3 bytes to end there, and a place less than 4 bytes after an end is none: a frame costs 2 bytes.
    """
    ends, end, stops = [], 0, sorted(also)
    while end < length:
        after = end + max(FIRST_SEGMENT_BYTES, end // _GROWTH)
        near = [stop for stop in stops if end + _LEAST <= stop < after + _LEAST]
        end = min(length, near[0] if near else after)
        ends.append(end)
    return ends


def cut(codeword: bytes, ends: list[int]) -> tuple[bytes, ...]:
    """The segments that end at ``ends``."""
    return tuple(codeword[start:end] for start, end in zip([0, *ends], ends, strict=False))
