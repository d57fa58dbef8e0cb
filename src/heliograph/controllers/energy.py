"""Stop at a target share of retained token energy.

The device knows the energy of every prefix in closed form and the receiver reads it from the stream, so one byte
says what quality the question needs and no round trip is spent on finding out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.controllers.base import (
    ENERGY,
    Controller,
    Decision,
    Enough,
    Observation,
    Wait,
    checked_target,
)


@dataclass(frozen=True)
class EnergyController(Controller):
    """Stops when the prefix retains ``share`` of the token energy, or when the image is finished."""

    share: float
    name: ClassVar[str] = "energy"

    @classmethod
    def from_target(cls, target: int) -> Self:
        """``target`` / 255 is the retained share to reach."""
        return cls(checked_target(target) / 255)

    def reads(self) -> frozenset[str]:
        """The retained energy."""
        return frozenset({ENERGY})

    def decide(self, observation: Observation) -> Decision:
        """Decide: enough at the target. Where energy is unknown (pixels), only the end of the image is enough."""
        energy = observation.retained_energy
        reached = energy is not None and energy >= self.share
        return Enough() if reached or observation.image_finished else Wait()
