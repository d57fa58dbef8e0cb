"""Settings that nothing else beats: the Pareto front over bytes, the device's work and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Placed:
    """One setting of a strategy.

    Attributes:
        strategy, setting: names.
        payload_bytes: mean; fewer are better.
        device_macs: of networks on the device; fewer are better.
        accuracy: 0 to 1; more is better.
    """

    strategy: str
    setting: str
    payload_bytes: float
    device_macs: int
    accuracy: float

    def beats(self, other: Placed) -> bool:
        """Whether it is nowhere worse than another setting, and somewhere better."""
        costs = (self.payload_bytes, self.device_macs, -self.accuracy)
        others = (other.payload_bytes, other.device_macs, -other.accuracy)
        return costs != others and all(one <= two for one, two in zip(costs, others, strict=True))


def front(placed: Sequence[Placed]) -> list[Placed]:
    """The settings that no other beats, fewest bytes first.

    >>> cheap, dear = Placed("a", "", 10, 0, 0.5), Placed("b", "", 20, 0, 0.9)
    >>> [one.strategy for one in front([dear, Placed("c", "", 20, 5, 0.9), cheap])]
    ['a', 'b']
    """
    kept = [one for one in placed if not any(other.beats(one) for other in placed)]
    return sorted(kept, key=lambda one: (one.payload_bytes, one.device_macs))
