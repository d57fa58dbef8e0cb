"""Joules of one answered question on a device, term by term::

    E = compute     processor seconds on one core x the board's power
      + wake        the radio, from asleep to ready
      + packets     airtime x power + a cost per packet + a cost per exchange
      + wait        the radio, listening for the answer
      + tail        the radio, connected after the last packet
      + awake       the board at idle while the radio wakes, sends and waits

Each term is a sum of constants times quantities, so that two estimates can be compared with the constants that they
share moved together (:mod:`heliograph.energy.ranking`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from heliograph.energy.constants import Constant
from heliograph.energy.joules import Modelled
from heliograph.energy.radios import Board, Radio, Traffic
from heliograph.errors import UsageError

COMPUTE, WAKE, PACKETS, WAIT, TAIL, AWAKE = "compute", "wake", "packets", "wait", "tail", "awake"
TERMS = (COMPUTE, WAKE, PACKETS, WAIT, TAIL, AWAKE)

Part = tuple[Constant, float]
"""A constant and how much of it: seconds of a power, or a number of energies."""


@dataclass(frozen=True)
class Estimate:
    """Modelled joules of one exchange.

    Attributes:
        name: of the strategy, or whatever is compared.
        processor_s: seconds of one core.
        traffic: packets on the radio.
        terms: parts of every term.
    """

    name: str
    processor_s: float
    traffic: Traffic
    terms: Mapping[str, tuple[Part, ...]]

    def term(self, name: str) -> Modelled:
        """Joules of one term."""
        return _modelled(self.terms[name])

    @property
    def total(self) -> Modelled:
        """Joules of all of them."""
        return _modelled(part for term in self.terms.values() for part in term)

    @property
    def quantities(self) -> dict[Constant, float]:
        """How much of every constant, over all terms."""
        return quantities(part for term in self.terms.values() for part in term)


def estimate(
    name: str,
    traffic: Traffic,
    processor_s: float,
    radio: Radio,
    board: Board,
    wait_s: float = 0.0,
) -> Estimate:
    """Joules of an exchange.

    Args:
        name: what the estimate is of.
        traffic: what it sends on that radio; no packets where it answers by itself.
        processor_s: seconds of one core of this board.
        radio: what carries the packets.
        board: what makes them.
        wait_s: from the last packet to the answer.

    Raises:
        UsageError: a time is below 0 or not finite.
    """
    for argument, value in (("processor_s", processor_s), ("wait_s", wait_s)):
        if not 0 <= value < math.inf:
            raise UsageError.of_argument(argument, "a number of seconds from 0", value)
    sends = float(traffic.packets > 0)
    waiting = wait_s if sends else 0.0
    awake = traffic.airtime_s + waiting + sends * (_seconds(radio.wake_s) + _seconds(radio.session_s))
    terms = {
        COMPUTE: board.computing(processor_s),
        WAKE: _part(radio.wake, sends * _seconds(radio.wake_s)),
        PACKETS: (
            (radio.transmit, traffic.airtime_s),
            *_part(radio.packet, float(traffic.packets)),
            *_part(radio.session, sends),
        ),
        WAIT: _part(radio.receive, waiting),
        TAIL: _part(radio.tail, sends * _seconds(radio.tail_s)),
        AWAKE: ((board.idle, awake),),
    }
    return Estimate(name, processor_s, traffic, terms)


def quantities(parts: Iterable[Part]) -> dict[Constant, float]:
    """How much of every constant."""
    found: dict[Constant, float] = {}
    for constant, quantity in parts:
        found[constant] = found.get(constant, 0.0) + quantity
    return found


def _modelled(parts: Iterable[Part]) -> Modelled:
    low = centre = high = 0.0
    for constant, quantity in parts:
        low += constant.low * quantity
        centre += constant.centre * quantity
        high += constant.high * quantity
    return Modelled(low, centre, high)


def _part(constant: Constant | None, quantity: float) -> tuple[Part, ...]:
    return () if constant is None else ((constant, quantity),)


def _seconds(constant: Constant | None) -> float:
    return 0.0 if constant is None else constant.centre
