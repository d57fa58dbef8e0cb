"""Who may keep the event loop busy, and for how long: what one device sends never holds the others up.

Parsing a message is work that its sender chooses: a megabyte can be one segment or a million empty ones. So it is done
in slices of about a millisecond with a turn of the loop between them. A connection that has used its allowance of
processor time up waits between slices; those waits come from one queue for the whole server, so that however many
senders are over their allowance, together they get a quarter of the loop. Its reads stop meanwhile, and TCP holds
the sender back. Nothing is lost and nobody is refused.

Measuring prefixes is such work too, in a thread that holds the interpreter as the loop does. It has an allowance and a
queue of its own: who is over it has its newest prefix measured later, and its answers come as before.
"""

from __future__ import annotations

import math

ALLOWANCE = "heliograph.allowance"
"""Key in the extensions of an ASGI scope: the connection's allowance, which its websocket already draws on."""
SLICE_S = 0.001
"""Processor seconds between two turns of the loop."""

_SHARE = 0.25  # of the loop, for all connections together that are over their allowance
_BURST_S = 0.2  # a photo of 4,096 segments takes about an eighth of it, or 1,000 messages
_REFILL = 0.005  # 64 connections together earn a third of the loop

# Measured with the shipped bundle: every prefix of a stream costs 10 to 16 ms at most, the first 18 of a photo 40 to
# 115 ms with three questions, all 19 of meta with eight questions 140 ms, all 68 of klt 350 to 550 ms.
_MEASURING_SHARE = 0.1  # of the observer's thread, for all sessions together that are over their allowance
_MEASURING_BURST_S = 0.6  # one photo to its last segment, or five of 18 segments however quickly they come
_MEASURING_REFILL = 0.05  # and then one of 18 segments every second or two, for ever


class Turns:
    """One server's queue of those that are over their allowance: a leaky bucket of processor seconds.

    Args:
        share: of the loop that they get together, above 0 and at most 1.
    """

    def __init__(self, share: float = _SHARE) -> None:
        self._share = share
        self._free_s = -math.inf

    def reserve(self, spent_s: float, now: float) -> float:
        """Seconds to wait for having worked ``spent_s``; whoever comes later waits behind that."""
        self._free_s = max(self._free_s, now) + spent_s / self._share
        return self._free_s - now

    @classmethod
    def for_measuring(cls) -> Turns:
        """The queue of the observer's thread."""
        return cls(_MEASURING_SHARE)


class Allowance:
    """What one connection may make one thread of the server work.

    Args:
        turns: the server's.
        now: seconds.
        burst_s: processor seconds that it has at the beginning, and at most.
        refill: processor seconds that it earns in a second.
    """

    def __init__(self, turns: Turns, now: float, burst_s: float = _BURST_S, refill: float = _REFILL) -> None:
        self._turns, self._burst_s, self._refill = turns, burst_s, refill
        self._left_s, self._at_s = burst_s, now
        self._closed = False

    @classmethod
    def for_measuring(cls, turns: Turns, now: float) -> Allowance:
        """What one session may have measured; ``turns`` is the queue for that."""
        return cls(turns, now, _MEASURING_BURST_S, _MEASURING_REFILL)

    @property
    def closed(self) -> bool:
        """Nobody is left to work for."""
        return self._closed

    def close(self) -> None:
        """The connection is gone: what it has sent need not be worked on any more."""
        self._closed = True

    def spend(self, spent_s: float, now: float) -> float:
        """Take processor seconds off; the seconds to wait before more is done, 0 within the allowance."""
        earned = max(now - self._at_s, 0.0) * self._refill
        self._at_s = now
        self._left_s = min(self._burst_s, self._left_s + earned) - spent_s
        if self._left_s >= 0:
            return 0.0
        owed, self._left_s = -self._left_s, 0.0
        return self._turns.reserve(owed, now)
