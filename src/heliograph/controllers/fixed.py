"""Stop at a byte budget. The opponent that every cleverer controller has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from heliograph.controllers.base import Controller, Decision, Enough, Observation, Wait, checked_target
from heliograph.errors import UsageError

STEPS_PER_OCTAVE = 12
"""Budgets grow by 2 ** (1/12), about 6 %, per code: one byte spans 1 byte to 2.35 MB."""


def budget_bytes(code: int) -> int:
    """The byte budget that a code stands for: ``floor(2 ** ((code - 1) / 12))``; code 0 means no limit, -1.

    Raises:
        UsageError: ``code`` is not in 0 to 255.
    """
    if checked_target(code) == 0:
        return -1
    octave, step = divmod(code - 1, STEPS_PER_OCTAVE)
    # Exact integers, so that both ends agree on every machine: floor(root12(2 ** step) * 2 ** octave).
    return _integer_root(2 ** (step + STEPS_PER_OCTAVE * octave), STEPS_PER_OCTAVE)


def budget_code(budget: int) -> int:
    """The largest code whose budget does not exceed ``budget`` bytes (255 for anything above its budget).

    Raises:
        UsageError: ``budget`` is below 1 byte.
    """
    if budget < 1:
        raise UsageError
    code = 1
    while code < 255 and budget_bytes(code + 1) <= budget:
        code += 1
    return code


def _integer_root(value: int, degree: int) -> int:
    """The largest integer r with ``r ** degree <= value``, by bisection."""
    low, high = 1, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


@dataclass(frozen=True)
class FixedController(Controller):
    """Enough as soon as ``budget`` payload bytes have arrived; -1 means only when the image is finished."""

    budget: int
    name: ClassVar[str] = "fixed"

    @classmethod
    def from_target(cls, target: int) -> Self:
        """The budget behind the code ``target``; see :func:`budget_bytes`."""
        return cls(budget_bytes(target))

    def decide(self, observation: Observation) -> Decision:
        """Enough at the budget or at the end of the image."""
        reached = 0 <= self.budget <= observation.received_bytes
        return Enough() if reached or observation.image_finished else Wait()
