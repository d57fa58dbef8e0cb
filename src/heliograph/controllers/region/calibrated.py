"""Look again where the calibrated chance of being right is too low for the price of a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from heliograph.controllers.region.policies import FirstLook, RegionPolicy, least_chance


@dataclass(frozen=True)
class Calibrated(RegionPolicy):
    """A look where the chance that the answer is right is below what the look's price asks for.

    Without a calibration min-entropy stands in: 2 ** -bits.

    Attributes:
        most: upper limit of the chance below which to look; lower ones look less often. 0.7 loses next to nothing
            against always looking on the reference model's dev scenes.
    """

    most: float = 0.7
    name: ClassVar[str] = "calibrated"

    def wants(self, first: FirstLook) -> bool:
        """Whether the answer is doubtful enough for the price of a look."""
        chance = 2.0**-first.min_entropy_bits if first.right is None else first.right
        return chance < min(self.most, least_chance(first.price))
