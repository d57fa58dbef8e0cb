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
from heliograph.bench.metrics import ALL
from heliograph.bench.runner import Candidate, Outcome, PhotoOutcome
from heliograph.bench.scores import CloudWork, Scores, b99_of, modelled_times, rows_of
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
