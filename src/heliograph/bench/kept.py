"""What a long run has measured already, on disk: a run that was stopped goes on with the photos that are missing.

One JSON file for each chunk of photos. Its name says which photos, candidates, bundle and commit it is of, so that a
run with others measures anew, and the same run never measures anything twice. Processes that run the same at the same
time share the work, chunk by chunk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heliograph.bench.exchange_model import Messages
from heliograph.bench.outcomes import Asked, Candidate, Outcome, PhotoOutcome
from heliograph.training.files import refusals_named, replacing

_BETWEEN = "\t"  # image ids and names of tasks have none


@dataclass(frozen=True)
class Measured:
    """What a chunk of photos gave.

    Attributes:
        uncompressed: of the uncompressed path.
        outcomes: of every candidate, in their order.
        texts: answers of the uncompressed path.
    """

    uncompressed: Outcome
    outcomes: list[Outcome]
    texts: list[str]


class KeptChunks:
    """A folder of them.

    Args:
        folder: made if absent; None keeps nothing.
        about: what else than photos decides the numbers, JSON values.
    """

    def __init__(self, folder: Path | None, about: Sequence[object] = ()) -> None:
        self._folder, self._about = folder, list(about)

    def find(self, image_ids: Sequence[str]) -> Measured | None:
        """What was measured of these photos; None where nothing was, or its file is damaged."""
        path = self._path(image_ids)
        try:
            facts = json.loads(path.read_text(encoding="utf-8")) if path is not None else None
            return facts and Measured(
                _outcome(facts["uncompressed"]), [_outcome(one) for one in facts["outcomes"]], list(facts["texts"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def claimed(self, image_ids: Sequence[str]) -> Iterator[bool]:
        """Whether these photos are this process's to measure: not while another one that shares the folder is at them.
        A claim ends with the context, and with the process that made it."""
        path = self._path(image_ids)
        if path is None:
            yield True
            return
        import fcntl  # there is none on Windows, where nothing else of the bench wants it

        with refusals_named():
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.with_suffix(".claim").open("wb")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def keep(self, image_ids: Sequence[str], measured: Measured) -> None:
        """Write what was measured of these photos.

        Raises:
            OutputUnwritableError: the disk refuses.
        """
        path = self._path(image_ids)
        if path is None:
            return
        with refusals_named():
            path.parent.mkdir(parents=True, exist_ok=True)
        facts = {
            "uncompressed": _facts(measured.uncompressed),
            "outcomes": [_facts(one) for one in measured.outcomes],
            "texts": measured.texts,
        }
        with replacing(path) as fresh:
            fresh.write_text(json.dumps(facts), encoding="utf-8")

    def _path(self, image_ids: Sequence[str]) -> Path | None:
        if self._folder is None:
            return None
        text = json.dumps([self._about, list(image_ids)])
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "strategy": outcome.candidate.strategy,
        "setting": outcome.candidate.setting,
        "photos": {name: asdict(one) for name, one in outcome.photos.items()},
        "numbers": {name: _flat(numbers) for name, numbers in outcome.numbers().items()},
        "messages": {name: asdict(one) for name, one in outcome.messages.items()},
        "answer_ms": outcome.answer_ms,
        "asked": sorted(outcome.asked),
    }


def _outcome(facts: Mapping[str, Any]) -> Outcome:
    made = Outcome(Candidate(facts["strategy"], facts["setting"]))
    made.photos = {name: PhotoOutcome(**one) for name, one in facts["photos"].items()}
    for name, numbers in made.numbers().items():
        numbers.update({_pair(key): values for key, values in facts["numbers"][name].items()})
    made.messages = {name: Messages(**{**one, "photo": tuple(one["photo"])}) for name, one in facts["messages"].items()}
    made.answer_ms = list(facts["answer_ms"])
    made.asked = set(map(Asked, facts["asked"]))
    return made


def _flat(numbers: Mapping[tuple[str, str], list[float]]) -> dict[str, list[float]]:
    return {_BETWEEN.join(key): values for key, values in numbers.items()}


def _pair(key: str) -> tuple[str, str]:
    image_id, task = key.split(_BETWEEN)
    return image_id, task
