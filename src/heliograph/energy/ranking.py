"""Which of several estimates is certainly lower, whatever the constants are within their bands.

Two strategies on one radio and one board share every constant: the transmitter that may take twice as much takes it for
both. So the difference is looked at, constant by constant, and only a sign that no corner of the bands changes counts::

    d = sum over constants c x (q_a - q_b)      a < b where the largest d, each c at its worse end, is below 0

Bands of totals that overlap say nothing against such an order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from heliograph.energy.constants import Constant
from heliograph.energy.joules import Modelled
from heliograph.energy.model import Estimate, quantities
from heliograph.energy.radios import Board, Radio

_MAX_CORNERS = 1 << 12


def certainly_less(one: Estimate, other: Estimate) -> bool:
    """Whether ``one`` takes fewer joules than ``other`` in every corner of the bands."""
    return _largest(_difference(one, other)) < 0


def tiers(estimates: Sequence[Estimate]) -> list[list[Estimate]]:
    """Estimates in groups, lowest first: everything in a group is certainly below everything in the groups after it.

    Within a group the bands do not decide; it is sorted by the centre.
    """
    ordered = sorted(estimates, key=lambda one: one.total.centre)
    found: list[list[Estimate]] = []
    start = 0
    for end in range(1, len(ordered) + 1):
        before, after = ordered[start:end], ordered[end:]
        if all(certainly_less(low, high) for low in before for high in after):
            found.append(before)
            start = end
    return found


def pairs(estimates: Sequence[Estimate]) -> list[tuple[str, str]]:
    """Names of every pair whose order survives the bands, the lower one first."""
    return [(one.name, other.name) for one, other in itertools.permutations(estimates, 2) if certainly_less(one, other)]


def byte_against_compute(radio: Radio, board: Board) -> Modelled:
    """Processor milliseconds of one core that take as much as one byte more on the radio: low, centre and high.

    A byte costs its share of a full packet. What a saved byte may cost to save lies below ``low``; above ``high`` it
    is not worth it.
    """
    size = radio.max_payload_bytes
    seconds = radio.airtime.seconds(radio.header_bytes + size) / size
    sending = [(radio.transmit, seconds), (board.idle, seconds)]
    if radio.packet is not None:
        sending.append((radio.packet, 1 / size))
    byte, second = quantities(sending), quantities(board.computing(1.0))
    constants = tuple({**byte, **second})
    assert 2 ** len(constants) <= _MAX_CORNERS
    corners = itertools.product(*((one.low, one.high) for one in constants))
    ratios = [_ratio(byte, second, dict(zip(constants, corner, strict=True))) for corner in corners]
    centre = _ratio(byte, second, {one: one.centre for one in constants})
    return Modelled(1e3 * min(ratios), 1e3 * centre, 1e3 * max(ratios))


def _ratio(byte: Mapping[Constant, float], second: Mapping[Constant, float], at: Mapping[Constant, float]) -> float:
    """One sum of constants over another of the same: its extremes over a box lie in the box's corners."""
    watts = math.fsum(at[constant] * quantity for constant, quantity in second.items())
    return math.fsum(at[constant] * quantity for constant, quantity in byte.items()) / watts


def _difference(one: Estimate, other: Estimate) -> dict[Constant, float]:
    minus = {constant: -quantity for constant, quantity in other.quantities.items()}
    return quantities([*one.quantities.items(), *minus.items()])


def _largest(difference: Mapping[Constant, float]) -> float:
    return math.fsum(
        (constant.high if quantity > 0 else constant.low) * quantity for constant, quantity in difference.items()
    )
