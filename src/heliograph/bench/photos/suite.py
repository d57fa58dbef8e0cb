"""Suite ``photos``: the codec on a real pretrained network and real photos, beside tuned pixel codecs.

Fit on 200 photos of ``textvqa-dev``, tested on the other 210. ``klt``, and ``meta`` where one was trained
(:mod:`heliograph.bench.photos.codec`), send MobileNetV2's features at the split (7 x 7 x 320) and its tail reads what
a stream of every level restores; JPEG, WebP and AVIF send the 224-pixel input over size x quality and the
whole network runs on the decoded pixels. Quality is top-1 agreement with the unsplit network on the original pixels.
Pixel settings are chosen on fitting photos; what is reported comes from the test photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.metrics import cost_at, evenly_spaced, largest_fall, near_frontier
from heliograph.bench.photos.mobilenet import (
    CHANNELS,
    FIT_PHOTOS,
    GRID,
    INPUT_SIZE,
    Pixels,
    SplitFeatures,
    SplitNetwork,
    load_split_features,
    photo_paths,
    prepare_pixels,
)
from heliograph.bench.results import Figure, Provenance, Row, SuiteResult
from heliograph.bench.stats import DoubleArray, clustered_interval, clustered_mean_interval
from heliograph.bench.timing import processor_s
from heliograph.codec.base import Codec
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Family, Setting, label
from heliograph.strategies.latent_streams import LatentStrategy
from heliograph.strategies.selection import strategies_with
from heliograph.strategies.towers import AttendedTokens, DeviceTower
from heliograph.training.progress import Progress
from heliograph.types import Grid, VisualTokens

META_FOLDER = Path("runs/photos-meta")
"""Where ``python -m heliograph.bench.photos.codec`` writes and the suite looks."""

PIXEL_SIZES = (96, 160, 192, 224)
PIXEL_QUALITIES = (30, 50, 70, 85, 90, 92, 94, 95, 96, 97, 98, 100)
SMALL_QUALITIES = (50, 80, 95)
TUNING_PHOTOS = 40
FINEST_RETAINED = 0.9995
"""More than the default: a class hangs on small differences."""

LEVELS = (0.85, 0.90, 0.94)
HEADLINE, LEARNED_LEVEL = 0.85, 0.90
_PIXEL_BOUNDS, _LEARNED_BOUNDS = (0.07, 0.035), (1.0, 0.7)  # must, aim
TASK = "top1"
SURE_STEPS = 2


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


class PhotosSuite:
    """``heliograph bench --suite photos``."""

    name = "photos"

    def run(self, *, limit: int | None = None, seed_start: int | None = None, quiet: bool = False) -> SuiteResult:
        """Runs it.

        Args:
            limit: use only so many test photos (and as many fitting photos, but at least 60).
            seed_start: has no meaning for photos; accepted so that every suite is called alike.
            quiet: show no progress.

        Raises:
            DataMissingError: the data folders are not there.
            MissingExtraError: the ``bench`` extra is not installed.
            BundleDamagedError: the folder of the trained ``meta`` holds something else.
        """
        provenance = Provenance.now()
        with Progress(quiet) as progress:
            progress.say("features of the photos")
            features = load_split_features(limit=None if limit is None else max(limit, 60))
            test = range(len(features.test))[:limit]
            sure = np.asarray(features.reference_lead)[test] >= SURE_STEPS
            progress.say("fitting klt")
            codecs: list[KltCodec | MetaCodec] = [fit_codec(features)]
            if (META_FOLDER / MetaCodec.files[0]).is_file():
                codecs.append(MetaCodec.load(META_FOLDER))
            measured = [one for codec in codecs for one in measure_codec(codec, features, test, progress)]
            tools = PhotoTools()
            pictures = strategies_with(tuned=True, family=Family.BASELINE)
            for strategy in pictures:
                chosen = tune_pixels(strategy, features.network, tools, progress)
                pixels = [features.test_pixels[i] for i in test]
                classes = [features.reference_top1[i] for i in test]
                for setting in progress.over(chosen, f"{strategy} on test photos"):
                    measured.append(measure_pixels(strategy, setting, features.network, tools, pixels, classes))
        return SuiteResult(
            suite=self.name,
            provenance=provenance,
            rows=tuple(_row(m, sure) for m in measured),
            b99={s: cost_at(_points(measured, s), 0.99) for s in (*(c.kind for c in codecs), *pictures)},
            figures=(*figures(measured), *sure_figures([m.of(sure) for m in measured])),
            notes=NOTES if len(codecs) > 1 else (*NOTES, "meta is left out: none was trained for this network."),
        )


NOTES = (
    "Agreement: top-1 class equal to that of the unsplit network on the original 224-pixel input; there are no labels, "
    "so accuracy is empty. The tail repeats the unsplit network exactly on unquantised features (agreement 1).",
    f"klt and meta are made from {FIT_PHOTOS} photos and crops of them; pixel settings (size x quality) are chosen on "
    f"{TUNING_PHOTOS} of those photos; every reported number comes from the other 210 photos.",
    "b99 here is the mean payload at agreement 0.99.",
    f"Sure classes lead by {SURE_STEPS} steps of the network's eight-bit logits or more; others are ties, which the "
    "smallest change decides.",
)


def fit_codec(features: SplitFeatures) -> KltCodec:
    """``klt`` fitted on the fitting photos and their crops, weighted by the tail's Fisher information."""
    return fit_klt(features.fit, sensitivity=features.frequency_sensitivity, finest_retained=FINEST_RETAINED)


def measure_codec(
    codec: KltCodec | MetaCodec, features: SplitFeatures, test: Sequence[int], progress: Progress
) -> list[Measured]:
    """Each photo at every level of the strategy's sweep, and whole."""
    strategy: LatentStrategy = STRATEGIES.load(codec.kind)()
    levels = (*strategy.levels, None)
    shape = (len(levels), len(test))
    payload, agrees, encode_ms, decode_ms = (np.zeros(shape) for _ in range(4))
    for column, photo in enumerate(progress.over(test, f"{codec.kind} on test photos")):
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
    """The settings of one pixel codec near its frontier on ``TUNING_PHOTOS`` fitting photos."""
    pixels = []
    for path in photo_paths()[: FIT_PHOTOS : FIT_PHOTOS // TUNING_PHOTOS]:
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


def figures(measured: Sequence[Measured]) -> tuple[Figure, ...]:
    """Bytes at each agreement level per codec, and the ratios that the project set itself."""
    pictures = strategies_with(tuned=True, family=Family.BASELINE)
    ours = [kind for kind in strategies_with(embedded=True) if any(m.strategy == kind for m in measured)]
    found: list[Figure] = []
    for level in LEVELS:
        for strategy in (*ours, *pictures):
            curves = _Curves(measured, (strategy,))
            found.append(
                Figure(f"bytes of {strategy} at agreement {level:.2f}", curves.bytes_at(level), curves.interval(level))
            )
        for kind in ours:
            bounds = _PIXEL_BOUNDS if (kind, level) == ("klt", HEADLINE) else (None, None)
            name = f"bytes of {kind} / best pixel codec at agreement {level:.2f}"
            found.append(ratio_figure(measured, (kind,), pictures, level, name, bounds))
        if "meta" in ours:
            bounds = _LEARNED_BOUNDS if level == LEARNED_LEVEL else (None, None)
            name = f"bytes of meta / klt at agreement {level:.2f}"
            found.append(ratio_figure(measured, ("meta",), ("klt",), level, name, bounds))
    for kind in ours:
        steps = [m for m in measured if m.strategy == kind]
        spaced = [steps[i - 1].point[1] for i in evenly_spaced(len(steps), 8)]
        name = f"largest fall of agreement between 8 evenly spaced {kind} prefixes"
        found.append(Figure(name, largest_fall(spaced)))
    return tuple(found)


def sure_figures(measured: Sequence[Measured]) -> list[Figure]:
    """The same on photos whose class leads, which no project's bounds are about.

    Args:
        measured: on these photos alone; of none there are no figures.
    """
    if not len(measured[0].agrees):
        return []
    return [replace(one, name=f"{one.name}, sure classes", must=None, aim=None) for one in figures(measured)]


def ratio_figure(
    measured: Sequence[Measured],
    ours: Sequence[str],
    theirs: Sequence[str],
    level: float,
    name: str,
    bounds: tuple[float | None, float | None],
) -> Figure:
    """Bytes of the best of some strategies over those of the best of others, photos resampled in pairs.

    Args:
        measured: settings of all of them, on the same photos.
        ours, theirs: names of strategies.
        level: of agreement.
        name: of the figure.
        bounds: must and aim.
    """
    above, below = _Curves(measured, ours), _Curves(measured, theirs)

    def ratio(weights: DoubleArray) -> float | None:
        first, second = above.bytes_at(level, weights), below.bytes_at(level, weights)
        return None if first is None or second is None else first / second

    photos = len(measured[0].agrees)
    return Figure(name, ratio(np.ones(photos)), clustered_interval(ratio, photos), *bounds)


class _Curves:
    """Per-photo bytes and agreement of some strategies' settings, for figures on resampled photos."""

    def __init__(self, measured: Sequence[Measured], strategies: Sequence[str]) -> None:
        self._groups = [[m for m in measured if m.strategy == s] for s in strategies]

    def bytes_at(self, level: float, weights: DoubleArray | None = None) -> float | None:
        """The fewest bytes at which one of the strategies reaches ``level``; weights (photos,) count photos."""
        found = [cost_at(self._points(group, weights), level) for group in self._groups]
        return min((f for f in found if f is not None), default=None)

    def interval(self, level: float) -> tuple[float, float] | None:
        """95 % interval over resampled photos."""
        photos = len(self._groups[0][0].agrees) if self._groups[0] else 0
        return clustered_interval(lambda weights: self.bytes_at(level, weights), photos)

    @staticmethod
    def _points(group: Sequence[Measured], weights: DoubleArray | None) -> list[tuple[float, float]]:
        if weights is None:
            return [m.point for m in group]
        total = weights.sum()
        return [(float(weights @ m.payload_bytes / total), float(weights @ m.agrees / total)) for m in group]


def _points(measured: Sequence[Measured], strategy: str) -> list[tuple[float, float]]:
    return [m.point for m in measured if m.strategy == strategy]


def _row(found: Measured, sure: npt.NDArray[np.bool_]) -> Row:
    names = [str(i) for i in range(len(found.agrees))]
    agreement_interval = clustered_mean_interval(found.agrees.tolist(), names)

    def interval(values: DoubleArray) -> tuple[float, float] | None:
        return clustered_mean_interval(values.tolist(), names)

    return Row(
        strategy=found.strategy,
        setting=found.setting,
        task=TASK,
        questions=len(names),
        agreement=float(found.agrees.mean()),
        agreement_ci=agreement_interval,
        sure_agreement=float(found.agrees[sure].mean()) if sure.any() else None,
        sure_agreement_ci=clustered_mean_interval(found.agrees[sure].tolist(), [names[i] for i in sure.nonzero()[0]]),
        payload_bytes=float(found.payload_bytes.mean()),
        payload_bytes_ci=interval(found.payload_bytes),
        encode_ms=float(found.encode_ms.mean()),
        encode_ms_ci=interval(found.encode_ms),
        decode_ms=float(found.decode_ms.mean()),
        decode_ms_ci=interval(found.decode_ms),
    )
