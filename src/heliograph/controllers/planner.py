"""The planner: how to send a photo, decided before anything is sent: pixels, progressive tokens, a region, or nothing.

One drawing of a plan::

    curves (calibrated) --+
    link, device, cloud --+--> candidates: expected quality, expected time --rule--> the chosen one, and why not others
    quality, time --------+

The rule: among the candidates that reach the quality in time the quickest to the final answer; where none reaches it,
the best quality in time; where none is in time, the quickest. Expected times are pessimistic:
the rate is a low quantile of what was seen (:mod:`heliograph.edge.planning.link_estimate`). Pure: no clock, no socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from heliograph.controllers.curves import Curve, Curves, Point, candidate_name
from heliograph.errors import UsageError
from heliograph.strategies.base import Kind, Setting
from heliograph.strategies.selection import kind_of

LONGEST_ANSWER_WITHIN_S = 86_400.0

QUESTION_BYTES = 72
"""QUESTION with a short text, websocket framing included."""
ANSWER_BYTES = 24
"""The final answer, likewise."""
_PHOTO_BYTES, _FRAMED_SHARE = 24, 1.04
"""IMAGE and the end of the photo; what segments and messages add to the payload."""
_STALL_S = 0.2
"""A lost packet of a thin stream waits for the retransmission timer (Linux' least one), then a round trip."""
_PACKET_BYTES = 1400
_BITS = 8
_CLOSE_S, _SHOWN_S = 1e-9, 0.001


@dataclass(frozen=True)
class Goal:
    """What the answer must be.

    Attributes:
        quality: expected share of answers that equal the uncompressed path's, 0 to 1.
        answer_within_s: seconds from the question to the final answer; None for as long as it takes.

    Raises:
        UsageError: outside these bounds.
    """

    quality: float
    answer_within_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 1:
            raise UsageError.of_argument("quality", "0 to 1", self.quality)
        if self.answer_within_s is not None and not 0 < self.answer_within_s <= LONGEST_ANSWER_WITHIN_S:
            wanted = f"above 0, up to {LONGEST_ANSWER_WITHIN_S:g} seconds"
            raise UsageError.of_argument("answer_within_s", wanted, self.answer_within_s)

    def after(self, spent_s: float) -> Goal:
        """The same quality in what is left of the time."""
        if self.answer_within_s is None:
            return self
        return replace(self, answer_within_s=max(self.answer_within_s - spent_s, 0.001))


@dataclass(frozen=True)
class LinkEstimate:
    """The link as far as it is known.

    Attributes:
        rate_bit_s: cautious uplink rate in bit/s.
        round_trip_s: seconds for there and back without sending time.
        loss: share of packets lost, 0 to 1.
        up: False where the link is taken for broken.
        samples: exchanges behind the estimate; 0 where it is a guess.
        waiting_s: what answers took beyond all of this and the cloud's usual work.
    """

    rate_bit_s: float
    round_trip_s: float
    loss: float = 0.0
    up: bool = True
    samples: int = 0
    waiting_s: float = 0.0


@dataclass(frozen=True)
class Situation:
    """What the device knows when a question is asked.

    Attributes:
        link: None where there is no way to any cloud.
        connected: False where a connection must be opened first.
        device_factor: how many times as slow as the curves' machine this device is.
        device_samples: encodings behind that; 0 where it is a guess.
        encode_s: seconds that candidates took on this device, by their name
            (:func:`heliograph.controllers.curves.candidate_name`) or by strategy alone; they take precedence over the
            curves.
        loading_s: seconds by strategy that its first use costs more than the next ones; left out where it was used.
        local_answer_s: what the device's own model takes for an answer; None where that was never measured.
        strategies: what this device can encode; None for everything.
        region: whether the cloud may be asked to look at a region.
        held: candidates whose photo the cloud holds already, by name: nothing is encoded or sent.
        kinds: how likely the question is of each kind.
    """

    link: LinkEstimate | None
    connected: bool = True
    device_factor: float = 1.0
    device_samples: int = 0
    encode_s: Mapping[str, float] = field(default_factory=dict)
    loading_s: Mapping[str, float] = field(default_factory=dict)
    local_answer_s: float | None = None
    strategies: frozenset[str] | None = None
    region: bool = True
    held: frozenset[str] = frozenset()
    kinds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """One candidate, with what is expected of it; seconds.

    Attributes:
        strategy, setting, crop, crop_setting: what to send first, and the region behind it (empty: none).
        quality: expected, 0 to 1.
        payload_bytes: of photo and region.
        open_s, encode_s, send_s, travel_s, cloud_s: parts of the expected time; opening and encoding run side by side,
            and a local answer is all encoding.
        total_s: from the question to the final answer.
        verdict: why it was chosen or not.
    """

    strategy: str
    setting: Setting
    crop: str
    crop_setting: Setting
    quality: float
    payload_bytes: float
    open_s: float
    encode_s: float
    send_s: float
    travel_s: float
    cloud_s: float
    verdict: str = ""

    @property
    def name(self) -> str:
        """The candidate as one line."""
        return candidate_name(self.strategy, self.setting, self.crop, self.crop_setting)

    @property
    def total_s(self) -> float:
        """Seconds to the final answer."""
        return max(self.open_s, self.encode_s) + self.send_s + self.travel_s + self.cloud_s


@dataclass(frozen=True)
class Plan:
    """A decision with everything it was made from.

    Attributes:
        chosen: the candidate to take.
        candidates: all candidates, the chosen one first, then by time.
        rule: which part of the rule decided, as a sentence.
        notes: what the numbers rest on, as sentences.
        goal, situation: what was asked and known.
    """

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    rule: str
    notes: tuple[str, ...]
    goal: Goal
    situation: Situation


def make_plan(curves: Curves, situation: Situation, goal: Goal) -> Plan:
    """The plan for one question.

    Raises:
        UsageError: nothing can answer: no link, and the device cannot answer by itself.
    """
    every = candidates(curves, situation)
    if not every:
        raise UsageError().noted(
            "there is nothing to plan with: no link is known, and the bundle has no local model to answer without one."
        )
    reaching = [c for c in every if c.quality >= goal.quality - _CLOSE_S and _in_time(c, goal)]
    timely = [c for c in every if _in_time(c, goal)]
    limit = "" if goal.answer_within_s is None else f" within {duration_text(goal.answer_within_s)}"
    if reaching:
        chosen = min(reaching, key=lambda c: (c.total_s, -c.quality))
        rule = f"{len(reaching)} of {len(every)} candidates reach {goal.quality:.0%}{limit}; the quickest of them"
    elif timely:
        chosen = max(timely, key=lambda c: (c.quality, -c.total_s))
        rule = f"no candidate reaches {goal.quality:.0%}{limit}; the best quality{limit or ' there is'}"
    else:
        chosen = min(every, key=lambda c: (c.total_s, -c.quality))
        rule = f"no candidate answers{limit}; the quickest"
    judged = [replace(c, verdict=_verdict(c, chosen, goal, bool(reaching))) for c in every]
    judged.sort(key=lambda c: (c.name != chosen.name, c.total_s))
    return Plan(judged[0], tuple(judged), rule, _notes(curves, situation), goal, situation)


def candidates(curves: Curves, situation: Situation) -> list[Candidate]:
    """Every candidate that is possible now, with what is expected of it; no verdicts yet."""
    link = situation.link
    reachable = link is not None and link.up
    usable = situation.strategies
    found = []
    for curve in curves.curves:
        if curve.sight != Kind.LOCAL and not reachable:
            continue
        if usable is not None and not {curve.strategy, curve.crop or curve.strategy} <= usable:
            continue
        if curve.crop and not situation.region:
            continue
        found += [_candidate(curves, curve, point, situation) for point in curve.points]
    return found


def duration_text(seconds: float) -> str:
    """``40 ms``, ``2 s``, ``12.3 s``."""
    if seconds < 1:
        return f"{1000 * seconds:,.0f} ms"
    return f"{_short(seconds)} s"


def _short(value: float) -> str:
    """At least three digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _candidate(curves: Curves, curve: Curve, point: Point, situation: Situation) -> Candidate:
    name = candidate_name(curve.strategy, point.setting)
    measured = situation.encode_s.get(name, situation.encode_s.get(curve.strategy))
    encode_s = situation.device_factor * point.encode_ms / 1000 if measured is None else measured
    encode_s += situation.loading_s.get(curve.strategy, 0.0)
    quality = curves.expected_quality(point, situation.kinds)
    answer_s = curves.answer_ms[curve.sight] / 1000
    common = (curve.strategy, point.setting, curve.crop, point.crop_setting, quality)
    link = situation.link
    if curve.sight == Kind.LOCAL or link is None:
        own_s = situation.local_answer_s
        encode_s += situation.device_factor * answer_s if own_s is None else own_s
        return Candidate(*common, 0.0, 0.0, encode_s, 0.0, 0.0, 0.0)
    payload = point.payload_bytes
    if name in situation.held:
        encode_s = payload = 0.0
    cloud_s = point.restore_ms / 1000 + answer_s
    send_s, travel_s = _crossing(link, payload + (_PHOTO_BYTES if payload else QUESTION_BYTES))
    if curve.crop:  # a first answer, the wish for a region, and the region's own crossing
        first_s = curves.answer_ms[kind_of(curve.strategy) or Kind.PICTURE] / 1000
        crop_send_s, crop_travel_s = _crossing(link, point.crop_bytes + _PHOTO_BYTES)
        cloud_s += first_s
        send_s += crop_send_s
        travel_s += crop_travel_s
        encode_s += situation.device_factor * point.crop_encode_ms / 1000
    open_s = 0.0 if situation.connected else 2 * link.round_trip_s
    return Candidate(*common, payload + point.crop_bytes, open_s, encode_s, send_s, travel_s, cloud_s)


def _crossing(link: LinkEstimate, payload_bytes: float) -> tuple[float, float]:
    """Seconds to send so much, and to travel there and back with the answer, waiting included."""
    size = _FRAMED_SHARE * payload_bytes
    lost = link.loss * (1 + size / _PACKET_BYTES)  # packets that travel twice, on average
    sending_s = (size + lost * _PACKET_BYTES + ANSWER_BYTES) * _BITS / link.rate_bit_s
    return sending_s, link.round_trip_s + link.waiting_s + lost * (_STALL_S + link.round_trip_s)


def _in_time(candidate: Candidate, goal: Goal) -> bool:
    return goal.answer_within_s is None or candidate.total_s <= goal.answer_within_s


def _verdict(candidate: Candidate, chosen: Candidate, goal: Goal, reached: bool) -> str:
    if candidate.name == chosen.name:
        return "chosen"
    if not _in_time(candidate, goal) and (_in_time(chosen, goal) or candidate.total_s >= chosen.total_s):
        return f"{duration_text(candidate.total_s)} is too late"
    if reached and candidate.quality < goal.quality:
        return f"{candidate.quality:.1%} is not enough"
    if not reached and candidate.quality < chosen.quality:
        return f"{candidate.quality:.1%} is worse"
    return f"{duration_text(candidate.total_s - chosen.total_s)} slower"


def _notes(curves: Curves, situation: Situation) -> tuple[str, ...]:
    link = situation.link
    notes = [f"curves of {one.date}, {one.questions:,} questions of suite {one.suite}" for one in curves.origins]
    if link is None:
        notes.append("no cloud to ask")
    elif not link.up:
        notes.append("the link is down")
    else:
        basis = f"from {link.samples} exchanges" if link.samples else "a guess, nothing was sent yet"
        loss = f", loss {link.loss:.1%}" if link.loss else ""
        rate = f"{_short(link.rate_bit_s / 1e6)} Mbit/s up, {duration_text(link.round_trip_s)} round trip"
        rate += f", {duration_text(link.waiting_s)} waiting" if link.waiting_s >= _SHOWN_S else ""
        notes.append(f"link: {rate}{loss} ({basis})")
    slow = f"{situation.device_factor:.2g} times the time of the curves' machine"
    known = f"from {situation.device_samples} encodings" if situation.device_samples else "a guess, none was timed yet"
    notes.append(f"device: {slow} ({known})")
    if situation.loading_s:
        first = ", ".join(f"{name} {duration_text(value)}" for name, value in sorted(situation.loading_s.items()))
        notes.append(f"first use in this process costs more: {first}")
    if situation.kinds:
        likely = sorted(situation.kinds.items(), key=lambda item: -item[1])[:2]
        named = ", ".join(f"{kind} {share:.0%}" for kind, share in likely if share >= 0.01)
        notes.append(f"kind of question: {named}")
    return tuple(notes)
