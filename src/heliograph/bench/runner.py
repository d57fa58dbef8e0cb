"""Runs candidates (a strategy at a setting) on photos and keeps what every question and every photo gave.

Photos come in chunks; within a chunk, each candidate's restored photos are answered in one batched call, all
questions about one photo sharing one pass over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from heliograph.bench.exchange_model import Messages, exchange_messages
from heliograph.bench.metrics import agrees, score
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.tasks import DESCRIPTION, Item
from heliograph.bench.timing import processor_s
from heliograph.bench.tools import Bench, Encoding
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Kind, Restored, Setting, Strategy, label
from heliograph.strategies.words import asked_with
from heliograph.training.progress import Progress
from heliograph.types import Answer, VisualTokens, Words

CHUNK_PHOTOS = 16
SHORT_ANSWER_TOKENS = 12
LONG_ANSWER_TOKENS = 96
BUDGET_KNOB = "max_bytes"
UNCOMPRESSED = "uncompressed"


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
        consistencies: likewise, semantic consistency; empty where nothing measures it.
        messages: of the first question about each sampled photo, for the time model.
        answer_ms: processor milliseconds per answer on the device, for ``local`` only.
    """

    candidate: Candidate
    photos: dict[str, PhotoOutcome] = field(default_factory=dict)
    scores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    agreements: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    consistencies: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    messages: dict[str, Messages] = field(default_factory=dict)
    answer_ms: list[float] = field(default_factory=list)

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
            self.agreements.setdefault(key, []).append(agrees(answer.text, wanted.text))
        if semantics is not None:
            found = semantics.scores([a.text for a in answers], [a.text for a in uncompressed])
            for record, one in zip(item.records, found, strict=True):
                self.consistencies.setdefault((item.image_id, record.task), []).append(one)


class Runner:
    """Runs candidates on photos.

    Args:
        bench: both ends and the model.
        candidates: what to compare.
        timed_photos: for so many photos, the messages of an exchange are kept for the time model.
        semantics: measures semantic consistency; None leaves it out.
    """

    def __init__(
        self,
        bench: Bench,
        candidates: Sequence[Candidate],
        timed_photos: int = 0,
        semantics: SemanticConsistency | None = None,
    ) -> None:
        self._bench = bench
        self._semantics = semantics
        self._timed_photos = timed_photos
        self._strategies: dict[str, Strategy] = {c.strategy: STRATEGIES.load(c.strategy)() for c in candidates}
        self.uncompressed = Outcome(Candidate(UNCOMPRESSED, {}))
        self.outcomes = [Outcome(c) for c in candidates]
        self._uncompressed_texts: list[str] = []

    def run(self, items: Iterable[Item], photos: int, progress: Progress, text: str) -> list[Outcome]:
        """All candidates on all photos; ``photos`` is how many there will be at most, for the bar."""
        source = iter(items)
        advance = progress.bar(photos, text)
        while chunk := list(islice(source, CHUNK_PHOTOS)):
            self._run_chunk(chunk)
            advance(len(chunk))
        return self.outcomes

    @property
    def consistency_floor(self) -> float | None:
        """Semantic consistency of unrelated answers of the uncompressed path; None where it is not measured."""
        return self._semantics.floor(self._uncompressed_texts) if self._semantics else None

    def _run_chunk(self, chunk: list[Item]) -> None:
        tokens = self._bench.model.encode_images([item.photo for item in chunk])
        wanted = self._answers(chunk, tokens)
        self._uncompressed_texts += _texts(wanted)
        for item, answers in zip(chunk, wanted, strict=True):
            self.uncompressed.photos[item.image_id] = PhotoOutcome(0.0, 0.0, 0.0)
            self.uncompressed.add_answers(item, answers, answers, self._semantics)
        streams = self._encode_chunk(chunk)
        for outcome in self.outcomes:
            self._run_candidate(outcome, chunk, streams, wanted)

    def _encode_chunk(self, chunk: list[Item]) -> dict[tuple[str, str, str], Encoding]:
        """Each photo's stream and milliseconds by (image id, strategy, setting); photo by photo, so that its tokens
        are made once."""
        streams: dict[tuple[str, str, str], Encoding] = {}
        for item in chunk:
            self._bench.device.prepare(item.photo)
            for candidate in (o.candidate for o in self.outcomes):
                strategy = self._strategies[candidate.strategy]
                encoding = self._bench.device.encode(strategy, item.photo, candidate.setting)
                streams[item.image_id, candidate.strategy, candidate.label] = encoding
        return streams

    def _run_candidate(
        self,
        outcome: Outcome,
        chunk: list[Item],
        streams: dict[tuple[str, str, str], Encoding],
        wanted: list[list[Answer]],
    ) -> None:
        candidate = outcome.candidate
        if self._strategies[candidate.strategy].kind is Kind.LOCAL:
            self._run_local(outcome, chunk, wanted)
            return
        restored: list[Restored] = []
        for item in chunk:
            encoding = streams[item.image_id, candidate.strategy, candidate.label]
            started = processor_s()
            made = self._strategies[candidate.strategy].restore(encoding.stream, self._bench.cloud)
            decode_ms = 1000 * (processor_s() - started)
            outcome.photos[item.image_id] = PhotoOutcome(
                encoding.stream.payload_bytes, encoding.encode_ms, decode_ms, encoding.codec_ms
            )
            restored.append(self._bench.cloud.drawn(made))
        answers = self._answers(chunk, self._as_seen(restored))
        if self._semantics is not None:
            self._semantics.prepare(_texts(answers), _texts(wanted))
        for item, given, expected in zip(chunk, answers, wanted, strict=True):
            outcome.add_answers(item, given, expected, self._semantics)
            if len(outcome.messages) < self._timed_photos and item.records:
                stream = streams[item.image_id, candidate.strategy, candidate.label].stream
                outcome.messages[item.image_id] = exchange_messages(stream, item.records[0].question, given[0])

    def _run_local(
        self,
        outcome: Outcome,
        chunk: list[Item],
        wanted: list[list[Answer]],
    ) -> None:
        """The device's own model; its encoding time is the tower's."""
        model = self._bench.device.device.local_model
        for item, expected in zip(chunk, wanted, strict=True):
            started = processor_s()
            tokens = self._bench.device.device.encode_tokens(item.photo)
            encode_ms = 1000 * (processor_s() - started)
            outcome.photos[item.image_id] = PhotoOutcome(0.0, encode_ms, 0.0)
            answers = []
            for record in item.records:
                started = processor_s()
                answers.append(model.answer(record.question, tokens, max_new_tokens=_most_tokens(record.task)))
                if record.task != DESCRIPTION:
                    outcome.answer_ms.append(1000 * (processor_s() - started))
            outcome.add_answers(item, answers, expected, self._semantics)

    def _as_seen(self, restored: Sequence[Restored]) -> list[VisualTokens | Words]:
        """Restored photos with pictures put through the cloud's own vision tower."""
        encoded = iter(self._bench.model.encode_images([one.image for one in restored if one.image is not None]))
        return [next(encoded) if one.image is not None else one.tokens or Words(one.text or "") for one in restored]

    def _answers(self, chunk: list[Item], seen: Sequence[VisualTokens | Words]) -> list[list[Answer]]:
        """Answers per photo, in the order of its records; long answers in a batch of their own."""
        found: dict[tuple[int, int], Answer] = {}
        for long in (False, True):
            places = [
                (photo, number)
                for photo, item in enumerate(chunk)
                for number, record in enumerate(item.records)
                if (record.task == DESCRIPTION) == long
            ]
            if places:
                asked = [asked_with(chunk[photo].records[number].question, [seen[photo]]) for photo, number in places]
                most = LONG_ANSWER_TOKENS if long else SHORT_ANSWER_TOKENS
                answers = self._bench.model.answer_many(asked, max_new_tokens=most)
                found.update(zip(places, answers, strict=True))
        return [[found[photo, n] for n in range(len(item.records))] for photo, item in enumerate(chunk)]


def _texts(answers: Sequence[Sequence[Answer]]) -> list[str]:
    return [one.text for given in answers for one in given]


def _most_tokens(task: str) -> int:
    return LONG_ANSWER_TOKENS if task == DESCRIPTION else SHORT_ANSWER_TOKENS
