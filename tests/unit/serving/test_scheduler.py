"""One model thread for all sessions: in turns, one job each, and nobody waits twice. On made-up time."""

import asyncio

from heliograph.serving.scheduler import Scheduler


class Client:
    """A session with some jobs."""

    def __init__(self, name, jobs, log):
        self.name, self.jobs, self.log, self.delivered = name, list(jobs), log, []

    def next_job(self):
        return self.jobs.pop(0) if self.jobs else None

    def deliver(self, job, outcome):
        self.delivered.append((job, outcome))
        self.log.append(f"{self.name}{job}")


def served(fake, clients_of, ready, until_s=1.0):
    """Have a scheduler work for a while; what it did, in order."""
    log = []

    async def whole():
        scheduler = Scheduler(lambda job: -job)
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

    log, clients, _ = served(fake, lambda log: [Client("a", (1, 2, 3), log), Client("b", (4, 5), log)], ready)
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

    log, _, _ = served(fake, lambda log: [Client("a", (), log)], ready)
    assert log == ["a7"]


def test_a_session_that_has_ended_is_not_asked(fake):
    async def ready(scheduler, clients):
        for client in clients:
            scheduler.ready(client)
        scheduler.remove(clients[0])
        scheduler.remove(clients[0])  # as often as one likes

    log, clients, _ = served(fake, lambda log: [Client("a", (1,), log), Client("b", (2,), log)], ready)
    assert log == ["b2"]
    assert clients[0].jobs == [1]
