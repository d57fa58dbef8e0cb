"""What contexts see and say, in numbers by hand; and that float32 holds their sums exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.codec.contexts import HIDDEN, MAX_LOOKED_AT, Contexts, PassNetwork, pass_network, views
from heliograph.codec.klt import KltCodec
from heliograph.codec.storage import read_arrays, write_arrays
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.types import Grid, VisualTokens
from integer_codec import PLANES, SIZE, integer_codec, integer_tokens, made_up_contexts

# A grid of 2 x 3, in grains; the third component is not looked at. Of plane 1 a threshold is 32 grains, and a
# sixteenth of it 2: the first component is 5, -1, 0 / 64, -64, 3 of them (100 is cut off), the second 0 ... -1.
RESTORED = np.array([[[10, 0, 999], [-3, 0, 0], [0, 1, 0], [200, 0, 0], [-128, 0, 0], [7, -2, -999]]])
SEEN = [  # own, magnitude, above, below, left, right, magnitudes around, and of all twice what is the same everywhere
    [[5, 0], [5, 0], [0, 0], [64, 0], [0, 0], [-1, 0], [33, 0]],  # (5 + 1 + 64 + 64) / 4
    [[-1, 0], [1, 0], [0, 0], [-64, 0], [5, 0], [0, 0], [34, 0]],  # 137 / 4
    [[0, 0], [0, 0], [0, 0], [3, -1], [-1, 0], [0, 0], [17, 0]],  # (1 + 0 + 64 + 3) / 4
    [[64, 0], [64, 0], [5, 0], [0, 0], [0, 0], [-64, 0], [33, 0]],
    [[-64, 0], [64, 0], [-1, 0], [0, 0], [64, 0], [3, -1], [34, 0]],
    [[3, -1], [3, 1], [0, 0], [0, 0], [-64, 0], [0, 0], [17, 0]],
]
MEANS = [[4, -1], [91, 0]]  # 4 x 7 // 6 and 4 x -1 // 6; 4 x 137 // 6 and 4 // 6


def test_views_by_hand() -> None:
    wanted = [[*(one for view in (*row, *MEANS) for one in view)] for row in SEEN]
    found = views(RESTORED, 1, (2, 3), 2)
    assert (found.dtype, found.shape) == (np.float32, (6, 18))
    assert found.astype(int).tolist() == wanted
    alone = views(RESTORED[:, :, :1], 1, (2, 3), 1)
    assert np.array_equal(alone, found[:, ::2])


def test_tiles_do_not_see_each_other() -> None:
    two = views(np.concatenate([RESTORED, 0 * RESTORED, -RESTORED]), 1, (2, 3), 2)
    assert np.array_equal(two[:6], views(RESTORED, 1, (2, 3), 2))
    assert not two[6:12].any()
    assert two[12:, 14:16].tolist() == [[-5, 0]] * 6  # -28 // 6: rounded towards minus infinity, and 4 // 6


@pytest.mark.parametrize(
    ("grains", "plane", "seen"),
    [
        (127, 1, 63),
        (128, 1, 64),
        (129, 1, 64),
        (1 << 28, 0, 64),
        (64, 0, 64),
        (63, 0, 63),
        (1, 1, 0),
        (1 << 29, 23, 64),
    ],
)
def test_values_are_cut_off_at_four_thresholds(grains: int, plane: int, seen: int) -> None:
    for sign in (1, -1):
        row = views(np.array([[[sign * grains]]]), plane, (1, 1), 1)[0]
        assert row.astype(int).tolist() == [sign * seen, seen, 0, 0, 0, 0, seen >> 2, 4 * sign * seen, 4 * seen]


# ---- one pass ------------------------------------------------------------------------------------------------
def network(bias: int, hidden_shift: int, out_shift: int) -> PassNetwork:
    """One hidden unit, twice the token's own value; it says 3, -3 and 1 times itself."""
    hidden = np.zeros((9, 1, 1), np.float32)
    hidden[0] = 2
    out = np.array([[[3]], [[-3]], [[1]]], np.float32)
    return PassNetwork(hidden, np.array([bias], np.float32), hidden_shift, out, out_shift)


CORRECTIONS = [
    (5, 3, 1, 2, [5, -4, 2]),  # (10 + 3) >> 1 = 6: 20 >> 2, -16 >> 2, 8 >> 2
    (64, 3, 1, 2, [49, -49, 16]),  # 131 >> 1 = 65: 197 >> 2, -193 >> 2, 67 >> 2
    (-1, 3, 1, 2, [0, 0, 0]),  # 1 >> 1 = 0
    (-2, 3, 1, 2, [0, 0, 0]),  # -1 >> 1 = -1, which is 0 at least
    (-64, 3, 1, 2, [0, 0, 0]),
    (62, 130, 1, 2, [95, -95, 32]),  # 254 >> 1 = 127: 383 >> 2, -379 >> 2, 129 >> 2
    (63, 130, 1, 2, [95, -95, 32]),  # 256 >> 1 = 128, which is 127 at most
    (64, 1 << 20, 0, 2, [95, -95, 32]),
    (5, 3, 1, 0, [18, -18, 6]),  # nothing is rounded
    (5, 3, 1, 1, [9, -9, 3]),
    (4, 3, 1, 1, [8, -7, 3]),  # 5: 16 >> 1, -14 >> 1, 6 >> 1: halves go up
    (5, 3, 1, 20, [0, 0, 0]),
]


@pytest.mark.parametrize(("own", "bias", "hidden_shift", "out_shift", "wanted"), CORRECTIONS)
def test_corrections_by_hand(own: int, bias: int, hidden_shift: int, out_shift: int, wanted: list[int]) -> None:
    seen = np.zeros((2, 9), np.float32)
    seen[1, 0] = own
    found = network(bias, hidden_shift, out_shift).corrections(seen)
    assert found.shape == (3, 2, 1)
    assert found[:, 1, 0].tolist() == wanted


def test_a_pass_has_the_kinds_of_its_active_components() -> None:
    """Of three components looked at: what is said of component a, kind k, is 10 k + a times the hidden value of 1."""
    made = Contexts(
        np.zeros((1, 2, 27, 1), np.int8),
        np.ones((1, 2, 1), np.int64),
        np.broadcast_to(np.array([0, 1, 2, 10, 11, 12, 20, 21, 22], np.int8), (1, 2, 1, 9)),
        np.array([[[0, 0], [0, -1]]]),
    )
    for active, wanted in (
        (1, [[0], [10], [20]]),
        (2, [[0, 1], [10, 11], [20, 21]]),
        (5, [[0, 1, 2], [10, 11, 12], [20, 21, 22]]),
    ):
        one = pass_network(made, 0, 0, active)
        assert one is not None
        assert one.corrections(np.zeros((1, 27), np.float32))[:, 0].tolist() == wanted
    assert pass_network(made, 0, 1, 3) is None
    made.shift[0, 1] = -1, 0
    assert pass_network(made, 0, 1, 3) is None


@pytest.mark.parametrize("known", [[], [0], [1, 4], [0, 1, 2, 3, 4]])
def test_components_of_which_nothing_is_known_change_nothing(known: list[int]) -> None:
    """They are left out, and what is said is what views of all say, zeros among them."""
    random = np.random.default_rng(11)
    one = pass_network(made_up_contexts(PLANES, SIZE), 1, 0, SIZE)
    assert one is not None
    restored = np.zeros((2, 6, SIZE + 1), np.int64)
    restored[:, :, known] = random.integers(-900, 900, (2, 6, len(known)))
    restored[:, :, SIZE] = 500  # no network looks at it
    wanted = one.corrections(views(restored, 1, (2, 3), SIZE))
    assert np.array_equal(one.corrections_for(restored, 1, (2, 3)), wanted)
    assert wanted.any()


@pytest.mark.parametrize("sign", [1, -1, 0])
def test_sums_are_exact_at_their_limits(sign: int) -> None:
    """The largest views are 64 six times, 9 x 64 / 4 around, and 4 x 64 of both means, of 96 components: with weights
    of 127 they sum up to 12,679,680, and with the largest bias to less than 2^24. At random they do as well (0)."""
    random = np.random.default_rng(3)
    most = np.repeat([64, 64, 64, 64, 64, 64, 144, 256, 256], MAX_LOOKED_AT)
    assert 127 * most.sum() == 12_679_680
    assert 127 * most.sum() + 2**21 < 2**24

    def drawn(*shape: int) -> Any:
        return np.full(shape, sign) if sign else random.choice([-1, 1], shape)

    seen = np.abs(most) * drawn(6, most.size)
    made = Contexts.none(1, 500)
    made.hidden[:] = 127 * drawn(*made.hidden.shape) * (sign or 1)
    made.bias[:] = 2**21 * drawn(*made.bias.shape)
    made.out[:] = 127 * drawn(*made.out.shape)
    for shift in ((0, 0), (10, 7)):
        made.shift[:] = shift
        one = pass_network(made, 0, 0, MAX_LOOKED_AT)
        assert one is not None
        sums = seen.astype(np.int64) @ made.hidden[0, 0].astype(np.int64) + made.bias[0, 0] >> shift[0]
        hidden = np.clip(sums, 0, 127)
        out = hidden @ made.out[0, 0].astype(np.int64) + (1 << shift[1] >> 1) >> shift[1]
        wanted = out.reshape(6, 3, MAX_LOOKED_AT).transpose(1, 0, 2)
        assert np.array_equal(one.corrections(seen.astype(np.float32)), wanted)


# ---- disk ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("components", "looked_at"), [(3, 3), (96, 96), (97, 96), (500, 96)])
def test_so_many_leading_components_are_looked_at(components: int, looked_at: int) -> None:
    def stored(count: int) -> dict[str, np.ndarray]:
        shapes = {"hidden": (2, 2, 9 * count, 64), "bias": (2, 2, 64), "out": (2, 2, 64, 3 * count), "shift": (2, 2, 2)}
        return {name: np.zeros(shape, np.int8) for name, shape in shapes.items()}

    assert Contexts.from_stored(stored(looked_at), components, 2).looked_at == looked_at
    for other, planes in ((looked_at - 1, 2), (looked_at + 1, 2), (looked_at, 1), (looked_at, 3)):
        with pytest.raises(BundleDamagedError) as found:
            Contexts.from_stored(stored(other), components, planes)
        assert (found.value.part, found.value.fault) == (BundlePart.TABLES, BundleFault.SHAPE)


@pytest.mark.parametrize(
    ("name", "place", "within", "beyond"),
    [
        ("hidden", (0, 0, 0, 0), -127, -128),
        ("hidden", (4, 1, 35, 63), 127, 128),
        ("bias", (0, 0, 0), -(2**21), -(2**21) - 1),
        ("bias", (4, 1, 63), 2**21, 2**21 + 1),
        ("out", (0, 0, 0, 0), -127, -128),
        ("out", (4, 1, 63, 11), 127, 128),
        ("shift", (0, 0, 0), -1, -2),
        ("shift", (4, 1, 1), 20, 21),
    ],
)
def test_bounds_of_values(tmp_path: Path, name: str, place: tuple[int, ...], within: int, beyond: int) -> None:
    integer_codec().save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "klt")
    array = arrays[f"contexts.{name}"].astype(np.int32)
    arrays[f"contexts.{name}"] = array
    array[place] = within
    write_arrays(tmp_path, "klt", facts, arrays)
    loaded = KltCodec.load(tmp_path).contexts
    assert loaded is not None
    assert getattr(loaded, name)[place] == within
    array[place] = beyond
    write_arrays(tmp_path, "klt", facts, arrays)
    with pytest.raises(BundleDamagedError) as found:
        KltCodec.load(tmp_path)
    assert (found.value.part, found.value.fault) == (BundlePart.TABLES, BundleFault.RANGE)


def test_all_arrays_or_none(tmp_path: Path) -> None:
    integer_codec().save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "klt")
    types = {name: str(arrays[f"contexts.{name}"].dtype) for name in Contexts.ARRAYS}
    assert types == {"hidden": "int8", "bias": "int32", "out": "int8", "shift": "int16"}
    plain = {name: array for name, array in arrays.items() if not name.startswith("contexts.")}
    write_arrays(tmp_path, "klt", facts, plain)
    assert KltCodec.load(tmp_path).contexts is None
    for changed in ({**plain, "contexts.bias": arrays["contexts.bias"]}, {**arrays, "contexts.more": arrays["split"]}):
        write_arrays(tmp_path, "klt", facts, changed)
        with pytest.raises(BundleDamagedError) as found:
            KltCodec.load(tmp_path)
        assert (found.value.part, found.value.fault) == (BundlePart.TABLES, FileFault.CONTENT)


def test_the_disk_keeps_them(tmp_path: Path) -> None:
    codec = integer_codec()
    codec.save(tmp_path)
    loaded = KltCodec.load(tmp_path)
    assert codec.contexts is not None
    assert loaded.contexts is not None
    for name in Contexts.ARRAYS:
        before, after = getattr(codec.contexts, name), getattr(loaded.contexts, name)
        assert (before.dtype, before.tolist()) == (after.dtype, after.tolist())
    assert loaded.encode(integer_tokens(7)) == codec.encode(integer_tokens(7))


def test_nothing_is_said_of_a_codec_that_was_not_fitted_yet() -> None:
    made = Contexts.none(PLANES, SIZE)
    assert (made.looked_at, made.hidden.shape) == (SIZE, (PLANES, 2, 9 * SIZE, HIDDEN))
    assert all(pass_network(made, plane, part, SIZE) is None for plane in range(PLANES) for part in range(2))


# ---- grids ---------------------------------------------------------------------------------------------------
def test_another_grid_has_none() -> None:
    codec, plain = integer_codec(), integer_codec(contexts=False)
    own, more = integer_tokens(7), integer_tokens(7, tiles=2)
    for tokens, alike in (
        (own, False),
        (more, False),
        (VisualTokens(own.values, Grid(3, 2)), True),
        (VisualTokens(own.values, Grid(1, 6)), True),
        (VisualTokens(own.values, Grid(1, 3, 2)), True),
    ):
        with_contexts, without = codec.encode(tokens), plain.encode(tokens)
        assert (with_contexts == without) is alike
        assert (codec.model_for(tokens.grid).contexts is None) is alike
        found = codec.decode_integers(with_contexts.header, with_contexts.segments)
        assert np.array_equal(found, plain.decode_integers(without.header, without.segments))


def test_made_up_contexts_say_much() -> None:
    """That what the other tests compare does not hang on corrections of nothing."""
    made = made_up_contexts(PLANES, SIZE)
    codec = integer_codec()
    restored = 16 * integer_tokens(7).values.astype(np.int64).reshape(1, 6, SIZE)
    found = pass_network(made, 0, 0, SIZE)
    assert found is not None
    corrections = found.corrections(views(restored, 0, (2, 3), SIZE))
    assert np.unique(corrections // 8).size > 8
    assert codec.contexts is not None
    assert pass_network(codec.contexts, 2, 1, SIZE) is None
