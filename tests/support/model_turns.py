"""Sessions with work and a worker that takes made-up time: who gets how much of the model is read off exactly."""

import asyncio
from math import inf
from types import SimpleNamespace

from heliograph.serving.fair.parties import Party
from heliograph.serving.fair.urgency import Rank, Urgency
from heliograph.serving.jobs import Outcome
from heliograph.serving.scheduler import Scheduler


class Model:
    """A worker of some places; every job is done after its time, in steps of one job each.

    Its seconds are counted and not slept: the test's clock is the model's.
    """

    def __init__(self, places=1):
        self.places, self.held, self.now, self.done = places, [], 0.0, []
        self.most_held = 0

    @property
    def has_room(self):
        return len(self.held) < self.places

    def start(self, assignment):
        self.held.append(assignment)
        self.most_held = max(self.most_held, len(self.held))

    def work(self, news):
        assignment = self.held.pop(0)
        if assignment.cancelled:
            return [(assignment, Outcome(stopped=True))]
        self.now += assignment.job.seconds
        self.done.append(assignment.job)
        return [(assignment, Outcome(seconds=assignment.job.seconds))]


class Session:
    """Has jobs of one kind: so many, or always another one."""

    def __init__(self, model, party, name="", rank=Rank.ANSWER, seconds=1.0, jobs=inf, due_s=inf):
        self.model, self.party, self.name = model, party, name
        self.rank, self.seconds, self.left, self.due_s = rank, seconds, jobs, due_s
        self.since_s, self.busy, self.delivered, self.withdrawn = 0.0, False, [], []

    def urgency(self):
        return None if self.busy or self.left <= 0 else Urgency(self.rank, self.since_s, self.due_s)

    def next_job(self):
        if self.urgency() is None:
            return None
        self.busy, self.left = True, self.left - 1
        self.since_s = self.model.now
        return SimpleNamespace(client=self, name=self.name, seconds=self.seconds)

    def deliver(self, job, outcome):
        self.busy = False
        self.delivered.append((job, outcome))

    def withdraw(self, job, outcome):
        self.busy = False
        self.withdrawn.append(job)


def parties(*weights):
    return [Party(str(number).encode(), weight) for number, weight in enumerate(weights)]


async def served(model, sessions, until, more=()):
    """Let a scheduler work until the model's clock says so; ``more`` are (seconds, what happens then).

    The scheduler's thread does what the test's loop would do as well: both only count.
    """
    scheduler = Scheduler(model, lambda: model.now)
    for session in sessions:
        scheduler.ready(session)
    working = asyncio.ensure_future(scheduler.work())
    later = sorted(more, key=lambda one: one[0])
    while model.now < until and not working.done():
        while later and later[0][0] <= model.now:
            later.pop(0)[1](scheduler)
        if not (later or scheduler.waiting or scheduler._running):
            break
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    scheduler.close()
    return scheduler


def had(model, party, since=0):
    """Seconds of the model that a party has had."""
    return sum(job.seconds for job in model.done[since:] if job.client.party is party)
