"""Which codec wrote a stream: ``meta`` leaves photos that it does worse on to ``klt``, by one bit of the header.

A learned codec knows the kind of photos it has learned from. Where a photo looks like none of them, the device restores
what it would send, measures the error of the tokens, and sends ``klt``'s stream of as many bytes where that is clearly
nearer. The receiver sees it in the header and decodes with ``klt``; for the wire it stays a stream of ``meta``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from heliograph.codec.base import Codec
from heliograph.codec.familiarity import FittedRanges, measured_stream, misfit_of
from heliograph.codec.header import marked_as_fallback, stated_extra, stated_small, unmarked
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from heliograph.codec.klt import KltCodec

LEARNED, CLOSED_FORM = "meta", "klt"
_LEARNED_STREAMS = (LEARNED, "side-info", "question-coded")
"""Strategies whose streams are the learned codec's, whatever either end does beside it."""

MAX_ERROR_RATIO = 1.1
"""The learned codec's squared error may be so many times that of the closed form at equal bytes."""


def written_by(encoded: EncodedImage) -> tuple[str, bytes]:
    """The kind of codec that wrote a stream, and the header as that codec wrote it.

    Strategies without a codec give their own name and header.
    """
    if encoded.strategy in _LEARNED_STREAMS:
        plain = unmarked(encoded.header)
        return (LEARNED, encoded.header) if plain is None else (CLOSED_FORM, plain)
    return encoded.strategy, encoded.header


def stated_likelihood(encoded: EncodedImage, ranges: FittedRanges | None) -> float | None:
    """Chance, 0 to 1, that a photo is of the kind that the codec of its stream was fitted on, from the misfit that its
    header states.

    None where nothing is known: no fitted range of this codec, or a device that did not measure.
    """
    fitted = None if ranges is None else ranges.ranges.get(written_by(encoded)[0])
    found = photo_misfit(encoded, ranges)
    return None if fitted is None or found is None else fitted.likelihood(found)


def photo_misfit(encoded: EncodedImage, ranges: FittedRanges | None) -> float | None:
    """The misfit that a stream's header states; None where it states none, as of familiar photos in ``klt``, or where
    it states a part of a range that is not known here."""
    kind, header = written_by(encoded)
    if kind not in (LEARNED, CLOSED_FORM):
        return None
    code, part = stated_extra(header), stated_small(header) if kind == LEARNED else 0
    fitted = None if ranges is None else ranges.ranges.get(kind)
    if fitted is None:
        return misfit_of(code) if code else None
    return fitted.stated(part, code)


def nearer_stream(
    learned: EncodedImage, tokens: VisualTokens, codec: Callable[[str], Codec], fineness: int | None = None
) -> EncodedImage:
    """``learned``, or the closed-form codec's stream of as many bytes, marked, where it restores far more.

    Args:
        learned: ``meta``'s stream of the tokens, as it would be sent.
        tokens: (N, D) float32.
        codec: the bundle's codec of one kind.
        fineness: of the closed-form codec's stream; None has it chosen.
    """
    closed = closed_form_stream(tokens, codec, learned.payload_bytes, fineness)
    errors = []
    for (kind, header), one in (((LEARNED, learned.header), learned), (written_by(closed), closed)):
        restored = codec(kind).decode(header, one.segments).values
        errors.append(float(np.square(restored - tokens.values).sum()))
    return learned if errors[0] <= MAX_ERROR_RATIO * errors[1] else closed


def closed_form_stream(
    tokens: VisualTokens, codec: Callable[[str], Codec], max_bytes: int | None, fineness: int | None = None
) -> EncodedImage:
    """The closed-form codec's stream in the place of the learned one's, marked.

    Args:
        tokens: (N, D) float32.
        codec: the bundle's codec of one kind.
        max_bytes: of header and segments; None for all.
        fineness: of the stream; None has it chosen.

    Raises:
        CodecMissingError: the bundle has no closed-form codec.
    """
    closed_form = cast("KltCodec", codec(CLOSED_FORM))
    closed = measured_stream(closed_form, tokens, max_bytes, partial(closed_form.encode, tokens, fineness=fineness))
    return replace(closed, strategy=LEARNED, header=marked_as_fallback(closed.header))
