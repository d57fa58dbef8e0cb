"""Stop at the level where so large a share of answers agrees with those from uncompressed tokens.

The level says the same of every photo, whatever bytes or energy it takes there (:mod:`heliograph.codec.levels`). What
share belongs to it was measured on held-out photos and lies in the bundle, so both ends know it of every prefix and no
answer is made to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.controllers.base import (
    AGREEMENT,
    MAX_TARGET,
    Controller,
    Decision,
    Enough,
    Observation,
    Wait,
    checked_target,
)


@dataclass(frozen=True)
class LevelController(Controller):
    """Stops at the first level where ``share`` of the answers are expected to agree, or when the image is finished."""

    share: float
    name: ClassVar[str] = "level"

    @classmethod
    def from_target(cls, target: int) -> Self:
        """``target`` / 255 is the share to reach."""
        return cls(checked_target(target) / MAX_TARGET)

    def reads(self) -> frozenset[str]:
        """The expected agreement."""
        return frozenset({AGREEMENT})

    def decide(self, observation: Observation) -> Decision:
        """Decide: enough at the level. Where it is unknown (pixels), only the end of the image is enough."""
        agreement = observation.agreement
        reached = agreement is not None and agreement >= self.share
        return Enough() if reached or observation.image_finished else Wait()
