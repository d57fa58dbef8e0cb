"""The pixel codecs that figures are measured against: bare pictures first, standard files beside them.

A standard file carries boilerplate that both ends know; beside streams of a hundred bytes that alone would make it
lose. Headlines are therefore held against pictures without it.
"""

from __future__ import annotations

from heliograph.strategies.base import Family
from heliograph.strategies.selection import strategies_with

BARE = "-bare"
"""Ends the names of picture codecs whose known bytes do not travel."""


def bare_pictures() -> tuple[str, ...]:
    """Tuned pixel codecs without boilerplate: the opponents of every headline."""
    return tuple(name for name in _pictures() if name.endswith(BARE))


def picture_files() -> tuple[str, ...]:
    """The same codecs as standard files, which are shown beside them."""
    return tuple(name for name in _pictures() if not name.endswith(BARE))


def opponents_by_name() -> dict[str, tuple[str, ...]]:
    """Tuned pixel codecs by what figures call them: those of the headlines, then those beside them."""
    guided = strategies_with(tuned=True, family=Family.GUIDED)
    return {"bare pixel codec": bare_pictures(), "standard picture file": picture_files(), "guided picture": guided}


def _pictures() -> tuple[str, ...]:
    return strategies_with(tuned=True, family=Family.BASELINE)
