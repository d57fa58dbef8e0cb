"""The questions of the suite ``street``, the same of every photo, and the model's answers to all of them in one pass.

They are worded as in training (:mod:`heliograph.training.field.questions`). Each has a few possible answers, and the
model gives the one whose first token is the likeliest, so that nothing has to be generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from heliograph.training.field.packed import NO, YES, PackedReader
from heliograph.training.field.questions import KIND, MAX_COUNTED, NOTHING, NUMBER, PRESENCE
from heliograph.training.field.things import ANIMAL, KINDS, PERSON, VEHICLE, plural, with_article
from heliograph.types import FloatArray

PRESENCE_TASK, NUMBER_TASK, KIND_TASK = "presence", "number", "kind"
ASKED_THINGS = (*KINDS, "man", "woman", "child", "dog", "water", "grass", "street", "tree", "ball")
"""Kinds, and things of :data:`heliograph.training.field.things.THINGS`, that presence is asked of."""

_AT_ONCE = 6  # photos; more fill the processor's cache and save nothing

Answers = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Asked:
    """One question.

    Attributes:
        task: of this module's names.
        text: as asked.
        answers: that are possible.
        thing: whose presence it is about; empty for other tasks.
    """

    task: str
    text: str
    answers: tuple[str, ...]
    thing: str = ""


QUESTIONS = (
    *(Asked(PRESENCE_TASK, PRESENCE[1].format(with_article(one)), (NO, YES), one) for one in ASKED_THINGS),
    Asked(NUMBER_TASK, NUMBER[0].format(plural(PERSON)), tuple(str(count) for count in range(MAX_COUNTED + 1))),
    *(Asked(KIND_TASK, KIND[1].format(one), (*sorted(KINDS[one]), NOTHING)) for one in (ANIMAL, VEHICLE)),
)


@dataclass(frozen=True)
class Answered:
    """Answers about I photos to Q questions.

    Attributes:
        places: (I, Q) int16, which of the question's answers.
        leads: (I, Q) float32, logits of that answer less those of the next; never negative.
    """

    places: Answers
    leads: FloatArray

    def texts(self, questions: Sequence[Asked]) -> list[list[str]]:
        """The same in words."""
        return [[one.answers[place] for one, place in zip(questions, row, strict=True)] for row in self.places]


@torch.no_grad()
def answered(reader: PackedReader, visual: FloatArray, questions: Sequence[Asked] = QUESTIONS) -> Answered:
    """The model's answers.

    Args:
        reader: the model.
        visual: (I, N, D) float32.
        questions: to every photo.
    """
    words = tuple(dict.fromkeys(word for one in questions for word in one.answers))
    texts = [one.text for one in questions]
    columns = [[words.index(word) for word in one.answers] for one in questions]
    places = np.zeros((len(visual), len(questions)), np.int16)
    leads = np.zeros(places.shape, np.float32)
    for start in range(0, len(visual), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        logits = reader.first_logits(torch.from_numpy(visual[part]), texts, words).float().numpy()  # (b, Q, A)
        for number, own in enumerate(columns):
            found = logits[:, number, own]  # (b, answers)
            places[part, number] = found.argmax(axis=1)
            ordered = np.sort(found, axis=1)
            leads[part, number] = ordered[:, -1] - ordered[:, -2]
    return Answered(places, leads)
