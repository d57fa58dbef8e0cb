"""Entropy tables of a fit against scipy's distributions, and against counts made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import truncexpon

from heliograph.codec.fitting.tables import (
    _blank_tables,
    _choose_split,
    _count_signs,
    _fit_logits,
    _fit_restoration,
    _laplace_chances,
    _quiet_means,
    _quiet_squares,
    _ranks,
    _relative_scales,
    _skew_prior,
    fit_tables,
)
from heliograph.codec.tables import Layout

SCALES = 2.0 ** ((np.arange(64) - 31.5) / 4)  # four bins an octave, the border at scale = threshold in the middle


def test_scales_lie_in_the_middle_of_their_bins() -> None:
    np.testing.assert_allclose(_relative_scales(), SCALES)


def test_a_magnitude_below_two_thresholds_is_above_one_with_the_exponential_chance() -> None:
    found = _laplace_chances()
    usual = SCALES > 1 / 30
    np.testing.assert_allclose(found[:64][usual], truncexpon.sf(1, b=2 / SCALES, scale=SCALES)[usual], rtol=1e-9)
    np.testing.assert_allclose(found[:64][~usual], 1 / (1 + np.exp(30)))
    coarse = 2.0 ** ((np.arange(32) - 15.5) / 2)
    wanted = np.maximum(truncexpon.sf(1, b=2 / coarse, scale=coarse), 1 / (1 + np.exp(3)))
    np.testing.assert_allclose(found[64:96], wanted)
    np.testing.assert_array_equal(found[96:], found[64:96])


def test_quiet_magnitudes_have_the_mean_of_an_exponential_cut_at_the_threshold() -> None:
    wanted = np.rint(1024 * truncexpon.mean(b=1 / SCALES, scale=SCALES))
    np.testing.assert_array_equal(_quiet_means(), np.clip(wanted, 1, 512))
    assert (_quiet_means()[0], _quiet_means()[-1]) == (4, 512)  # 1024 x 0.00425; nearly the middle


def test_quiet_squares_are_those_of_an_exponential_cut_at_the_threshold() -> None:
    """In 2^-20 of the threshold's; of scales far above it a third, as of values spread evenly, or a little less."""
    wanted = 2.0**20 * np.array([truncexpon(b=1 / scale, scale=scale).moment(2) for scale in SCALES])
    np.testing.assert_allclose(_quiet_squares(), np.minimum(wanted, 2**19), atol=0.51)
    assert _quiet_squares()[0] == round(2 * 2**20 * SCALES[0] ** 2)
    assert 0.33 < _quiet_squares()[-1] / 2**20 < 1 / 3


def test_what_depends_on_no_context() -> None:
    """Largest magnitudes 9, 2 and 0.3: one plane more than 9 needs; a component takes part one octave early."""
    scaled = np.zeros((2, 2, 3), dtype=np.float32)
    scaled[0, 0], scaled[1, 1] = (9, -2, 0.3), (-1, 0, 0.1)
    made = _blank_tables(scaled)
    assert made.planes == 5  # floor(log2 9) + 2
    assert made.active.tolist() == [2, 2, 2, 1, 1]  # 2 x 0.3 < 1; 2 x 2 >= 4; 2 x 9 >= 16
    assert made.weights[..., 0].tolist() == [[256, 256]] * 5
    assert not made.weights[..., 1:].any()
    assert made.split.tolist() == [64] * 5
    assert made.logit.shape == (5, 2, 128)
    assert not made.logit.any()
    assert not made.sign_logit.any()
    quiet = _blank_tables(np.full((8, 1, 1), 1e-3, dtype=np.float32))
    assert (quiet.planes, quiet.active.tolist()) == (2, [1, 1])
    assert _blank_tables(np.full((8, 1, 1), 1e30, dtype=np.float32)).planes == 24


CHANCES = expit((np.arange(128) - 72) / 8)  # of a one at every rung: eighths of log odds, 72 for one in two


def test_rungs_cost_what_their_log_odds_say() -> None:
    """A zero -log2(1 - p) bits of 4,096 parts, 1 to 5 bits of them; signs are certain to one in 64 at most."""
    made = _blank_tables(np.full((1, 1, 1), 3.0, dtype=np.float32))
    assert made.cost.tolist() == np.clip(np.rint(-np.log2(1 - CHANCES) * 4096), 1, 20480).tolist()
    assert made.chance.tolist() == np.clip(np.rint(CHANCES * 65536), 1024, 64512).tolist()
    assert (made.cost[72], made.chance[72]) == (4096, 32768)
    assert (made.cost[0], made.cost[127], made.chance[0], made.chance[127]) == (1, 20480, 1024, 64512)
    made.check(1)


def logits_of(classes: list[int], bits: list[int]) -> Any:
    made = _blank_tables(np.full((1, 1, 1), 3.0, dtype=np.float32))
    items: Any = SimpleNamespace(plane=1, part=1, classes=np.array(classes))
    _fit_logits(made, items, np.array(bits))
    return made.logit


def test_log_odds_are_those_of_counted_chances_drawn_to_the_prior() -> None:
    """Class 5: 30 ones of 92, and 8 more of the prior; class 70: none of 8. In 1/64."""
    made = logits_of([5] * 92 + [70] * 8, [1] * 30 + [0] * 70)
    prior = truncexpon.sf(1, b=2 / 2.0 ** ((6 - 15.5) / 2), scale=2.0 ** ((6 - 15.5) / 2))
    chance = 8 * max(prior, 1 / (1 + np.exp(3))) / 16
    assert made[1, 1, 5] == round(64 * np.log(30 / 70))  # its prior is next to nothing
    assert made[1, 1, 70] == round(64 * np.log(chance / (1 - chance)))
    assert made[1, 1, 0] == round(64 * np.log(2e-4 / (1 - 2e-4))) == -545  # never seen and never likely
    assert not made[0].any()
    assert logits_of([63] * 10**4, [1] * 10**4)[1, 1, 63] == round(64 * np.log(24))  # at most 0.96


def test_rungs_are_ordered_by_error_taken_away_per_bit() -> None:
    """A one takes 2.1 squared thresholds away, for the decision and a sign; a refinement a quarter, either way."""

    def entropy(chance: float) -> float:
        return float(-chance * np.log2(chance) - (1 - chance) * np.log2(1 - chance))

    chances = np.clip(CHANCES, 2e-4, 0.97).tolist()
    slopes = np.array([2.1 * p / (entropy(p) + p) for p in chances] + [0.25 / entropy(p) for p in chances])
    rank = _ranks()
    assert sorted(rank) == list(range(256))
    assert np.diff(slopes[rank.argsort()]).max() < 1e-9
    assert rank[72] < rank[128 + 72] < rank[30]  # 0.7, 0.25 and 0.21


def split_of(classes: list[int], ones: list[int], tiles: int = 1) -> int:
    made = _blank_tables(np.full((1, 1, 1), 3.0, dtype=np.float32))
    magnitude = np.zeros(len(classes), dtype=np.int64)
    magnitude[ones] = 2
    items = SimpleNamespace(classes=np.array(classes), index=np.arange(len(classes)))
    state: Any = SimpleNamespace(items=lambda plane, part: items, shape=(tiles, 1, 1))
    _choose_split(made, state, magnitude, 1)
    return int(made.split[1])


def test_the_first_pass_has_the_likely_classes_where_they_are_many() -> None:
    """Class 40 is a one every other time; class 20 next to never. Above 22 the prior alone is above a tenth."""
    prior = truncexpon.sf(1, b=2 / SCALES, scale=SCALES)
    border = int(np.flatnonzero(prior < 0.1)[-1]) + 1
    many = [40] * 64 + [20] * 100
    assert split_of(many, list(range(0, 64, 2))) == max(border, 21)
    assert split_of(many[1:], list(range(0, 62, 2))) == 64  # 63 decisions a tile: too few for a pass
    assert split_of(many, list(range(0, 64, 2)), tiles=2) == 64
    rare = [40] * 1000 + [41] * 64
    assert split_of(rare, [*range(20), *range(1000, 1064)]) == 41  # class 40: 20 of 1,000


def test_magnitudes_are_restored_at_the_mean_within_their_interval() -> None:
    """1,000 magnitudes of 1.5 thresholds and 500 of 3.25, of one scale, beside 32 of the exponential's mean."""
    scaled = np.concatenate([np.full(1000, 1.5), np.full(500, -3.25)]).astype(np.float32).reshape(-1, 1, 1)
    made = _blank_tables(scaled)
    layout = Layout(1, 1, True, np.array([[16]]), np.array([[4]]))  # a scale of 2 ** (16 / 8) thresholds
    _fit_restoration(made, scaled, layout)
    prior = truncexpon.mean(b=1 / SCALES, scale=SCALES)
    # plane 0: bin 16 / 2 + 32 = 40; plane 1: 3.25 becomes 1.625 in bin 36; plane 2 has none
    assert made.planes == 3
    assert made.offset[0, 40] == round(64 * (32 * prior[40] + 1000 * 0.5) / 1032)
    assert made.offset[1, 40] == round(64 * (32 * prior[40] + 500 * 0.25) / 532)
    assert made.offset[0, 36] == round(64 * (32 * prior[36] + 500 * 0.625) / 532)
    assert made.offset[0, 20] == round(64 * prior[20])


def test_signs_are_counted_by_skew() -> None:
    """Of two tiles of one position with two components, whose skews are 1 and 7."""
    signs = np.zeros((9, 2))
    layout = SimpleNamespace(skew_bin=np.array([[1, 7]]))
    state: Any = SimpleNamespace(shape=(2, 1, 2), model=SimpleNamespace(layout=layout))
    items: Any = SimpleNamespace(classes=np.array([5, 70, 63, 0]), index=np.array([0, 1, 3, 2]))
    _count_signs(signs, state, items, np.array([0, 1, 2, 3]), np.array([True, True, False, True]))
    assert signs.sum() == 3  # a refinement has no sign
    assert (signs[1, 1], signs[7, 0]) == (2, 1)
    np.testing.assert_allclose(np.log(_skew_prior() / (1 - _skew_prior())), 0.6 * np.arange(-4, 5), atol=1e-12)


def test_signs_of_a_fit_are_counted_drawn_to_the_prior_and_bounded() -> None:
    """300 values of 1.5, all of them minus and in the middle bin: 304 of 308 are beyond 31 in 32."""
    layout = Layout(1, 1, True, np.array([[8]]), np.array([[4]]))
    made = fit_tables(np.full((300, 1, 1), -1.5, dtype=np.float32), layout, activity=False)
    made.check(1)
    assert made.sign_logit[4] == round(64 * np.log(31))
    assert made.sign_logit[[0, 8]].tolist() == [round(-64 * 2.4), round(64 * 2.4)]  # nothing seen
    mixed = np.where(np.arange(300) % 3 == 0, -1.5, 1.5).astype(np.float32).reshape(-1, 1, 1)
    found = fit_tables(mixed, layout, activity=False)
    assert found.sign_logit[4] == round(64 * np.log(104 / 204))
