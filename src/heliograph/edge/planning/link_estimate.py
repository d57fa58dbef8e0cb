"""The link as the device's own timestamps show it: rate, round trip, loss, and whether it is up at all.

One drawing of one observation::

    sent_s ---- size_bytes at the rate ----> | work_s in the cloud, and whatever it waited there | ----> acknowledged_s
    crossing = acknowledged - sent - work = round trip + size / rate + waiting

Where the system tells when the last byte was delivered, waiting is known by itself::

    sent_s ---- size_bytes at the rate ----> | delivered_s | work_s, and waiting | ----> acknowledged_s
    crossing = delivered - sent = round trip + size / rate        waiting = acknowledged - delivered - work

What the cloud really takes is not known, so one message says little about the rate: 100 bytes that come 20 ms late look
like 40 kbit/s. The rate is read from the difference between a large message and smaller ones, the round trip from the
least crossing, and what is left is waiting. Pure: times come in as numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from heliograph.controllers.planner import LinkEstimate

PRIOR_RATE_BIT_S = 1e6
PRIOR_ROUND_TRIP_S = 0.06
"""The assumption before anything was sent: an ordinary mobile uplink (the rate of arXiv 2604.26508)."""

CAUTION = 0.25
"""The rate that the planner counts on is this quantile of recent ones: a link gets worse more suddenly than better."""

_RECENT, _MEMORY_S, _FEW, _NEWEST = 12, 60.0, 2, 3
_TELLING_S, _TELLING_BYTES = 0.002, 200
"""A difference of less says nothing about the rate."""
_STALL_S = 0.2
_MIN_RATE, _MAX_RATE = 100.0, 1e10
_LOSS_MEMORY = 0.05
_BITS = 8

RETURNS = 2
"""Successful probes in a row before a link that was down is trusted again."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0


@dataclass(frozen=True)
class LinkObservation:
    """Something that was sent and answered.

    Attributes:
        size_bytes: on the wire.
        sent_s: when its first byte was handed over.
        acknowledged_s: when the other end's reply to its last byte was there.
        work_s: what the other end is believed to have worked meanwhile.
        answered: an answer, which may have waited in the cloud; False for handshakes, which do not.
        delivered_s: when the other end's system had acknowledged the last byte; None where nobody knows.
    """

    size_bytes: float
    sent_s: float
    acknowledged_s: float
    work_s: float = 0.0
    answered: bool = True
    delivered_s: float | None = None

    @property
    def crossing_s(self) -> float:
        """Seconds that the link took, with what was waited where that is not known by itself."""
        if self.delivered_s is not None:
            return max(1e-6, self.delivered_s - self.sent_s)
        return max(1e-6, self.acknowledged_s - self.sent_s - self.work_s)

    @property
    def waited_s(self) -> float | None:
        """Seconds that the answer waited in the cloud; None where that is not known by itself."""
        if self.delivered_s is None:
            return None
        return max(0.0, self.acknowledged_s - self.delivered_s - self.work_s)


class LinkEstimator:
    """Keeps recent observations and says what they add up to."""

    def __init__(self) -> None:
        self._answers: deque[tuple[LinkObservation, bool]] = deque(maxlen=_RECENT)  # with whether it stalled
        self._handshakes: deque[LinkObservation] = deque(maxlen=2)
        self._count = 0
        self._loss = 0.0

    def note(self, observation: LinkObservation) -> None:
        """One more observation. One whose times make no sense is left out."""
        if not (observation.size_bytes > 0 and observation.acknowledged_s > observation.sent_s):
            return
        if not observation.answered:
            self._handshakes.append(observation)
            return
        stalled = False
        if self._count:
            known = self.estimate(observation.acknowledged_s)
            waiting_s = known.waiting_s if observation.delivered_s is None else 0.0
            expected_s = known.round_trip_s + waiting_s + observation.size_bytes * _BITS / known.rate_bit_s
            stalled = observation.crossing_s > expected_s + _STALL_S + known.round_trip_s
            self._loss += max(_LOSS_MEMORY, 1 / (self._count + 1)) * (stalled - self._loss)
        self._answers.append((observation, stalled))
        self._count += 1

    def estimate(self, now_s: float) -> LinkEstimate:
        """The link at ``now_s``, cautious in its rate; up, as far as this class knows."""
        answers = self._recent(now_s)
        every = [*self._handshakes, *answers]
        if not every:
            return LinkEstimate(PRIOR_RATE_BIT_S, PRIOR_ROUND_TRIP_S)
        rate = min(max(self._rate(answers), _MIN_RATE), _MAX_RATE)
        round_trip_s = min(_unsent_s(seen, rate) for seen in every)
        waiting_s = self._waiting_s(now_s)
        if waiting_s is None:
            waiting_s = median([max(0.0, _unsent_s(seen, rate) - round_trip_s) for seen in answers] or [0.0])
        samples = self._count + len(self._handshakes)
        return LinkEstimate(rate, round_trip_s, self._loss, samples=samples, waiting_s=waiting_s)

    def _waiting_s(self, now_s: float) -> float | None:
        """The median wait of the newest answers whose wait is known by itself, none after a while: a cloud that was
        busy is tried again. None where it is known of no answer."""
        known = [seen for seen, _ in self._answers if seen.waited_s is not None][-_NEWEST:]
        waits = [seen.waited_s or 0.0 for seen in known if now_s - seen.acknowledged_s <= _MEMORY_S]
        return None if not known else median(waits or [0.0])

    def _recent(self, now_s: float) -> list[LinkObservation]:
        """Answers no older than the memory, the newest in any case; a few stalls are lost packets and left out, but
        where half of them stall, the link has become slower."""
        kept = [pair for pair in self._answers if now_s - pair[0].acknowledged_s <= _MEMORY_S]
        kept = kept or list(self._answers)[-1:]
        slower = 2 * sum(stalled for _, stalled in kept) >= len(kept)
        return [seen for seen, stalled in kept if slower or not stalled]

    def _rate(self, answers: Sequence[LinkObservation]) -> float:
        """The cautious quantile of what pairs of a larger and the quickest smaller message say."""
        known: list[float] = []
        least = _MIN_RATE
        for seen in answers:
            base = self._smaller(seen, answers)
            if base is None:
                continue
            bits = (seen.size_bytes - base.size_bytes) * _BITS
            later_s = seen.crossing_s - base.crossing_s
            if later_s >= _TELLING_S:
                known.append(bits / later_s)
            else:
                least = max(least, bits / _TELLING_S)
        if not known:
            return max(least, PRIOR_RATE_BIT_S)
        known += [PRIOR_RATE_BIT_S] * (_FEW - len(known))  # one late answer alone may have waited in the cloud
        return max(_quantile(known, CAUTION), min(least, max(known)))

    def _smaller(self, seen: LinkObservation, answers: Sequence[LinkObservation]) -> LinkObservation | None:
        """The quickest answer to a message that is smaller by enough; a handshake where there is none."""
        for others in (answers, self._handshakes):
            smaller = [one for one in others if one.size_bytes <= seen.size_bytes - _TELLING_BYTES]
            if smaller:
                return min(smaller, key=lambda one: one.crossing_s)
        return None


def _unsent_s(seen: LinkObservation, rate_bit_s: float) -> float:
    """What a message took beyond sending, at least half of it."""
    return max(seen.crossing_s - seen.size_bytes * _BITS / rate_bit_s, seen.crossing_s / 2)


class LinkWatch:
    """Whether the link is up, slow to believe that it came back, and how often to look.

    One failure takes it down; ``RETURNS`` successes in a row, or one real answer, bring it back. While it is down a
    probe is due after 1 s, then after twice as long each time, at most once a minute: a device that is out of reach
    for an hour looks 65 times.
    """

    def __init__(self) -> None:
        self.up = True
        self._wait_s = _FIRST_WAIT_S
        self._successes, self._next_probe_s = 0, 0.0  # of the time since it went down

    @property
    def wait_s(self) -> float:
        """The pause before the next probe, as it has become."""
        return self._wait_s

    def failed(self, now_s: float) -> None:
        """An exchange or a probe got no answer."""
        self._wait_s = _FIRST_WAIT_S if self.up else min(2 * self._wait_s, _LONGEST_WAIT_S)
        self.up = False
        self._successes = 0
        self._next_probe_s = now_s + self._wait_s

    def probed(self, now_s: float) -> None:
        """A probe was answered; the next one, where it needs one, is due at once."""
        self._successes += 1
        self._next_probe_s = now_s
        if self._successes >= RETURNS:
            self.answered()

    def answered(self) -> None:
        """A real question was answered over the link."""
        self.up = True
        self._wait_s = _FIRST_WAIT_S

    def probe_due(self, now_s: float) -> bool:
        """Whether to look now."""
        return not self.up and now_s >= self._next_probe_s


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
