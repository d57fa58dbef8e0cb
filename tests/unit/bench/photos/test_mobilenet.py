import numpy as np
import pytest
from PIL import Image

from data_at_hand import data_or_skip
from heliograph.bench.data import data_folder
from heliograph.bench.photos.mobilenet import (
    Activation,
    SplitNetwork,
    Tail,
    dct_matrix,
    fisher_by_frequency,
    photo_paths,
    photo_variants,
    prepare_pixels,
)
from heliograph.errors import DataMissingError
from heliograph.types import Grid, VisualTokens


@pytest.fixture(scope="module")
def network() -> SplitNetwork:
    data_or_skip("mobilenet-v2")
    return SplitNetwork()


@pytest.fixture(scope="module")
def tail() -> Tail:
    random = np.random.default_rng(3)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(0, 0.3, shape).astype(np.float32)

    grid = Activation(0.02, 0)
    return Tail(normal(1280, 320), normal(1280) + 1, normal(1001, 1280) * 0.2, normal(1001), grid, Activation(0.1, 58))


def _features(seed: int) -> VisualTokens:
    return VisualTokens(np.random.default_rng(seed).normal(0, 0.5, (49, 320)).astype(np.float32), Grid(7, 7))


def test_the_tail_repeats_the_unsplit_network(network: SplitNetwork) -> None:
    for path in photo_paths()[:3]:
        with Image.open(path) as photo:
            tokens, logits = network.run(prepare_pixels(photo))
        assert tokens.values.shape == (49, 320)
        assert np.array_equal(network.tail.logits(tokens.values), logits)
        assert network.tail.top1(tokens.values) == int(np.argmax(logits))


def test_missing_data_is_a_named_error(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    with pytest.raises(DataMissingError):
        data_folder("mobilenet-v2")
    with pytest.raises(DataMissingError):
        SplitNetwork()


def test_fisher_predicts_the_divergence_of_a_small_error(tail: Tail) -> None:
    """For a small error e, KL(p || p_e) is half of e^T F e; the matrices are in the DCT basis of the grid."""
    tokens = _features(1)
    by_frequency = fisher_by_frequency(tail, [tokens], classes=1001)
    transform = np.kron(dct_matrix(7), dct_matrix(7))
    direction = np.random.default_rng(2).normal(0, 1, 320)
    for frequency in (0, 10):
        error = np.outer(transform[frequency], direction).astype(np.float32) * 0.01
        predicted = 0.5 * 1e-4 * direction @ by_frequency[frequency] @ direction
        assert _divergence(tail, tokens.values, error) == pytest.approx(predicted, rel=0.15)


def _divergence(tail: Tail, features: np.ndarray, error: np.ndarray) -> float:
    before, after = (_log_softmax(tail.logits(f, as_stored=False)) for f in (features, features + error))
    return float((np.exp(before) * (before - after)).sum())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    return wide - wide.max() - np.log(np.exp(wide - wide.max()).sum())


def test_fisher_is_symmetric_nowhere_negative_and_largest_at_the_mean(tail: Tail) -> None:
    by_frequency = fisher_by_frequency(tail, [_features(4)])
    assert by_frequency.shape == (49, 320, 320)
    assert np.allclose(by_frequency[5], by_frequency[5].T, atol=1e-6)
    assert np.linalg.eigvalsh(by_frequency[5]).min() > -1e-6
    traces = np.trace(by_frequency, axis1=1, axis2=2)
    assert traces.argmax() == 0  # an average pool follows


def test_pixels_are_the_central_square() -> None:
    photo = Image.new("RGB", (300, 100), "red")
    photo.paste("blue", (100, 0, 200, 100))
    pixels = prepare_pixels(photo)
    assert pixels.shape == (224, 224, 3)
    assert (pixels[:, 8:-8] == (0, 0, 255)).all()  # at the cut itself the filter sees the neighbours


def test_variants_begin_with_the_photo_and_repeat_with_the_seed() -> None:
    photo = Image.effect_noise((260, 240), 60)
    first, again = photo_variants(photo, 3, 7), photo_variants(photo, 3, 7)
    assert len(first) == 4
    assert np.array_equal(first[0], prepare_pixels(photo))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], photo_variants(photo, 3, 8)[1])


def test_dct_is_orthonormal() -> None:
    matrix = dct_matrix(7)
    assert np.allclose(matrix @ matrix.T, np.eye(7), atol=1e-12)
