"""What became of the mutants so far, room by room, in a folder: a run that was cut short goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutation_operators import Mutant

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Tally:
    """What became of a room's mutants."""

    killed: int
    survivors: tuple[Mutant, ...]

    @property
    def count(self) -> int:
        """All that were run."""
        return self.killed + len(self.survivors)

    @property
    def share(self) -> float:
        """Killed, of all that were run."""
        return self.killed / max(1, self.count)


class Verdicts:
    """One room's file: a line of JSON per mutant.

    Args:
        folder: of this state of the code and this seed.
        room: its name.
        resume: whether what stands there already is kept.
    """

    def __init__(self, folder: Path, room: str, *, resume: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{room.replace(' ', '-')}.jsonl"
        self._killed: dict[Mutant, bool] = {}
        if not resume:
            self._path.unlink(missing_ok=True)
        elif self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                found = json.loads(line)
                killed = found.pop("killed")
                self._killed[Mutant(**found)] = killed

    def open(self, chosen: Sequence[Mutant]) -> list[Mutant]:
        """Mutants that have no verdict yet."""
        return [mutant for mutant in chosen if mutant not in self._killed]

    def add(self, mutant: Mutant, *, killed: bool) -> None:
        """Add a verdict, and write it to the file at once."""
        self._killed[mutant] = killed
        with self._path.open("a", encoding="utf-8") as file:
            print(json.dumps({**dataclasses.asdict(mutant), "killed": killed}), file=file)

    def tally(self, chosen: Sequence[Mutant]) -> Tally:
        """Count the verdicts of these mutants; every one of them has its verdict."""
        survivors = tuple(mutant for mutant in chosen if not self._killed[mutant])
        return Tally(len(chosen) - len(survivors), survivors)


def state_of_the_code() -> str:
    """The commit, and where tracked files differ from it a digest of how."""
    commit = _git("rev-parse", "--short=12", "HEAD").decode().strip()
    changes = _git("diff", "HEAD")
    return commit + (f"-{hashlib.sha256(changes).hexdigest()[:8]}" if changes else "")


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
