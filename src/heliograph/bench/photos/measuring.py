"""How one way of sending is measured on photos: codecs by the network's tail, pixel codecs by the whole network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.metrics import near_frontier
from heliograph.bench.photos.mobilenet import (
    CHANNELS,
    FIT_PHOTOS,
    GRID,
    INPUT_SIZE,
    TUNING_EVERY,
    Pixels,
    SplitFeatures,
    SplitNetwork,
    photo_paths,
    prepare_pixels,
)
from heliograph.bench.stats import DoubleArray
from heliograph.bench.timing import processor_s
from heliograph.codec.base import Codec
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting, label
from heliograph.strategies.latent_streams import LatentStrategy
from heliograph.strategies.towers import AttendedTokens, DeviceTower
from heliograph.training.progress import Progress
from heliograph.types import Grid, VisualTokens

PIXEL_SIZES = (96, 160, 192, 224)
PIXEL_QUALITIES = (30, 50, 70, 85, 90, 92, 94, 95, 96, 97, 98, 100)
SMALL_QUALITIES = (50, 80, 95)
KLT_VARIANTS = 4
"""Of each fitting photo, itself among them, ``klt`` learns from so many."""


@dataclass(frozen=True)
class Measured:
    """One setting on every photo, in the order of the photos: bytes, whether the class survived, milliseconds."""

    strategy: str
    setting: str
    payload_bytes: DoubleArray
    agrees: DoubleArray
    encode_ms: DoubleArray
    decode_ms: DoubleArray

    @property
    def point(self) -> tuple[float, float]:
        """Mean payload bytes and agreement."""
        return float(self.payload_bytes.mean()), float(self.agrees.mean())

    def of(self, photos: npt.NDArray[np.bool_]) -> Measured:
        """On some of the photos alone."""
        parts = (self.payload_bytes, self.agrees, self.encode_ms, self.decode_ms)
        return Measured(self.strategy, self.setting, *(part[photos] for part in parts))


@dataclass(frozen=True)
class PhotoTools:
    """What strategies get from device and cloud in this suite; only pixel strategies use it."""

    question: str = ""
    sight: None = None
    input_size: int = INPUT_SIZE
    grid: Grid = GRID
    hidden_size: int = CHANNELS

    def codec(self, kind: str) -> Codec:
        """Never called: codecs here belong to no bundle."""
        raise NotImplementedError

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        """Never called: features here come from the network's own interpreter."""
        raise NotImplementedError

    @property
    def tower(self) -> DeviceTower:
        """Never asked for, likewise."""
        raise NotImplementedError

    def encode_attended(self, photo: Image.Image) -> AttendedTokens:
        """Never called, likewise."""
        raise NotImplementedError


def fit_codec(features: SplitFeatures, finest_retained: float) -> KltCodec:
    """``klt`` fitted on the fitting photos and the first of their crops, weighted by the tail's Fisher information.

    Args:
        features: of the photos.
        finest_retained: share of the weighted energy that whole streams restore.
    """
    few = [one for number, one in enumerate(features.fit) if number % features.each < KLT_VARIANTS]
    return fit_klt(few, sensitivity=features.frequency_sensitivity, finest_retained=finest_retained)


def measure_codec(
    codec: KltCodec | MetaCodec, features: SplitFeatures, test: Sequence[int], progress: Progress
) -> list[Measured]:
    """Each photo of ``features.test`` with such a number at every level of the strategy's sweep, and whole."""
    strategy: LatentStrategy = STRATEGIES.load(codec.kind)()
    levels = (*strategy.levels, None)
    shape = (len(levels), len(test))
    payload, agrees, encode_ms, decode_ms = (np.zeros(shape) for _ in range(4))
    for column, photo in enumerate(progress.over(test, f"{codec.kind}: photos at {len(levels)} levels")):
        for row, level in enumerate(levels):
            started = processor_s()
            encoded = codec.encode(features.test[photo], level=level)
            encoded_at = processor_s()
            restored = codec.decode(encoded.header, encoded.segments)
            encode_ms[row, column] = 1000 * (encoded_at - started)
            decode_ms[row, column] = 1000 * (processor_s() - encoded_at)
            payload[row, column] = encoded.payload_bytes
            agrees[row, column] = features.network.tail.top1(restored.values) == features.reference_top1[photo]
    return [
        Measured(
            codec.kind,
            label({strategy.level_knob: level or 0}),
            payload[row],
            agrees[row],
            encode_ms[row],
            decode_ms[row],
        )
        for row, level in enumerate(levels)
    ]


def tune_pixels(strategy: str, network: SplitNetwork, tools: PhotoTools, progress: Progress) -> list[Setting]:
    """The settings of one pixel codec near its frontier on the tuning photos."""
    pixels = []
    for path in photo_paths()[:FIT_PHOTOS:TUNING_EVERY]:
        with Image.open(path) as photo:
            pixels.append(prepare_pixels(photo))
    classes = [network.top1(p) for p in pixels]
    candidates = sweep(strategy)
    found = [
        measure_pixels(strategy, setting, network, tools, pixels, classes).point
        for setting in progress.over(candidates, f"tuning {strategy}")
    ]
    return [candidates[i] for i in near_frontier(found)]


def sweep(strategy: str) -> list[Setting]:
    """Size x quality, and every further knob of the strategy that changes how colours are kept."""
    defaults: Setting = STRATEGIES.load(strategy)().default_setting
    chroma: list[Setting] = [{}]
    if "chroma" in defaults:
        chroma = [{"chroma": "420"}, {"chroma": "444"}]
    return [
        {"size": size, "quality": quality, **extra}
        for size in PIXEL_SIZES
        for quality in (PIXEL_QUALITIES if size == INPUT_SIZE else SMALL_QUALITIES)
        for extra in chroma
    ]


def measure_pixels(
    strategy: str,
    setting: Setting,
    network: SplitNetwork,
    tools: PhotoTools,
    pixels: Sequence[Pixels],
    classes: Sequence[int],
) -> Measured:
    """One setting of a pixel codec: encode, decode, resize back to the input, run the whole network."""
    coder: Any = STRATEGIES.load(strategy)()
    columns: list[tuple[float, float, float, float]] = []
    for original, wanted in zip(pixels, classes, strict=True):
        started = processor_s()
        encoded = coder.encode(Image.fromarray(original), tools, coder.complete_setting(setting))
        encode_ms = 1000 * (processor_s() - started)
        started = processor_s()
        image = coder.restore(encoded, tools).image
        decode_ms = 1000 * (processor_s() - started)
        columns.append((encoded.payload_bytes, network.top1(prepare_pixels(image)) == wanted, encode_ms, decode_ms))
    payload, agrees, encode, decode = np.asarray(columns, dtype=np.float64).T
    return Measured(strategy, label(setting), payload, agrees, encode, decode)
