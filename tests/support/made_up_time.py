"""An event loop whose time passes only while everybody waits: what takes minutes takes no time, and always as long."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class JumpingSelector(selectors.DefaultSelector):
    """Where nothing happens until a timer is due, it is due now."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """What is ready; never waits."""
        found = super().select(0)
        if not found and timeout is None:
            raise AssertionError("everybody waits for ever")
        if not found and timeout is not None:
            self.now += max(timeout, 0.0)
        return found


class MadeUpTimeLoop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds of the made-up clock."""
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]
        self, executor: object, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """At once: a thread would take real time."""
        done = self.create_future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done


def now() -> float:
    """Seconds of the running loop's clock."""
    return asyncio.get_running_loop().time()


def run(conversation: Coroutine[Any, Any, _T], most_s: float = 1e6) -> _T:
    """What a coroutine gives on a loop of its own."""
    with asyncio.Runner(loop_factory=MadeUpTimeLoop) as runner:
        return runner.run(asyncio.wait_for(conversation, most_s))
