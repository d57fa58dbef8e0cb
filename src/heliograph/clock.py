"""The one place that reads the time. Rooms that are sans-IO get ``now`` as an argument instead."""

from __future__ import annotations

import time


def now_s() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def worked_s() -> float:
    """Seconds that this thread has had a processor for; waiting counts nothing."""
    return time.thread_time()


def processor_s() -> float:
    """Seconds of processor time of this process, all its threads together; only differences mean anything.

    Where one thread computes on an idle machine this is the wall time; on a busy one it does not count the waiting that
    other programs cause.
    """
    return time.process_time()
