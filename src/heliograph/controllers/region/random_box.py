"""Always look again, at a box anywhere: what looking without attention is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from heliograph.boxes import PixelBox
from heliograph.controllers.region.policies import FirstLook, RegionPolicy, drawn


@dataclass(frozen=True)
class RandomBox(RegionPolicy):
    """Every question gets a look, at a box of the same size anywhere: what looking without attention is worth."""

    name: ClassVar[str] = "random-box"

    def wants(self, first: FirstLook) -> bool:
        """Always true."""
        return True

    def box(self, first: FirstLook) -> PixelBox:
        """A box drawn from the key, evenly over all places."""
        left, top, right, bottom = first.found.box
        wide, high = right - left, bottom - top
        x = int(drawn(first.key, b"x") * (first.photo_size[0] - wide + 1))
        y = int(drawn(first.key, b"y") * (first.photo_size[1] - high + 1))
        return PixelBox(x, y, x + wide, y + high)
