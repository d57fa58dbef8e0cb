"""Contexts of a fit: numbers by hand, and bits saved on photos whose neighbours predict signs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heliograph.codec.contexts import HIDDEN, Contexts, pass_network
from heliograph.codec.fitting.contexts import _as_integers, _descend, _Group, _nats, _Task, with_contexts
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.planes import PlaneState
from heliograph.codec.quantize import quantize, scaled
from heliograph.codec.tables import Tables
from heliograph.types import Grid, VisualTokens

ROWS, COLUMNS, SIZE = 3, 4, 4


def striped(seed: int) -> VisualTokens:
    """A row has one sign in each of four values, of any magnitude: the transform can tell nothing of it."""
    random = np.random.default_rng(seed)
    signs = random.choice([-1.0, 1.0], (ROWS, 1, SIZE))
    magnitude = random.exponential([1.3, 1.1, 0.9, 0.8], (ROWS, COLUMNS, SIZE))
    return VisualTokens((signs * magnitude).reshape(-1, SIZE).astype(np.float32), Grid(ROWS, COLUMNS))


@pytest.fixture(scope="module")
def sets() -> list[VisualTokens]:
    return [striped(seed) for seed in range(512)]


@pytest.fixture(scope="module")
def plain(sets: list[VisualTokens]) -> KltCodec:
    return fit_klt(sets, finest_retained=0.99, modes=("none",), contexts=False, restore=False)


@pytest.fixture(scope="module")
def fitted(sets: list[VisualTokens]) -> KltCodec:
    return fit_klt(sets, finest_retained=0.99, modes=("none",), restore=False)


def test_a_fit_may_leave_them_out(plain: KltCodec, fitted: KltCodec) -> None:
    assert plain.contexts is None
    assert fitted.contexts is not None
    for name in Tables.ARRAYS:
        assert np.array_equal(getattr(plain.tables, name), getattr(fitted.tables, name))


def sign_bits(codec: KltCodec, tokens: VisualTokens, fineness: int) -> float:
    """-log2 of what the codec says of every sign."""
    magnitude, negative = quantize(scaled(codec.analyse(tokens), fineness), codec.magnitude_limits)
    state, bits = PlaneState(codec.model_for(tokens.grid, fineness), 1), 0.0
    for plane, part in state.passes():
        items = state.items(plane, part)
        ones = ((magnitude[items.index] >> plane) & 1).nonzero()[0]
        minus, chance = negative[items.index[ones]], state.sign_chance(items, ones) / 65536
        bits -= float(np.log2(np.where(minus, chance, 1 - chance)[chance > 0]).sum())
        state.apply(items, ones, minus, len(items))
    return bits


def test_neighbours_that_predict_signs_save_bits_on_other_photos(plain: KltCodec, fitted: KltCodec) -> None:
    held_out = [striped(seed) for seed in range(5000, 5024)]
    for fineness in (0, 4):
        signs, sizes = (
            [sum(of(codec, one) for one in held_out) for codec in (fitted, plain)]
            for of in (
                lambda codec, one, k=fineness: sign_bits(codec, one, k),
                lambda codec, one, k=fineness: codec.encode(one, fineness=k).payload_bytes,
            )
        )
        assert signs[0] < 0.8 * signs[1]
        assert sizes[0] < 0.97 * sizes[1]
    for one in held_out[:2]:  # and nothing but the bits is another
        sent = [codec.encode(one) for codec in (fitted, plain)]
        found = [codec.decode_integers(e.header, e.segments) for codec, e in zip((fitted, plain), sent, strict=True)]
        assert np.array_equal(*found)


def test_the_disk_keeps_fitted_ones(fitted: KltCodec, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    loaded = KltCodec.load(tmp_path)
    for seed in range(1000, 1004):
        assert loaded.encode(striped(seed)) == fitted.encode(striped(seed))
        assert loaded.encode(striped(seed), max_bytes=20) == fitted.encode(striped(seed), max_bytes=20)


def test_few_photos_have_none(sets: list[VisualTokens], plain: KltCodec) -> None:
    """Of 80 photos with twelve tokens ten judge: 120 tokens, and 128 are needed."""
    tokens = np.stack([one.values for one in sets[:88]])
    for count in (1, 7, 8, 80):
        assert with_contexts(plain, tokens[:count]) is plain
    assert with_contexts(plain, tokens) is not plain
    few = fit_klt(sets[:9], modes=("none",), restore=False)
    assert few.contexts is None
    assert few.encode(sets[100]).payload_bytes > 1


@pytest.mark.parametrize(("tiles", "held_out"), [(1, 0), (8, 1), (9, 1), (56, 7), (57, 8), (64, 8), (80, 10)])
def test_one_photo_in_eight_judges_whatever_its_fineness(
    plain: KltCodec, sets: list[VisualTokens], tiles: int, held_out: int
) -> None:
    tokens = np.stack([one.values for one in sets[:tiles]])
    judges = [_Group.of(plain, tokens[fineness::8], fineness).held_out for fineness in range(min(tiles, 8))]
    assert sum(int(one.sum()) for one in judges) == held_out * 12
    assert sum(one.size for one in judges) == tiles * 12


# ---- numbers -------------------------------------------------------------------------------------------------
def test_what_shows_or_decides_nothing_has_no_weights() -> None:
    generator = np.random.default_rng(3)
    seen = generator.integers(-64, 65, (300, 12)).astype(np.float32)
    seen[:, 5], seen[250:, 6] = 0, 1
    seen[:250, 6] = 0  # shown by rows alone that are not fitted on
    counts = np.ones((300, 4), np.float32)
    counts[:, 2] = 0
    target = (seen[:, :4] > 0).astype(np.float32)
    task = _Task(seen, np.zeros((300, 4), np.float32), target, counts)
    hidden, _, out = _descend(task, np.arange(250), 3)
    assert not hidden[[5, 6]].any()
    assert not out[:, 2].any()
    assert all(hidden[row].any() for row in range(5))
    assert all(out[:, column].any() for column in (0, 1, 3))


def test_weights_use_their_byte() -> None:
    """0.5 x 2^7 is 64 and 2^8 too much; 0.1 is 0.4 of what log odds and hidden values count, 102.4 of 2^8."""
    first = np.array([[0.5, -0.25], [0.001, 0.1]], np.float32)
    second = np.array([[0.1, -0.05, 0.0], [0.02, 0.0, -0.1]], np.float32)
    hidden, bias, out, shift = _as_integers((first, np.array([0.25, -1], np.float32), second))
    assert hidden.tolist() == [[64, -32], [0, 13]]
    assert bias.tolist() == [512, -2048]  # sixteenths, times 2^7
    assert out.tolist() == [[102, -51, 0], [20, 0, -102]]
    assert shift.tolist() == [7, 8]


def test_integers_stay_within_what_a_file_may_hold() -> None:
    nothing = np.zeros((9, 2), np.float32)
    hidden, bias, out, shift = _as_integers((nothing, np.array([1e9, -1e9], np.float32), nothing[:2, :1]))
    assert shift.tolist() == [20, 20]
    assert bias.tolist() == [2**21, -(2**21)]
    large = _as_integers((nothing + 1000, np.zeros(2, np.float32), np.full((2, 3), -1000, np.float32)))
    assert (large[0].max(), large[2].min(), large[3].tolist()) == (127, -127, [0, 0])
    assert not hidden.any()
    assert not out.any()


def test_integers_say_what_the_network_says() -> None:
    random = np.random.default_rng(2)
    views = random.integers(-64, 65, (50, 27)).astype(np.float32)
    first = random.normal(0, 0.1, (27, HIDDEN)).astype(np.float32)
    bias = random.normal(0, 0.3, HIDDEN).astype(np.float32)
    second = random.normal(0, 0.1, (HIDDEN, 9)).astype(np.float32)
    made = Contexts(*(one[None, None] for one in _as_integers((first, bias, second))))
    found = pass_network(made, 0, 0, 3)
    assert found is not None
    hidden = np.clip(views / 16 @ first + bias, 0, 127 / 16)
    wanted = (hidden @ second).reshape(50, 3, 3).transpose(1, 0, 2)
    np.testing.assert_allclose(found.corrections(views) / 64, wanted, atol=0.15)
    assert np.abs(wanted).max() > 1


def test_cost_of_decisions_by_hand() -> None:
    """Even odds cost ln 2, whatever comes; log odds of ln 3 cost ln 4 for a zero and ln 4/3 for a one."""
    logit = np.array([[0.0, 0.0, np.log(3), np.log(3), 50.0]])
    target, counts = np.array([[0, 1, 0, 1, 0]], np.float32), np.array([[1, 1, 1, 1, 0]], np.float32)
    assert _nats(logit, target, counts) == pytest.approx(2 * np.log(2) + np.log(4) + np.log(4 / 3))
    assert _nats(logit[:0], target[:0], counts[:0]) == 0
