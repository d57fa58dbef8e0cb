"""Real sockets on a clock that runs ten times as fast as the real one: what takes minutes takes seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

SPEED = 10.0
_MAX_S = 4000.0

_T = TypeVar("_T")


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop on which a second passes in a tenth of one."""

    def __init__(self) -> None:
        super().__init__()
        real_select: Callable[[float | None], Any] = self._selector.select  # type: ignore[attr-defined]

        def select(timeout: float | None) -> Any:
            return real_select(None if timeout is None else timeout / SPEED)

        self._selector.select = select  # type: ignore[attr-defined]

    def time(self) -> float:
        """Seconds of the fast clock."""
        return now()


def now() -> float:
    """Seconds of the fast clock."""
    return time.monotonic() * SPEED


def run(scenario: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """What a scenario gives on the fast loop."""
    loop = FastLoop()
    try:
        return loop.run_until_complete(asyncio.wait_for(scenario(), _MAX_S))
    finally:
        loop.close()
