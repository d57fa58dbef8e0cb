"""From attention to a box: known maps, all photo shapes, hostile input."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.controllers.region.find import RegionSetting, find_box, grown, relative_map
from heliograph.errors import BundleDamagedError, ShapeError, UsageError


def spot(rows, columns, row, column, value=1.0, rest=0.01):
    made = np.full((rows, columns), rest)
    made[row, column] = value
    return made


def inside(box, point):
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 4), (7, 7), (0, 7)])
def test_the_box_holds_the_cell_that_is_looked_at(row, column):
    found = find_box(spot(8, 8, row, column), (512, 512))
    assert found.box[2] - found.box[0] == found.box[3] - found.box[1] == 128
    assert min(found.box) >= 0
    assert max(found.box) <= 512
    assert inside(found.box, (64 * column + 32, 64 * row + 32))
    assert 0 < found.contrast <= 1


def test_between_cells_the_box_lies_between():
    shared = spot(8, 8, 2, 3)
    shared[2, 4] = 1.0
    left, _, right, _ = find_box(shared, (512, 512)).box
    assert (left + right) / 2 == pytest.approx(256, abs=8)


def test_a_grid_of_another_shape_and_a_photo_of_another_shape():
    found = find_box(spot(6, 12, 1, 10), (1200, 600), windows=(0.3,))
    assert found.box[2] - found.box[0] == pytest.approx(180, abs=16)
    assert inside(found.box, (1050, 150))


def test_the_window_that_fits_wins():
    broad = np.full((8, 8), 0.01)
    broad[1:5, 1:5] = 1.0
    windows = (0.125, 0.25, 0.5)
    assert find_box(broad, (512, 512), windows=windows).box == (64, 64, 320, 320)
    narrow = find_box(spot(8, 8, 5, 5), (512, 512), windows=windows)
    assert narrow.box[2] - narrow.box[0] < 256
    assert narrow.contrast < find_box(broad, (512, 512), windows=windows).contrast


def test_contrast_falls_as_the_rest_is_looked_at_more():
    contrasts = [find_box(spot(8, 8, 3, 3, rest=rest), (512, 512)).contrast for rest in (0.0, 0.5, 1.0)]
    assert contrasts[0] == pytest.approx(contrasts[1])  # a constant added everywhere tells nothing
    assert contrasts[2] == 0


def test_a_flat_or_empty_map_gives_the_middle_without_contrast():
    for flat in (np.zeros((8, 8)), np.full((8, 8), 0.3), np.ones((1, 1))):
        found = find_box(flat, (512, 512))
        assert found.contrast == 0
        assert inside(found.box, (256, 256))
        assert found.box == (192, 192, 320, 320)


def test_padding_is_no_place_to_look():
    padded = spot(8, 8, 7, 2, value=5.0)
    padded[4, 2] = 1.0
    found = find_box(padded, (400, 300), covered=(1.0, 0.75))
    assert inside(found.box, (125, 225))
    assert found.box[3] <= 300


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (20, 900), (31, 31), (900, 20)])
def test_tiny_and_narrow_photos(size):
    left, top, right, bottom = find_box(spot(8, 8, 2, 6), size).box
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert right - left >= min(32, *size)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.lists(st.floats(0.01, 1), min_size=1, max_size=4),
    st.integers(0, 1 << 30),
)
def test_any_map_gives_a_box_inside_the_photo_and_the_same_again(rows, columns, size, windows, seed):
    values = np.random.default_rng(seed).random((rows, columns)) ** 4
    found = find_box(values, size, windows=windows)
    left, top, right, bottom = found.box
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert 0 <= found.contrast <= 1
    assert find_box(values, size, windows=windows) == found


@pytest.mark.parametrize(
    "bad",
    [
        np.full((8, 8), np.nan),
        spot(8, 8, 1, 1, value=np.inf),
        spot(8, 8, 1, 1, value=-1.0),
        np.zeros((0, 8)),
        np.zeros(8),
        np.zeros((2, 2, 2)),
        np.zeros((1 << 9, 1 << 9)),
    ],
)
def test_what_is_no_map_is_refused(bad):
    with pytest.raises(ShapeError):
        find_box(bad, (512, 512))
    with pytest.raises(ShapeError):
        relative_map(bad, None, 0.1)


def test_what_is_no_photo_or_window_is_refused():
    good = spot(4, 4, 1, 1)
    for size in ((0, 5), (5, -1), (1 << 21, 5)):
        with pytest.raises(UsageError):
            find_box(good, size)
    for windows in ((), (0.0,), (1.5,), (float("nan"),), (0.1,) * 17):
        with pytest.raises(UsageError):
            find_box(good, (64, 64), windows=windows)
    for covered in ((0.0, 1.0), (1.0, 1.1)):
        with pytest.raises(UsageError):
            find_box(good, (64, 64), covered=covered)


def test_dividing_by_the_generic_map_finds_what_only_this_question_looks_at():
    own = spot(4, 4, 0, 0, value=0.5)
    own[2, 3] = 0.3
    generic = spot(4, 4, 0, 0, value=0.5)
    relative = relative_map(own, generic, 0.1)
    assert np.unravel_index(relative.argmax(), relative.shape) == (2, 3)


def test_the_floor_keeps_tiny_divisors_from_winning():
    own = spot(4, 4, 2, 3, value=0.3)
    generic = np.full((4, 4), 0.1)
    generic[0, 1] = 1e-9
    assert np.unravel_index(relative_map(own, generic, 0.1).argmax(), own.shape) == (2, 3)
    assert np.array_equal(relative_map(own, np.zeros((4, 4)), 0.5), own)
    with pytest.raises(UsageError):
        relative_map(own, generic, 0.0)
    with pytest.raises(ShapeError):
        relative_map(own, np.ones((4, 5)), 0.1)


def test_grown_keeps_centre_size_and_shape_within_bounds():
    assert grown((250, 250, 260, 260), (512, 512), 128) == (191, 191, 319, 319)
    assert grown((0, 0, 10, 10), (512, 512), 128) == (0, 0, 128, 128)
    assert grown((500, 500, 512, 512), (512, 512), 128) == (384, 384, 512, 512)
    left, top, right, bottom = grown((0, 100, 512, 104), (512, 512), 8)
    assert (right - left) / (bottom - top) <= 4
    assert grown((10, 10, 12, 12), (40, 30), 128) == (0, 0, 40, 30)


def maps(*heads):
    """One prompt position, one head a map."""
    return np.stack(heads)[None]


def test_the_paper_s_map_is_the_mean_over_heads_of_the_last_position_over_the_generic_one():
    own = np.concatenate([maps(spot(4, 4, 0, 0), spot(4, 4, 0, 0)), maps(spot(4, 4, 1, 1), spot(4, 4, 3, 2))])
    generic = np.stack([spot(4, 4, 1, 1), spot(4, 4, 1, 1)])
    setting = RegionSetting(0, "describe the picture.", floor=0.1, prompt_rows=2)
    wanted = relative_map(own[-1].mean(0), generic.mean(0), 0.1)
    np.testing.assert_allclose(setting.relative(own, generic), wanted)
    assert np.unravel_index(wanted.argmax(), wanted.shape) == (3, 2)


def test_exponents_weigh_heads_and_the_generic_prompt():
    own = maps(spot(4, 4, 0, 0), spot(4, 4, 2, 2))
    assert RegionSetting(0, own=(1.0, 0.1)).relative(own, None).argmax() == 0
    assert RegionSetting(0, own=(0.1, 1.0)).relative(own, None).argmax() == 10
    generic = np.stack([spot(4, 4, 2, 2), spot(4, 4, 0, 0)])
    setting = RegionSetting(0, "any", own=(0.1, 1.0), generic=(-2.0, 0.0))
    assert setting.relative(own, generic).argmax() == 0


def test_a_setting_survives_json_and_finds_the_same():
    setting = RegionSetting(2, "any", 0.01, 1, (1.0, -2.0), (0.5, 0.25), (0.25, 0.5), 0.3)
    again = RegionSetting.from_json(json.loads(json.dumps(setting.to_json())))
    assert again == setting
    own, generic = maps(spot(4, 4, 1, 2), spot(4, 4, 3, 3)), np.stack([spot(4, 4, 1, 1)] * 2)
    assert again.find(own, generic, (640, 480)) == setting.find(own, generic, (640, 480))


@pytest.mark.parametrize(
    "change",
    [
        {"layer": -1},
        {"layer": 1.5},
        {"layer": True},
        {"floor": 0},
        {"floor": float("nan")},
        {"prompt_rows": 0},
        {"prompt_rows": 3},
        {"own": [float("inf"), 1.0]},
        {"own": "12"},
        {"own": [1e9, 1.0]},
        {"own": []},
        {"windows": []},
        {"windows": [2.0]},
        {"least_share": 0},
        {"generic_question": ""},
        {"generic_question": "x" * 401},
        {"generic_question": 7},
    ],
)
def test_a_damaged_setting_is_refused(change):
    good = RegionSetting(2, "any", 0.01, 1, (1.0, -2.0), (0.5, 0.25)).to_json()
    RegionSetting.from_json(good)
    with pytest.raises(BundleDamagedError):
        RegionSetting.from_json(good | change)
    for key in good:
        with pytest.raises(BundleDamagedError):
            RegionSetting.from_json({name: value for name, value in good.items() if name != key})
    for nothing in (None, [], 7):
        with pytest.raises(BundleDamagedError):
            RegionSetting.from_json(nothing)


def test_maps_that_a_setting_is_not_for_are_refused():
    own = maps(spot(4, 4, 0, 0), spot(4, 4, 2, 2))
    for setting, shown, generic in (
        (RegionSetting(0, prompt_rows=2), own, None),
        (RegionSetting(0, own=(1.0,)), own, None),
        (RegionSetting(0, "any"), own, None),
        (RegionSetting(0), own, own[0]),
        (RegionSetting(0), own[0], None),
        (RegionSetting(0, own=(1.0, 1.0)), np.full_like(own, np.nan), None),
    ):
        with pytest.raises(ShapeError):
            setting.relative(shown, generic)


def test_a_map_of_nothing_is_flat():
    found = RegionSetting(0, own=(1.0, -1.0)).find(maps(np.zeros((4, 4)), np.zeros((4, 4))), None, (512, 512))
    assert found.contrast == 0


def test_a_setting_finds_the_same_place_in_a_photo_of_any_size():
    setting = RegionSetting(0, own=(1.0,), windows=(0.125,), least_share=0.25)
    small, large = (setting.find(maps(spot(8, 8, 5, 2)), None, (side, side)).box for side in (512, 1024))
    assert large == tuple(2 * edge for edge in small)
    assert small[2] - small[0] == 128
