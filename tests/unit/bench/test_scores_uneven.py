"""Scores of an uneven outcome, against numbers made by hand.

Three photos of unlike cost, unlike numbers of questions, and answers that agree where they are wrong::

    photo   bytes  encode  decode   colour: right / agrees    shape: right / agrees
    near      100      5       1    1 0     / 0 1             -
    middle    300      7       2    1       / 1               1       / 0
    far       800     15       6    0       / 1               1 0     / 1 1
"""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.bench.definitions import Link
from heliograph.bench.exchange_model import Messages
from heliograph.bench.metrics import ALL, b99
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.scores import (
    CloudWork,
    Crossing,
    Scores,
    b99_of,
    best_of,
    modelled_times,
    ratio_of,
    rows_of,
    time_at_accuracy,
)
from heliograph.bench.stats import resampling_weights

IMAGES = ["near", "middle", "far"]
CLOUD = CloudWork(tokens_ms=400.0, picture_ms=900.0, verify_ms=100.0, opening_bytes=500)
LINK = Link("thin", 0.02, 200.0)  # 2,500 bytes a second, 0.1 s either way


def outcome(strategy: str = "klt") -> Outcome:
    made = Outcome(Candidate(strategy, {"max_bytes": 9}))
    made.photos = {
        "near": PhotoOutcome(100.0, 5.0, 1.0, 0.5),
        "middle": PhotoOutcome(300.0, 7.0, 2.0, 0.5),
        "far": PhotoOutcome(800.0, 15.0, 6.0, 0.5),
    }
    made.scores = {
        ("near", "colour"): [1.0, 0.0],
        ("middle", "colour"): [1.0],
        ("middle", "shape"): [1.0],
        ("far", "colour"): [0.0],
        ("far", "shape"): [1.0, 0.0],
    }
    made.agreements = {
        ("near", "colour"): [0.0, 1.0],
        ("middle", "colour"): [1.0],
        ("middle", "shape"): [0.0],
        ("far", "colour"): [1.0],
        ("far", "shape"): [1.0, 1.0],
    }
    made.consistencies = {
        ("near", "colour"): [0.5, 0.9],
        ("middle", "colour"): [1.0],
        ("middle", "shape"): [0.25],
        ("far", "colour"): [0.8],
        ("far", "shape"): [1.0, 1.0],
    }
    return made


def test_means_weigh_questions_within_a_task_and_tasks_alike() -> None:
    scores = Scores(outcome(), IMAGES)
    assert scores.accuracy("colour").value == pytest.approx(2 / 4)
    assert scores.accuracy("shape").value == pytest.approx(2 / 3)
    assert scores.accuracy(ALL).value == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert scores.agreement("colour").value == pytest.approx(3 / 4)
    assert scores.agreement("shape").value == pytest.approx(2 / 3)
    assert scores.agreement(ALL).value == pytest.approx((3 / 4 + 2 / 3) / 2)
    consistency = scores.consistency(ALL)
    assert consistency is not None
    assert consistency.value == pytest.approx((3.2 / 4 + 2.25 / 3) / 2)
    assert [scores.questions(task) for task in (ALL, "colour", "shape")] == [7, 4, 3]


def test_the_order_of_photos_changes_no_mean() -> None:
    for order in (IMAGES, IMAGES[::-1], ["middle", "near", "far"]):
        scores = Scores(outcome(), order)
        assert scores.accuracy(ALL).value == pytest.approx(7 / 12)
        assert scores.payload.value == pytest.approx(400.0)


def test_costs_are_means_over_the_photos_that_a_task_asks_about() -> None:
    scores = Scores(outcome(), IMAGES)
    assert scores.per_photo("colour", lambda p: p.payload_bytes).value == pytest.approx(400.0)
    assert scores.per_photo("shape", lambda p: p.payload_bytes).value == pytest.approx(550.0)
    assert scores.per_photo("shape", lambda p: p.encode_ms).value == pytest.approx(11.0)
    assert np.isnan(scores.per_photo("position", lambda p: p.payload_bytes).value)


def test_a_photo_that_was_not_sent_cost_nothing() -> None:
    made = outcome()
    del made.photos["far"]
    scores = Scores(made, IMAGES)
    assert scores.per_photo("colour", lambda p: p.payload_bytes).value == pytest.approx((100 + 300) / 3)
    assert scores.per_photo("colour", lambda p: p.encode_ms).value == pytest.approx((5 + 7) / 3)
    assert scores.per_photo("colour", lambda p: p.decode_ms).value == pytest.approx((1 + 2) / 3)


def test_a_resample_is_the_same_figure_of_the_photos_drawn() -> None:
    scores, weights = Scores(outcome(), IMAGES), resampling_weights(3)
    near, middle, far = (
        int(np.flatnonzero((weights == drawn).all(axis=1))[0]) for drawn in ([1, 1, 1], [0, 3, 0], [2, 0, 1])
    )
    assert scores.accuracy(ALL).samples[near] == pytest.approx(7 / 12)
    assert scores.accuracy(ALL).samples[middle] == pytest.approx(1.0)  # three times one right answer to each
    assert scores.accuracy(ALL).samples[far] == pytest.approx((2 / 5 + 1 / 2) / 2)
    assert scores.agreement(ALL).samples[far] == pytest.approx((3 / 5 + 2 / 2) / 2)
    assert scores.payload.samples[far] == pytest.approx((2 * 100 + 800) / 3)
    shape = scores.per_photo("shape", lambda p: p.payload_bytes)
    assert shape.samples[far] == pytest.approx(800.0)  # nobody asked for the shape of what is near


def test_rows_tell_accuracy_from_agreement_and_cost_from_cost() -> None:
    rows = {row.task: row for row in rows_of(Scores(outcome(), IMAGES), (), CLOUD)}
    assert rows["shape"].accuracy == pytest.approx(2 / 3)
    assert rows["colour"].agreement == pytest.approx(3 / 4)
    assert rows["colour"].consistency == pytest.approx(3.2 / 4)
    assert (rows["shape"].payload_bytes, rows["shape"].encode_ms, rows["shape"].decode_ms) == (550.0, 11.0, 4.0)
    assert (rows[ALL].questions, rows["shape"].questions) == (7, 3)
    assert rows[ALL].wire_bytes is None


def test_b99_is_read_from_accuracy_and_never_from_agreement() -> None:
    """Agreement reaches its 99 % at the first setting already, accuracy half way to the second."""
    first, second = outcome(), outcome()
    for found, share in ((first, 0.5), (second, 1.0)):
        found.agreements = {key: [1.0] * len(values) for key, values in found.agreements.items()}
        found.scores = {key: [share] * len(values) for key, values in found.scores.items()}
    for photo in second.photos.values():
        photo.payload_bytes *= 4
    whole = outcome()
    whole.scores = {key: [0.75 / 0.99] * len(values) for key, values in whole.scores.items()}
    found = b99_of([Scores(first, IMAGES), Scores(second, IMAGES)], Scores(whole, IMAGES))
    assert found.value == pytest.approx(800.0)  # 0.75 is half way from 0.5 to 1, and 800 from 400 to 1,600 in log bytes


def test_a_draft_comes_before_the_final_answer_and_costs_its_bytes_once() -> None:
    """Photo "near" goes out as 500 and 1,000 bytes, behind a question of 25.

    First message there: (25 + 500) / 2500 + 0.1 = 0.31 s. The draft waits a quarter of 0.401 s more, is made in 0.401
    and travels 20 / 2500 + 0.1: 0.31 + 0.10025 + 0.401 + 0.108 = 0.91925 s. The rest is there at 0.71 s, before the
    draft is made; so restoring and verifying begin at 0.81125: + 0.001 + 0.1 + 10 / 2500 + 0.1 = 1.01625 s.
    """
    made = outcome()
    made.messages["near"] = Messages(greeting=40, question=25, photo=(500, 1000), answer=20, repeated=10, text_bytes=30)
    found = modelled_times(made, LINK, CLOUD)
    assert found is not None
    assert found.draft_ms == pytest.approx(919.25)
    assert found.final_ms == pytest.approx(1016.25)
    assert found.wire_bytes == 25 + 1500 + 20 + 40 + 500
    assert (found.questions, found.draft_ms_ci) == (1, None)


NEAR = Messages(greeting=40, question=25, photo=(500, 1000), answer=20, repeated=10, text_bytes=30)
FAR = Messages(greeting=50, question=30, photo=(900,), answer=25, repeated=12, text_bytes=30)


@pytest.mark.parametrize(("strategy", "answer_ms"), [("int8", 400.0), ("jpeg", 900.0), ("downsample", 400.0)])
def test_a_photo_that_is_no_use_in_part_has_no_draft(strategy: str, answer_ms: float) -> None:
    """Whole at (25 + 1500) / 2500 + 0.1 = 0.71 s, restored in 1 ms, answered, heard 0.108 s later."""
    made = outcome(strategy)
    made.messages["near"] = NEAR
    found = modelled_times(made, LINK, CLOUD)
    assert found is not None
    assert found.final_ms == found.draft_ms == pytest.approx(710 + 1 + answer_ms + 108)


def test_times_and_wire_bytes_are_means_over_the_questions_that_were_sampled() -> None:
    """Near as above. Far: 930 bytes and its encoding end at 0.375 s (15 ms before 900 bytes), there at 0.475."""
    made = outcome("int8")
    made.messages = {"near": NEAR, "far": FAR}
    found = modelled_times(made, LINK, CLOUD)
    assert found is not None
    near, far = 1219.0, 1000 * (0.015 + 0.36 + 0.1 + 0.006 + 0.4 + 25 / 2500 + 0.1)
    assert found.final_ms == pytest.approx((near + far) / 2)
    assert found.wire_bytes == (1545 + 40 + 500 + 955 + 50 + 500) / 2
    assert found.questions == 2
    drawn = resampling_weights(2) @ np.array([near, far]) / 2
    assert found.final_ms_ci == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    rows = {(row.task, row.link_mbit): row for row in rows_of(Scores(made, IMAGES), (LINK,), CLOUD)}
    # What is no payload: 2085 - 100 for the near photo and 1505 - 800 for the far one, 1,345 on average.
    assert rows[ALL, None].wire_bytes == pytest.approx(400 + 1345)
    assert rows["shape", None].wire_bytes == pytest.approx(550 + 1345)
    timed = rows[ALL, 0.02]
    assert (timed.wire_bytes, timed.rtt_ms, timed.source) == (found.wire_bytes, 200.0, "modelled")
    assert (timed.final_ms, timed.final_ms_ci) == (found.final_ms, found.final_ms_ci)
    assert timed.accuracy == rows[ALL, None].accuracy
    assert {row.source for row in rows.values()} == {"modelled"}


def test_the_devices_own_answers_take_its_tower_and_its_model() -> None:
    made = outcome("local")
    assert modelled_times(made, LINK, CLOUD) is None
    made.answer_ms = [30.0, 60.0]
    found = modelled_times(made, LINK, CLOUD)
    assert found is not None
    assert found.final_ms == found.draft_ms == pytest.approx(45 + (5 + 7 + 15) / 3)
    drawn = 9 + resampling_weights(2) @ np.array([30.0, 60.0]) / 2
    assert found.draft_ms_ci == found.final_ms_ci == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    assert (found.wire_bytes, found.wire_bytes_ci, found.questions) == (0.0, None, 2)
    timed = rows_of(Scores(made, IMAGES), (LINK,), CLOUD)[-1]
    assert (timed.source, timed.final_ms, timed.link_mbit) == ("measured", found.final_ms, 0.02)
    made.answer_ms = [30.0]
    found = modelled_times(made, LINK, CLOUD)
    assert found is not None
    assert (found.final_ms, found.final_ms_ci) == (pytest.approx(39.0), None)


def test_where_consistency_was_not_measured_there_is_none() -> None:
    made = outcome()
    made.consistencies = {}
    assert Scores(made, IMAGES).consistency(ALL) is None
    assert all(row.consistency is None for row in rows_of(Scores(made, IMAGES), (), CLOUD))


def test_a_photo_that_was_not_sent_costs_nothing() -> None:
    made = outcome()
    del made.photos["far"]
    assert Scores(made, IMAGES).per_photo("shape", lambda p: p.payload_bytes).value == pytest.approx(150.0)


def test_intervals_are_those_of_the_figure_beside_them() -> None:
    made = outcome()
    made.scores[("near", "shape")], made.agreements[("near", "shape")] = [1.0], [1.0]
    made.consistencies[("near", "shape")] = [0.5]
    scores = Scores(made, IMAGES)
    row = rows_of(scores, (), CLOUD)[0]
    for interval, mean in (
        (row.accuracy_ci, scores.accuracy(ALL)),
        (row.agreement_ci, scores.agreement(ALL)),
        (row.consistency_ci, scores.consistency(ALL)),
        (row.payload_bytes_ci, scores.payload),
        (row.encode_ms_ci, scores.per_photo(ALL, lambda p: p.encode_ms)),
        (row.decode_ms_ci, scores.per_photo(ALL, lambda p: p.decode_ms)),
    ):
        assert mean is not None
        assert interval == pytest.approx(tuple(np.quantile(mean.samples, [0.025, 0.975])))


def test_b99_is_resampled_with_its_own_base() -> None:
    first, second, whole = outcome(), outcome(), outcome()
    for photo in second.photos.values():
        photo.payload_bytes *= 4
    second.scores = {key: [1.0] * len(values) for key, values in second.scores.items()}
    settings, base = [Scores(first, IMAGES), Scores(second, IMAGES)], Scores(whole, IMAGES)
    found = b99_of(settings, base)
    for i in (0, 7, 77, 999):
        points = [(float(s.payload.samples[i]), float(s.accuracy().samples[i])) for s in settings]
        expected = b99(points, float(base.accuracy().samples[i]))
        assert found.samples[i] == pytest.approx(np.nan if expected is None else expected, nan_ok=True)
    assert found.samples.shape == (1000,)


def test_the_best_of_crossings_that_do_not_exist() -> None:
    nan = float("nan")
    none = Crossing(None, np.array([nan, nan]))
    best = best_of([none, Crossing(7.0, np.array([nan, 3.0]))])
    assert best.value == 7.0
    assert np.isnan(best.samples[0])
    assert best.samples[1] == 3.0
    assert best_of([none]).value is None
    nothing = best_of([])
    assert nothing.samples.shape == (1,)
    assert np.isnan(nothing.samples).all()
    one = Crossing(6.0, np.array([6.0, 8.0]))
    assert ratio_of(one, Crossing(3.0, np.array([3.0, 2.0]))).samples.tolist() == [2.0, 4.0]
    assert ratio_of(one, Crossing(3.0, np.array([3.0, 2.0]))).value == 2.0
    for pair in ((one, none), (none, one)):
        assert ratio_of(*pair).value is None


def test_no_accuracy_takes_no_time() -> None:
    made = outcome("int8")
    made.messages["near"] = NEAR
    assert time_at_accuracy([Scores(made, IMAGES)], LINK, CLOUD, 0.0) is None
    assert time_at_accuracy([Scores(made, IMAGES)], LINK, CLOUD, 0.5) == pytest.approx(1219.0)
    assert time_at_accuracy([Scores(outcome("int8"), IMAGES)], LINK, CLOUD, 0.5) is None


def test_what_crossed_no_link_was_measured() -> None:
    assert {row.source for row in rows_of(Scores(outcome(), IMAGES), (LINK,), CLOUD)} == {"measured"}


def test_a_ratio_to_nothing_does_not_exist() -> None:
    one = Crossing(6.0, np.array([6.0]))
    with np.errstate(divide="ignore"):
        assert ratio_of(one, Crossing(0.0, np.array([0.0]))).value is None
    assert ratio_of(Crossing(0.0, np.array([0.0])), one).value == 0.0
