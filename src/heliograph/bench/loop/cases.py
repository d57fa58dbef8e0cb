"""Where ``push`` and ``pull`` end on real streams, the answers there, and what the work costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from heliograph.bench.exchange_model import Work
from heliograph.bench.runner import SHORT_ANSWER_TOKENS
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.timing import processor_s
from heliograph.bench.tools import Bench
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import Enough, Observation, share_code
from heliograph.controllers.bounds import controller_for
from heliograph.controllers.foresight import predicted_signals
from heliograph.controllers.push import ERROR_HEAD
from heliograph.edge.stop import chunk_end, expected_segments
from heliograph.question import PULL, PUSH, Question
from heliograph.registry import STRATEGIES
from heliograph.types import Answer, EncodedImage, QuestionRecord, Reporter

STRATEGY = "meta"
_TIMED = 40
_MAX_SCENES = 400


@dataclass(frozen=True)
class Case:
    """One question: the stream, and the answers from each prefix that a policy ended on."""

    item: Item
    record: QuestionRecord
    encoded: EncodedImage
    answers: dict[int, Answer]


@dataclass(frozen=True)
class Ends:
    """Segments at which each policy ends, per case, for one target."""

    quality: float
    pull: list[int]
    push: list[int]


# ---- where policies end --------------------------------------------------------------------------------
class Predictions:
    """What the error head says of every prefix of one stream, for one question; each is asked once."""

    def __init__(self, bench: Bench, question: str) -> None:
        self._bench, self._question = bench, question
        self._known: dict[int, Expectation | None] = {}

    def __call__(self, prefix: EncodedImage) -> Expectation | None:
        """What the codec predicts from one prefix."""
        segments = len(prefix.segments)
        if segments not in self._known:
            self._known[segments] = self._bench.cloud.expect(prefix, self._question)
        return self._known[segments]


def pull_end(bench: Bench, encoded: EncodedImage, question: str, target: int, foresee: Predictions) -> int:
    """Segments after which ``pull`` has enough, by the controller itself."""
    controller = controller_for(Question(question, PULL, target), bench.bundle.calibration)
    total, sent = len(encoded.segments), 0
    while True:
        sent = chunk_end(encoded, sent)
        prefix = encoded.prefix(sent)
        expectation = foresee(prefix)
        signals = None if expectation is None else predicted_signals(expectation, prefix.payload_bytes, question)
        seen = Observation(
            prefix.payload_bytes,
            sent,
            bench.cloud.retained_energy(prefix),
            sent == total,
            arrived=signals,
            total_segments=total,
            asked_segments=sent,
        )
        if isinstance(controller.decide(seen), Enough):
            return sent


def push_end(bench: Bench, encoded: EncodedImage, question: str, target: int, foresee: Predictions) -> int:
    """Segments after which ``push`` has enough by the error head, as the device foresees it."""
    asked = Question(question, PUSH, target, ERROR_HEAD)
    return expected_segments(encoded, asked, bench.bundle.calibration, foresee)


def chunks_sent(encoded: EncodedImage, segments: int) -> int:
    """Chunks that make up a prefix which ends with one."""
    sent, chunks = 0, 0
    while sent < segments:
        sent, chunks = chunk_end(encoded, sent), chunks + 1
    return chunks


# ---- cases ---------------------------------------------------------------------------------------------
def make_cases(
    bench: Bench, seed_start: int, questions: int, qualities: Sequence[float], say: Reporter
) -> tuple[list[Case], list[Ends]]:
    """Streams, ends and answers of the first questions of a split, one question of each kind in turn per scene."""
    asked = [
        (i, r) for i in scene_items(seed_start, _MAX_SCENES, descriptions=False, limit=questions) for r in i.records
    ]
    strategy = STRATEGIES.load(STRATEGY)()
    streams: dict[str, EncodedImage] = {}
    for item, _ in asked:
        if item.image_id not in streams:
            streams[item.image_id] = bench.device.encode(strategy, item.photo, {}).stream
    say(f"{len(asked)} questions about {len(streams)} photos")
    predictions = [Predictions(bench, record.question) for _, record in asked]
    ends = []
    for quality in qualities:
        target, every = share_code(quality), [*zip(asked, predictions, strict=True)]
        pull = [pull_end(bench, streams[i.image_id], r.question, target, known) for (i, r), known in every]
        push = [push_end(bench, streams[i.image_id], r.question, target, known) for (i, r), known in every]
        ends.append(Ends(quality, pull, push))
    cases = []
    for number, (item, record) in enumerate(asked):
        encoded = streams[item.image_id]
        wanted = sorted({end for one in ends for end in (one.pull[number], one.push[number])})
        tokens = [bench.cloud.restore_tokens(encoded.prefix(end)) for end in wanted]
        made = bench.model.answer_many([(record.question, [t]) for t in tokens], max_new_tokens=SHORT_ANSWER_TOKENS)
        cases.append(Case(item, record, encoded, dict(zip(wanted, made, strict=True))))
    return cases, ends


def measured_work(bench: Bench, cases: Sequence[Case]) -> Work:
    """Median processor seconds of each kind of work, on a sample."""
    sample = cases[:: max(1, len(cases) // _TIMED)][:_TIMED]
    rows = np.asarray([_work_of(bench, case) for case in sample])  # (sample, 5)
    return Work(*(float(value) for value in np.median(rows, axis=0)))


def _work_of(bench: Bench, case: Case) -> tuple[float, float, float, float, float]:
    """Seconds to encode, restore, answer, verify the answer, and ask the error head."""
    question, limit = case.record.question, SHORT_ANSWER_TOKENS
    encode_ms = bench.device.encode(STRATEGIES.load(STRATEGY)(), case.item.photo.copy(), {}).encode_ms
    marks = [processor_s()]
    tokens = bench.cloud.restore_tokens(case.encoded)
    marks.append(processor_s())
    answer = bench.model.answer(question, [tokens], max_new_tokens=limit)
    marks.append(processor_s())
    bench.model.verify(question, [tokens], answer, max_new_tokens=limit)
    marks.append(processor_s())
    bench.cloud.expect(case.encoded, question)
    marks.append(processor_s())
    restore_s, answer_s, verify_s, head_s = (later - earlier for earlier, later in pairwise(marks))
    return encode_ms / 1e3, restore_s, answer_s, verify_s, head_s
