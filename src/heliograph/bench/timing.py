"""How long work takes, whatever else the machine does at the time."""

from __future__ import annotations

import time


def processor_s() -> float:
    """Seconds of processor time of this process; only differences mean anything.

    The bench computes with one thread, so on an idle machine this is the wall time; on a busy one it does not count
    the waiting that other programs cause.
    """
    return time.process_time()
