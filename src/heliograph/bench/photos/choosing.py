"""Settings of ``klt`` and ``meta`` for the suite ``photos``, chosen as those of pixel codecs are: on tuning photos.

::

    200 fitting photos --+-- 160: every candidate is fitted, trained --> codec --+
                         |                                                       v
                         +--  40 tuning photos, crops of them -----------> bytes at agreement --> settings
    all 200 at these settings --> the codec that the 210 test photos see

No test photo is looked at. Of candidates that one wins which reaches the highest of the suite's agreement levels, and
of several that do, the one of the fewest bytes there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heliograph.bench.metrics import Point, cost_at
from heliograph.bench.photos.codec import MetaSettings, train
from heliograph.bench.photos.figures import LEVELS
from heliograph.bench.photos.measuring import fit_codec, measure_codec
from heliograph.bench.photos.mobilenet import TUNING_EVERY, SplitFeatures, fisher_by_frequency
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.training.progress import Progress

FINEST_RETAINED = (0.995, 0.999, 0.9995)
"""Of ``klt``: the default, and more, for a class hangs on small differences."""

REACHES = (15, 127)
START_STEPS = (0.15, 0.3, 0.6)
TRAININGS = ((2.0, 3e-5), (2.0, 3e-4))
"""Minutes and learning rate, beside none at all."""

TUNING_VARIANTS = 4
"""Of each tuning photo, itself among them: 40 photos alone tell no settings apart."""


@dataclass(frozen=True)
class Chosen:
    """What came out.

    Attributes:
        finest_retained: of ``klt``.
        meta: of the learned codec.
    """

    finest_retained: float
    meta: MetaSettings

    @property
    def note(self) -> str:
        """For the report."""
        return (
            f"Chosen on tuning photos, with codecs made from the other fitting photos: klt restores "
            f"{self.finest_retained:g} of the weighted energy; meta has {self.meta.text}."
        )


def held_out(features: SplitFeatures) -> SplitFeatures:
    """The fitting photos alone: each :data:`TUNING_EVERY`-th, with some crops, in the place of the test photos, and
    the others to fit on."""
    each, tail = features.each, features.network.tail
    tuning = [number // each % TUNING_EVERY == 0 for number in range(len(features.fit))]
    fit = tuple(one for one, held in zip(features.fit, tuning, strict=True) if not held)
    test = tuple(
        one
        for number, (one, held) in enumerate(zip(features.fit, tuning, strict=True))
        if held and number % each < TUNING_VARIANTS
    )
    by_frequency = fisher_by_frequency(tail, fit[::each])
    return replace(
        features,
        fit=fit,
        test=test,
        test_pixels=(),
        reference_top1=tuple(tail.top1(one.values) for one in test),
        reference_lead=(),
        sensitivity=by_frequency.mean(axis=0),
        frequency_sensitivity=by_frequency,
    )


def choose(features: SplitFeatures, folder: Path, progress: Progress) -> Chosen:
    """Settings of both codecs; ``features.test`` plays no part.

    Args:
        features: with several crops of each fitting photo.
        folder: for what is trained on the way.
        progress: shows it.

    Raises:
        OutputUnwritableError: the disk refuses.
    """
    known = held_out(features)
    finest, klt = choose_klt(known, progress)
    return Chosen(finest, _choose_meta(known, klt, folder, progress))


def choose_klt(known: SplitFeatures, progress: Progress) -> tuple[float, KltCodec]:
    """The share of energy that ``klt`` restores, and the codec that it was chosen by.

    Args:
        known: from :func:`held_out`.
        progress: shows it.
    """
    fitted: list[KltCodec] = []
    found: list[list[Point]] = []
    for share in FINEST_RETAINED:
        progress.say(f"tuning klt: {share:g} of the energy")
        fitted.append(fit_codec(known, share))
        found.append(_points(fitted[-1], known, progress))
    place = best(found)
    return FINEST_RETAINED[place], fitted[place]


def _choose_meta(known: SplitFeatures, klt: KltCodec, folder: Path, progress: Progress) -> MetaSettings:
    """First where it starts, then how its linear paths are rounded, then whether training helps."""

    def measured(settings: MetaSettings) -> list[Point]:
        progress.say(f"tuning meta: {settings.text}")
        codec = train(known, klt, folder / settings.label, settings, progress=progress.say)
        return _points(codec, known, progress)

    starts = [MetaSettings(reach, step) for reach in REACHES for step in START_STEPS]
    curves = {one: measured(one) for one in starts}
    start = winner(curves)
    rounded = replace(start, eight_bits=True)
    curves = {start: curves[start], rounded: measured(rounded)}
    start = winner(curves)
    trained = [replace(start, minutes=minutes, answer_rate=rate) for minutes, rate in TRAININGS]
    return winner({start: curves[start], **{one: measured(one) for one in trained}})


def winner(curves: dict[MetaSettings, list[Point]]) -> MetaSettings:
    """The settings whose (bytes, agreement) are the best; of equal ones the first."""
    return list(curves)[best(list(curves.values()))]


def best(curves: Sequence[Sequence[Point]]) -> int:
    """Index of the best of several curves of (bytes, agreement), by the module's rule; of equal ones the first."""
    return min(range(len(curves)), key=lambda place: _standing(curves[place]))


def _standing(points: Sequence[Point]) -> tuple[float, float]:
    """The lower, the better."""
    for level in reversed(LEVELS):
        cost = cost_at(points, level)
        if cost is not None:
            return -level, cost
    return 0.0, -max(quality for _, quality in points)


def _points(codec: KltCodec | MetaCodec, known: SplitFeatures, progress: Progress) -> list[Point]:
    return [one.point for one in measure_codec(codec, known, range(len(known.test)), progress)]
