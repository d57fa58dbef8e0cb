"""The other families on the network of the suite ``photos``: those of their strategies that need nothing trained.

::

    tokens:   features (49, 320) --strategy, by klt's transform where it has one--> stream --> features --tail--> class
    pictures: photo, guided by its own contrast--> file --> pixels --whole network--> class

Left out are strategies with parts (there are none for this network), those that ask where a tower with attention looks
or enter it behind its patches (this one is of convolutions), and words (the tail reads none).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from heliograph.bench.definitions import read_definition
from heliograph.bench.photos.measuring import Measured, PhotoTools
from heliograph.bench.photos.mobilenet import GRID, SplitFeatures
from heliograph.bench.timing import processor_s
from heliograph.codec.base import Codec
from heliograph.codec.klt import KltCodec
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting, label
from heliograph.training.progress import Progress
from heliograph.types import Grid, VisualTokens


@dataclass(frozen=True)
class OtherFamilies:
    """What is measured of them, from ``benchmarks/suites/photos.json``.

    Attributes:
        fixed: settings of strategies that send the network's features.
        guided: strategies that send pictures with detail where the photo itself has it; settings are chosen as the
            pixel codecs' are.
    """

    fixed: dict[str, list[Setting]]
    guided: tuple[str, ...]

    @classmethod
    def load(cls) -> OtherFamilies:
        """The plan.

        Raises:
            DataMissingError: the folder ``benchmarks`` is not there.
        """
        data = read_definition("suites/photos.json")
        return cls(data["fixed"], tuple(data["guided"]))


@dataclass(frozen=True)
class FeatureTools(PhotoTools):
    """What a strategy of features gets of both ends.

    Attributes:
        features: (49, 320) of the photo at hand.
        klt: fitted for this network.
    """

    features: VisualTokens | None = None
    klt: KltCodec | None = None

    def codec(self, kind: str) -> Codec:
        """``klt``; no other is fitted for this network's strategies."""
        assert kind == KltCodec.kind
        assert self.klt is not None
        return self.klt

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        """The features at hand."""
        assert self.features is not None
        return self.features

    def check_grid(self, grid: Grid) -> None:
        """Nothing to refuse: the streams are made here."""
        assert grid == GRID


def measure_features(
    fixed: Mapping[str, Sequence[Setting]],
    klt: KltCodec,
    features: SplitFeatures,
    test: Sequence[int],
    progress: Progress,
) -> list[Measured]:
    """Every one of these settings on every test photo."""
    return [
        _measured(name, setting, klt, features, test)
        for name, settings in fixed.items()
        for setting in progress.over(settings, f"{name} on test photos")
    ]


def _measured(name: str, setting: Setting, klt: KltCodec, features: SplitFeatures, test: Sequence[int]) -> Measured:
    strategy: Any = STRATEGIES.load(name)()
    complete = strategy.complete_setting(setting)
    photo = Image.new("RGB", (1, 1))  # features are at hand: nobody looks at it
    columns: list[tuple[float, float, float, float]] = []
    for place in test:
        tools = FeatureTools(features=features.test[place], klt=klt)
        started = processor_s()
        encoded = strategy.encode(photo, tools, complete)
        encode_ms = 1000 * (processor_s() - started)
        started = processor_s()
        restored = strategy.restore(encoded, tools).tokens.values
        decode_ms = 1000 * (processor_s() - started)
        agrees = features.network.tail.top1(restored) == features.reference_top1[place]
        columns.append((encoded.payload_bytes, agrees, encode_ms, decode_ms))
    payload, agreed, encode, decode = np.asarray(columns, dtype=np.float64).T
    return Measured(name, label(setting), payload, agreed, encode, decode)
