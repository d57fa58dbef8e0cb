"""``families.json``: what the contract found, as it was last written. Standard library only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).with_name("families.json")


@dataclass(frozen=True)
class Records:
    """One run over all families.

    Attributes:
        transformers, torch: versions.
        families: ``kind``, ``model``, ``outcome``, ``tokens`` and ``side_by_side`` of each.
    """

    transformers: str
    torch: str
    families: list[dict[str, Any]]


def read_records() -> Records:
    """What was found."""
    return Records(**json.loads(RECORDS.read_text(encoding="utf-8")))
