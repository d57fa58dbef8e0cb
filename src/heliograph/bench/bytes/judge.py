"""Answers from restored tokens of every photo, held against the model's own uncompressed ones and against the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from heliograph.bench.bytes.rates import Rate
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.runner import CHUNK_PHOTOS, SHORT_ANSWER_TOKENS
from heliograph.bench.scores import Scores
from heliograph.bench.tasks import Item
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import DeviceTools
from heliograph.types import Answer, Grid, VisualTokens
from heliograph.vlm.model import VisionLanguageModel

UNCOMPRESSED = "uncompressed"


class Judge:
    """Judges one rate after another on the same photos.

    Args:
        model: the frozen model.
        items: photos with their short questions.
        photos: (N, D) tokens of each from the model's own tower.
    """

    def __init__(self, model: VisionLanguageModel, items: Sequence[Item], photos: Sequence[VisualTokens]) -> None:
        self._model, self._items = model, items
        self._wanted = self._answers(photos)
        self.image_ids = [item.image_id for item in items]
        self.uncompressed = self._scores(Candidate(UNCOMPRESSED, {}), [0.0] * len(items), self._wanted)

    def scores(self, rate: Rate, grid: Grid) -> Scores:
        """Bytes, accuracy and agreement of a rate."""
        answers = self._answers([VisualTokens(values, grid) for values in rate.tokens])
        return self._scores(Candidate(rate.codec, rate.setting), rate.payload_bytes.tolist(), answers)

    def _scores(self, candidate: Candidate, payload: Sequence[float], answers: Sequence[Sequence[Answer]]) -> Scores:
        outcome = Outcome(candidate)
        for item, size, given, wanted in zip(self._items, payload, answers, self._wanted, strict=True):
            outcome.photos[item.image_id] = PhotoOutcome(size, 0.0, 0.0)
            outcome.add_answers(item, given, wanted)
        return Scores(outcome, self.image_ids)

    def _answers(self, photos: Sequence[VisualTokens]) -> list[list[Answer]]:
        """Answers per photo, in the order of its questions; questions about the same photos share a batch."""
        found: list[list[Answer]] = []
        for start in range(0, len(photos), CHUNK_PHOTOS):
            chunk = range(start, min(start + CHUNK_PHOTOS, len(photos)))
            asked = [(one.question, [photos[place]]) for place in chunk for one in self._items[place].records]
            made = iter(self._model.answer_many(asked, max_new_tokens=SHORT_ANSWER_TOKENS))
            found += [list(islice(made, len(self._items[place].records))) for place in chunk]
        return found


def pixel_rates(
    candidates: Sequence[Candidate], items: Sequence[Item], model: VisionLanguageModel, tools: DeviceTools
) -> Iterator[Rate]:
    """Pixel codecs: the picture that comes back, through the model's own tower."""
    for candidate in candidates:
        strategy = STRATEGIES.load(candidate.strategy)()
        setting = strategy.complete_setting(candidate.setting)
        payload, tokens = [], []
        for start in range(0, len(items), CHUNK_PHOTOS):
            streams = [strategy.encode(one.photo, tools, setting) for one in items[start : start + CHUNK_PHOTOS]]
            payload += [one.payload_bytes for one in streams]
            pictures = [strategy.restore(one, tools).image for one in streams]
            tokens += [one.values for one in model.encode_images(pictures)]
        yield Rate(candidate.strategy, candidate.setting, np.array(payload, np.float64), np.stack(tokens))
