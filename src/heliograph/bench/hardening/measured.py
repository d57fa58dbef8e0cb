"""What the parts of the suite have measured, kept as they go: a run that was stopped goes on behind its last part.

A file for each part, of one commit and one size of run; with another commit everything is measured anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Values = dict[str, Any]


class Measured:
    """The parts' results as JSON values.

    Args:
        folder: made if absent.
        key: of this run: the commit, and what else decides the results.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key
        folder.mkdir(parents=True, exist_ok=True)

    def part(self, name: str, measure: Callable[[], Values]) -> Values:
        """What was kept of a part, else what ``measure`` finds now; as JSON gives it back in both cases."""
        path = self._folder / f"{name}.json"
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["key"] == self._key:
                return dict(kept["values"])
        text = json.dumps({"key": self._key, "values": measure()}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
        return dict(json.loads(text)["values"])
