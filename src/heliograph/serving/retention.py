"""What is held of photos and questions beyond their sessions goes after its time: kept sessions, the model's caches."""

from __future__ import annotations

import asyncio

from heliograph.serving.shared import Shared

_USUAL_S = 30.0
_CHECKS = 4  # within the time that something may be held


class Retention:
    """Drops what was held for long enough, even where nobody comes any more.

    Args:
        shared: of the server.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._forgotten_s = shared.clock()

    def tidy(self) -> None:
        """Drop kept sessions whose time is over, and what the model keeps of questions: when the last session has
        gone, and under ``retain_s`` in time for the oldest question."""
        shared, now = self._shared, self._shared.clock()
        shared.kept.drop_expired()
        retain_s = shared.limits.retain_s
        due = retain_s is not None and now - self._forgotten_s >= retain_s / 2
        if due or not (shared.metrics.sessions_open or len(shared.kept)):
            shared.cloud.forget_questions()
            shared.scheduler.forget()
            self._forgotten_s = now

    async def work(self) -> None:
        """Tidy until cancelled."""
        limits = self._shared.limits
        times_s = [_USUAL_S, limits.keep_s, _USUAL_S if limits.retain_s is None else limits.retain_s]
        pause_s = min(seconds for seconds in times_s if seconds > 0) / _CHECKS
        while True:
            await asyncio.sleep(pause_s)
            self.tidy()
