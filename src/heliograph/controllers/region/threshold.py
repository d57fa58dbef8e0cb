"""Look again where min-entropy is above a threshold: arXiv 2512.16349's rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from heliograph.controllers.region.policies import FirstLook, RegionPolicy


@dataclass(frozen=True)
class Threshold(RegionPolicy):
    """A look where the answer's mean min-entropy is above a fixed number of bits: arXiv 2512.16349's rule.

    Attributes:
        bits: 0.5 loses next to nothing against always looking on the reference model's dev scenes.
    """

    bits: float = 0.5
    name: ClassVar[str] = "threshold"

    def wants(self, first: FirstLook) -> bool:
        """Whether the mean min-entropy is above the threshold."""
        return first.min_entropy_bits > self.bits
