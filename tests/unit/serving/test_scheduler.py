"""One model thread for all sessions: in turns, nobody waits twice, and what is cancelled is not done."""

import asyncio
import threading
from types import SimpleNamespace

from heliograph.serving.fair.parties import Party
from heliograph.serving.fair.urgency import Rank, Urgency
from heliograph.serving.jobs import Outcome
from heliograph.serving.scheduler import Scheduler
from heliograph.serving.worker import OneByOne
from model_turns import Model, Session, parties, served


class Client:
    """A session with some jobs, which are numbers."""

    def __init__(self, name, jobs, log):
        self.name, self.jobs, self.log, self.delivered = name, list(jobs), log, []
        self.party, self.withdrawn, self.turn_s = Party(), [], 0.0

    def urgency(self):
        return Urgency(Rank.ANSWER, self.turn_s) if self.jobs else None

    def next_job(self):
        if not self.jobs:
            return None
        self.turn_s += 1
        return SimpleNamespace(number=self.jobs.pop(0))

    def deliver(self, job, outcome):
        self.delivered.append((job.number, outcome.answer))
        self.log.append(f"{self.name}{job.number}")

    def withdraw(self, job, outcome):
        self.withdrawn.append(job.number)


def run_of(job):
    return Outcome(answer=-job.number, seconds=1.0)


def made(fake, clients_of, ready, until_s=1.0, run=run_of):
    """Have a scheduler work for a while; what it did, in order."""
    log = []

    async def whole():
        scheduler = Scheduler(OneByOne(run), fake.now)
        clients = clients_of(log)
        working = asyncio.ensure_future(scheduler.work())
        await ready(scheduler, clients)
        await asyncio.sleep(until_s)
        working.cancel()
        scheduler.close()
        return clients, scheduler

    clients, scheduler = fake.run(whole())
    return log, clients, scheduler


def test_sessions_take_turns_and_get_what_was_made_of_their_own_jobs(fake):
    async def ready(scheduler, clients):
        for client in clients:
            scheduler.ready(client)
            scheduler.ready(client)  # it stands in the line once

    log, clients, _ = made(fake, lambda log: [Client("a", (1, 2, 3), log), Client("b", (4, 5), log)], ready)
    assert log == ["a1", "b4", "a2", "b5", "a3"]
    assert clients[0].delivered == [(1, -1), (2, -2), (3, -3)]


def test_a_session_without_work_leaves_the_line_until_it_says_so(fake):
    async def ready(scheduler, clients):
        scheduler.ready(clients[0])
        await asyncio.sleep(0.1)
        clients[0].jobs.append(7)
        await asyncio.sleep(0.1)
        assert clients[0].delivered == []
        scheduler.ready(clients[0])

    log, _, _ = made(fake, lambda log: [Client("a", (), log)], ready)
    assert log == ["a7"]


def test_a_session_that_has_ended_is_not_asked(fake):
    async def ready(scheduler, clients):
        for client in clients:
            scheduler.ready(client)
        scheduler.remove(clients[0])
        scheduler.remove(clients[0])  # as often as one likes

    log, clients, _ = made(fake, lambda log: [Client("a", (1,), log), Client("b", (2,), log)], ready)
    assert log == ["b2"]
    assert clients[0].jobs == [1]


def test_a_session_that_thinks_better_of_it_holds_up_nobody(fake):
    async def ready(scheduler, clients):
        for client in clients:
            scheduler.ready(client)
        clients[0].jobs.clear()  # unsaid

    log, _, scheduler = made(fake, lambda log: [Client("a", (1,), log), Client("b", (2,), log)], ready)
    assert log == ["b2"]
    assert scheduler.waiting == ()


# ---- what is not wanted any more ---------------------------------------------------------------------------------
def test_what_is_cancelled_before_it_begins_is_not_done():
    one_by_one, done = OneByOne(lambda job: done.append(job) or Outcome()), []
    assignment = SimpleNamespace(job=1, cancelled=True)
    one_by_one.start(assignment)
    assert not one_by_one.has_room
    ((ended, outcome),) = one_by_one.work(lambda: False)
    assert (ended, outcome.stopped, done) == (assignment, True, [])
    assert one_by_one.has_room
    assert one_by_one.work(lambda: False) == []


def test_a_job_that_runs_is_told_to_stop_once_and_then_belongs_to_nobody():
    begun, go_on = threading.Event(), threading.Event()

    def run(job):
        begun.set()
        assert go_on.wait(20)
        return run_of(job)

    async def whole():
        scheduler, client = Scheduler(OneByOne(run)), Client("a", (1,), [])
        working = asyncio.ensure_future(scheduler.work())
        scheduler.ready(client)
        while not begun.is_set():
            await asyncio.sleep(0)
        (assignment,) = scheduler._running
        told = [scheduler.cancel(job) for job in (assignment.job, assignment.job, SimpleNamespace())]
        go_on.set()
        while not client.delivered:
            await asyncio.sleep(0)
        working.cancel()
        scheduler.close()
        return told, assignment.cancelled, client.delivered

    # this worker does what it has begun; the session's desk drops it
    assert asyncio.run(whole()) == ([True, False, False], True, [(1, -1)])


def test_a_worker_that_stops_gives_the_job_back():
    one, other = parties(1, 1)
    model = Model(2)
    stopped, going = Session(model, one, "s"), Session(model, other, "g")

    def remove(scheduler):
        stopped.left = 0
        scheduler.remove(stopped)

    asyncio.run(served(model, [stopped, going], 12, [(2, remove)]))
    assert (len(stopped.withdrawn), [job.name for job in model.done].count("s")) == (1, len(stopped.delivered))
    assert len(going.delivered) >= 8


def test_who_is_not_known_yet_waits_for_a_job_of_everybody():
    guests = parties(1, 1, 1)
    model = Model()
    scheduler = asyncio.run(served(model, [Session(model, guest, seconds=2.0) for guest in guests], 20))
    assert scheduler.newcomer_wait_s == 6.0
    assert Scheduler(model).newcomer_wait_s == 0.0
