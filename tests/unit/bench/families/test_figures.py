"""Figures of the families' table whose right values are known."""

from __future__ import annotations

import pytest

from heliograph.bench.families.figures import bottleneck_figure, families_figures
from heliograph.bench.metrics import ALL
from heliograph.bench.outcomes import Candidate, Outcome, PhotoOutcome
from heliograph.bench.scores import Scores, b99_of

IMAGES = [f"scene-{i}" for i in range(40)]


def scores(strategy: str, payload: float, right: int) -> Scores:
    """So many of forty questions right, one a photo."""
    outcome = Outcome(Candidate(strategy, {"max_bytes": int(payload)}))
    for number, image in enumerate(IMAGES):
        outcome.photos[image] = PhotoOutcome(payload, 5.0, 1.0, 2.0)
        outcome.scores[image, "colour"] = outcome.agreements[image, "colour"] = [float(number < right)]
    return Scores(outcome, IMAGES)


def test_a_bottleneck_is_less_than_the_tower_more_than_nothing_and_good_enough() -> None:
    groups = {
        "klt": [scores("klt", 10, 40)],  # the whole tower
        "jpeg": [scores("jpeg", 10, 40)],  # no network at all
        "pq": [scores("pq", 10, 20), scores("pq", 20, 39)],
        "int4": [scores("int4", 10, 30)],  # the least work, and too often wrong
    }
    macs = {"klt": 1000, "jpeg": 0, "pq": 120, "int4": 10}
    found = bottleneck_figure(groups, scores("uncompressed", 0, 40), macs, 1000)
    assert (found.value, found.must, found.aim) == (0.12, 0.25, 0.10)
    assert bottleneck_figure({"int4": groups["int4"]}, scores("uncompressed", 0, 40), macs, 1000).value is None


def test_ours_are_held_against_the_best_of_others_and_of_bare_pictures() -> None:
    sizes = {"klt": 100.0, "divprune": 80.0, "roi-jpeg": 50.0, "side-info": 60.0, "jpeg": 300.0, "jpeg-bare": 200.0}
    whole = scores("uncompressed", 0, 40)
    crossings = {name: b99_of([scores(name, size, 40)], whole) for name, size in sizes.items()}
    found = {one.name: one.value for one in families_figures(crossings, list(sizes))}
    assert found["strategies in the table, each over the real wire"] == 6
    best_other = "B99 of klt or meta / B99 of the best of all others"
    assert found[f"{best_other}, guided ones left out"] == pytest.approx(100 / 60)
    assert found[f"{best_other}, guided ones and those of `meta`'s latents left out"] == pytest.approx(100 / 80)
    assert found[best_other] == pytest.approx(100 / 50)
    assert found["B99 of the best strategy / B99 of the best bare tuned pixel codec"] == pytest.approx(50 / 200)
    assert whole.accuracy(ALL).value == 1.0
