"""Strategies by what they declare, so that nobody lists their names."""

from __future__ import annotations

from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Strategy


def strategy_class(name: str) -> type[Strategy]:
    """The class of a strategy; imports its module.

    Raises:
        UnknownNameError: no such strategy.
    """
    loaded: type[Strategy] = STRATEGIES.load(name)
    return loaded


def needs_bundle(name: str) -> bool:
    """Whether both ends must hold the same bundle for a strategy to restore anything.

    Raises:
        UnknownNameError: no such strategy.
    """
    return strategy_class(name).needs_bundle
