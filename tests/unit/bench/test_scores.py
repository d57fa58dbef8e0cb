import numpy as np
import pytest

from heliograph.bench.definitions import Link
from heliograph.bench.exchange_model import Messages
from heliograph.bench.metrics import ALL
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.scores import (
    CloudWork,
    Crossing,
    Mean,
    Scores,
    b99_of,
    best_of,
    modelled_times,
    ratio_of,
    rows_of,
    time_at_accuracy,
    time_crossing,
)

IMAGES = [f"scene-{i}" for i in range(40)]
CLOUD = CloudWork(tokens_ms=10.0, picture_ms=20.0, verify_ms=5.0, opening_bytes=500)
LINK = Link("test", 0.02, 200.0)


def _outcome(payload: float, share_right: float, strategy: str = "klt") -> Outcome:
    """Colour: the given share right, one question a photo. Shape: always right, on every second photo."""
    outcome = Outcome(Candidate(strategy, {"max_bytes": int(payload)}))
    for number, image in enumerate(IMAGES):
        outcome.photos[image] = PhotoOutcome(payload, 5.0, 1.0, 2.0)
        right = float(number < share_right * len(IMAGES))
        outcome.scores[image, "colour"] = outcome.agreements[image, "colour"] = [right]
        if number % 2 == 0:
            outcome.scores[image, "shape"] = outcome.agreements[image, "shape"] = [1.0]
        outcome.scores[image, "small-print"] = outcome.agreements[image, "small-print"] = [0.0]
    return outcome


def test_all_is_the_mean_over_tasks_without_those_that_stand_alone() -> None:
    scores = Scores(_outcome(100, 0.5), IMAGES)
    assert scores.accuracy("colour").value == 0.5
    assert scores.accuracy("small-print").value == 0.0
    assert scores.accuracy(ALL).value == pytest.approx((0.5 + 1.0) / 2)  # not weighted by questions
    assert scores.mean_tasks == ("colour", "shape")
    assert scores.questions(ALL) == 60
    assert scores.questions("shape") == 20


def test_sure_agreement_is_of_sure_questions_alone() -> None:
    outcome = _outcome(100, 0.5)
    assert Scores(outcome, IMAGES).sure_agreement("colour") is None
    # Of colours 10 are sure, 5 of them the same; of shapes 4, all the same.
    outcome.sure = {(image, "colour"): [float(number < 5)] for number, image in enumerate(IMAGES[:10])}
    outcome.sure |= {(image, "shape"): [1.0] for image in IMAGES[:8:2]}
    found = Scores(outcome, IMAGES)
    assert found.sure_agreement("colour").value == 0.5
    assert found.sure_agreement(ALL).value == pytest.approx((0.5 + 1.0) / 2)
    low, high = found.sure_agreement("colour").interval
    assert low < 0.5 < high
    row = rows_of(found, (), CLOUD)[0]
    assert row.sure_agreement == pytest.approx(0.75)
    outcome.sure = {key: values for key, values in outcome.sure.items() if key[1] == "colour"}
    assert Scores(outcome, IMAGES).sure_agreement(ALL) is None


def test_intervals_hold_the_mean() -> None:
    found = Scores(_outcome(100, 0.5), IMAGES).accuracy("colour")
    assert found.interval is not None
    assert found.interval[0] < 0.5 < found.interval[1]
    assert 0.25 < found.interval[1] - found.interval[0] < 0.36  # 2 * 1.96 * sqrt(0.25 / 40) = 0.31


def test_b99_lies_between_the_settings_around_the_target() -> None:
    uncompressed = Scores(_outcome(0, 1.0), IMAGES)
    settings = [Scores(_outcome(b, share), IMAGES) for b, share in ((50, 0.5), (100, 0.9), (200, 1.0))]
    crossing = b99_of(settings, uncompressed)
    assert crossing.value is not None
    # colour 0.98 for a mean of 0.99: four fifths of the way from 0.9 to 1.0 in log bytes
    assert crossing.value == pytest.approx(100 * 2**0.8)
    assert crossing.interval is not None
    assert crossing.interval[0] <= crossing.value <= crossing.interval[1]


def test_a_strategy_that_never_gets_there_has_no_b99() -> None:
    uncompressed = Scores(_outcome(0, 1.0), IMAGES)
    crossing = b99_of([Scores(_outcome(50, 0.5), IMAGES)], uncompressed)
    assert crossing.value is None
    assert crossing.interval is None


def test_best_and_ratio_go_resample_by_resample() -> None:
    nan = float("nan")
    one, other = Crossing(100.0, np.array([100.0, nan, 90.0])), Crossing(120.0, np.array([80.0, 120.0, nan]))
    best = best_of([one, other])
    assert best.value == 100.0
    assert best.samples.tolist() == [80.0, 120.0, 90.0]
    ratio = ratio_of(Crossing(10.0, np.array([8.0, 12.0, nan])), best)
    assert ratio.value == pytest.approx(0.1)
    assert ratio.samples[:2].tolist() == pytest.approx([0.1, 0.1])
    assert np.isnan(ratio.samples[2])
    assert ratio_of(Crossing(None, np.array([nan])), Crossing(1.0, np.array([1.0]))).value is None
    assert best_of([]).value is None


def _with_messages(outcome: Outcome, photo: tuple[int, ...]) -> Outcome:
    for image in IMAGES[:5]:
        outcome.messages[image] = Messages(40, 25, photo, 20, 10, 30)
    return outcome


def test_picture_strategies_pay_for_the_clouds_vision_tower() -> None:
    tokens = modelled_times(_with_messages(_outcome(100, 1.0, "klt"), (100,)), LINK, CLOUD)
    picture = modelled_times(_with_messages(_outcome(100, 1.0, "jpeg"), (100,)), LINK, CLOUD)
    assert tokens is not None
    assert picture is not None
    assert picture.final_ms - tokens.final_ms == pytest.approx(10.0)
    assert tokens.wire_bytes == 25 + 100 + 20 + 40 + 500


def test_local_answers_need_no_link() -> None:
    outcome = _outcome(0, 1.0, "local")
    assert modelled_times(outcome, LINK, CLOUD) is None
    outcome.answer_ms = [30.0, 50.0]
    found = modelled_times(outcome, LINK, CLOUD)
    assert found is not None
    assert found.final_ms == found.draft_ms == pytest.approx(45.0)
    assert found.wire_bytes == 0


def test_rows_come_per_task_and_per_link() -> None:
    rows = rows_of(Scores(_with_messages(_outcome(100, 0.5), (100,)), IMAGES), (LINK,), CLOUD)
    assert [(r.task, r.link_mbit) for r in rows] == [
        (ALL, None),
        ("colour", None),
        ("shape", None),
        ("small-print", None),
        (ALL, 0.02),
    ]
    assert rows[-1].source == "modelled"
    assert rows[-1].final_ms is not None
    assert rows[-1].final_ms > 200
    assert rows[0].payload_bytes == 100
    assert rows[0].wire_bytes == pytest.approx(100 + 25 + 20 + 40 + 500)


def test_time_at_equal_accuracy_is_read_between_settings() -> None:
    settings = [
        Scores(_with_messages(_outcome(b, share), (b,)), IMAGES) for b, share in ((50, 0.5), (100, 0.9), (200, 1.0))
    ]
    times = [modelled_times(s.outcome, LINK, CLOUD) for s in settings]
    found = time_at_accuracy(settings, LINK, CLOUD, 0.99)
    assert found is not None
    assert times[1] is not None
    assert times[2] is not None
    assert times[1].final_ms < found < times[2].final_ms
    assert time_at_accuracy(settings[:1], LINK, CLOUD, 0.99) is None


def test_a_time_at_equal_accuracy_has_resamples_of_the_same_photos() -> None:
    settings = [
        Scores(_with_messages(_outcome(b, share), (b,)), IMAGES) for b, share in ((50, 0.5), (100, 0.9), (200, 1.0))
    ]
    resamples = len(settings[0].accuracy().samples)
    found = time_crossing(settings, LINK, CLOUD, Mean(0.9, np.full(resamples, 0.9)))
    assert found.value == time_at_accuracy(settings, LINK, CLOUD, 0.9)
    assert found.interval is not None
    assert found.interval[0] < (found.value or 0) < found.interval[1]  # accuracy varies, times do not
    whole = time_crossing(settings[-1:], LINK, CLOUD, Mean(1.0, np.ones(resamples)))
    assert whole.interval == pytest.approx((whole.value, whole.value))
    assert time_crossing(settings[:1], LINK, CLOUD, Mean(0.9, np.full(resamples, 0.9))).value is None
    assert time_crossing([], LINK, CLOUD, Mean(0.9, np.full(resamples, 0.9))).interval is None
    assert time_crossing(settings, LINK, CLOUD, Mean(0.0, np.zeros(resamples))).value is None


def test_a_mean_of_some_photos_is_on_the_resamples_of_all() -> None:
    scores = Scores(_outcome(100, 1.0), IMAGES)
    found = scores.mean_of({IMAGES[0]: 10.0, IMAGES[1]: 20.0, IMAGES[2]: 30.0})
    assert found.value == pytest.approx(20.0)
    drawn = found.samples[np.isfinite(found.samples)]
    assert 10.0 <= drawn.min() < 20.0 < drawn.max() <= 30.0
