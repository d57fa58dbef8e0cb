"""How long to wait before the next attempt to reach a cloud; pure: the jitter comes in as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_PAUSES_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
_BUSY_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
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
            return self._shortened(_BUSY_PAUSES_S, self._busy)
        self._lost += 1
        return self._shortened(_PAUSES_S, self._lost)

    def _shortened(self, pauses_s: Sequence[float], failures: int) -> float:
        """The pause after so many failures, the last one for all that follow."""
        pause_s = pauses_s[min(failures, len(pauses_s)) - 1]
        return pause_s * (_MIN_SHARE + (1 - _MIN_SHARE) * self._jitter())
