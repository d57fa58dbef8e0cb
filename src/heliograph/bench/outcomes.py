"""What candidates (a strategy at a setting) gave: what every photo cost, and how every question was answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.bench.exchange_model import Messages
from heliograph.bench.metrics import agrees, score
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.tasks import Item
from heliograph.strategies.base import Setting, label
from heliograph.types import Answer

Numbers = dict[tuple[str, str], list[float]]
"""Per (image id, task), one number per question."""

SURE_MARGIN = 0.1
"""Lead of an uncompressed answer, mean over its tokens of the likeliest one's probability less the next one's, from
which it counts as sure."""


class Asked(StrEnum):
    """Which of a device's networks a strategy had run."""

    TOWER = "tower"
    """The whole vision tower, for visual tokens or for what it looks at."""

    FIRST_ATTENTION = "first attention"
    """The tower up to the attention of its first block."""

    QUESTION_MAP = "question map"
    """The device's language model, as far as the layer whose attention tells where a question looks."""

    DESCRIPTION = "description"
    """The device's language model, for the photo in words."""

    READER = "reader"
    """What finds text in a photo."""


@dataclass(frozen=True)
class Candidate:
    """A strategy at a setting."""

    strategy: str
    setting: Setting

    @property
    def label(self) -> str:
        """The setting as one word."""
        return label(self.setting)


@dataclass
class PhotoOutcome:
    """What one photo cost: payload bytes and processor milliseconds; ``codec_ms`` is encoding without the tower."""

    payload_bytes: float
    encode_ms: float
    decode_ms: float
    codec_ms: float = 0.0


@dataclass
class Outcome:
    """Everything that one candidate gave.

    Attributes:
        photos: per image id.
        scores, agreements: per (image id, task), one number per question.
        sure: likewise, agreements of the questions whose uncompressed answer leads by :data:`SURE_MARGIN`; where the
            best two answers are next to equal, a difference says nothing about what was sent.
        consistencies: likewise, semantic consistency; empty where nothing measures it.
        messages: of the first question about each sampled photo, for the time model.
        answer_ms: processor milliseconds per answer on the device, for ``local`` only.
        asked: which of the device's networks it had run.
    """

    candidate: Candidate
    photos: dict[str, PhotoOutcome] = field(default_factory=dict)
    scores: Numbers = field(default_factory=dict)
    agreements: Numbers = field(default_factory=dict)
    sure: Numbers = field(default_factory=dict)
    consistencies: Numbers = field(default_factory=dict)
    messages: dict[str, Messages] = field(default_factory=dict)
    answer_ms: list[float] = field(default_factory=list)
    asked: set[Asked] = field(default_factory=set)

    def add_answers(
        self,
        item: Item,
        answers: Sequence[Answer],
        uncompressed: Sequence[Answer],
        semantics: SemanticConsistency | None = None,
    ) -> None:
        """Scores one photo's answers, which come in the order of ``item.records``."""
        for record, answer, wanted in zip(item.records, answers, uncompressed, strict=True):
            key = item.image_id, record.task
            self.scores.setdefault(key, []).append(score(record, answer.text))
            same = agrees(answer.text, wanted.text)
            self.agreements.setdefault(key, []).append(same)
            if wanted.margin >= SURE_MARGIN:
                self.sure.setdefault(key, []).append(same)
        if semantics is not None:
            found = semantics.scores([a.text for a in answers], [a.text for a in uncompressed])
            for record, one in zip(item.records, found, strict=True):
                self.consistencies.setdefault((item.image_id, record.task), []).append(one)

    def numbers(self) -> dict[str, Numbers]:
        """What is counted by question, by name."""
        return {
            "scores": self.scores,
            "agreements": self.agreements,
            "sure": self.sure,
            "consistencies": self.consistencies,
        }

    def take(self, other: Outcome, most_messages: int) -> None:
        """Add what the same candidate gave on further photos; of messages only so many in all."""
        self.photos.update(other.photos)
        for name, numbers in other.numbers().items():
            for key, values in numbers.items():
                self.numbers()[name].setdefault(key, []).extend(values)
        for image_id, messages in other.messages.items():
            if len(self.messages) < most_messages:
                self.messages[image_id] = messages
        self.answer_ms += other.answer_ms
        self.asked |= other.asked
