"""Rate, round trip and outages from timestamps."""

from __future__ import annotations

import random

import pytest

from heliograph.edge.planning.link_estimate import (
    PRIOR_RATE_BIT_S,
    PRIOR_ROUND_TRIP_S,
    RETURNS,
    LinkEstimator,
    LinkObservation,
    LinkWatch,
    _quantile,
)


def seen(size: float, at_s: float, rate: float, round_trip_s: float, extra_s: float = 0.0) -> LinkObservation:
    crossing_s = round_trip_s + 8 * size / rate + extra_s
    return LinkObservation(size, at_s, at_s + crossing_s + 0.03, 0.03)


def test_without_history_there_is_a_guess_that_says_so() -> None:
    guess = LinkEstimator().estimate(0.0)
    assert (guess.rate_bit_s, guess.round_trip_s, guess.samples) == (PRIOR_RATE_BIT_S, PRIOR_ROUND_TRIP_S, 0)
    assert guess.up


@pytest.mark.parametrize("rate", [2e4, 2.5e5, 1e6])
@pytest.mark.parametrize("round_trip_s", [0.02, 0.2])
def test_rate_and_round_trip_are_found(rate: float, round_trip_s: float) -> None:
    link = LinkEstimator()
    for number in range(8):
        link.note(seen((80, 6000)[number % 2], 2.0 * number, rate, round_trip_s))
    found = link.estimate(16.0)
    assert found.rate_bit_s == pytest.approx(rate, rel=0.3)
    assert found.round_trip_s == pytest.approx(round_trip_s, rel=0.3, abs=0.005)
    assert found.samples == 8


def test_a_link_that_never_varies_is_known_exactly() -> None:
    """80 and 6,000 bytes at 1 Mbit/s and 50 ms: 5,920 bytes take 47.36 ms longer."""
    link = LinkEstimator()
    for number in range(8):
        link.note(seen((80, 6000)[number % 2], 2.0 * number, 1e6, 0.05))
    found = link.estimate(16.0)
    assert found.rate_bit_s == pytest.approx(1e6)
    assert found.round_trip_s == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([5.0], 0.25, 5.0), ([1.0, 3.0], 0.25, 1.5), ([4.0, 1.0, 3.0, 2.0, 5.0], 0.25, 2.0), ([1.0, 3.0], 1.0, 3.0)],
)
def test_quantiles_lie_between_the_values(values: list[float], share: float, expected: float) -> None:
    assert _quantile(values, share) == expected


def test_the_rate_is_a_cautious_one() -> None:
    link, chance = LinkEstimator(), random.Random(1)
    rates = [chance.choice((2e5, 1e6, 2e6)) for _ in range(12)]
    link.note(LinkObservation(60, -1.0, -0.95, answered=False))
    for number, rate in enumerate(rates):
        link.note(seen(8000, number, rate, 0.05))
    assert link.estimate(12.0).rate_bit_s < sorted(rates)[len(rates) // 2]


def test_messages_of_one_size_leave_the_guess_however_long_the_cloud_takes() -> None:
    link, chance = LinkEstimator(), random.Random(2)
    link.note(LinkObservation(140, -1.0, -0.95, answered=False))
    for number in range(8):
        link.note(seen(150, number, 2e7, 0.05, chance.uniform(0.05, 0.1)))
    found = link.estimate(8.0)
    assert found.rate_bit_s == pytest.approx(PRIOR_RATE_BIT_S)
    assert found.round_trip_s == pytest.approx(0.05, abs=0.003)
    assert 0.05 < found.waiting_s < 0.1  # what the cloud took beyond its usual work


def test_one_large_message_that_came_at_once_proves_a_rate() -> None:
    link = LinkEstimator()
    link.note(seen(60, 0.0, 1e9, 0.05))
    link.note(seen(60_000, 1.0, 1e9, 0.05))
    assert link.estimate(2.0).rate_bit_s > 10 * PRIOR_RATE_BIT_S


def test_old_observations_are_forgotten() -> None:
    link = LinkEstimator()
    for number in range(6):
        link.note(seen((60, 4000)[number % 2], number, 5e4, 0.05))
    for number in range(6):
        link.note(seen((60, 4000)[number % 2], 200.0 + number, 1e6, 0.05))
    assert link.estimate(206.0).rate_bit_s == pytest.approx(1e6, rel=0.3)


def test_stalls_count_as_losses_and_nonsense_does_not_count() -> None:
    calm, lossy = LinkEstimator(), LinkEstimator()
    for number in range(12):
        calm.note(seen(500, number, 1e6, 0.05))
        lossy.note(seen(500, number, 1e6, 0.05, 0.5 if number % 4 == 3 else 0.0))
    assert calm.estimate(12.0).loss == 0
    assert lossy.estimate(12.0).loss > 0.05
    before = calm.estimate(12.0)
    calm.note(LinkObservation(0, 1.0, 2.0))
    calm.note(LinkObservation(100, 2.0, 1.0))
    assert calm.estimate(12.0) == before


def test_one_failure_takes_the_link_down_and_probes_bring_it_back() -> None:
    watch = LinkWatch()
    assert (watch.up, watch.probe_due(0.0)) == (True, False)
    watch.failed(10.0)
    assert [watch.probe_due(now_s) for now_s in (10.5, 11.0)] == [False, True]
    for _ in range(RETURNS - 1):
        watch.probed(11.0)
    assert not watch.up  # one answer is not trusted yet
    watch.failed(12.0)
    for _ in range(RETURNS - 1):
        watch.probed(20.0)
    assert not watch.up  # the failure between them began the count anew
    watch.probed(20.1)
    assert watch.up


def test_an_answer_brings_it_back_at_once() -> None:
    watch = LinkWatch()
    watch.failed(0.0)
    watch.answered()
    assert watch.up


def test_probes_of_a_dead_link_are_few() -> None:
    watch, probes = LinkWatch(), 0
    watch.failed(0.0)
    for tick in range(36_000):  # an hour
        if watch.probe_due(tick / 10):
            probes += 1
            watch.failed(tick / 10)
    assert 30 <= probes <= 65


# ---- a cloud that is busy -----------------------------------------------------------------------------------------
def answered(
    size: float, at_s: float, waited_s: float, rate: float = 1e6, round_trip_s: float = 0.06
) -> LinkObservation:
    """Delivered as the link takes it; then it waits, is worked on for 30 ms, and the answer is there."""
    delivered_s = at_s + 0.06 + 8 * size / 1e6
    return LinkObservation(size, at_s, delivered_s + waited_s + 0.03, 0.03, delivered_s=delivered_s)


@pytest.mark.parametrize("waits", [[0.5] * 8, [3.0] * 8, [0.0, 20.0, 0.1, 7.0, 30.0, 9.0, 12.0, 10.0]])
def test_waiting_in_the_cloud_is_no_slower_link(waits: list[float]) -> None:
    link, chance = LinkEstimator(), random.Random(3)
    for number, waited_s in enumerate(waits):
        link.note(answered(chance.choice((300, 900, 2500, 6000)), 40.0 * number, waited_s))
    found = link.estimate(40.0 * len(waits))
    assert found.rate_bit_s == pytest.approx(1e6, rel=0.35)
    assert found.round_trip_s == pytest.approx(0.06, rel=0.35)
    assert found.loss == 0
    assert waits[-1] * 0.5 <= found.waiting_s <= waits[-1] * 1.5


def test_two_of_three_answers_that_waited_are_believed_and_after_a_while_the_cloud_is_tried_again() -> None:
    link = LinkEstimator()
    for number, waited_s in enumerate((0.0, 0.0, 0.0, 5.0)):
        link.note(answered(500, 10.0 * number, waited_s))
    assert link.estimate(40.0).waiting_s == pytest.approx(0.0)
    link.note(answered(500, 40.0, 4.0))
    assert link.estimate(45.0).waiting_s == pytest.approx(4.0)
    assert link.estimate(200.0).waiting_s == 0.0


def test_without_word_of_delivery_waiting_is_what_is_left() -> None:
    one = LinkObservation(500, 0.0, 1.0, 0.25)
    assert (one.crossing_s, one.waited_s) == (0.75, None)
    told = LinkObservation(500, 0.0, 1.0, 0.25, delivered_s=0.5)
    assert (told.crossing_s, told.waited_s) == (0.5, 0.25)
    assert LinkObservation(500, 0.0, 1.0, 0.75, delivered_s=0.5).waited_s == 0.0
