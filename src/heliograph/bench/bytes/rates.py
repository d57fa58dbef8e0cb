"""One codec at one setting on every photo: what it sends and what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.bench.stats import DoubleArray
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.strategies.base import Setting
from heliograph.types import FloatArray, VisualTokens


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


def klt_rates(codec: KltCodec, photos: Sequence[VisualTokens], levels: Sequence[int]) -> Iterator[Rate]:
    """``klt`` ended at each level."""
    for level in levels:
        streams = [codec.encode(tokens, level=level) for tokens in photos]
        restored = np.stack([codec.decode(one.header, one.segments).values for one in streams])
        yield Rate(codec.kind, {"level": level}, np.array([s.payload_bytes for s in streams], np.float64), restored)


def meta_rates(codec: MetaCodec, photos: Sequence[VisualTokens], latents: Sequence[int]) -> Iterator[Rate]:
    """``meta`` ended behind each number of leading latents, the largest last; the last latent ends the stream."""
    every = codec.tables.latents.latents
    for count in sorted({min(one, every) for one in latents} | {every}):
        streams = [codec.encode(tokens, level=count) for tokens in photos]
        restored = np.stack([codec.decode(one.header, one.segments).values for one in streams])
        payload = np.array([one.payload_bytes for one in streams], np.float64)
        yield Rate(codec.kind, {"latents": count}, payload, restored)
