"""How long answers wait, and what is left undone then: order, thresholds, and when it is taken up again."""

import math

import pytest

from heliograph.serving.fair.load import Load, Shed, Thresholds
from heliograph.serving.limits import Limits

THRESHOLDS = Thresholds(2.0, 5.0, 30.0)


def test_nothing_is_shed_where_nothing_waits():
    load = Load(THRESHOLDS)
    assert (load.shed(0.0), load.queueing_s(0.0), load.known) == (Shed.NOTHING, 0.0, False)
    load.note(1.9, 1.0)
    assert (load.shed(1.0), load.known) == (Shed.NOTHING, True)


def test_drafts_go_first_then_looks_then_questions():
    seen = []
    for waited_s in (1.0, 2.0, 4.9, 5.0, 29.0, 30.0, 500.0):
        load = Load(THRESHOLDS)
        load.note(waited_s, 0.0)
        seen.append(load.shed(0.0))
    assert seen == [
        Shed.NOTHING,
        Shed.DRAFTS,
        Shed.DRAFTS,
        Shed.LOOKS,
        Shed.LOOKS,
        Shed.QUESTIONS,
        Shed.QUESTIONS,
    ]
    assert list(Shed) == [Shed.NOTHING, Shed.DRAFTS, Shed.LOOKS, Shed.QUESTIONS]


def test_what_was_shed_is_done_again_at_half_the_wait_and_not_before():
    load = Load(THRESHOLDS)
    load.note(8.0, 0.0)
    assert load.shed(0.0) is Shed.LOOKS
    found = {}
    for tenth in range(400):
        found.setdefault(load.shed(tenth / 10), load.queueing_s(tenth / 10))
    assert list(found) == [Shed.LOOKS, Shed.DRAFTS, Shed.NOTHING]
    assert found[Shed.DRAFTS] == pytest.approx(2.5, rel=0.01)
    assert found[Shed.NOTHING] == pytest.approx(1.0, rel=0.01)


def test_one_long_wait_among_short_ones_sheds_nothing():
    load = Load(THRESHOLDS)
    for number in range(20):
        load.note(0.1, float(number))
    load.note(6.0, 19.5)
    assert load.shed(19.5) is Shed.NOTHING
    for number in range(20):
        load.note(7.0, 21.0 + number)
    assert load.shed(40.0) is Shed.LOOKS
    assert load.queueing_s(40.0) == pytest.approx(7.0, rel=0.01)


def test_rare_waits_count_in_full():
    load = Load(THRESHOLDS)
    for number in range(9):
        load.note(7.0, 60.0 * number)
    assert load.queueing_s(480.0) == pytest.approx(7.0)


def test_a_wait_that_is_over_is_forgotten_by_and_by():
    load = Load(THRESHOLDS)
    load.note(40.0, 0.0)
    assert [round(load.queueing_s(at_s), 3) for at_s in (0.0, 10.0, 20.0)] == [40.0, 20.0, 10.0]
    assert load.queueing_s(-5.0) == 40.0  # a clock that is read twice in the wrong order
    assert load.shed(1000.0) is Shed.NOTHING


def test_thresholds_never_fall():
    assert Thresholds(10.0, 5.0, 1.0).rising == (10.0, 10.0, 10.0)
    load = Load(Thresholds(10.0, 5.0, 1.0))
    load.note(6.0, 0.0)
    assert load.shed(0.0) is Shed.NOTHING


def test_without_thresholds_nothing_is_ever_shed():
    load = Load()
    load.note(1e9, 0.0)
    assert load.shed(0.0) is Shed.NOTHING
    assert Thresholds().rising == (math.inf,) * 3


def test_a_servers_thresholds_are_its_bounds():
    assert Limits(shed_drafts_s=1.0, shed_looks_s=2.0, refuse_s=3.0).thresholds == Thresholds(1.0, 2.0, 3.0)
