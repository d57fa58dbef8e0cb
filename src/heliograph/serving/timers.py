"""One timer for each question: its deadline, then its region."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container


class QuestionTimers:
    """Calls back on the running event loop; a new timer of a question takes the place of its old one."""

    def __init__(self) -> None:
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def set(self, question_id: int, wait_s: float, act: Callable[[], None]) -> None:
        """Call ``act`` after a wait."""
        self.drop(question_id)
        self._timers[question_id] = asyncio.get_running_loop().call_later(wait_s, act)

    def drop(self, question_id: int) -> None:
        """The question is over."""
        timer = self._timers.pop(question_id, None)
        if timer is not None:
            timer.cancel()

    def drop_all(self) -> None:
        """The session is over."""
        for question_id in list(self._timers):
            self.drop(question_id)

    def keep_only(self, open_questions: Container[int]) -> None:
        """Drop those of questions that are not open any more."""
        for question_id in [n for n in self._timers if n not in open_questions]:
            self.drop(question_id)
