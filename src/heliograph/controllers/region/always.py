"""Always look again, where attention points (a row of arXiv 2512.16349)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from heliograph.controllers.region.policies import FirstLook, RegionPolicy


@dataclass(frozen=True)
class Always(RegionPolicy):
    """Every question gets a look where attention points."""

    name: ClassVar[str] = "always"

    def wants(self, first: FirstLook) -> bool:
        """Always true."""
        return True
