"""Who does the jobs, in the model thread: one after the other here. What a worker must have, to do several at once.

::

    event loop    start(assignment) ... assignment.cancelled = True          finished --> their sessions
    model thread            '--> work(news): some of what was started, or one step of all of it --'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from heliograph.serving.jobs import AnswerJob, Outcome


@dataclass(eq=False)
class Assignment:
    """A job that a worker has been given.

    Attributes:
        job: to do.
        cancelled: nobody wants it any more, or it has to make room; set by the event loop, read by the model thread.
    """

    job: AnswerJob
    cancelled: bool = False


Finished = tuple[Assignment, Outcome]


class Worker(Protocol):
    """Holds some jobs and works on them. Every job that is started comes out of :meth:`work` once."""

    @property
    def has_room(self) -> bool:
        """Whether another job, whatever its size, is taken now; asked between calls of :meth:`work`.

        One that turns out larger than what is left waits within the worker, which then has no room: nothing that is
        begun later overtakes it.
        """

    def start(self, assignment: Assignment) -> None:
        """Take a job, where there is room; between calls of :meth:`work`."""

    def work(self, news: Callable[[], bool]) -> list[Finished]:
        """Work, in the model thread, on what was started, until something is finished; what is. Never raises.

        What was cancelled ends as soon as it can, with ``Outcome.stopped`` where that was before its end.

        Args:
            news: whether somebody waits to be started; then a worker that has room returns after the step at hand.
        """

    def forget(self) -> None:
        """Keep nothing of questions that have ended; in the model thread."""


class OneByOne:
    """Takes one job at a time and does it to its end; what is cancelled before it begins is not done.

    Args:
        run: does one job; never raises.
    """

    def __init__(self, run: Callable[[AnswerJob], Outcome]) -> None:
        self._run = run
        self._held: Assignment | None = None

    @property
    def has_room(self) -> bool:
        """Whether no job is held."""
        return self._held is None

    def start(self, assignment: Assignment) -> None:
        """Take a job."""
        self._held = assignment

    def work(self, news: Callable[[], bool]) -> list[Finished]:
        """Do the job that is held."""
        assignment, self._held = self._held, None
        if assignment is None:
            return []
        if assignment.cancelled:
            return [(assignment, Outcome(stopped=True))]
        return [(assignment, self._run(assignment.job))]

    def forget(self) -> None:
        """Nothing is kept here."""
