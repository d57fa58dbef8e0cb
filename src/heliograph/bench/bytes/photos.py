"""The suite ``bytes`` on real photos: MobileNetV2's features, every ``klt`` fitted anew on the fitting photos.

Beside all test photos, those with a margin are looked at: on them the network's own choice is no toss-up, so that what
changes it is the codec and not the last bit of a logit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.bench.bytes.opponents import NNC, OLDER, Opponent, asked
from heliograph.bench.bytes.plan import BytesPlan
from heliograph.bench.bytes.rates import Rate, klt_rates
from heliograph.bench.photos.choosing import choose_klt, held_out
from heliograph.bench.photos.figures import ratio_figure, row_of
from heliograph.bench.photos.measuring import Measured, fit_codec
from heliograph.bench.photos.mobilenet import SplitFeatures, load_split_features
from heliograph.bench.results import Figure, Row
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.strategies.base import label
from heliograph.training.progress import Progress
from heliograph.types import VisualTokens

MARGIN = 0.7
"""Logits between the first and the second class: the first is twice as likely as the second."""

PHOTO_CODEC = Path("runs/bytes-photos")
"""Where ``klt`` fitted on photos is kept, since that takes minutes; to be emptied when its fit changes."""

LEVELS = (0.90, 0.95)
TASK_ALL, TASK_MARGIN = "top1", "top1, with a margin"
_LEVEL_STEP = 3
_SAMPLE = 12
_OLDER_BOUNDS = (0.85, 0.7)
_NNC_BOUNDS = {0.90: (0.9, 0.8), 0.95: (0.65, 0.55)}


def photo_figures(
    plan: BytesPlan, opponents: Mapping[str, Opponent], limit: int | None, progress: Progress
) -> tuple[list[Figure], list[Row]]:
    """Figures and rows on the test photos.

    Args:
        plan: budgets.
        opponents: by name; those that are not there leave their figures without a value.
        limit: use only so many photos (at least 60).
        progress: shows it.

    Raises:
        DataMissingError: the data folders are not there, or an opponent fails.
        MissingExtraError: the ``bench`` extra is not installed.
    """
    progress.say("features of the photos")
    features = load_split_features(limit=None if limit is None else max(limit, 60))
    progress.say(f"klt of photos, from {PHOTO_CODEC} where it lies there")
    codec = _fitted(features, progress)
    levels = levels_between(codec, features.test[:_SAMPLE], min(plan.photo_budgets), max(plan.photo_budgets))
    progress.say(f"photos: levels {levels}")
    rates: list[Rate] = list(klt_rates(codec, features.test, levels))
    request = {"levels": levels, "budgets": plan.photo_budgets, "photos": True}
    for name in (OLDER, NNC):
        if name in opponents:
            progress.say(f"photos: {name}")
            rates += asked(opponents[name], codec, features.test, request).rates
    measured = [_measured(rate, features) for rate in rates]
    margin = with_margin(features)
    chosen = [one.of(margin) for one in measured]
    rows = [_row(one, margin, TASK_ALL) for one in measured]
    rows += [_row(one, np.ones(len(one.agrees), bool), TASK_MARGIN) for one in chosen]
    return figures_of(measured, chosen), rows


def _fitted(features: SplitFeatures, progress: Progress) -> KltCodec:
    """At the setting that tuning photos chose, as in the suite ``photos``."""
    if (PHOTO_CODEC / KltCodec.files[0]).is_file():
        return KltCodec.load(PHOTO_CODEC)
    codec = fit_codec(features, choose_klt(held_out(features), progress)[0])
    PHOTO_CODEC.mkdir(parents=True, exist_ok=True)
    codec.save(PHOTO_CODEC)
    return codec


def figures_of(every: Sequence[Measured], chosen: Sequence[Measured]) -> list[Figure]:
    """Ratios on all photos and on those with a margin.

    Args:
        every, chosen: settings of the same codecs, on all photos and on those with a margin.
    """
    found = []
    for level in LEVELS:
        for other, text in ((OLDER, "the older build's"), (NNC, '"KLT + NNC" bare')):
            for photos, name in ((chosen, "photos with a margin"), (every, "all photos")):
                bounds: tuple[float | None, float | None] = (None, None)
                if photos is chosen:
                    older = _OLDER_BOUNDS if level == LEVELS[0] else bounds
                    bounds = older if other == OLDER else _NNC_BOUNDS[level]
                title = f"bytes of klt / {text} at agreement {level:.2f}, {name}"
                if any(one.strategy == other for one in photos):
                    found.append(ratio_figure(photos, ("klt",), (other,), level, title, bounds))
                else:
                    found.append(Figure(title, None, None, *bounds))
    return found


def levels_between(codec: KltCodec, photos: Sequence[VisualTokens], lowest: float, highest: float) -> list[int]:
    """Levels, finest last, whose mean bytes on some photos lie between two sizes, and one beyond each end."""
    found: list[int] = []
    for level in range(FINENESSES * (codec.tables.planes - 1), -1, -_LEVEL_STEP):
        (rate,) = klt_rates(codec, photos, [level])
        size = float(rate.payload_bytes.mean())
        if size < lowest:
            found = [level]
        else:
            found.append(level)
        if size > highest:
            break
    return found


def with_margin(features: SplitFeatures) -> npt.NDArray[np.bool_]:
    """(I,) test photos whose first class is ahead of the second by at least :data:`MARGIN`."""
    logits = np.stack([features.network.tail.logits(one.values) for one in features.test])
    ordered = np.sort(logits, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2] >= MARGIN)


def _measured(rate: Rate, features: SplitFeatures) -> Measured:
    top1 = features.network.tail.top1
    agrees = [top1(values) == wanted for values, wanted in zip(rate.tokens, features.reference_top1, strict=True)]
    none = np.zeros(len(agrees))
    return Measured(rate.codec, label(rate.setting), rate.payload_bytes, np.array(agrees, np.float64), none, none)


def _row(found: Measured, sure: npt.NDArray[np.bool_], task: str) -> Row:
    """Without times, which are measured elsewhere."""
    return replace(row_of(found, sure, task), encode_ms=None, encode_ms_ci=None, decode_ms=None, decode_ms_ci=None)
