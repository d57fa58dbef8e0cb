"""What a fit reads from its photos, against numbers worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.codec.fitting import metric as fit_metric
from heliograph.codec.fitting.fit import (
    _candidates,
    _DistortionCourse,
    _finest_step,
    _Fitter,
    _scale_bins,
    _skew_bins,
    _unit_transform,
)
from heliograph.codec.fitting.metric import make_metric
from heliograph.codec.fitting.restoration import _Lens, _regress
from heliograph.codec.klt import KltCodec
from heliograph.codec.quantize import dequantize
from heliograph.codec.restoration import views
from heliograph.errors import CodecNotFittedError, ShapeError
from heliograph.types import Grid, VisualTokens


def photos_of(*components: tuple[int, float, float]) -> np.ndarray:
    """(64, 1, R) of coefficients: so many of one value, the other value in all the rest."""
    made = np.empty((64, 1, len(components)), dtype=np.float32)
    for place, (count, one, other) in enumerate(components):
        made[:count, 0, place], made[count:, 0, place] = one, other
    return made


def test_skew_is_a_chance_in_log_odds_drawn_to_the_middle() -> None:
    """32 of 32 that stand out are negative: (32 + 16) / (32 + 32) = 3/4, ln 3 / 0.6 = 1.83, two bins above 4."""
    made = photos_of((32, -3, 0.1), (32, 3, 0.1), (0, 0, 0.1), (32, -0.9, 0.1), (64, -2, 0), (31, -3, 0.1))
    assert _skew_bins(made, False).tolist() == [[6, 2, 4, 4, 4, 6]]  # the last but one: none exceeds the mean


def test_skew_is_bounded() -> None:
    """1,000 of 1,000: ln(1016 / 16) / 0.6 = 6.9, beyond the last of nine bins."""
    many = np.concatenate([np.full(1000, -3.0), np.full(1000, 0.1)]).astype(np.float32).reshape(-1, 1, 1)
    assert _skew_bins(np.concatenate([many, -many], axis=2), False).tolist() == [[8, 0]]


def test_skew_of_places_is_pooled_where_the_grid_has_no_transform() -> None:
    """Two places, 32 negative of 32 and 8 positive of 8: 48 / 72 = 2/3 together, ln 2 / 0.6 = 1.16."""
    made = np.concatenate([photos_of((32, -3, 0.1)), photos_of((8, 3, 0.1))], axis=1)
    assert _skew_bins(made, True).tolist() == [[5], [5]]
    assert _skew_bins(made, False).tolist() == [[6], [3]]  # ln(16 / 24) / 0.6 = -0.68


def test_scales_are_eighth_octaves_drawn_to_the_smaller_mean() -> None:
    """Two photos; magnitudes 4 and 1 at two places, 2.5 on average: (2 x 4 + 2 x 2.5) / 4 = 3.25, and 1 stays 1."""
    made = np.array([[[4.0, 0.0, 2.0**40], [1.0, 0.0, 2.0**40]]] * 2) * np.array([1.0, -1.0])[:, None, None]
    assert _scale_bins(made).tolist() == [[14, -128, 255], [0, -128, 255]]  # 8 log2 3.25 = 13.6


def test_sensitivity_by_frequency_becomes_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of the alternation, by hand, of diag(3, 1) at the mean of a row of two and diag(1, 0) at its slope.

    Traces 4 and 1, scaled to a mean of 1: 1.6 and 0.4. Channels: the mean of diag(3, 1) / 1.6 and diag(1, 0) / 0.4,
    diag(2.1875, 0.3125). With a hundredth of their mean, 0.0125, added: weights (3 / 2.2 + 1 / 0.325) / 2 and
    1 / 2.2 / 2, scaled to a mean of 1.
    """
    monkeypatch.setattr(fit_metric, "_FLIP_FLOPS", 1)
    by_frequency = np.array([np.diag([3.0, 1.0]), np.diag([1.0, 0.0])])
    made = make_metric(2, (1, 2), by_frequency, None)
    weights = np.array([(3 / 2.2 + 1 / 0.325) / 2, 1 / 2.2 / 2])
    weights /= weights.mean()
    channels = np.array([2.1875, 0.3125]) / 1.25
    root = lambda x: np.sqrt((x + 0.01) / 1.01)  # noqa: E731 - a floor of a hundredth
    np.testing.assert_allclose(made.channel_root, np.diag(root(channels)), atol=1e-12)
    np.testing.assert_allclose(made.channel_root_inverse, np.diag(1 / root(channels)), atol=1e-12)
    cosines = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    np.testing.assert_allclose(made.grid_root, cosines @ np.diag(root(weights)) @ cosines, atol=1e-12)
    np.testing.assert_allclose(made.grid_root_inverse, cosines @ np.diag(1 / root(weights)) @ cosines, atol=1e-12)
    assert made.weighs_grid


def test_a_product_is_found_as_it_is() -> None:
    """Also one whose second frequency nobody notices."""
    channels = np.array([[2.0, 0.5], [0.5, 1.0]])
    for weights in ([3.0, 1.0], [3.0, 0.0]):
        made = make_metric(2, (2, 1), np.multiply.outer(np.array(weights), channels), None)
        values, vectors = np.linalg.eigh(channels / 1.5)
        root = vectors @ np.diag(np.sqrt((values + 0.01) / 1.01)) @ vectors.T
        np.testing.assert_allclose(made.channel_root, root, atol=1e-6)
        cosines = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
        share = np.sqrt((np.array(weights) / np.mean(weights) + 0.01) / 1.01)
        np.testing.assert_allclose(made.grid_root, cosines @ np.diag(share) @ cosines, atol=1e-5)


def test_one_number_a_channel_and_none_at_all() -> None:
    made = make_metric(2, (1, 2), np.array([3.0, 1.0]), None)
    np.testing.assert_allclose(made.channel_root, np.diag(np.sqrt([1.51 / 1.01, 0.51 / 1.01])), atol=1e-12)
    np.testing.assert_array_equal(made.grid_root, np.eye(2))
    assert not made.weighs_grid
    error = np.array([[1.0, 2.0], [0.0, 1.0]])
    assert made.energy(error) == pytest.approx(1.51 / 1.01 + 0.51 / 1.01 * 5)
    assert make_metric(2, (1, 2), None, None).energy(error) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("sensitivity", "grid_sensitivity"),
    [
        (np.zeros((2, 2)), None),
        (None, np.zeros((2, 2))),
        (np.diag([1.0, np.nan]), None),
        (np.eye(3), None),
        (np.zeros((2, 2, 2)), None),
        (np.full((2, 2, 2), np.nan), None),
        (np.ones((3, 2, 2)), None),
        (np.array([np.eye(2)] * 2), np.eye(2)),
    ],
)
def test_what_weighs_nothing_or_does_not_fit_is_refused(
    sensitivity: np.ndarray | None, grid_sensitivity: np.ndarray | None
) -> None:
    with pytest.raises(ShapeError):
        make_metric(2, (1, 2), sensitivity, grid_sensitivity)


# ---- steps and components ----------------------------------------------------------------------------------
def left_over(values: np.ndarray, step: float) -> float:
    """Share of the energy that a dead-zone quantiser loses which restores at 0.45 of an interval."""
    levels = np.floor(values / step)
    restored = np.where(levels > 0, (levels + 0.45) * step, 0.0)
    return float(((values - restored) ** 2).sum() / (values**2).sum())


@pytest.mark.parametrize("finest", [0.6, 0.9, 0.995])
def test_the_finest_step_loses_the_share_that_may_be_lost(finest: float) -> None:
    values = np.random.default_rng(1).laplace(size=(64, 20, 8)).astype(np.float32)
    step = _finest_step(values, finest)
    magnitudes = np.abs(values).astype(np.float64)
    assert left_over(magnitudes, step) == pytest.approx(1 - finest, rel=1e-3)
    assert np.float32(step) == step


def test_of_many_photos_every_so_and_so_manieth_decides() -> None:
    values = np.random.default_rng(2).laplace(size=(130, 6, 4)).astype(np.float32)
    spoilt = values.copy()
    spoilt[1::2] = 1e6
    assert _finest_step(spoilt, 0.9) == _finest_step(values, 0.9)
    alone = np.concatenate([values[:63], np.full((1, 6, 4), 1e6, dtype=np.float32)])
    assert _finest_step(alone, 0.9) > 1e5  # of 64 all do


def test_nothing_has_no_step() -> None:
    with pytest.raises(CodecNotFittedError), np.errstate(invalid="ignore"):
        _finest_step(np.zeros((8, 2, 2), dtype=np.float32), 0.9)


@pytest.mark.parametrize(("finest", "most", "places"), [(0.9, 9, [1, 2]), (0.5, 9, [1]), (0.999, 9, [1, 2, 0])])
def test_so_many_components_as_a_quarter_of_the_loss_allows(finest: float, most: int, places: list[int]) -> None:
    """Energies 100, 10, 1 and 0.001 of 111: shares 0.9009, 0.991 and 1; wanted 0.975, 0.875 and 0.99975."""
    fitter: Any = SimpleNamespace(metric=SimpleNamespace(channel_root=np.eye(4)), finest=finest)
    found = _Fitter._channel_vectors(fitter, np.diag([1.0, 100.0, 10.0, 0.001]), most)
    np.testing.assert_allclose(np.abs(found), np.eye(4)[:, places], atol=1e-12)
    assert _Fitter._channel_vectors(fitter, np.diag([1.0, 100.0, 10.0, 0.001]), 1).shape == (4, 1)


def test_components_are_those_of_the_weighed_channels() -> None:
    root = np.diag([20.0, 1.0, 1.0, 1.0])
    fitter: Any = SimpleNamespace(metric=SimpleNamespace(channel_root=root), finest=0.5)
    found = _Fitter._channel_vectors(fitter, np.diag([1.0, 100.0, 10.0, 0.001]), 1)
    np.testing.assert_allclose(np.abs(found[:, 0]), [1, 0, 0, 0], atol=1e-12)  # 20^2 x 1 is above 100


@pytest.mark.parametrize(
    ("weighs_grid", "one_grid", "wanted"),
    [
        (False, True, ["none", "dct", "learned"]),
        (True, True, ["dct", "learned"]),
        (False, False, ["none", "dct"]),
        (True, False, ["dct"]),
    ],
)
def test_modes_that_suit_the_photos(weighs_grid: bool, one_grid: bool, wanted: list[str]) -> None:
    metric: Any = SimpleNamespace(weighs_grid=weighs_grid)
    moments: Any = SimpleNamespace(one_grid=one_grid)
    assert _candidates(("none", "dct", "learned"), metric, moments) == wanted
    assert _candidates(("none",), metric, moments) == ["none"]  # all, where none is left


@pytest.mark.parametrize("mode", ["none", "dct", "learned"])
@pytest.mark.parametrize("weighed", [False, True])
def test_a_transform_and_its_inverse(mode: str, weighed: bool) -> None:
    random = np.random.default_rng(3)
    mixed = random.normal(size=(4, 4))
    grid_sensitivity = mixed @ mixed.T if weighed else None
    metric = make_metric(3, (2, 2), np.diag([3.0, 2.0, 1.0]), grid_sensitivity)
    vectors = np.linalg.qr(random.normal(size=(3, 3)))[0][:, :2]
    tokens = random.normal(size=(30, 4, 3)) * np.array([1.0, 2.0, 3.0, 4.0])[None, :, None]
    fitter: Any = SimpleNamespace(metric=metric, grid=Grid(2, 2), vectors=vectors, mean=np.full((4, 3), 0.5))
    made = _unit_transform(mode, fitter, tokens)
    np.testing.assert_allclose(made.forward, metric.channel_root @ vectors, atol=1e-6)
    np.testing.assert_allclose(made.inverse @ made.forward, np.eye(2), atol=1e-6)
    np.testing.assert_allclose(made.grid_inverse @ made.grid_forward, np.eye(4), atol=1e-5)
    assert (made.mode, made.step) == (mode, 1.0)
    if mode == "none":
        np.testing.assert_array_equal(made.grid_forward, np.eye(4))
    if mode == "dct":
        pair = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
        cosines = np.kron(pair, pair)
        gains = np.sqrt(np.diag(cosines @ metric.grid_root @ metric.grid_root @ cosines.T))
        np.testing.assert_allclose(made.grid_forward, gains[:, None] * cosines, atol=1e-6)
    if mode == "learned":  # uncorrelated over the grid, the strongest first
        seen = np.concatenate([made.grid_forward @ (photo - 0.5) @ made.forward for photo in tokens], axis=1)
        energies = np.diag(seen @ seen.T)
        np.testing.assert_allclose(seen @ seen.T, np.diag(energies), atol=1e-4 * energies[0])
        assert (np.diff(energies) < 0).all()


# ---- the guess at what was not sent --------------------------------------------------------------------------
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])  # the best ridges are 0.03, 0.1 and 0.3
def test_a_regression_is_ridge_with_the_strength_that_helps_others_most(noise: float) -> None:
    random = np.random.default_rng(5)
    lens = _Lens((1, 2), 2, random.normal(size=(6, 3)).astype(np.float32), random.normal(size=3).astype(np.float32))
    restored = random.normal(size=(80, 2, 3)).astype(np.float32)
    error = 0.3 * restored[:, ::-1, :2] + noise * random.normal(size=(80, 2, 2)).astype(np.float32)
    exact = restored.copy()
    exact[:, :, :2] += error
    features = lens.features(restored).astype(np.float64).reshape(80, 2, -1)
    (learned, wanted), (held, missed) = (
        (features[part].reshape(-1, 9), error[part].reshape(-1, 2)) for part in (slice(70), slice(70, None))
    )

    def solved(seen: np.ndarray, gone: np.ndarray, ridge: float) -> np.ndarray:
        return np.linalg.solve(seen.T @ seen + ridge * len(seen) * np.eye(9), seen.T @ gone)

    losses = [float(((missed - held @ solved(learned, wanted, ridge)) ** 2).sum()) for ridge in RIDGES]
    assert min(losses) < float((missed**2).sum())
    best = RIDGES[int(np.argmin(losses))]
    everything = solved(features.reshape(-1, 9), error.reshape(-1, 2), best)
    np.testing.assert_allclose(_regress(lens, restored, exact), everything, rtol=2**-5, atol=2e-3)  # 5 bits are kept


def test_what_helps_nobody_is_left_out() -> None:
    random = np.random.default_rng(6)
    lens = _Lens((1, 1), 1, np.zeros((3, 1), dtype=np.float32), np.full(1, np.pi / 2, dtype=np.float32))
    restored = random.normal(size=(16, 1, 1)).astype(np.float32)
    turned = np.concatenate([np.ones(14), -np.ones(2)]).reshape(16, 1, 1).astype(np.float32)
    assert not _regress(lens, restored, restored + turned * restored).any()  # the held-out photos want the opposite


def test_the_error_after_each_prefix_is_that_of_the_decoded_prefix(codec: KltCodec, photos: list[VisualTokens]) -> None:
    for photo in photos[:3]:
        exact = codec.transform.analyse(photo.values, photo.grid, fitted=True)
        course = _DistortionCourse(exact)
        codeword = codec.encode_coefficients(exact, photo.grid, watch=course.add)
        cuts = np.arange(len(codeword.data) + 1)
        decoded = [codec.decode_state(photo.grid, codeword.data[:cut]).state for cut in cuts]
        errors = [dequantize(one.restored, one.shape).astype(np.float64) - exact for one in decoded]
        assert np.allclose(course.after(codeword.known_at(cuts)), [(one**2).sum() for one in errors], rtol=1e-9)


@pytest.mark.parametrize("size", [1e-3, 0.3, 50.0])
def test_random_projections_see_three_quarters_of_a_radian(size: float) -> None:
    """However large the photos' coefficients are; phases lie anywhere on the circle."""
    exact = (size * np.random.default_rng(7).normal(size=(40, 6, 5))).astype(np.float32)
    codec: Any = SimpleNamespace(grid=Grid(2, 3), components=5)
    lens = _Lens.draw(codec, exact)
    assert (lens.sides, lens.looked_at) == ((2, 3), 5)
    assert (lens.projection.shape, lens.phase.shape) == ((15, 512), (512,))
    seen = views(exact, (2, 3), 5) @ lens.projection
    assert np.sqrt(np.square(seen).mean()) == pytest.approx(0.75, rel=0.05)
    assert 0 <= lens.phase.min() < 0.1
    assert 6.2 < lens.phase.max() < 6.29
