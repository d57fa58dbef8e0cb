"""Stop at a byte budget. The opponent that every cleverer controller has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.controllers.base import Controller, Decision, Enough, Observation, Wait
from heliograph.protocol.codes import bytes_of_code


@dataclass(frozen=True)
class FixedController(Controller):
    """Stops when ``byte_budget`` payload bytes have arrived; with None only when the image is finished."""

    byte_budget: int | None
    name: ClassVar[str] = "fixed"

    @classmethod
    def from_target(cls, target: int) -> Self:
        """The byte budget behind the code ``target``; see :func:`heliograph.protocol.codes.bytes_of_code`."""
        return cls(bytes_of_code(target))

    def decide(self, observation: Observation) -> Decision:
        """Decide: enough at the budget or at the end of the image."""
        reached = self.byte_budget is not None and self.byte_budget <= observation.received_bytes
        return Enough() if reached or observation.image_finished else Wait()
