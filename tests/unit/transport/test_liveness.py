"""When a link is taken for dead, and when not: made-up sights and times, no socket and no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from heliograph.transport.base import Delivery
from heliograph.transport.liveness import LOOK_AFTER_S, STALL_S, LivenessWatch, Sight, Verdict


@dataclass
class Link:
    """What a watch sees of a link, as a test moves it; looked at as often as the device does."""

    opening_s: float = 0.2
    certain: bool = True
    accepted: int = 0
    acknowledged: int = 0
    received: int = 0
    owed: bool = False
    answered: bool = True
    quiet_s: float | None = None
    now_s: float = 100.0
    pings: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = LivenessWatch(self.opening_s, self.now_s)
        self.look()

    def sight(self) -> Sight:
        delivery = Delivery(self.accepted, self.accepted, self.acknowledged, self.certain, self.quiet_s)
        return Sight(delivery, self.received, self.owed, self.answered)

    def look(self) -> Verdict:
        verdict = self.watch.look(self.sight(), self.now_s)
        if verdict is Verdict.PING:
            self.pings.append(self.now_s)
            self.answered = False
        return verdict

    def died_after(self, seconds: float, meanwhile: Callable[[float], None] = lambda passed_s: None) -> float | None:
        """Seconds until the link is taken for dead; None where it is not within ``seconds``."""
        start_s = self.now_s
        while self.now_s < start_s + seconds:
            self.now_s += LOOK_AFTER_S
            meanwhile(self.now_s - start_s)
            if self.look() is Verdict.DEAD:
                return self.now_s - start_s
        return None

    def ask(self, size: int = 60) -> None:
        self.look()
        self.accepted += size
        self.owed = True


def test_a_question_into_a_forgotten_flow_is_noticed_in_time_without_a_ping() -> None:
    link = Link()
    link.ask()
    died_s = link.died_after(120)
    assert died_s is not None
    assert STALL_S <= died_s <= STALL_S + 2 * LOOK_AFTER_S
    assert link.pings == []


def test_an_idle_link_is_neither_pinged_nor_taken_for_dead() -> None:
    link = Link()
    assert not link.watch.is_waiting(link.sight())
    assert link.died_after(3600) is None
    assert link.pings == []


def test_an_hour_of_silence_before_the_question_does_not_count() -> None:
    link = Link()
    link.now_s += 3600
    link.ask()
    assert link.died_after(STALL_S - LOOK_AFTER_S) is None


def test_an_answer_that_is_owed_is_asked_after_and_silence_then_means_death() -> None:
    link = Link()
    link.ask()

    def acknowledged_by_something_in_between(passed_s: float) -> None:
        link.acknowledged = link.accepted

    died_s = link.died_after(120, acknowledged_by_something_in_between)
    assert died_s is not None
    assert died_s <= STALL_S + 2 * LOOK_AFTER_S
    assert len(link.pings) == 1


def test_a_slow_model_is_not_a_dead_link_and_costs_a_ping_every_few_seconds() -> None:
    link = Link()
    link.ask()

    def pongs(passed_s: float) -> None:
        link.acknowledged = link.accepted
        if not link.answered:
            link.answered, link.received, link.accepted = True, link.received + 2, link.accepted + 6

    assert link.died_after(600, pongs) is None
    gaps = [later - earlier for earlier, later in zip(link.pings, link.pings[1:], strict=False)]
    assert 3 <= min(gaps) <= max(gaps) <= STALL_S
    link.owed = False
    before = len(link.pings)
    assert link.died_after(600, pongs) is None
    assert len(link.pings) == before


def test_drafts_need_no_ping() -> None:
    link = Link()
    link.ask()

    def draft_a_second(passed_s: float) -> None:
        link.acknowledged = link.accepted
        link.received += int(passed_s) % 2

    assert link.died_after(120, draft_a_second) is None
    assert link.pings == []


@pytest.mark.parametrize("bit_s", [200, 2000, 20_000])
def test_bytes_that_move_are_life_however_slow(bit_s: int) -> None:
    """200 bit/s and 400 ms: 40 bytes with their packet heads take 4 s, and opening took 20 s."""
    link = Link(opening_s=0.8 + 500 * 8 / bit_s)
    link.ask(2000)

    def crosses(passed_s: float) -> None:
        packets = int(passed_s * bit_s / 8 / 180)
        link.acknowledged = min(link.accepted, packets * 128)

    assert link.died_after(2000 * 8 / bit_s, crosses) is None


def test_what_was_sent_again_in_vain_is_still_answered_by_a_living_end() -> None:
    """Copies fill a slow queue: for half a minute nothing new is acknowledged, but every copy is."""
    link = Link(quiet_s=0.0)
    link.ask(1000)

    def acknowledges_copies(passed_s: float) -> None:
        link.quiet_s = passed_s % 6.0

    assert link.died_after(60, acknowledges_copies) is None


def test_a_link_that_has_shown_gaps_gets_more_time_and_a_quick_one_gets_it_no_longer() -> None:
    link = Link()
    link.ask(10_000)

    def a_packet_every(gap_s: float) -> Callable[[float], None]:
        return lambda passed_s: setattr(link, "acknowledged", 100 + int(passed_s / gap_s))

    assert link.died_after(60, a_packet_every(6.0)) is None
    assert link.watch.limit_s > STALL_S
    link.acknowledged = 0
    link.look()
    assert link.died_after(60, a_packet_every(LOOK_AFTER_S)) is None
    assert link.watch.limit_s == STALL_S


def test_an_opening_that_took_long_stretches_every_limit() -> None:
    link = Link(opening_s=20.0)
    link.ask()
    died_s = link.died_after(600)
    assert died_s is not None
    assert died_s > 60


def test_time_in_which_the_device_stood_still_does_not_count() -> None:
    link = Link()
    link.ask()
    assert link.died_after(2) is None
    link.now_s += 3600  # suspended
    assert link.look() is not Verdict.DEAD
    assert link.died_after(4) is None
    assert link.died_after(8) is not None


def test_where_the_system_does_not_say_what_is_queued_the_pong_gets_the_time_of_what_is_before_it() -> None:
    quick, slow = Link(certain=False), Link(certain=False, opening_s=0.5)
    quick.ask(100)
    slow.ask(50_000)  # at 20 kbit/s: 20 s
    for link in (quick, slow):
        link.acknowledged = link.accepted  # as far as is known: it has left this process
    soon, late = quick.died_after(120), slow.died_after(120)
    assert soon is not None
    assert late is not None
    assert soon <= STALL_S + 1
    assert late > 20
