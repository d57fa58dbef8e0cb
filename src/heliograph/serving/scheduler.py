"""One model thread for all sessions, in turns. The event loop never runs the model and never waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from heliograph.serving.jobs import AnswerJob, Outcome


class Client(Protocol):
    """A session, as the scheduler sees it."""

    def next_job(self) -> AnswerJob | None:
        """The most urgent job now, from the newest prefix; None where there is none."""

    def deliver(self, job: AnswerJob, outcome: Outcome) -> None:
        """Take the result of a job."""


class Scheduler:
    """Gives the model thread to sessions in turns, one job each.

    Work is asked for only when the thread is free, so nothing stale ever waits: the queue holds sessions (each
    at most once), not jobs, and is bounded by their number.

    Args:
        run: does one job in the model thread; never raises.
    """

    def __init__(self, run: Callable[[AnswerJob], Outcome]) -> None:
        self._run = run
        self._line: deque[Client] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="heliograph-model")

    def ready(self, client: Client) -> None:
        """Put a session that may have work into the line, unless it stands there already."""
        if client not in self._line:
            self._line.append(client)
        self._wake.set()

    def remove(self, client: Client) -> None:
        """A session has ended."""
        if client in self._line:
            self._line.remove(client)

    async def work(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._wake.wait()
            if not self._line:
                self._wake.clear()
                continue
            await self._serve(self._line.popleft())

    async def _serve(self, client: Client) -> None:
        """One job of one session; a function of its own, so that nothing of it stays in memory until the next."""
        job = client.next_job()
        if job is not None:
            outcome = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, job)
            client.deliver(job, outcome)
            self.ready(client)

    def close(self) -> None:
        """End the thread after the job at hand."""
        self._thread.shutdown(wait=False, cancel_futures=True)
