"""Links as arithmetic: when a message that is sent now leaves the queue, and when it arrives.

The same :class:`LinkDirection` drives the shaped connection (measured runs) and the bench (modelled runs)::

    size, send time ──► token bucket over the rate (constant or trace) ──► one-way delay ──► arrival
                                └─ loss: the packet travels again after a stall, later messages wait (TCP order)

Nothing here reads a clock or sleeps; the random source of losses is seeded.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

PACKET_BYTES = 1400
"""Bytes of TCP payload in one packet, the unit that is lost."""
RETRANSMISSION_TIMEOUT_S = 0.2
"""Linux' least TCP retransmission timeout; a thin stream has too little in flight for a fast retransmission."""
_MAX_TRANSMISSIONS = 8
_BITS = 8


@dataclass(frozen=True)
class LinkProfile:
    """A link as the device sees it.

    Attributes:
        up_bit_s, down_bit_s: rates in bit/s; the mean rate where there is a trace.
        one_way_delay_s: seconds in either direction, half the round trip.
        loss: chance that a packet is lost, 0 to 0.5.
        trace: (start in seconds from 0, rate in bit/s) steps for both directions, repeated for ever; empty
            for constant rates.
        trace_period_s: seconds after which the trace begins again.
        burst_bytes: depth of the token bucket: what may pass at once after a pause.
        seed: of the losses.
        name: as the user wrote it.
    """

    up_bit_s: float
    down_bit_s: float
    one_way_delay_s: float
    loss: float = 0.0
    trace: tuple[tuple[float, float], ...] = ()
    trace_period_s: float = 0.0
    burst_bytes: int = 0
    seed: int = 0
    name: str = ""

    @property
    def round_trip_s(self) -> float:
        """Seconds for there and back, without sending time."""
        return 2 * self.one_way_delay_s


class _Capacity:
    """Bits that a rate lets through up to a time, and back; constant rate or a repeated trace."""

    def __init__(self, steps: Sequence[tuple[float, float]], period_s: float) -> None:
        self._starts = [start for start, _ in steps]
        self._rates = [rate for _, rate in steps]
        self._period_s = period_s
        ends = [*self._starts[1:], period_s]
        amounts = [rate * (end - start) for (start, rate), end in zip(steps, ends, strict=True)]
        self._bits_at_start = [0.0, *accumulate(amounts)]
        self._period_bits = self._bits_at_start.pop()

    def bits_until(self, time_s: float) -> float:
        """Bits from time 0 until ``time_s``."""
        periods, within_s = divmod(time_s, self._period_s)
        step = bisect_right(self._starts, within_s) - 1
        within = self._bits_at_start[step] + self._rates[step] * (within_s - self._starts[step])
        return periods * self._period_bits + within

    def time_of(self, bits: float) -> float:
        """The first time at which ``bits`` have passed."""
        periods, within = divmod(bits, self._period_bits)
        if within == 0.0 and periods > 0:  # not behind a silent end of the trace
            periods, within = periods - 1, self._period_bits
        step = max(bisect_left(self._bits_at_start, within) - 1, 0)
        rate = self._rates[step]
        within_s = self._starts[step] + ((within - self._bits_at_start[step]) / rate if rate > 0 else 0.0)
        return periods * self._period_s + within_s


class Carried(NamedTuple):
    """When the last byte of a message left the sender's queue, and when it arrived; seconds."""

    leaves_s: float
    arrives_s: float


class LinkDirection:
    """One direction of a link; messages are carried in the order of the calls.

    Args:
        profile: the link.
        up: True from device to cloud.
    """

    def __init__(self, profile: LinkProfile, *, up: bool) -> None:
        rate = profile.up_bit_s if up else profile.down_bit_s
        self._capacity = _Capacity(profile.trace or ((0.0, rate),), profile.trace_period_s if profile.trace else 1.0)
        self._delay_s = profile.one_way_delay_s
        self._stall_s = profile.round_trip_s + RETRANSMISSION_TIMEOUT_S
        self._loss = profile.loss
        self._burst_bits = profile.burst_bytes * _BITS
        self._random = random.Random(2 * profile.seed + int(up))
        self._taken_bits = -float(self._burst_bits)
        self._last_arrival_s = 0.0

    def carry(self, send_s: float, size_bytes: int) -> Carried:
        """Put a message on the link at ``send_s`` (not before the previous call's; seconds from the link's start)."""
        size_bits, stall_s = self._with_losses(size_bytes)
        available = self._capacity.bits_until(send_s)
        self._taken_bits = max(self._taken_bits, available - self._burst_bits) + size_bits
        leaves_s = send_s if self._taken_bits <= available else max(send_s, self._capacity.time_of(self._taken_bits))
        self._last_arrival_s = max(self._last_arrival_s, leaves_s + stall_s + self._delay_s)
        return Carried(leaves_s, self._last_arrival_s)

    def backlog_bytes(self, now_s: float) -> int:
        """Bytes still in the sender's queue at ``now_s``."""
        return max(0, math.ceil((self._taken_bits - self._capacity.bits_until(now_s)) / _BITS - 1e-6))

    def time_of_backlog(self, limit_bytes: int) -> float:
        """The time from which at most ``limit_bytes`` are queued, if nothing else is sent."""
        bits = self._taken_bits - limit_bytes * _BITS
        return self._capacity.time_of(bits) if bits > 0 else 0.0

    def _with_losses(self, size_bytes: int) -> tuple[float, float]:
        """Bits with retransmissions, and the stall in seconds of the packet that fared worst."""
        bits, worst_s = float(size_bytes * _BITS), 0.0
        if self._loss == 0.0:
            return bits, worst_s
        for start in range(0, size_bytes, PACKET_BYTES):
            packet_bits = min(PACKET_BYTES, size_bytes - start) * _BITS
            stall_s, losses = 0.0, 0
            while losses < _MAX_TRANSMISSIONS - 1 and self._random.random() < self._loss:
                bits += packet_bits
                stall_s += self._stall_s * 2**losses  # the timeout doubles
                losses += 1
            worst_s = max(worst_s, stall_s)
        return bits, worst_s


def delivery_times(
    profile: LinkProfile, send_times_s: Sequence[float], sizes_bytes: Sequence[int], *, up: bool = True
) -> list[float]:
    """Arrival times of messages on a fresh link.

    Args:
        profile: the link.
        send_times_s: when each message is sent, seconds, ascending.
        sizes_bytes: bytes of each on the wire, framing included.
        up: direction.

    Returns:
        Arrival of each message's last byte, seconds, ascending.
    """
    direction = LinkDirection(profile, up=up)
    return [direction.carry(t, size).arrives_s for t, size in zip(send_times_s, sizes_bytes, strict=True)]


def handshake_seconds(profile: LinkProfile, up_bytes: int, down_bytes: int) -> float:
    """Seconds to open a websocket: one round trip for TCP, one for the HTTP upgrade, and the bytes' sending times.

    Losses are left out; TLS is not modelled.
    """
    calm = LinkProfile(profile.up_bit_s, profile.down_bit_s, profile.one_way_delay_s)
    request = delivery_times(calm, [profile.round_trip_s], [up_bytes])[0]
    return delivery_times(calm, [request], [down_bytes], up=False)[0]
