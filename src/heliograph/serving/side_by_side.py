"""A worker that answers many questions side by side: they join and leave between steps of one batch.

::

    start --> waiting --restore, admit while it fits--> batch --step, step--> ended --> outcome
                 |                                        |
                 +----- cancelled: stopped, dropped ------+

Looks, and whatever else is no answer, are done alone between two steps. A question that does not fit into what is left
of the cache waits here, and then this worker has no room: nothing that is begun later overtakes it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from heliograph.clock import now_s
from heliograph.errors import AnsweringFailedError
from heliograph.serving.cloud import Cloud, Seen
from heliograph.serving.jobs import Outcome, Purpose
from heliograph.serving.worker import Assignment, Finished, OneByOne, Worker
from heliograph.strategies.selection import hears
from heliograph.strategies.words import asked_with

if TYPE_CHECKING:
    from heliograph.vlm.contract import AnswerBatch, BatchRequest, EndedRequest

MAX_JOBS = 64
"""Jobs that are held at a time, whatever they cost."""

_RESTORING_S = 0.02  # between two steps, where somebody waits for the next one
_MEMORY = 0.2

log = logging.getLogger("heliograph.serving")


@dataclass(eq=False)
class _Held:
    """A job that was started.

    Attributes:
        assignment: of the job.
        begun_s: when it was started.
        seen: what its prefixes restored to, once they have been.
        request: in the batch, once it was made.
        seconds: that were spent on it so far.
    """

    assignment: Assignment
    begun_s: float
    seen: Seen | None = None
    request: BatchRequest | None = None
    seconds: float = 0.0


class SideBySide:
    """Answers through a batch of the cloud's model.

    Args:
        cloud: restores, and completes answers.
        batch: of its model, that nobody else uses.
    """

    def __init__(self, cloud: Cloud, batch: AnswerBatch) -> None:
        self._cloud, self._batch = cloud, batch
        self._waiting: deque[_Held] = deque()
        self._running: dict[BatchRequest, _Held] = {}
        self._usual_cost = 0.0
        self._stuck = False  # the first that waits does not fit

    @property
    def has_room(self) -> bool:
        """Whether one more job of the usual size fits beside all that were started."""
        if self._stuck or len(self._waiting) + len(self._running) >= MAX_JOBS:
            return False
        coming = (len(self._waiting) + 1) * self._usual_cost
        return not (self._waiting or self._running) or self._batch.held_tokens + coming <= self._batch.capacity_tokens

    def start(self, assignment: Assignment) -> None:
        """Take a job; it joins at the next step."""
        self._waiting.append(_Held(assignment, now_s()))

    def work(self, news: Callable[[], bool]) -> list[Finished]:
        """Take steps until something is finished, or somebody waits to be started and there is room."""
        finished: list[Finished] = []
        while not finished and (self._waiting or self._running):
            finished += self._dropped()
            finished += self._joined()
            if self._running:
                finished += self._stepped()
            if news() and self.has_room:
                break
        return finished

    def forget(self) -> None:
        """Keep nothing of questions and images that have ended."""
        self._batch.forget()

    # ---- joining -----------------------------------------------------------------------------------
    def _joined(self) -> list[Finished]:
        """Restore and admit what waits, in order, while it fits and the others need not stand still for long."""
        finished: list[Finished] = []
        spent_s = 0.0
        self._stuck = False
        while self._waiting and not (self._running and spent_s > _RESTORING_S):
            held = self._waiting[0]
            begun_s = now_s()
            ended = self._prepared(held)
            took_s = now_s() - begun_s
            held.seconds, spent_s = held.seconds + took_s, spent_s + took_s
            if ended is None and not self._fits(held):
                self._stuck = True
                break
            self._waiting.popleft()
            if ended is not None:
                finished.append(self._outcome(held, ended))
            else:
                assert held.request is not None, "it was prepared"
                self._batch.admit(held.request)
                self._running[held.request] = held
        return finished

    def _prepared(self, held: _Held) -> Outcome | None:
        """Have its request made; the outcome of what needs none, or cannot have one."""
        job = held.assignment.job
        if held.request is not None:
            return None
        if job.purpose is Purpose.LOOK:
            return self._cloud.run(job)
        made = self._cloud.attempt(job, lambda: self._request(held))
        return made if isinstance(made, Outcome) else None

    def _request(self, held: _Held) -> None:
        from heliograph.vlm.contract import BatchRequest

        job = held.assignment.job
        held.seen = self._seen_by_others(held) or self._cloud.seen_of(job)
        text, images = asked_with(job.question.text, held.seen)
        held.request = BatchRequest(text, images, job.draft, job.question.max_answer_tokens)

    def _seen_by_others(self, held: _Held) -> Seen | None:
        """What an equal prefix was restored to for another question that is here; None where it is one question's."""
        job = held.assignment.job
        if hears(job.encoded.strategy) or job.crop is not None or job.tokens is not None:
            return None
        same = (one for one in self._running.values() if one.assignment.job.encoded == job.encoded)
        return next((one.seen for one in same if one.seen is not None and len(one.seen) == 1), None)

    def _fits(self, held: _Held) -> bool:
        assert held.request is not None, "it was prepared"
        cost = self._batch.cost(held.request)
        self._usual_cost += (_MEMORY if self._usual_cost else 1.0) * (cost - self._usual_cost)
        return self._batch.fits(held.request)

    # ---- steps -------------------------------------------------------------------------------------
    def _stepped(self) -> list[Finished]:
        """One step of the batch; its time is shared by all who took part."""
        begun_s = now_s()
        try:
            ended = self._batch.step()
        except Exception:
            log.exception("a step of the batch failed")
            return self._all_failed()
        share_s = (now_s() - begun_s) / len(self._running)
        for held in self._running.values():
            held.seconds += share_s
        return [self._concluded(one) for one in ended]

    def _concluded(self, ended: EndedRequest) -> Finished:
        held = self._running.pop(ended.request)
        job, seen, verified = held.assignment.job, held.seen, ended.verified
        begun_s = now_s()
        if verified is None:
            outcome = self._cloud.failed(job, ended.error or AnsweringFailedError())
        else:
            assert seen is not None, "it was prepared"
            outcome = self._cloud.attempt(
                job, lambda: self._cloud.concluded(job, seen, verified.answer, verified.kept_tokens)
            )
        held.seconds += now_s() - begun_s
        return self._outcome(held, outcome)

    def _all_failed(self) -> list[Finished]:
        failed = list(self._running.items())
        self._running.clear()
        for request, _ in failed:
            self._batch.drop(request)
        return [self._outcome(held, Outcome(error=AnsweringFailedError())) for _, held in failed]

    # ---- leaving -----------------------------------------------------------------------------------
    def _dropped(self) -> list[Finished]:
        """Stop what was cancelled."""
        gone = [held for held in self._waiting if held.assignment.cancelled]
        self._waiting = deque(held for held in self._waiting if not held.assignment.cancelled)
        for request, held in list(self._running.items()):
            if held.assignment.cancelled:
                self._batch.drop(request)
                del self._running[request]
                gone.append(held)
        return [self._outcome(held, Outcome(stopped=True)) for held in gone]

    def _outcome(self, held: _Held, outcome: Outcome) -> Finished:
        return held.assignment, replace(outcome, seconds=held.seconds, elapsed_s=now_s() - held.begun_s)


def worker_of(cloud: Cloud, capacity_tokens: int) -> Worker:
    """The worker for a cloud: side by side where its model can, else one job after the other.

    Args:
        cloud: with the model.
        capacity_tokens: cache positions that questions take together; 1 for one at a time.
    """
    open_batch = getattr(cloud.model, "open_batch", None)
    batch = open_batch(capacity_tokens) if open_batch is not None and capacity_tokens > 1 else None
    if batch is None:
        reason = getattr(cloud.model, "one_at_a_time", None)
        log.info("questions are answered one after the other%s", f": {reason}" if reason else "")
        return OneByOne(cloud.run)
    return SideBySide(cloud, batch)
