"""Bytes at equal answers and their ratios, against curves whose crossings are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.bench.bytes.figures import SceneFigures, affordable, agreement_crossing, sure_crossing
from heliograph.bench.bytes.opponents import NNC, OLDER
from heliograph.bench.bytes.photos import figures_of
from heliograph.bench.bytes.suite import dearest
from heliograph.bench.bytes.times import median_interval
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.photos.measuring import Measured
from heliograph.bench.scores import Scores

IMAGES = [f"scene-{number}" for number in range(200)]


def scores(codec: str, payload: float, agrees: float, right: float | None = None) -> Scores:
    """Every photo costs the same; the given shares agree and are right (by default the same one)."""
    outcome = Outcome(Candidate(codec, {"rate": int(payload)}))
    for number, image in enumerate(IMAGES):
        outcome.photos[image] = PhotoOutcome(payload, 0.0, 0.0)
        outcome.agreements[image, "colour"] = [float(number < agrees * len(IMAGES))]
        outcome.scores[image, "colour"] = [float(number < (agrees if right is None else right) * len(IMAGES))]
    return Scores(outcome, IMAGES)


def test_bytes_are_read_between_settings_of_agreement_and_not_of_accuracy() -> None:
    settings = [scores("klt", 100, 0.8, right=1.0), scores("klt", 400, 1.0, right=0.1)]
    assert agreement_crossing(settings, 0.9).value == pytest.approx(200)  # half way in the logarithm
    assert agreement_crossing(settings, 0.8).value == 100
    assert agreement_crossing(settings[:1], 0.9).value is None
    assert agreement_crossing([], 0.9).value is None


def test_a_ratio_is_paired_so_that_equal_curves_leave_no_doubt() -> None:
    curve = {name: [scores(name, 2 * b, a) for b, a in ((100, 0.8), (300, 1.0))] for name in ("klt",)}
    curve[NNC] = [scores(NNC, b, a) for b, a in ((100, 0.8), (300, 1.0))]
    found = {f.name: f for f in SceneFigures(curve, scores("uncompressed", 0, 1.0), ()).all()}
    ratio = found['bytes of klt / "KLT + NNC" bare at agreement 0.90, scenes']
    assert ratio.value == pytest.approx(2.0)
    assert ratio.interval == pytest.approx((2.0, 2.0))
    assert (ratio.must, ratio.aim) == (0.9, 0.8)
    assert found["B99 of klt / of the older build, paired"].value is None  # there was none


def test_ties_do_not_count_among_sure_answers() -> None:
    def sure(codec: str, payload: float, agrees: float) -> Scores:
        """Half of all answers are sure, those that the coarser streams change first are not."""
        made = scores(codec, payload, agrees)
        values = made.outcome.agreements
        made.outcome.sure = {key: value for key, value in values.items() if int(key[0].split("-")[1]) < 100}
        return Scores(made.outcome, IMAGES)

    curve = {
        "klt": [sure("klt", 100, 0.4), sure("klt", 200, 0.5), sure("klt", 800, 1.0)],
        NNC: [sure(NNC, 200, 0.4), sure(NNC, 400, 0.5), sure(NNC, 3200, 1.0)],
    }
    base = sure("uncompressed", 0, 1.0)
    assert sure_crossing(curve["klt"], 0.9).value == pytest.approx(200 * 2**-0.5)  # sure .8 to 1
    assert agreement_crossing(curve["klt"], 0.9).value == pytest.approx(200 * 4**0.8)
    found = {f.name: f for f in SceneFigures(curve, base, ()).all()}
    figure = found[f"bytes of klt / {NNC} at agreement 0.90 of sure answers, scenes"]
    assert figure.value == pytest.approx(0.5)
    assert figure.must is None
    assert sure_crossing([scores("klt", 100, 1.0)], 0.9).value is None  # nobody said which are sure


def test_the_best_picture_codec_counts() -> None:
    groups = {
        "klt": [scores("klt", 100, 1.0)],
        "meta": [scores("meta", 40, 0.5), scores("meta", 160, 1.0)],
        OLDER: [scores(OLDER, 125, 1.0)],
        "jpeg-bare": [scores("jpeg-bare", 1000, 1.0)],
        "avif-bare": [scores("avif-bare", 500, 1.0)],
    }
    base = scores("uncompressed", 0, 1.0)
    found = {f.name: f for f in SceneFigures(groups, base, ("jpeg-bare", "avif-bare")).all()}
    assert found["B99 of klt / best bare pixel codec"].value == pytest.approx(0.2)
    assert found["B99 of klt / of the older build, paired"].value == pytest.approx(0.8)
    above = found["meta: whole stream above the 99 % line, points"]
    assert above.value == pytest.approx(1.0)
    assert above.at_least
    assert found["meta: bytes of the whole stream"].value == 160
    quarter = found["accuracy at a quarter of meta's B99, share of the uncompressed"]
    assert quarter.value is None  # B99 is 157 bytes, and no setting takes 39


def test_a_quarter_is_of_the_best_setting_within_it() -> None:
    settings = [scores("meta", b, a) for b, a in ((10, 0.3), (20, 0.6), (25, 0.55), (26, 0.7), (100, 1.0))]
    figures = SceneFigures({"meta": settings}, scores("uncompressed", 0, 1.0), ()).all()
    quarter = next(f for f in figures if f.name.startswith("accuracy at a quarter"))
    assert quarter.value == pytest.approx(0.6)  # B99 is 95.6 bytes


@pytest.mark.parametrize(
    ("most", "wanted"), [(None, None), (9.9, None), (10.0, 0.3), (20.0, 0.5), (float("nan"), None)]
)
def test_what_a_number_of_bytes_affords(most: float | None, wanted: float | None) -> None:
    assert affordable([(10.0, 0.3), (15.0, 0.5), (20.0, 0.4), (30.0, 0.9)], most) == wanted


def test_of_each_picture_codec_the_dearest_settings_stay() -> None:
    candidates = [Candidate(name, {"quality": q}) for name in ("jpeg-bare", "avif-bare") for q in (1, 2, 3)]
    kept = [(one.strategy, one.setting["quality"]) for one in dearest(candidates, 2)]
    assert kept == [("jpeg-bare", 2), ("jpeg-bare", 3), ("avif-bare", 2), ("avif-bare", 3)]


def measured(codec: str, payload: float, agrees: float, photos: int) -> Measured:
    none = np.zeros(photos)
    return Measured(codec, "x", np.full(photos, payload), (np.arange(photos) < agrees * photos) * 1.0, none, none)


def test_photos_with_a_margin_have_the_bounds() -> None:
    every = [measured("klt", 60, 0.9, 40), measured(OLDER, 100, 0.9, 40), measured(NNC, 80, 0.9, 40)]
    chosen = [measured("klt", 50, 0.9, 20), measured(OLDER, 100, 0.9, 20), measured(NNC, 80, 0.9, 20)]
    found = {f.name: f for f in figures_of(every, chosen)}
    older = found["bytes of klt / the older build's at agreement 0.90, photos with a margin"]
    assert (older.value, older.must, older.aim) == (0.5, 0.85, 0.7)
    unbound = found["bytes of klt / the older build's at agreement 0.90, all photos"]
    assert (unbound.value, unbound.must) == (0.6, None)
    assert found['bytes of klt / "KLT + NNC" bare at agreement 0.95, photos with a margin'].value is None
    without = {f.name: f.value for f in figures_of(every[:1], chosen[:1])}
    assert set(without) == set(found)
    assert set(without.values()) == {None}


def test_the_interval_of_a_median_holds_it_and_stays_within_the_values() -> None:
    interval = median_interval(np.array([0.5, 0.6, 0.61, 0.62, 0.63, 0.7, 5.0]))
    assert interval is not None
    assert 0.5 <= interval[0] <= 0.62 <= interval[1] <= 5.0
    assert median_interval(np.array([0.5, 0.5, 0.5])) == (0.5, 0.5)
