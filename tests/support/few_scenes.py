"""How many scenes trainings are tested with, and a reporter that says nothing."""

from __future__ import annotations

FEW_SCENES = 48


def silent(line: str) -> None:
    """Keep nothing of it."""
