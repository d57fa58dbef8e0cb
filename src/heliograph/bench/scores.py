"""Turns outcomes into rows: means over questions and tasks, with intervals that resample whole photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from heliograph.bench.definitions import Link, tasks
from heliograph.bench.exchange_model import Times, Work, exchange_times
from heliograph.bench.metrics import ALL, b99, cost_at
from heliograph.bench.outcomes import Outcome, PhotoOutcome
from heliograph.bench.results import Row
from heliograph.bench.stats import DoubleArray, Interval, percentile_interval, resampling_weights
from heliograph.strategies.base import Kind
from heliograph.strategies.selection import LOCAL, strategy_class


@dataclass(frozen=True)
class Mean:
    """A mean with its bootstrap resamples, (resamples,) f64; NaN where a resample lacks the task."""

    value: float
    samples: DoubleArray

    @property
    def interval(self) -> Interval | None:
        """95 % interval."""
        return percentile_interval(self.samples)


class Scores:
    """One outcome's numbers as matrices (photos x tasks), so that a resample of photos is one product.

    Args:
        outcome: of one candidate.
        image_ids: the photos, in an order that all candidates share.
    """

    def __init__(self, outcome: Outcome, image_ids: Sequence[str]) -> None:
        self.outcome = outcome
        self._image_ids = list(image_ids)
        present = {task for _, task in outcome.scores}
        self.task_names = tuple(name for name in tasks() if name in present)
        self._place = {name: i for i, name in enumerate(self.task_names)}
        shape = (len(self._image_ids), len(self.task_names))
        self._scores, self._agreements, self._counts = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._consistencies, self._sure, self._sure_counts = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        rows = {image_id: i for i, image_id in enumerate(self._image_ids)}
        for (image_id, task), values in outcome.scores.items():
            cell = rows[image_id], self._place[task]
            self._scores[cell] = sum(values)
            self._agreements[cell] = sum(outcome.agreements[image_id, task])
            self._consistencies[cell] = sum(outcome.consistencies.get((image_id, task), []))
            self._counts[cell] = len(values)
            sure = outcome.sure.get((image_id, task), [])
            self._sure[cell], self._sure_counts[cell] = sum(sure), len(sure)

    @property
    def mean_tasks(self) -> tuple[str, ...]:
        """The tasks that make up "all"."""
        return tuple(name for name in self.task_names if tasks()[name].in_mean)

    def questions(self, task: str) -> int:
        """How many questions of one task, or of all that make up the mean."""
        return int(self._counts[:, self._columns(task)].sum())

    def accuracy(self, task: str = ALL) -> Mean:
        """Accuracy of one task; of "all" the mean over tasks of each task's accuracy."""
        return self._mean(self._scores, task)

    def agreement(self, task: str = ALL) -> Mean:
        """Answer agreement with the uncompressed path, likewise."""
        return self._mean(self._agreements, task)

    def sure_agreement(self, task: str = ALL) -> Mean | None:
        """The same of questions whose uncompressed answer was sure; None where there are none of some task."""
        columns = self._columns(task)
        if not self._sure_counts[:, columns].sum(axis=0).all():
            return None
        return self._mean(self._sure, task, self._sure_counts)

    def consistency(self, task: str = ALL) -> Mean | None:
        """Semantic consistency with the uncompressed path, likewise; None where it was not measured."""
        return self._mean(self._consistencies, task) if self.outcome.consistencies else None

    @cached_property
    def payload(self) -> Mean:
        """Mean payload bytes per photo that a question of "all" is about."""
        return self.per_photo(ALL, lambda photo: photo.payload_bytes)

    def per_photo(self, task: str, value: object) -> Mean:
        """Mean of a number per photo, over the photos of one task (``value`` maps a PhotoOutcome to it)."""
        assert callable(value)
        asked = self._counts[:, self._columns(task)].sum(axis=1) > 0
        numbers = np.array([float(value(self._photo(i))) for i in range(len(self._image_ids))])
        weights = resampling_weights(len(self._image_ids)) * asked
        with np.errstate(invalid="ignore"):
            samples = (weights @ numbers) / weights.sum(axis=1)
        return Mean(float(numbers[asked].mean()) if asked.any() else float("nan"), samples)

    def mean_of(self, numbers: Mapping[str, float]) -> Mean:
        """Mean of a number that some photos have, by image id, on the resamples of all photos."""
        known = np.array([image_id in numbers for image_id in self._image_ids])
        values = np.array([numbers.get(image_id, 0.0) for image_id in self._image_ids])
        weights = resampling_weights(len(self._image_ids)) * known
        with np.errstate(invalid="ignore"):
            return Mean(float(values.sum() / known.sum()), (weights @ values) / weights.sum(axis=1))

    def _photo(self, index: int) -> PhotoOutcome:
        return self.outcome.photos.get(self._image_ids[index], PhotoOutcome(0.0, 0.0, 0.0))

    def _columns(self, task: str) -> list[int]:
        return [self._place[name] for name in (self.mean_tasks if task == ALL else (task,)) if name in self._place]

    def _mean(self, sums: DoubleArray, task: str, counts: DoubleArray | None = None) -> Mean:
        columns = self._columns(task)
        numbers = (self._counts if counts is None else counts)[:, columns]
        weights = resampling_weights(len(self._image_ids))
        with np.errstate(invalid="ignore"):
            value = sums[:, columns].sum(axis=0) / numbers.sum(axis=0)
            samples = (weights @ sums[:, columns]) / (weights @ numbers)
        return Mean(float(value.mean()), samples.mean(axis=1))


@dataclass(frozen=True)
class TimeMeans:
    """Times of one outcome on one link: a mean of each, their intervals, and the wire bytes."""

    draft_ms: float
    draft_ms_ci: Interval | None
    final_ms: float
    final_ms_ci: Interval | None
    wire_bytes: float
    wire_bytes_ci: Interval | None
    questions: int


@dataclass(frozen=True)
class CloudWork:
    """Processor milliseconds that the cloud's model needs.

    Attributes:
        tokens_ms, picture_ms: for one answer, by what it answers from.
        verify_ms: to see that a draft still holds on refined tokens.
        opening_bytes: what opening a websocket costs once: the HTTP upgrade, both directions.
    """

    tokens_ms: float
    picture_ms: float
    verify_ms: float
    opening_bytes: float


def modelled_times(outcome: Outcome, link: Link, cloud: CloudWork) -> TimeMeans | None:
    """Mean times over the sampled questions; None where nothing was sampled."""
    if outcome.candidate.strategy == LOCAL:
        return _local_times(outcome)
    if not outcome.messages:
        return None
    times = _times_of(outcome, link, cloud).values()
    wire = [float(one.exchange_bytes + one.greeting + cloud.opening_bytes) for one in outcome.messages.values()]
    draft, final = [1000 * t.draft_s for t in times], [1000 * t.final_s for t in times]
    return TimeMeans(
        *_with_interval(draft), *_with_interval(final), *_with_interval(wire), questions=len(outcome.messages)
    )


def _times_of(outcome: Outcome, link: Link, cloud: CloudWork) -> dict[str, Times]:
    """Times of every sampled photo's exchange, by its name."""
    strategy = strategy_class(outcome.candidate.strategy)
    answer_ms = cloud.tokens_ms if strategy.kind is Kind.TOKENS else cloud.picture_ms
    found: dict[str, Times] = {}
    for image_id, messages in outcome.messages.items():
        photo = outcome.photos[image_id]
        work = Work(photo.encode_ms / 1000, photo.decode_ms / 1000, answer_ms / 1000, cloud.verify_ms / 1000)
        found[image_id] = exchange_times(messages, work, link.profile, embedded=strategy.embedded)
    return found


def _local_times(outcome: Outcome) -> TimeMeans | None:
    """Times without a link: the tower and the device's own model."""
    if not outcome.answer_ms:
        return None
    encode_ms = float(np.mean([p.encode_ms for p in outcome.photos.values()]))
    times = _with_interval([encode_ms + ms for ms in outcome.answer_ms])
    return TimeMeans(*times, *times, 0.0, None, questions=len(outcome.answer_ms))


def _with_interval(values: Sequence[float]) -> tuple[float, Interval | None]:
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2:
        return float(numbers.mean()), None
    return float(numbers.mean()), percentile_interval(resampling_weights(len(numbers)) @ numbers / len(numbers))


def rows_of(scores: Scores, links: Sequence[Link], cloud: CloudWork) -> list[Row]:
    """Rows of one outcome: one per task and one for "all" without a link, then one for "all" per link."""
    plain = [_plain_row(scores, task, cloud) for task in (ALL, *scores.task_names)]
    return [*plain, *(row for link in links if (row := _timed_row(scores, plain[0], link, cloud)) is not None)]


def _plain_row(scores: Scores, task: str, cloud: CloudWork) -> Row:
    outcome = scores.outcome
    accuracy, agreement, consistency = scores.accuracy(task), scores.agreement(task), scores.consistency(task)
    sure = scores.sure_agreement(task)
    payload = scores.per_photo(task, lambda p: p.payload_bytes)
    encode = scores.per_photo(task, lambda p: p.encode_ms)
    decode = scores.per_photo(task, lambda p: p.decode_ms)
    overhead = [
        m.exchange_bytes + m.greeting + cloud.opening_bytes - outcome.photos[i].payload_bytes
        for i, m in outcome.messages.items()
    ]
    wire = payload.value + float(np.mean(overhead)) if overhead else None
    return Row(
        strategy=outcome.candidate.strategy,
        setting=outcome.candidate.label,
        task=task,
        questions=scores.questions(task),
        accuracy=accuracy.value,
        accuracy_ci=accuracy.interval,
        agreement=agreement.value,
        agreement_ci=agreement.interval,
        sure_agreement=None if sure is None else sure.value,
        sure_agreement_ci=None if sure is None else sure.interval,
        consistency=None if consistency is None else consistency.value,
        consistency_ci=None if consistency is None else consistency.interval,
        payload_bytes=payload.value,
        payload_bytes_ci=payload.interval,
        wire_bytes=wire,
        encode_ms=encode.value,
        encode_ms_ci=encode.interval,
        decode_ms=decode.value,
        decode_ms_ci=decode.interval,
        source="modelled" if wire is not None else "measured",
    )


def _timed_row(scores: Scores, plain: Row, link: Link, cloud: CloudWork) -> Row | None:
    from dataclasses import replace

    found = modelled_times(scores.outcome, link, cloud)
    if found is None:
        return None
    return replace(
        plain,
        wire_bytes=found.wire_bytes,
        wire_bytes_ci=found.wire_bytes_ci,
        link_mbit=link.mbit,
        rtt_ms=link.rtt_ms,
        draft_ms=found.draft_ms,
        draft_ms_ci=found.draft_ms_ci,
        final_ms=found.final_ms,
        final_ms_ci=found.final_ms_ci,
        source="measured" if scores.outcome.candidate.strategy == LOCAL else "modelled",
    )


@dataclass(frozen=True)
class Crossing:
    """Where a strategy reaches a share of the uncompressed accuracy: the cost, and its resamples (NaN: never)."""

    value: float | None
    samples: DoubleArray

    @property
    def interval(self) -> Interval | None:
        """95 % interval; None where more than 5 % of the resamples never reach it."""
        return percentile_interval(self.samples)


def b99_of(settings: Sequence[Scores], uncompressed: Scores) -> Crossing:
    """B99 of one strategy from its measured settings."""
    base = uncompressed.accuracy()
    accuracies = [s.accuracy() for s in settings]
    payloads = [s.payload for s in settings]
    value = b99([(p.value, a.value) for p, a in zip(payloads, accuracies, strict=True)], base.value)
    samples = np.full(len(base.samples), np.nan)
    for i in range(len(samples)):
        points = [(float(p.samples[i]), float(a.samples[i])) for p, a in zip(payloads, accuracies, strict=True)]
        found = b99(points, float(base.samples[i]))
        samples[i] = np.nan if found is None else found
    return Crossing(value, samples)


def crossing_at(costs: Sequence[Mean], qualities: Sequence[Mean], target: float) -> Crossing:
    """Mean cost at which a strategy's settings reach a quality, read between them; the same on every resample.

    Args:
        costs, qualities: of each setting.
        target: quality, 0 to 1.
    """
    value = cost_at([(c.value, q.value) for c, q in zip(costs, qualities, strict=True)], target)
    samples = [
        cost_at([(float(c.samples[i]), float(q.samples[i])) for c, q in zip(costs, qualities, strict=True)], target)
        for i in range(len(costs[0].samples) if costs else 1)
    ]
    return Crossing(value, np.array(samples, dtype=np.float64))  # None becomes NaN


def best_of(crossings: Sequence[Crossing]) -> Crossing:
    """The cheapest of several, resample by resample."""
    values = [c.value for c in crossings if c.value is not None]
    if not crossings:
        return Crossing(None, np.full(1, np.nan))
    stacked = np.stack([c.samples for c in crossings])
    samples = np.where(np.isnan(stacked), np.inf, stacked).min(axis=0)
    return Crossing(min(values, default=None), np.where(np.isinf(samples), np.nan, samples))


def ratio_of(above: Crossing, below: Crossing) -> Crossing:
    """One crossing over another, resample by resample."""
    value = above.value / below.value if above.value is not None and below.value else None
    return Crossing(value, above.samples / below.samples)


def time_at_accuracy(settings: Sequence[Scores], link: Link, cloud: CloudWork, accuracy: float) -> float | None:
    """Mean milliseconds to the final answer at which a strategy reaches an accuracy, between measured settings.

    None where it never does, and where the accuracy is none.
    """
    if accuracy <= 0:
        return None
    points: list[tuple[float, float]] = []
    for scores in settings:
        found = modelled_times(scores.outcome, link, cloud)
        if found is not None:
            points.append((found.final_ms, scores.accuracy().value))
    return cost_at(points, accuracy)


def time_crossing(settings: Sequence[Scores], link: Link, cloud: CloudWork, accuracy: Mean) -> Crossing:
    """:func:`time_at_accuracy` of a strategy that sends something, with its resamples.

    Args:
        settings: of the strategy.
        link, cloud: what the times are of.
        accuracy: to be reached, on each resample its own.
    """
    timed = [one for one in settings if one.outcome.messages]
    costs = [
        one.mean_of({name: 1000 * times.final_s for name, times in _times_of(one.outcome, link, cloud).items()})
        for one in timed
    ]
    qualities = [one.accuracy() for one in timed]
    samples = np.full(len(accuracy.samples), np.nan)
    for i, target in enumerate(accuracy.samples.tolist()):
        points = [(float(c.samples[i]), float(q.samples[i])) for c, q in zip(costs, qualities, strict=True)]
        found = cost_at(points, target) if target > 0 else None
        samples[i] = np.nan if found is None else found
    return Crossing(time_at_accuracy(timed, link, cloud, accuracy.value), samples)
