"""How long to wait before the next attempt to reach a cloud; pure: the jitter comes in as numbers."""

from __future__ import annotations

from collections.abc import Callable

_FIRST_S, _LONGEST_S = 0.25, 4.0
_FIRST_BUSY_S, _LONGEST_BUSY_S = 1.0, 15.0
_MIN_SHARE = 0.5


class Backoff:
    """Pauses that double up to a bound, each shortened by up to a half so that a crowd does not come back together.

    Args:
        jitter: gives numbers from 0 to below 1, such as ``random.Random().random``.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._lost = 0
        self._busy = 0

    @property
    def failures(self) -> int:
        """How many there were in a row."""
        return self._lost + self._busy

    def restart(self) -> None:
        """Something was achieved: begin with short pauses again."""
        self._lost = self._busy = 0

    def pause_s(self, *, busy: bool) -> float:
        """Seconds to wait after one more failure.

        Args:
            busy: the cloud answered that it is full: longer pauses, because it is there and has work. A link that broke
                is tried again at once, then after 0.25 s and so on.
        """
        if busy:
            self._busy += 1
            return self._shortened(min(_LONGEST_BUSY_S, _FIRST_BUSY_S * 2 ** min(self._busy - 1, 16)))
        self._lost += 1
        if self._lost == 1:
            return 0.0
        return self._shortened(min(_LONGEST_S, _FIRST_S * 2 ** min(self._lost - 2, 16)))

    def _shortened(self, pause_s: float) -> float:
        return pause_s * (_MIN_SHARE + (1 - _MIN_SHARE) * self._jitter())
