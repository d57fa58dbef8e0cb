"""What a bundle's codecs leave of photos of their own kind: measured on photos that nothing was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from heliograph.codec.base import Codec
from heliograph.codec.fallback import CLOSED_FORM, LEARNED
from heliograph.codec.familiarity import WHOLE_STREAM, FittedRange, FittedRanges, prefix_misfit
from heliograph.types import VisualTokens

if TYPE_CHECKING:
    from heliograph.codec.meta import MetaCodec

MIN_PHOTOS = 8
"""Fewer photos say nothing about the tail of their misfits."""

PHOTOS = 160
"""As many are enough for the quantile that one photo in twenty exceeds."""

_TYPICAL_MISFIT = 0.2
"""The closed-form codec is judged by the shortest prefix that leaves no more than this of a typical photo: shorter ones
tell kinds apart less clearly, longer ones cost the device more time."""

_FIRST_PREFIX, _GROWTH, _TRIED = 32, 1.25, 16


def measured_ranges(codecs: Mapping[str, Codec], photos: Sequence[VisualTokens]) -> FittedRanges | None:
    """The fitted range of every codec that measures misfits; None where there are too few photos, or no such codec.

    Args:
        codecs: of a bundle, by kind.
        photos: tokens of held-out photos, (N, D) float32 each.
    """
    if len(photos) < MIN_PHOTOS:
        return None
    ranges: dict[str, FittedRange] = {}
    if CLOSED_FORM in codecs:
        codec = codecs[CLOSED_FORM]
        ranges[CLOSED_FORM] = _range(codec, photos, prefix_size(codec, photos[:_TRIED]))
    if LEARNED in codecs:
        learned = cast("MetaCodec", codecs[LEARNED])
        taken = [one for one in photos if learned.takes(one.grid)]
        if len(taken) >= MIN_PHOTOS:
            ranges[LEARNED] = _range(learned, taken, WHOLE_STREAM)
    return FittedRanges(ranges) if ranges else None


def _range(codec: Codec, photos: Sequence[VisualTokens], payload_bytes: int) -> FittedRange:
    """Misfits of prefixes of whole streams, as a device measures them; a stream made for so few bytes would end on a
    whole plane, and leave less."""
    misfits = [prefix_misfit(codec, one, payload_bytes, codec.encode(one)) for one in photos]
    return FittedRange.of(payload_bytes, misfits)


def prefix_size(codec: Codec, photos: Sequence[VisualTokens]) -> int:
    """Payload bytes of the shortest prefix tried that leaves little of a typical photo; all of the stream where even
    that leaves more."""
    streams = [codec.encode(one) for one in photos]
    size, longest = _FIRST_PREFIX, max(stream.payload_bytes for stream in streams)
    while size < longest:
        found = [prefix_misfit(codec, one, size, stream) for one, stream in zip(photos, streams, strict=True)]
        if float(np.median(found)) <= _TYPICAL_MISFIT:
            return size
        size = round(size * _GROWTH)
    return WHOLE_STREAM
