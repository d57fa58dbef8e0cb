"""Coefficients and the fold of a tower's first map onto them, against scipy's transform and a real decoder."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from coefficient_pictures import decoded_pixels, embedded_pixels, float_pixels, reader
from heliograph.errors import ModelUnsupportedError
from heliograph.strategies.compressed_domain.coefficients import FROM_RGB, TO_RGB, quantised
from heliograph.strategies.compressed_domain.fold import Fold, fold_of
from heliograph.strategies.compressed_domain.wavelet import analysed, octaves, synthesised
from heliograph.strategies.jpeg_quantisers import quantisers
from strategy_tools import photo


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


# ---- coefficients ----------------------------------------------------------------------------------
@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 90, 100])
def test_quantisers_are_libjpegs(quality: int) -> None:
    out = io.BytesIO()
    photo(16, 16).save(out, "JPEG", quality=quality)
    assert [list(table) for table in Image.open(out).quantization.values()] == [list(t) for t in quantisers(quality)]


@pytest.mark.parametrize("halved", [True, False])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (50, 37), (9, 17), (1, 1)])
def test_coefficients_show_the_picture_as_well_as_libjpegs_own(width: int, height: int, halved: bool) -> None:
    picture = photo(200, 160).resize((width, height), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85, subsampling=2 if halved else 0)
    theirs = np.asarray(Image.open(out).convert("RGB")).astype(int)
    ours = decoded_pixels(quantised(picture, 85, halved)).astype(int)
    assert ours.shape == theirs.shape
    shown = np.asarray(picture).astype(int)
    assert np.square(ours - shown).mean() < 1.05 * np.square(theirs - shown).mean() + 0.5


def test_colours_come_back() -> None:
    np.testing.assert_allclose(TO_RGB @ FROM_RGB, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("halved", [True, False])
def test_pixels_of_the_finest_quality_are_the_pictures(halved: bool) -> None:
    picture = Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    assert np.abs(float_pixels(quantised(picture, 100, halved)) - np.asarray(picture)).max() < 2


# ---- the fold --------------------------------------------------------------------------------------
CASES = [
    # pictures, tiles, patches, side of a patch
    ([(64, 48)], [(0, 0, 0)], (3, 4), 16),
    ([(64, 64)], [(0, 0, 0)], (2, 2), 32),
    ([(56, 56)], [(0, 0, 0)], (4, 4), 14),
    ([(60, 45)], [(0, 0, 0)], (3, 4), 14),  # four rows and three columns of pixels belong to no patch
    ([(90, 70)], [(0, 20, 10)], (6, 7), 10),
    ([(64, 32), (32, 32)], [(0, 0, 0), (0, 32, 0), (1, 0, 0)], (2, 2), 16),
    ([(24, 24)], [(0, 0, 0)], (3, 3), 8),
]


@pytest.mark.parametrize("halved", [True, False])
@pytest.mark.parametrize(("pictures", "tiles", "patches", "side"), CASES)
def test_the_fold_is_the_map_after_a_decoder_that_never_rounds(
    pictures: list[tuple[int, int]],
    tiles: list[tuple[int, int, int]],
    patches: tuple[int, int],
    side: int,
    halved: bool,
) -> None:
    tower = reader(pictures, tiles, patches, side)
    coefficients = tuple(quantised(noise(*size), 60, halved) for size in pictures)
    expected = embedded_pixels(tower, [float_pixels(one) for one in coefficients])
    found = Fold(tower, halved).embedded(coefficients)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("halved", [True, False])
@pytest.mark.parametrize(("patches", "side"), [((4, 4), 16), ((4, 4), 14)])
def test_the_fold_is_the_map_after_libjpeg_but_for_what_it_rounds(
    patches: tuple[int, int], side: int, halved: bool
) -> None:
    size = patches[0] * side
    tower = reader([(size, size)], [(0, 0, 0)], patches, side)
    coefficients = quantised(photo(size, size).point(lambda level: 40 + level * 3 // 5), 92, halved)  # nothing clips
    expected = embedded_pixels(tower, [decoded_pixels(coefficients).astype(np.float64)])
    found = Fold(tower, halved).embedded((coefficients,))
    pixel = np.sqrt((tower.weight.astype(np.float64) ** 2).sum(axis=(1, 2, 3))).mean()  # one level everywhere
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.75 * pixel
    if halved:
        nearest = float_pixels(coefficients, lambda plane: plane.repeat(2, axis=0))
        wrong = embedded_pixels(tower, [nearest]) - expected
        assert np.mean(wrong**2) > 4 * np.mean((found - expected) ** 2)


def test_odd_patches_need_chroma_in_full() -> None:
    tower = reader([(45, 45)], [(0, 0, 0)], (3, 3), 15)
    with pytest.raises(ModelUnsupportedError) as caught:
        Fold(tower, True)
    assert "chroma=1" in str(caught.value.__notes__)
    coefficients = quantised(noise(45, 45), 60, False)
    expected = embedded_pixels(tower, [float_pixels(coefficients)])
    np.testing.assert_allclose(Fold(tower, False).embedded((coefficients,)), expected, atol=1e-5)


def test_a_tile_that_begins_within_a_chroma_sample_is_refused() -> None:
    with pytest.raises(ModelUnsupportedError):
        Fold(reader([(40, 32)], [(0, 3, 0)], (2, 2), 16), True)


def test_a_fold_is_made_once() -> None:
    class Tower:
        """Hashable, unlike a namespace."""

    tower = Tower()
    vars(tower).update(vars(reader([(32, 32)], [(0, 0, 0)], (2, 2), 16)))
    assert fold_of(tower, True) is fold_of(tower, True)
    assert fold_of(tower, True) is not fold_of(tower, False)


# ---- the wavelet -----------------------------------------------------------------------------------
@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_wavelet_comes_back(rows: int, columns: int, seed: int) -> None:
    plane = np.random.default_rng(seed).integers(-1024, 1025, (rows, columns))
    assert np.array_equal(synthesised(analysed(plane)), plane)


def test_octaves_end_with_a_small_picture_of_means() -> None:
    assert octaves(16, 12) == [(16, 12), (8, 6), (4, 3)]
    assert octaves(1, 1) == [(1, 1)]
    even = analysed(np.full((16, 12), 7))
    assert (even[:4, :3] == 7).all()
    even[:4, :3] = 0
    assert not even.any()
