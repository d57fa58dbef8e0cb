"""Look again at random: arXiv 2512.16349's random retransmission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from heliograph.controllers.region.policies import FirstLook, RegionPolicy, drawn


@dataclass(frozen=True)
class Random(RegionPolicy):
    """A share of all questions gets a look, whatever their answers: arXiv 2512.16349's random retransmission."""

    rate: float = 0.5
    name: ClassVar[str] = "random"

    def wants(self, first: FirstLook) -> bool:
        """A decision drawn from the key."""
        return drawn(first.key, b"rate") < self.rate
