"""Runs candidates (a strategy at a setting) on photos and keeps what every question and every photo gave.

Photos come in chunks; within a chunk, each candidate's restored photos are answered in one batched call, all
questions about one photo sharing one pass over it. A strategy whose streams are made for one question sends each
question a stream of its own, and what a photo costs is the mean over its questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean
from string import hexdigits

from heliograph.bench.exchange_model import exchange_messages
from heliograph.bench.kept import KeptChunks, Measured
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.results import current_commit
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.tasks import DESCRIPTION, Item
from heliograph.bench.timing import processor_s
from heliograph.bench.tools import Bench, Encoding
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Kind, Restored, Strategy
from heliograph.strategies.selection import hears
from heliograph.strategies.words import asked_with
from heliograph.training.progress import Progress
from heliograph.types import Answer, EncodedImage, VisualTokens, Words

Key = tuple[str, str, str]
"""Image id, strategy, setting."""

CHUNK_PHOTOS = 12
_OTHERS_S = 0.2  # between looks at what other processes have done
SHORT_ANSWER_TOKENS = 12
LONG_ANSWER_TOKENS = 96
BUDGET_KNOB = "max_bytes"
UNCOMPRESSED = "uncompressed"


class Runner:
    """Runs candidates on photos.

    Args:
        bench: both ends and the model.
        candidates: what to compare.
        timed_photos: for so many photos, the messages of an exchange are kept for the time model.
        semantics: measures semantic consistency; None leaves it out.
        kept: folder of what was measured before and need not be again; None keeps nothing. Another commit measures
            anew, for its strategies may be others, and a changed checkout always does.
    """

    def __init__(
        self,
        bench: Bench,
        candidates: Sequence[Candidate],
        timed_photos: int = 0,
        semantics: SemanticConsistency | None = None,
        kept: Path | None = None,
    ) -> None:
        self._bench = bench
        commit = current_commit()
        about = [[c.strategy, c.setting] for c in candidates], timed_photos, semantics is not None
        known = set(commit) <= set(hexdigits)  # not that of a changed checkout, nor where there is none
        self._kept = KeptChunks(kept if known else None, [*about, bench.bundle.hash.hex(), bench.bundle.model, commit])
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
        chunks: list[list[Item]] = []
        found: dict[int, Measured] = {}
        while chunk := list(islice(source, CHUNK_PHOTOS)):
            chunks.append(chunk)
            self._measure(len(chunks) - 1, chunk, found, advance)
        while missing := [number for number in range(len(chunks)) if number not in found]:
            for number in missing:
                self._measure(number, chunks[number], found, advance)
            if len(found) < len(chunks):
                time.sleep(_OTHERS_S)
        for number in range(len(chunks)):
            self._take(found[number])
        return self.outcomes

    def _measure(
        self, number: int, chunk: list[Item], found: dict[int, Measured], advance: Callable[[int], None]
    ) -> None:
        """Add what a chunk gave to ``found``; nothing while another process is at it."""
        names = [item.image_id for item in chunk]
        with self._kept.claimed(names) as mine:
            measured = self._kept.find(names)
            if measured is None and mine:
                measured = self._run_chunk(chunk)
                self._kept.keep(names, measured)
        if measured is not None:
            found[number] = measured
            advance(len(chunk))

    def _take(self, measured: Measured) -> None:
        self.uncompressed.take(measured.uncompressed, 0)
        for outcome, found in zip(self.outcomes, measured.outcomes, strict=True):
            outcome.take(found, self._timed_photos)
        self._uncompressed_texts += measured.texts

    @property
    def consistency_floor(self) -> float | None:
        """Semantic consistency of unrelated answers of the uncompressed path; None where it is not measured."""
        return self._semantics.floor(self._uncompressed_texts) if self._semantics else None

    def _run_chunk(self, chunk: list[Item]) -> Measured:
        tokens = self._bench.model.encode_images([item.photo for item in chunk])
        wanted = self._answers(chunk, [[one] for one in tokens])
        found = Measured(Outcome(self.uncompressed.candidate), [Outcome(o.candidate) for o in self.outcomes], [])
        found.texts.extend(_texts(wanted))
        for item, answers in zip(chunk, wanted, strict=True):
            found.uncompressed.photos[item.image_id] = PhotoOutcome(0.0, 0.0, 0.0)
            found.uncompressed.add_answers(item, answers, answers, self._semantics)
        streams = self._encode_chunk(chunk)
        for outcome in found.outcomes:
            self._run_candidate(outcome, chunk, streams, wanted)
        return found

    def _encode_chunk(self, chunk: list[Item]) -> dict[Key, list[Encoding]]:
        """Each photo's stream and milliseconds, or those of each of its questions; photo by photo, so that its tokens
        are made once."""
        streams: dict[Key, list[Encoding]] = {}
        for item in chunk:
            self._bench.device.prepare(item.photo)
            for candidate in (o.candidate for o in self.outcomes):
                strategy = self._strategies[candidate.strategy]
                questions = [record.question for record in item.records] if strategy.asks(candidate.setting) else []
                streams[item.image_id, candidate.strategy, candidate.label] = [
                    self._bench.device.encode(strategy, item.photo, candidate.setting, question)
                    for question in questions or [""]
                ]
        return streams

    def _run_candidate(
        self,
        outcome: Outcome,
        chunk: list[Item],
        streams: dict[Key, list[Encoding]],
        wanted: list[list[Answer]],
    ) -> None:
        candidate = outcome.candidate
        if self._strategies[candidate.strategy].kind is Kind.LOCAL:
            self._run_local(outcome, chunk, wanted)
            return
        restored: list[list[Restored]] = []
        for item in chunk:
            encodings = streams[item.image_id, candidate.strategy, candidate.label]
            started = processor_s()
            made = [self._bench.cloud.seen(*one) for one in self._to_restore(item, candidate, encodings)]
            decode_ms = 1000 * (processor_s() - started) / len(made)
            outcome.photos[item.image_id] = PhotoOutcome(
                fmean(one.stream.payload_bytes for one in encodings),
                fmean(one.encode_ms for one in encodings),
                decode_ms,
                fmean(one.codec_ms for one in encodings),
            )
            outcome.asked.update(*(one.asked for one in encodings))
            restored.append(made)
        answers = self._answers(chunk, self._as_seen(restored))
        if self._semantics is not None:
            self._semantics.prepare(_texts(answers), _texts(wanted))
        for item, given, expected in zip(chunk, answers, wanted, strict=True):
            outcome.add_answers(item, given, expected, self._semantics)
            if len(outcome.messages) < self._timed_photos and item.records:
                stream = streams[item.image_id, candidate.strategy, candidate.label][0].stream
                outcome.messages[item.image_id] = exchange_messages(stream, item.records[0].question, given[0])

    def _to_restore(
        self, item: Item, candidate: Candidate, encodings: Sequence[Encoding]
    ) -> list[tuple[EncodedImage, str]]:
        """Streams and the questions that they are restored for: one for all of a photo's, unless each has its own, or
        the cloud hears them."""
        questions = [record.question for record in item.records]
        if not hears(candidate.strategy) or not questions:
            return [(one.stream, "") for one in encodings]
        streams = [one.stream for one in encodings]
        return list(zip(streams * len(questions) if len(streams) == 1 else streams, questions, strict=True))

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

    def _as_seen(self, restored: Sequence[Sequence[Restored]]) -> list[list[VisualTokens | Words]]:
        """Restored photos with pictures put through the cloud's own vision tower."""
        every = [one for photo in restored for one in photo]
        encoded = iter(self._bench.model.encode_images([one.image for one in every if one.image is not None]))
        seen = iter(next(encoded) if one.image is not None else one.tokens or Words(one.text or "") for one in every)
        return [list(islice(seen, len(photo))) for photo in restored]

    def _answers(self, chunk: list[Item], seen: Sequence[Sequence[VisualTokens | Words]]) -> list[list[Answer]]:
        """Answers per photo, in the order of its records; long answers in a batch of their own.

        ``seen`` is of each photo, once for all its questions or once for each of them.
        """
        found: dict[tuple[int, int], Answer] = {}
        for long in (False, True):
            places = [
                (photo, number)
                for photo, item in enumerate(chunk)
                for number, record in enumerate(item.records)
                if (record.task == DESCRIPTION) == long
            ]
            if places:
                asked = [
                    asked_with(chunk[photo].records[number].question, [seen[photo][number % len(seen[photo])]])
                    for photo, number in places
                ]
                most = LONG_ANSWER_TOKENS if long else SHORT_ANSWER_TOKENS
                answers = self._bench.model.answer_many(asked, max_new_tokens=most)
                found.update(zip(places, answers, strict=True))
        return [[found[photo, n] for n in range(len(item.records))] for photo, item in enumerate(chunk)]


def _texts(answers: Sequence[Sequence[Answer]]) -> list[str]:
    return [one.text for given in answers for one in given]


def _most_tokens(task: str) -> int:
    return LONG_ANSWER_TOKENS if task == DESCRIPTION else SHORT_ANSWER_TOKENS
