"""Questions replayed at moments of measured traces: what each candidate would have taken, and what the planner chose.

Nothing here answers anew: streams, answers and processor times were measured once
(:mod:`heliograph.bench.planner.measure`); the arithmetic of the link says when each answer would have arrived.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from heliograph.bench.exchange_model import Work, exchange_times
from heliograph.bench.planner.measure import Measured, local_answer_ms
from heliograph.bench.planner.plan import PlannerPlan
from heliograph.controllers.curves import Curves, candidate_name
from heliograph.controllers.planner import Goal, Plan, Situation, make_plan
from heliograph.edge.planning.device_times import DeviceTimes
from heliograph.edge.planning.link_estimate import LinkEstimator, LinkObservation
from heliograph.strategies.base import Kind
from heliograph.strategies.selection import LOCAL, strategy_class
from heliograph.transport.base import client_message_bytes
from heliograph.transport.links import LinkDirection, LinkProfile

Array = npt.NDArray[np.float64]

WINDOW_S = 300.0
"""Length of the trace that is seen from a moment; what takes longer sees it again from there."""

_FRAMES_BYTES = 24
"""IMAGE, segment heads and end of a region's stream."""
_SEED = 20_261_122


@dataclass(frozen=True)
class CandidateTable:
    """All candidates with what they gave on every question, in one order.

    Attributes:
        names: as :func:`heliograph.controllers.curves.candidate_name` writes them.
        good: (questions, candidates) f64, 1 where the answer equals the one of nothing compressed, else 0.
        score: likewise, right answers.
        payload_bytes: likewise.
    """

    found: Measured
    names: tuple[str, ...]
    good: Array
    score: Array
    payload_bytes: Array

    @cached_property
    def place(self) -> dict[str, int]:
        """Column by name."""
        return {name: column for column, name in enumerate(self.names)}

    @cached_property
    def tasks(self) -> npt.NDArray[np.str_]:
        """(questions,) kind of question."""
        return np.array([record.task for record in self.found.records])


@dataclass(frozen=True)
class Moment:
    """One question at one time of one trace, on a device of one speed.

    Attributes:
        start_s: from the trace's begin.
        question: number of the question.
        times_s: (candidates,) f64, seconds to the final answer had this candidate been taken.
        encode_s: (candidates,) f64.
    """

    start_s: float
    question: int
    times_s: Array
    encode_s: Array

    def without(self, candidate: int) -> Moment:
        """The same where one candidate is not possible."""
        times_s = self.times_s.copy()
        times_s[candidate] = np.inf
        return replace(self, times_s=times_s)


@dataclass(frozen=True)
class Choice:
    """What the planner did at one moment."""

    moment: Moment
    candidate: int
    plan: Plan

    @property
    def time_s(self) -> float:
        """Seconds to the final answer."""
        return float(self.moment.times_s[self.candidate])


def candidates_of(found: Measured) -> CandidateTable:
    """The measured candidates as matrices."""
    columns: list[tuple[str, list[float], list[float], list[float]]] = []
    for outcome in found.outcomes:
        candidate, keys = outcome.candidate, [(r.image_id, r.task) for r in found.records]
        good = [outcome.agreements[key][0] for key in keys]
        score = [outcome.scores[key][0] for key in keys]
        payload = [outcome.photos[image_id].payload_bytes for image_id, _ in keys]
        columns.append((candidate_name(candidate.strategy, candidate.setting), good, score, payload))
    bases = {name: column for name, *column in columns}
    for region, good, score in zip(found.regions, found.region_good, found.region_score, strict=True):
        name = candidate_name(region.base.strategy, region.base.setting, region.crop.strategy, region.crop.setting)
        base = bases[candidate_name(region.base.strategy, region.base.setting)]
        crops = [found.crops.get((f"{region.crop.strategy}+{region.crop.label}", n)) for n in range(len(found.records))]
        columns.append(  # for what the photo shows already, the first answer is kept: the more confident of the two
            (
                name,
                [b if np.isnan(g) else g for g, b in zip(good, base[0], strict=True)],
                [b if np.isnan(s) else s for s, b in zip(score, base[1], strict=True)],
                [b + (crop.payload_bytes if crop else 0) for b, crop in zip(base[2], crops, strict=True)],
            )
        )
    names = tuple(name for name, *_ in columns)
    good_, score_, payload_ = (np.array([column[k] for column in columns]).T for k in (1, 2, 3))
    return CandidateTable(found, names, good_, score_, payload_)


class World:
    """True times of every candidate at every moment of one trace.

    Args:
        candidates: measured.
        plan: of the suite.
        profile: the trace, with its round trip.
        factor: how many times as slow as this machine the device is.
    """

    def __init__(self, candidates: CandidateTable, plan: PlannerPlan, profile: LinkProfile, factor: float) -> None:
        self._candidates, self._profile, self._factor = candidates, profile, factor
        found = candidates.found
        self._encode_ms = [np.median([p.encode_ms for p in o.photos.values()]) for o in found.outcomes]
        self._restore_ms = [np.median([p.decode_ms for p in o.photos.values()]) for o in found.outcomes]
        self._column = {(o.candidate.strategy, o.candidate.label): n for n, o in enumerate(found.outcomes)}
        self._local_ms = local_answer_ms(found.outcomes)
        self._crop_ms = {name: _crop_ms(found, name) for name in {name for name, _ in found.crops}}
        self._plan = plan

    def moment(self, start_s: float, question: int) -> Moment:
        """What every candidate would take for one question at one time."""
        profile = window(self._profile, start_s)
        found = self._candidates.found
        encode = np.array([self._factor * ms / 1000 for ms in self._encode_ms])
        times = [self._whole(profile, column, question) for column in range(len(found.outcomes))]
        crops = []
        for region in found.regions:
            column = self._column[region.base.strategy, region.base.label]
            times.append(
                self._with_region(profile, times[column], f"{region.crop.strategy}+{region.crop.label}", question)
            )
            crops.append(encode[column])
        return Moment(start_s, question, np.array(times), np.concatenate([encode, crops]))

    def _whole(self, profile: LinkProfile, column: int, question: int) -> float:
        found = self._candidates.found
        outcome, record = found.outcomes[column], found.records[question]
        encode_s = self._factor * self._encode_ms[column] / 1000
        strategy = strategy_class(outcome.candidate.strategy)
        if strategy.kind is Kind.LOCAL:
            return float(encode_s + self._factor * self._local_ms / 1000)
        answer_s = found.cloud_ms[strategy.kind] / 1000
        work = Work(encode_s, self._restore_ms[column] / 1000, answer_s, found.cloud_ms["verify"] / 1000)
        messages = found.messages(outcome, record)
        return exchange_times(messages, work, profile, embedded=strategy.embedded).final_s

    def _with_region(self, profile: LinkProfile, first_s: float, crop: str, question: int) -> float:
        """The wish for a region comes with the first answer; the region follows, then the second answer."""
        cost = self._candidates.found.crops.get((crop, question))
        size = cost.payload_bytes if cost else _mean_bytes(self._candidates.found, crop)
        encode_ms, restore_ms = self._crop_ms[crop]
        up = LinkDirection(profile, up=True)
        asked_s = first_s + self._factor * encode_ms / 1000
        arrived_s = up.carry(asked_s, client_message_bytes(size + _FRAMES_BYTES)).arrives_s
        answered_s = arrived_s + (restore_ms + self._candidates.found.cloud_ms["region"]) / 1000
        return LinkDirection(profile, up=False).carry(answered_s, 24).arrives_s


def window(profile: LinkProfile, start_s: float) -> LinkProfile:
    """The link as it is from ``start_s`` on, for ``WINDOW_S``."""
    starts = [start for start, _ in profile.trace]
    period = profile.trace_period_s
    steps: list[tuple[float, float]] = []
    turn, offset = divmod(start_s, period)
    place = bisect_right(starts, offset) - 1
    while not steps or steps[-1][0] < WINDOW_S:
        begin = turn * period + starts[place] - start_s
        steps.append((max(0.0, begin), profile.trace[place][1]))
        place += 1
        if place == len(starts):
            place, turn = 0, turn + 1
    return replace(profile, trace=tuple(steps[:-1]) or tuple(steps), trace_period_s=max(steps[-1][0], WINDOW_S))


def handshake(profile: LinkProfile) -> tuple[LinkObservation, ...]:
    """What opening the connection has shown, just before the trace: HTTP's upgrade, then HELLO and WELCOME."""
    before = window(profile, profile.trace_period_s - 1.0)
    up, down = LinkDirection(before, up=True), LinkDirection(before, up=False)
    found = []
    for sent_s, size in ((0.0, 140), (0.4, 40)):
        welcomed_s = down.carry(up.carry(sent_s, size).arrives_s, size).arrives_s
        found.append(LinkObservation(size, sent_s - 1.0, welcomed_s - 1.0, answered=False))
    return tuple(found)


def moments_of(plan: PlannerPlan, name: str, questions: int) -> list[tuple[float, int]]:
    """(seconds, question) pairs along one trace: at random pauses, questions drawn at random; the same for all."""
    chance = random.Random(f"{_SEED} {name}")
    low, high = plan.pause_s
    start_s, found = 0.0, []
    for _ in range(plan.moments):
        start_s += chance.uniform(low, high)
        found.append((start_s, chance.randrange(questions)))
    return found


def slowed(profile: LinkProfile, share: float) -> LinkProfile:
    """The trace at a share of its rates."""
    trace = tuple((start, share * rate) for start, rate in profile.trace)
    return replace(profile, trace=trace, up_bit_s=share * profile.up_bit_s, down_bit_s=share * profile.down_bit_s)


def replay(
    curves: Curves,
    candidates: CandidateTable,
    moments: Sequence[Moment],
    goal: Goal,
    handshake: Sequence[LinkObservation],
    *,
    own_model: bool,
) -> list[Choice]:
    """What the planner does, question by question, from no history but the connection's opening.

    It learns from what it did alone: how long encoding took, and when the answer came.
    """
    usable = None if own_model else frozenset(name for c in curves.curves for name in (c.strategy, c.crop)) - {LOCAL}
    link, times = LinkEstimator(), DeviceTimes()
    for seen in handshake:
        link.note(seen)
    choices = []
    for moment in moments:
        factor, samples = times.factor(curves)
        situation = Situation(
            link.estimate(moment.start_s),
            device_factor=factor,
            device_samples=samples,
            encode_s=times.encode_s,
            strategies=usable,
            kinds=curves.kinds.shares(candidates.found.records[moment.question].question),
        )
        plan = make_plan(curves, situation, goal)
        choice = Choice(moment, candidates.place[plan.chosen.name], plan)
        choices.append(choice)
        _learn(choice, candidates, link, times)
    return choices


def _learn(choice: Choice, candidates: CandidateTable, link: LinkEstimator, times: DeviceTimes) -> None:
    chosen, moment = choice.plan.chosen, choice.moment
    encode_s = float(moment.encode_s[choice.candidate])
    times.note(candidate_name(chosen.strategy, chosen.setting), encode_s)
    if chosen.strategy == LOCAL or chosen.crop:
        return  # two crossings at once tell less than one
    size = float(candidates.payload_bytes[moment.question, choice.candidate])
    sent_s = moment.start_s + encode_s
    link.note(LinkObservation(size, sent_s, moment.start_s + choice.time_s, chosen.cloud_s))


def _crop_ms(found: Measured, crop: str) -> tuple[float, float]:
    costs = [cost for (name, _), cost in found.crops.items() if name == crop]
    return float(np.median([c.encode_ms for c in costs])), float(np.median([c.decode_ms for c in costs]))


def _mean_bytes(found: Measured, crop: str) -> int:
    """Mean bytes of a region that was not measured, because the question needs none."""
    return round(np.mean([cost.payload_bytes for (name, _), cost in found.crops.items() if name == crop]))
