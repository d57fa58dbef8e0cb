"""A timer of the running event loop that can be set again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf


class Alarm:
    """Calls back once, at the newest time that it was set to.

    Args:
        clock: seconds, ascending; as fast as the event loop's.
        act: called at that time.
    """

    def __init__(self, clock: Callable[[], float], act: Callable[[], None]) -> None:
        self._clock, self._act = clock, act
        self._at_s = inf
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether it will call back."""
        return self._timer is not None

    def set(self, at_s: float) -> None:
        """Call back at a time, at the next turn of the loop where it is over; never for infinity."""
        if at_s == self._at_s:
            return
        self.stop()
        if at_s != inf:
            self._at_s = at_s
            wait_s = max(at_s - self._clock(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def stop(self) -> None:
        """Do not call back."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._at_s = None, inf

    def _ring(self) -> None:
        self._timer, self._at_s = None, inf
        self._act()
