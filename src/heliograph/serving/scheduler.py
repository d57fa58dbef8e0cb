"""One model thread for all sessions, in turns. The event loop never runs the model and never waits for it.

::

    sessions --Urgency--> awaited: party --> its sessions ┐   party: whose share is smallest   ┌--> worker --> outcomes
                          drafts:  party --> its sessions ┘ session: what is most urgent there ┘

What a device waits for goes before every draft. Among what is awaited, and among drafts, parties share the model by
their weights (:mod:`heliograph.serving.fair.shares`), however many connections each has; within a party what is most
urgent goes first (:mod:`heliograph.serving.fair.urgency`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from heliograph.clock import now_s
from heliograph.serving.fair.parties import Party
from heliograph.serving.fair.shares import FairShares
from heliograph.serving.fair.urgency import Urgency
from heliograph.serving.jobs import AnswerJob, Outcome
from heliograph.serving.worker import Assignment, Finished, Worker

_MEMORY = 0.2  # weight of the newest job in the running means


class Client(Protocol):
    """A session, as the scheduler sees it."""

    @property
    def party(self) -> Party:
        """Whose session it is."""

    def urgency(self) -> Urgency | None:
        """How urgent the most urgent piece of work is now; None where there is none."""

    def next_job(self) -> AnswerJob | None:
        """That piece of work, from the newest prefix; None where there is none any more."""

    def deliver(self, job: AnswerJob, outcome: Outcome) -> None:
        """Take the result of a job."""

    def withdraw(self, job: AnswerJob, outcome: Outcome) -> None:
        """A job was stopped before its end; what it took is in ``outcome``."""


@dataclass(eq=False)
class _Line:
    """Work of one kind that waits: sessions by party, and what each party has had of the model."""

    shares: FairShares
    sessions: dict[Party, dict[Client, Urgency]]

    def put(self, client: Client, urgency: Urgency) -> None:
        """A session waits."""
        self.sessions.setdefault(client.party, {})[client] = urgency
        self.shares.join(client.party)

    def remove(self, client: Client) -> None:
        """It does not, or not here."""
        waiting = self.sessions.get(client.party, {})
        if waiting.pop(client, None) is not None and not waiting:
            del self.sessions[client.party]
            self.shares.leave(client.party)

    def first(self, now: float) -> Client:
        """Whose turn it is."""
        waiting = self.sessions[self.shares.first(self.sessions)]
        return min(waiting, key=lambda client: waiting[client].order(now))


@dataclass(eq=False)
class _Running:
    """A job that the worker holds."""

    client: Client
    party: Party
    line: _Line
    expected_s: float


class Scheduler:
    """Gives the worker jobs of the sessions whose turn it is.

    A job is made only when the worker has room for it, so nothing stale ever waits: the lines hold sessions (each at
    most once), not jobs, and are bounded by their number.

    Args:
        worker: does the jobs in the model thread.
        clock: seconds, ascending.
    """

    def __init__(self, worker: Worker, clock: Callable[[], float] = now_s) -> None:
        self._worker, self._clock = worker, clock
        self._awaited, self._drafts = _Line(FairShares(), {}), _Line(FairShares(), {})
        self._running: dict[Assignment, _Running] = {}
        self._usual_s: float | None = None
        self._wake, self._news = asyncio.Event(), False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heliograph-model")

    # ---- sessions ----------------------------------------------------------------------------------
    def ready(self, client: Client) -> None:
        """Look at a session that may have work, or other work than before."""
        urgency = client.urgency()
        line = None if urgency is None else self._awaited if urgency.awaited else self._drafts
        for one in (self._awaited, self._drafts):
            if one is not line:
                one.remove(client)
        if line is not None and urgency is not None:
            line.put(client, urgency)
            self._news = True
            self._wake.set()

    def remove(self, client: Client) -> None:
        """A session has ended, or is about to belong to another party: what it waits for is not begun, what is being
        done for it is stopped."""
        self._awaited.remove(client)
        self._drafts.remove(client)
        for assignment, running in self._running.items():
            if running.client is client:
                assignment.cancelled = True

    def cancel(self, job: AnswerJob) -> bool:
        """Nobody wants a job any more that may have begun; whether it had, and was told to stop."""
        for assignment in self._running:
            if assignment.job is job and not assignment.cancelled:
                assignment.cancelled = True
                return True
        return False

    @property
    def waiting(self) -> tuple[Client, ...]:
        """Sessions that wait for a turn."""
        lines = (self._awaited, self._drafts)
        return tuple(client for line in lines for sessions in line.sessions.values() for client in sessions)

    @property
    def newcomer_wait_s(self) -> float:
        """Seconds that a party that is not known yet would wait: a job of everybody who waits goes before."""
        parties = {running.party for running in self._running.values()} | set(self._awaited.sessions)
        return len(parties) * (self._usual_s or 0.0)

    # ---- jobs --------------------------------------------------------------------------------------
    async def work(self) -> None:
        """Serve until cancelled."""
        while True:
            self._wake.clear()
            self._fill()
            if self._running:
                await self._turn()
            else:
                await self._wake.wait()

    def _fill(self) -> None:
        """Start jobs while the worker has room."""
        while self._worker.has_room:
            line = self._awaited if self._awaited.sessions else self._drafts
            if not line.sessions:
                break
            self._start(line.first(self._clock()), line)
        self._news = False
        if self._awaited.sessions:
            self._make_room()
        if not self._running:
            self._awaited.shares.reset()
            self._drafts.shares.reset()

    def _make_room(self) -> None:
        """There is none for what a device waits for: the draft that was begun last gives way, if there is one."""
        for assignment, running in reversed(self._running.items()):
            if running.line is self._drafts:
                assignment.cancelled = True
                return

    def _start(self, client: Client, line: _Line) -> None:
        party, job = client.party, client.next_job()
        if job is None:
            line.remove(client)
            return
        expected_s = party.usual_s if party.usual_s is not None else self._usual_s or 0.0
        line.shares.begin(party, expected_s)
        assignment = Assignment(job)
        self._running[assignment] = _Running(client, party, line, expected_s)
        self._worker.start(assignment)
        self.ready(client)  # a further question of it

    async def _turn(self) -> None:
        """One turn of the worker; a function of its own, so that nothing of it stays in memory until the next."""
        loop = asyncio.get_running_loop()
        for finished in await loop.run_in_executor(self._thread, self._worker.work, self._has_news):
            self._settle(finished)

    def _has_news(self) -> bool:
        return self._news

    def _settle(self, finished: Finished) -> None:
        assignment, outcome = finished
        running = self._running.pop(assignment)
        party = running.party
        running.line.shares.settle(party, running.expected_s, outcome.seconds)
        if outcome.stopped:
            running.client.withdraw(assignment.job, outcome)
        else:
            party.usual_s = _mean(party.usual_s, outcome.seconds)
            self._usual_s = _mean(self._usual_s, outcome.seconds)
            running.client.deliver(assignment.job, outcome)
        self.ready(running.client)

    def forget(self) -> None:
        """Have the worker keep nothing of questions that have ended, after what it is doing."""
        self._thread.submit(self._worker.forget)

    def close(self) -> None:
        """End the thread after the job at hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _mean(known: float | None, newest: float) -> float:
    return newest if known is None else known + _MEMORY * (newest - known)
