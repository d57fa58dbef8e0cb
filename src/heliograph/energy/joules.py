"""Joules, and whether they were modelled or measured: two types that have no sum."""

from __future__ import annotations

from dataclasses import dataclass

PACKAGE, DRAM, PLATFORM, GPU = "package", "dram", "psys", "gpu"
"""What a meter counts: processor packages, memory, the whole platform (which holds the two before), a graphics card."""

_WITHIN_PLATFORM = frozenset({PACKAGE, DRAM})


@dataclass(frozen=True)
class Modelled:
    """Joules from constants of others: where they lie if every constant is off by up to a factor of two.

    Attributes:
        low, high: joules with each constant at its lower and its upper end.
        centre: joules with each constant in the middle of its band.
    """

    low: float
    centre: float
    high: float

    def __add__(self, other: object) -> Modelled:
        """The sum of both ends.

        Raises:
            TypeError: the other ones were measured.
        """
        if not isinstance(other, Modelled):
            raise _no_sum(self, other)
        return Modelled(self.low + other.low, self.centre + other.centre, self.high + other.high)

    def __radd__(self, other: object) -> Modelled:
        """Only so that ``sum`` can begin with its 0."""
        if other == 0 and isinstance(other, int):
            return self
        raise _no_sum(self, other)


@dataclass(frozen=True)
class Measured:
    """Joules that a counter of this machine says were used, by everything that ran on it.

    Attributes:
        joules: difference of two readings.
        domains: what the counters count, such as ``{"package", "dram"}``.
        seconds: between the readings.
    """

    joules: float
    domains: frozenset[str]
    seconds: float

    def __add__(self, other: object) -> Measured:
        """Joules of two domains over the same time, or of two times of the same domains.

        Raises:
            TypeError: the other ones were modelled.
            ValueError: one counter counts what the other one counts too, or only times differ and domains as well.
        """
        if not isinstance(other, Measured):
            raise _no_sum(self, other)
        if self.domains == other.domains:
            return Measured(self.joules + other.joules, self.domains, self.seconds + other.seconds)
        both = self.domains | other.domains
        if self.domains & other.domains or (PLATFORM in both and both & _WITHIN_PLATFORM):
            raise ValueError(f"{_named(self)} and {_named(other)} count the same joules")
        return Measured(self.joules + other.joules, both, max(self.seconds, other.seconds))

    def __radd__(self, other: object) -> Measured:
        """Only so that ``sum`` can begin with its 0."""
        if other == 0 and isinstance(other, int):
            return self
        raise _no_sum(self, other)


def _named(one: Measured) -> str:
    return " + ".join(sorted(one.domains))


def _no_sum(one: object, other: object) -> TypeError:
    return TypeError(f"{type(one).__name__} and {type(other).__name__} have no sum: joules are measured or modelled")
