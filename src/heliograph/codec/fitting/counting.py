"""How the stages of a fit say how far they are: by a counter that whoever shows progress makes for each."""

from __future__ import annotations

from collections.abc import Callable

Advance = Callable[[int], None]
"""Told of so many more steps that are done."""

Counted = Callable[[int, str], Advance]
"""Makes the counter of a stage from its number of steps and what is being done."""


def unseen(steps: int) -> None:
    """An :data:`Advance` that shows nothing."""


def uncounted(steps: int, stage: str) -> Advance:
    """A :data:`Counted` that shows nothing."""
    return unseen
