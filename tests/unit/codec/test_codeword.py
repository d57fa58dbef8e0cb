"""A codeword before it is cut, and how much of the photo it is: by hand, and by slow sums over the tables."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.codeword import Codeword, EnergyCourse
from heliograph.codec.plane_plan import PlaneModel
from heliograph.codec.planes import Change, PlaneState
from heliograph.codec.tables import rungs
from heliograph.types import Grid
from integer_codec import GRID, PLANES, POSITIONS, SIZE, integer_codec, integer_tokens

# Three steps: after one byte two decisions are known and then five, after four bytes nine.
HAND = Codeword(
    b"0123456789", np.array([2, 5, 9]), np.array([1, 1, 4]), np.linspace(0, 0.9, 10), {4: 2, 3: 5, 2: 9, 1: 11}
)


def test_what_is_known_after_so_many_bytes() -> None:
    counts = np.array([0, 1, 2, 3, 4, 5, 99])
    assert HAND.known_at(counts).tolist() == [0, 5, 5, 5, 9, 9, 9]
    assert HAND.retained_at(counts).tolist() == pytest.approx([0, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9])
    assert HAND.known_at(np.zeros(0, np.int64)).tolist() == []


def test_bytes_to_the_end_of_a_plane() -> None:
    assert [HAND.bytes_to(plane) for plane in (4, 3, 2)] == [1, 1, 4]
    assert HAND.bytes_to(1) == 10  # its last decisions lie behind the last step: all of it
    assert HAND.bytes_to(0) is None
    assert HAND.bytes_to(5) is None


@pytest.mark.parametrize(
    ("logit", "rung"),
    [
        (0, 72),
        (3, 72),
        (4, 73),
        (-4, 72),
        (-5, 71),
        (-12, 71),
        (435, 126),
        (436, 127),
        (10_000, 127),
        (-573, 0),
        (-572, 1),
        (-10_000, 0),
    ],
)
def test_rungs_are_eighths_to_the_nearest(logit: int, rung: int) -> None:
    """72 + (l + 4) / 8 rounded down, 0 to 127: an eighth is 8 of 64."""
    assert rungs(np.array([logit])).tolist() == [rung]


def quiet_error(model: PlaneModel, plane: int) -> np.ndarray:
    """(P, R) by the page: the mean square below a threshold of 16 x 2^plane grains."""
    square = np.zeros((POSITIONS, SIZE), dtype=np.int64)
    for p in range(POSITIONS):
        for r in range(SIZE):
            base = (int(model.layout.scale_bin[p, r]) >> 1) - 4 * plane + 32
            share = int(model.tables.quiet_square[min(max(base, 0), 63)])
            square[p, r] = share * (16 << plane) ** 2 // 2**20
    return square


@pytest.mark.parametrize("fineness", [0, 3, 7])
@pytest.mark.parametrize("tiles", [1, 2])
def test_energy_and_error_telescope(fineness: int, tiles: int) -> None:
    """After every plane they are what the tables say of each coefficient, whatever the way there."""
    codec = integer_codec()
    tokens, grid = integer_tokens(7, tiles), Grid(2, 3, tiles)
    changes: list[Change] = []
    coefficients = codec.transform.analyse(tokens.values, grid, fitted=True)
    word = codec.encode_coefficients(coefficients, grid, watch=changes.append, fineness=fineness)
    model = codec.model_for(grid, fineness)
    active = np.array([4, 4, 4, 3, 2])
    tops = np.array([4, 4, 3, 2])  # the highest plane that each component takes part in
    before = np.stack([quiet_error(model, top + 1)[:, r] for r, top in enumerate(tops)], axis=1)
    assert model.prior_error == before.sum()
    error = tiles * int(before.sum()) + np.concatenate([change.error for change in changes]).cumsum()
    energy = np.concatenate([change.energy for change in changes]).cumsum()
    assert error.min() >= 0
    assert energy.min() >= 0
    places = coefficients.reshape(-1)
    whole = np.minimum(np.floor(np.abs(places) * 2 ** (fineness / 8)), np.tile([31, 31, 15, 7], tiles * POSITIONS))
    for plane, done in word.plane_ends.items():
        known = whole.astype(np.int64) >> plane << plane
        offset = model.tables.offset
        wanted_error, wanted_energy = 0, 0
        for at, magnitude in enumerate(known):
            p, r = divmod(at % (POSITIONS * SIZE), SIZE)
            if r >= active[plane]:
                wanted_error += int(before[p, r])
            elif magnitude == 0:
                wanted_error += int(quiet_error(model, plane)[p, r])
            else:
                base = (int(model.layout.scale_bin[p, r]) >> 1) - 4 * plane + 32
                part = int(offset[1 if magnitude >> (plane + 1) else 0, min(max(base, 0), 63)])
                wanted_error += 21 * 4**plane  # a twelfth of (16 x 2^plane)^2, rounded down at plane 0
                wanted_energy += (16 * int(magnitude) + (part * 2**plane * 16 >> 6)) ** 2
        assert (error[done - 1], energy[done - 1]) == (wanted_error, wanted_energy)
    assert set(word.plane_ends) == set(range(PLANES))
    share = energy / (energy + np.maximum(error, 1))
    np.testing.assert_array_equal(word.retained, np.maximum.accumulate([0, *share]))


def test_the_course_never_falls_and_never_overflows() -> None:
    """By hand: energy 0, 9, 9, 4, and error 16, 7, 4, 0, which counts as 1."""
    codec = integer_codec()

    plan = codec.model_for(GRID).plan(0)
    items = PlaneState(codec.model_for(GRID), 1).items(PLANES - 1, 1)

    def change(before: list[int], after: list[int], moved: list[int], errors: list[int]) -> Change:
        class Stated(Change):
            error = np.array(errors)

        places = np.array(moved)
        return Stated(items, plan, len(errors), 0, places, places, np.array(before), np.array(after))

    class Model(PlaneModel):
        @property
        def prior_error(self) -> int:
            return self.prior

        prior = 16

    model = Model(codec.tables, codec.model_for(GRID).layout)
    course = EnergyCourse(model, 1)
    assert course.retained().tolist() == [0.0]
    course.add(change([0], [-3], [0], [-9, -3]))
    course.add(change([-3], [2], [0], [-4]))
    assert course.retained().tolist() == [0, 9 / 16, 9 / 13, 4 / 5]
    fallen = EnergyCourse(model, 1)
    fallen.add(change([0, 3], [3, 1], [0, 1], [-9, -3]))
    assert fallen.retained().tolist() == [0, 9 / 16, 9 / 16]  # and not 1 / 5
    model.prior = 1 << 70
    huge = EnergyCourse(model, 16384)
    huge.add(change([0] * 300, [1 << 28] * 300, list(range(300)), [0] * 300))
    found = huge.retained()
    assert np.all(np.isfinite(found))
    assert np.all(np.diff(found) > 0)
    assert 0 <= found[0] < found[-1] < 1
