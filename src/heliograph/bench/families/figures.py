"""The figures that the project set itself for its table of six families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from heliograph.bench.coefficients.errors import FOLD, errors_of
from heliograph.bench.coefficients.errors import photos as photos_of
from heliograph.bench.opponents import bare_pictures
from heliograph.bench.results import Figure
from heliograph.bench.scores import Crossing, Scores, best_of, ratio_of
from heliograph.bench.stats import clustered_mean_interval
from heliograph.strategies.base import Family, Kind
from heliograph.strategies.latent_streams import LearnedStrategy
from heliograph.strategies.selection import strategy_class
from heliograph.vlm.model import VisionLanguageModel


def families_figures(crossings: Mapping[str, Crossing], strategies: Sequence[str]) -> tuple[Figure, ...]:
    """All of them; a ratio whose parts were not reached has the value None.

    Strategies that code ``meta``'s latents in a way of their own are among the others; a ratio without them, which has
    no bounds, says how far ``meta`` is from what owes it nothing.

    Args:
        crossings: bytes at 99 % of the uncompressed accuracy, of every strategy that was run.
        strategies: names of those.
    """
    sending = [name for name in strategies if strategy_class(name).kind is not Kind.LOCAL]
    ours = [name for name in sending if _is_ours(name)]
    others = [name for name in sending if name not in ours]
    unguided = [name for name in others if strategy_class(name).family is not Family.GUIDED]
    foreign = [name for name in unguided if not issubclass(strategy_class(name), LearnedStrategy)]
    bare = [name for name in others if name in bare_pictures()]
    best_other = "B99 of klt or meta / B99 of the best of all others"
    best_bare = "B99 of the best strategy / B99 of the best bare tuned pixel codec"
    return (
        Figure("strategies in the table, each over the real wire", float(len(strategies)), None, 28, 34, at_least=True),
        _ratio(f"{best_other}, guided ones left out", crossings, ours, unguided, (0.6, 0.4)),
        _ratio(best_other, crossings, ours, others, (0.7, 0.5)),
        _ratio(f"{best_other}, guided ones and those of `meta`'s latents left out", crossings, ours, foreign),
        _ratio(best_bare, crossings, sending, bare, (0.14, 0.08)),
    )


BOTTLENECK_SHARE = 0.95
"""Of the uncompressed accuracy, which a device without the tower must keep."""


def bottleneck_figure(
    groups: Mapping[str, Sequence[Scores]], uncompressed: Scores, device_macs: Mapping[str, int | None], tower: int
) -> Figure:
    """The least work of a device that makes tokens with less than the whole tower, by a network of its own or a part.

    Args:
        groups: scores of every setting by strategy.
        uncompressed: scores without any loss.
        device_macs: of networks on the device, by strategy; None where they are not counted.
        tower: MACs of the whole tower.
    """
    wanted = BOTTLENECK_SHARE * uncompressed.accuracy().value
    kept = [
        macs
        for name, settings in groups.items()
        if strategy_class(name).kind is Kind.TOKENS
        and (macs := device_macs[name]) is not None
        and 0 < macs < tower
        and max(one.accuracy().value for one in settings) >= wanted
    ]
    value = min(kept) / tower if kept else None
    name = f"device MACs of a bottleneck / full tower's, at {BOTTLENECK_SHARE:.0%} of the accuracy"
    return Figure(name, value, None, 0.25, 0.10)


def coefficients_figure(model: VisionLanguageModel, photos: int) -> Figure:
    """How far tokens of coefficients are from those of the decoded pixels of the same JPEG, at quality 90, 4:2:0.

    Args:
        model: of one frame a photo.
        photos: of each folder.

    Raises:
        DataMissingError: a folder is not there.
    """
    rows = [(name, errors_of(model, photo, 90, True, ())) for name, photo in photos_of(photos)]
    errors = [100 * made["errors"][FOLD] / made["norm"] for _, made in rows]
    interval = clustered_mean_interval(errors, [name for name, _ in rows])
    name = "tokens of coefficients against those of pixels, quality 90, 4:2:0, relative error, %"
    return Figure(name, float(np.mean(errors)), interval, 2.0, 0.5)


def _is_ours(name: str) -> bool:
    """Whether a strategy sends one of the bundle's codecs of tokens, whose every prefix can be used."""
    declared = strategy_class(name)
    return declared.embedded and declared.codec == name


def _ratio(
    name: str,
    crossings: Mapping[str, Crossing],
    ours: Iterable[str],
    theirs: Iterable[str],
    bounds: tuple[float | None, float | None] = (None, None),
) -> Figure:
    found = ratio_of(_best(crossings, ours), _best(crossings, theirs))
    return Figure(name, found.value, found.interval, *bounds)


def _best(crossings: Mapping[str, Crossing], names: Iterable[str]) -> Crossing:
    return best_of([crossings[name] for name in names if name in crossings])
