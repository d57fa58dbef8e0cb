"""The figures that the project set itself for its table of six families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heliograph.bench.results import Figure
from heliograph.bench.scores import Crossing, best_of, ratio_of
from heliograph.strategies.base import Family
from heliograph.strategies.selection import strategy_class

BARE = "-bare"
"""How names of picture codecs without their known bytes end."""


def families_figures(crossings: Mapping[str, Crossing], strategies: Sequence[str]) -> tuple[Figure, ...]:
    """All of them; a ratio whose parts were not reached has the value None.

    Args:
        crossings: bytes at 99 % of the uncompressed accuracy, of every strategy that was run.
        strategies: names of those.
    """
    ours = [name for name in strategies if _is_ours(name)]
    others = [name for name in strategies if name not in ours]
    unguided = [name for name in others if strategy_class(name).family is not Family.GUIDED]
    bare = [name for name in others if name.endswith(BARE)]
    best_other = "B99 of klt or meta / B99 of the best of all others"
    best_bare = "B99 of the best strategy / B99 of the best bare tuned pixel codec"
    return (
        Figure("strategies in the table, each over the real wire", float(len(strategies)), None, 28, 34, at_least=True),
        _ratio(f"{best_other}, guided ones left out", crossings, ours, unguided, (0.6, 0.4)),
        _ratio(best_other, crossings, ours, others, (0.7, 0.5)),
        _ratio(best_bare, crossings, strategies, bare, (0.14, 0.08)),
    )


def _is_ours(name: str) -> bool:
    """Whether a strategy sends one of the bundle's codecs of tokens, whose every prefix can be used."""
    declared = strategy_class(name)
    return declared.embedded and declared.codec == name


def _ratio(
    name: str,
    crossings: Mapping[str, Crossing],
    ours: Iterable[str],
    theirs: Iterable[str],
    bounds: tuple[float, float],
) -> Figure:
    found = ratio_of(_best(crossings, ours), _best(crossings, theirs))
    return Figure(name, found.value, found.interval, *bounds)


def _best(crossings: Mapping[str, Crossing], names: Iterable[str]) -> Crossing:
    return best_of([crossings[name] for name in names if name in crossings])
