"""The link estimate worked out by hand, at its borders: which observations count, and for how much."""

from __future__ import annotations

import pytest

from heliograph.edge.planning.link_estimate import LinkEstimator, LinkObservation, LinkWatch, _quantile

SMALL, LARGE = 60, 6060  # 48,000 bits between them; at 1 Mbit/s the small one takes 0.48 ms


def estimator(*crossings: tuple[float, float], at_s: float = 0.0) -> LinkEstimator:
    """What was seen of messages of so many bytes, all answered at ``at_s`` after so many seconds."""
    link = LinkEstimator()
    for size, crossing_s in crossings:
        link.note(LinkObservation(size, at_s - crossing_s, at_s))
    return link


def test_the_assumption_is_the_mobile_uplink_of_the_paper() -> None:
    guess = LinkEstimator().estimate(0.0)
    assert (guess.rate_bit_s, guess.round_trip_s, guess.loss, guess.waiting_s) == (1_000_000, 0.06, 0.0, 0.0)


# ---- which observations count --------------------------------------------------------------------------
def test_a_handshake_alone_gives_a_round_trip_and_no_waiting() -> None:
    link = LinkEstimator()
    link.note(LinkObservation(100, 0.0, 0.05, answered=False))
    found = link.estimate(1.0)
    assert (found.rate_bit_s, found.samples, found.waiting_s) == (1e6, 1, 0.0)
    assert found.round_trip_s == pytest.approx(0.05 - 0.0008)


def test_the_two_newest_handshakes_count_and_the_answers_beside_them() -> None:
    link = LinkEstimator()
    for crossing_s in (0.01, 0.03, 0.02):
        link.note(LinkObservation(1, 0.0, crossing_s, answered=False))
    link.note(LinkObservation(1, 0.0, 0.5))
    found = link.estimate(1.0)
    assert found.round_trip_s == pytest.approx(0.02 - 8e-6)
    assert found.samples == 3
    link.note(LinkObservation(1, 0.0, 0.04, answered=False))
    assert link.estimate(1.0).round_trip_s == pytest.approx(0.02 - 8e-6)
    link.note(LinkObservation(1, 0.0, 0.04, answered=False))
    assert link.estimate(1.0).round_trip_s == pytest.approx(0.04 - 8e-6)


@pytest.mark.parametrize(("size", "acknowledged_s", "samples"), [(1, 0.5, 1), (0, 0.5, 0), (1, 0.0, 0), (1, -0.5, 0)])
def test_a_byte_counts_and_what_took_no_time_does_not(size: float, acknowledged_s: float, samples: int) -> None:
    link = LinkEstimator()
    link.note(LinkObservation(size, 0.0, acknowledged_s))
    assert link.estimate(1.0).samples == samples


def test_twelve_answers_are_remembered() -> None:
    quick, slow = (SMALL, 0.01), (SMALL, 0.05)
    assert estimator(quick, *[slow] * 11).estimate(0.0).round_trip_s == pytest.approx(0.01 - 0.00048)
    assert estimator(quick, *[slow] * 12).estimate(0.0).round_trip_s == pytest.approx(0.05 - 0.00048)


def test_an_answer_is_remembered_for_a_minute_and_the_newest_for_ever() -> None:
    link = LinkEstimator()
    for at_s, crossing_s in ((10.0, 0.02), (10.0, 0.01), (69.0, 0.05)):
        link.note(LinkObservation(SMALL, at_s - crossing_s, at_s))
    least_s = [link.estimate(now_s).round_trip_s for now_s in (70.0, 70.5, 1e6)]
    assert least_s == pytest.approx([0.01 - 0.00048, 0.05 - 0.00048, 0.05 - 0.00048])
    old = estimator((SMALL, 0.01), (SMALL, 0.05), at_s=10.0)
    assert old.estimate(1e6).round_trip_s == pytest.approx(0.05 - 0.00048)


def test_at_least_half_of_a_crossing_is_no_sending() -> None:
    """10,000 bytes would take 80 of 100 ms at the rate that is assumed: the link's own part is no less than half."""
    assert estimator((10_000, 0.1)).estimate(0.0).round_trip_s == pytest.approx(0.05)


# ---- the rate ------------------------------------------------------------------------------------------
def test_one_pair_of_messages_counts_as_much_as_the_assumption() -> None:
    """48,000 bits in 0.1 s are 480 kbit/s; a quarter of the way from there to 1 Mbit/s."""
    assert estimator((SMALL, 0.05), (LARGE, 0.15)).estimate(0.0).rate_bit_s == pytest.approx(610_000)


def test_two_pairs_need_no_assumption() -> None:
    assert estimator((SMALL, 0.05), (LARGE, 0.15), (LARGE, 0.15)).estimate(0.0).rate_bit_s == pytest.approx(480_000)


def test_the_quickest_smaller_message_is_what_a_large_one_is_held_against() -> None:
    link = estimator((SMALL, 0.05), (SMALL, 0.09), (LARGE, 0.15))
    assert link.estimate(0.0).rate_bit_s == pytest.approx(610_000)


@pytest.mark.parametrize(("size", "rate"), [(260, 250_000 + 75_000), (259, 1e6)])
def test_200_bytes_more_tell_something(size: int, rate: float) -> None:
    """1,600 bits in 16 ms are 100 kbit/s."""
    assert estimator((SMALL, 0.05), (size, 0.066)).estimate(0.0).rate_bit_s == pytest.approx(rate)


def test_two_milliseconds_more_tell_a_rate_and_less_tells_that_it_is_higher() -> None:
    link = LinkEstimator()
    link.note(LinkObservation(SMALL, 0.0, 0.002))
    link.note(LinkObservation(LARGE, 0.0, 0.004))  # 24 Mbit/s
    assert link.estimate(0.0).rate_bit_s == pytest.approx(1e6 + 0.25 * 23e6)
    assert estimator((SMALL, 0.05), (LARGE, 0.051)).estimate(0.0).rate_bit_s == pytest.approx(24e6)


def test_what_came_at_once_lifts_the_rate_to_the_best_that_was_seen() -> None:
    link = estimator((SMALL, 0.05), (LARGE, 0.051), (LARGE, 0.15))
    assert link.estimate(0.0).rate_bit_s == pytest.approx(1e6)  # of 480 kbit/s, the assumption, and "24 Mbit/s or more"


def test_the_rate_has_bounds() -> None:
    slow = estimator(*[(100, 0.05), (1100, 1000.0)] * 4)
    assert slow.estimate(0.0).rate_bit_s == 100
    assert estimator((SMALL, 0.05), (5_000_000, 0.05)).estimate(0.0).rate_bit_s == 1e10


# ---- stalls --------------------------------------------------------------------------------------------
def test_nothing_is_expected_of_the_first_answer() -> None:
    assert estimator((SMALL, 9.0)).estimate(0.0).loss == 0.0


@pytest.mark.parametrize(("crossing_s", "loss"), [(0.302, 0.0), (0.304, 0.5)])
def test_a_stall_is_a_fifth_of_a_second_and_a_round_trip_late(crossing_s: float, loss: float) -> None:
    """Of 500 bytes 49.52 + 4 ms are expected, and 49.52 + 200 ms more are allowed: 303.04 ms."""
    assert estimator((SMALL, 0.05), (500, crossing_s)).estimate(0.0).loss == loss


@pytest.mark.parametrize(("crossing_s", "loss"), [(0.34, 0.0), (0.36, 1 / 3)])
def test_waiting_that_is_usual_is_no_stall(crossing_s: float, loss: float) -> None:
    """The median wait is 50 ms: 49.52 + 50 + 0.48 ms are expected, 249.52 more allowed."""
    link = estimator((SMALL, 0.05), (SMALL, 0.15), (SMALL, crossing_s))
    assert link.estimate(0.0).loss == pytest.approx(loss)


def test_loss_is_the_share_of_stalls_at_first_and_fades_later() -> None:
    calm, stall = (SMALL, 0.05), (SMALL, 0.9)
    assert estimator(calm, stall, calm).estimate(0.0).loss == pytest.approx(1 / 3)
    assert estimator(*[calm] * 30, stall).estimate(0.0).loss == pytest.approx(0.05)


def test_one_stall_in_three_is_a_lost_packet_and_two_in_four_are_a_slower_link() -> None:
    small, stalled = (SMALL, 0.05), (LARGE, 0.53)  # 100 kbit/s, were it the rate
    assert estimator(small, small, stalled).estimate(0.0).rate_bit_s == pytest.approx(1e6)
    assert estimator(small, small, stalled, stalled).estimate(0.0).rate_bit_s == pytest.approx(1e5)


def test_a_first_answer_is_no_stall() -> None:
    """Left out as one, its round trip would not be the least."""
    link = estimator((SMALL, 0.04), (SMALL, 0.05), (SMALL, 0.05))
    assert link.estimate(0.0).round_trip_s == pytest.approx(0.04 - 0.00048)


def test_a_quantile_between_two_of_five() -> None:
    assert _quantile([16.0, 1.0, 2.0, 8.0, 4.0], 0.3) == pytest.approx(2.4)


# ---- whether it is up ----------------------------------------------------------------------------------
def test_pauses_between_probes_double_up_to_a_minute_and_begin_anew() -> None:
    watch, waits = LinkWatch(), []
    assert watch.wait_s == 1.0
    for _ in range(8):
        watch.failed(0.0)
        waits.append(watch.wait_s)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    watch.answered()
    assert watch.wait_s == 1.0


def test_two_probes_in_a_row_bring_a_link_back_and_the_second_is_due_at_once() -> None:
    watch = LinkWatch()
    watch.failed(10.0)
    watch.probed(11.5)
    assert (watch.up, watch.probe_due(11.4), watch.probe_due(11.5)) == (False, False, True)
    watch.probed(11.6)
    assert (watch.up, watch.probe_due(1e9)) == (True, False)
    watch.failed(20.0)
    watch.probed(21.0)
    assert not watch.up  # the answers of the last time do not count
