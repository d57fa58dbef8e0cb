"""Never look again: the first answer stays (a row of arXiv 2512.16349)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from heliograph.controllers.region.policies import FirstLook, RegionPolicy


@dataclass(frozen=True)
class Never(RegionPolicy):
    """The first answer stays."""

    name: ClassVar[str] = "never"

    def wants(self, first: FirstLook) -> bool:
        """Always false."""
        return False
