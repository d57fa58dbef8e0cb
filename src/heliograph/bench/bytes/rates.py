"""One codec at one setting on every photo: what it sends and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.bench.stats import DoubleArray
from heliograph.codec.header import pack_header
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.codec.latents import encode_latents
from heliograph.codec.meta import MetaCodec
from heliograph.strategies.base import Setting
from heliograph.types import EncodedImage, FloatArray, VisualTokens

_FIRST_BUDGET = 256
"""Bytes of codeword within which a level is looked for, doubled until it ends there."""


@dataclass(frozen=True)
class Rate:
    """See the module.

    Attributes:
        codec: its name.
        setting: printable.
        payload_bytes: (I,) of each photo.
        tokens: (I, N, D) float32, restored.
    """

    codec: str
    setting: Setting
    payload_bytes: DoubleArray
    tokens: FloatArray


def level_stream(codec: KltCodec, tokens: VisualTokens, level: int) -> EncodedImage:
    """A photo's stream down to a level, as one segment: everything above its threshold is known, and nothing below.

    Args:
        codec: fitted on the grid of the photo.
        tokens: (N, D) float32.
        level: in eighth octaves of the codec's finest step.
    """
    fineness = -level % FINENESSES
    plane = (level + fineness) // FINENESSES
    coefficients = codec.transform.analyse(tokens.values, tokens.grid, fitted=True)
    header, budget = pack_header(tokens.grid, codec.grid, small=fineness), _FIRST_BUDGET
    while True:
        codeword = codec.encode_coefficients(coefficients, tokens.grid, budget, fineness=fineness)
        end = codeword.bytes_to(plane)
        if end is not None and end <= budget:  # what is coded last within a budget may end a byte later than it must
            return EncodedImage(codec.kind, header, (codeword.data[:end],), ())
        if budget > len(codeword.data):
            return EncodedImage(codec.kind, header, (codeword.data,), ())
        budget *= 2


def klt_rates(codec: KltCodec, photos: Sequence[VisualTokens], levels: Sequence[int]) -> Iterator[Rate]:
    """``klt`` ended at each level."""
    for level in levels:
        streams = [level_stream(codec, tokens, level) for tokens in photos]
        restored = np.stack([codec.decode(one.header, one.segments).values for one in streams])
        yield Rate(codec.kind, {"level": level}, np.array([s.payload_bytes for s in streams], np.float64), restored)


def meta_rates(codec: MetaCodec, photos: Sequence[VisualTokens], latents: Sequence[int]) -> Iterator[Rate]:
    """``meta`` ended behind each number of leading latents, the largest last; the last latent ends the stream."""
    streams = []
    for tokens in photos:
        encoded = codec.encode(tokens)
        _, needed = encode_latents(codec.latents(tokens), codec.tables.latents)
        streams.append((encoded.header, b"".join(encoded.segments), needed))
    every = codec.tables.latents.latents
    for count in sorted({min(one, every) for one in latents} | {every}):
        ends = [len(data) if count == every else int(needed[count - 1]) for _, data, needed in streams]
        prefixes = [(header, [data[:end]]) for (header, data, _), end in zip(streams, ends, strict=True)]
        restored = np.stack([codec.decode(header, segments).values for header, segments in prefixes])
        payload = np.array([len(header) + len(segments[0]) for header, segments in prefixes], np.float64)
        yield Rate(codec.kind, {"latents": count}, payload, restored)
