"""Measured and modelled joules have no sum, nor have two counters of the same joules."""

from __future__ import annotations

import pytest

from heliograph.energy.joules import DRAM, GPU, PACKAGE, PLATFORM, Measured, Modelled

MODELLED = Modelled(1.0, 2.0, 4.0)


def measured(joules, *domains, seconds=2.0):
    return Measured(joules, frozenset(domains), seconds)


def test_like_is_added_to_like():
    assert sum([MODELLED, MODELLED]) == Modelled(2.0, 4.0, 8.0)
    both = sum([measured(3.0, PACKAGE), measured(1.0, DRAM)])
    assert both == measured(4.0, PACKAGE, DRAM)
    assert both + measured(5.0, GPU, seconds=3.0) == measured(9.0, PACKAGE, DRAM, GPU, seconds=3.0)
    assert measured(3.0, PACKAGE) + measured(1.0, PACKAGE) == measured(4.0, PACKAGE, seconds=4.0)


@pytest.mark.parametrize(
    "pair",
    [(MODELLED, measured(1.0, PACKAGE)), (measured(1.0, GPU), MODELLED), (MODELLED, 1.0), (measured(1.0, GPU), 2)],
)
def test_unlike_is_refused(pair):
    one, other = pair
    with pytest.raises(TypeError, match="have no sum"):
        one + other
    with pytest.raises(TypeError):
        sum(pair)
    with pytest.raises(TypeError):
        sum([one], start=1.5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((PLATFORM,), (PACKAGE,)),
        ((PACKAGE, DRAM), (PLATFORM,)),
        ((PACKAGE,), (PACKAGE, DRAM)),
        ((DRAM,), (PLATFORM, GPU)),
    ],
)
def test_counters_of_the_same_joules_are_refused(one, other):
    with pytest.raises(ValueError, match="the same joules"):
        measured(1.0, *one) + measured(1.0, *other)
