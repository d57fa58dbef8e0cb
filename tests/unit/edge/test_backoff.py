"""Pauses between attempts, with the jitter given as numbers."""

from __future__ import annotations

from heliograph.edge.backoff import Backoff


def test_a_broken_link_is_tried_at_once_then_after_longer_and_longer_pauses() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.pause_s(busy=False) for _ in range(8)] == [0, 0.25, 0.5, 1, 2, 4, 4, 4]
    backoff.restart()
    assert backoff.pause_s(busy=False) == 0


def test_a_busy_cloud_is_never_asked_again_at_once() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.pause_s(busy=True) for _ in range(7)] == [1, 2, 4, 8, 15, 15, 15]


def test_jitter_shortens_by_up_to_a_half() -> None:
    numbers = iter([0.0, 0.5, 0.0])
    backoff = Backoff(lambda: next(numbers))
    assert [backoff.pause_s(busy=True) for _ in range(3)] == [0.5, 1.5, 2.0]


def test_many_failures_do_not_overflow() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.pause_s(busy=False) for _ in range(3000)][-1] == 4
    assert [backoff.pause_s(busy=True) for _ in range(3000)][-1] == 15


def test_failures_of_both_kinds_count_and_both_begin_anew() -> None:
    backoff = Backoff(lambda: 1.0)
    assert backoff.failures == 0
    for busy in (True, True, True, False):
        backoff.pause_s(busy=busy)
    assert backoff.failures == 4
    backoff.restart()
    assert backoff.failures == 0
    assert [backoff.pause_s(busy=True), backoff.pause_s(busy=False), backoff.pause_s(busy=True)] == [1, 0, 2]
