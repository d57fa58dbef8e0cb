"""Judges what came back, one setting after another on the same photos; what is done lies on disk, so a run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.street.asked import QUESTIONS, Answered, answered
from heliograph.bench.street.sent import Sent
from heliograph.bench.street.sentences import CaptionScores, Sentences
from heliograph.training.field.packed import PackedReader
from heliograph.training.files import refusals_named, replacing
from heliograph.types import FloatArray


@dataclass(frozen=True)
class Measured:
    """One way at one setting: what it sent, what the model answered, what it made of sentences."""

    sent: Sent
    answers: Answered
    captions: CaptionScores


class Judge:
    """Answers and sentences from visual tokens.

    Args:
        reader: the model, float32.
        sentences: about the first photos; None where none are judged.
    """

    def __init__(self, reader: PackedReader, sentences: Sentences | None = None) -> None:
        self._reader, self._sentences = reader, sentences

    def of(self, visual: FloatArray) -> tuple[Answered, CaptionScores]:
        """Answers from (I, N, D) tokens, and what sentences are worth."""
        found = answered(self._reader, visual, QUESTIONS)
        if self._sentences is None:
            return found, CaptionScores(np.zeros(0), np.zeros(0))
        return found, self._sentences.scores(visual[: len(self._sentences)])


class Kept:
    """Measured settings in a folder.

    Args:
        folder: made if absent.
        key: all that the figures depend on; what another key has made is not read.
    """

    def __init__(self, folder: Path, key: Sequence[str]) -> None:
        self._folder, self._key = folder, list(key)
        with refusals_named():
            folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[], list[Measured]]) -> list[Measured]:
        """What lies there under a name, or what is made now and put there.

        Raises:
            OutputUnwritableError: the disk refuses.
        """
        named = hashlib.sha256(json.dumps([*self._key, name]).encode()).hexdigest()[:16]
        path = self._folder / f"{named}.npz"
        if path.is_file():
            with np.load(path) as held:
                return [_unpacked(held, number) for number in range(int(held["count"]))]
        made = make()
        arrays = {name: value for number, one in enumerate(made) for name, value in _packed(one, number).items()}
        with refusals_named(), replacing(path) as fresh:
            np.savez(fresh, count=len(made), **arrays)
        return made


_PARTS = {"sent": Sent, "answers": Answered, "captions": CaptionScores}


def _packed(one: Measured, number: int) -> dict[str, Any]:
    return {
        f"{number}.{part}.{field.name}": np.asarray(getattr(getattr(one, part), field.name))
        for part, kind in _PARTS.items()
        for field in fields(kind)
    }


def _unpacked(held: Any, number: int) -> Measured:
    made: dict[str, Any] = {}
    for part, kind in _PARTS.items():
        values = {field.name: held[f"{number}.{part}.{field.name}"] for field in fields(kind)}
        made[part] = kind(**{name: str(value) if value.ndim == 0 else value for name, value in values.items()})
    return Measured(**made)
