"""From attention to a box in numbers: against every window tried one by one, and bounds at the very number."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.boxes import PixelBox
from heliograph.controllers.region.find import (
    RegionSetting,
    _nearest_to_centre,
    checked_map,
    find_box,
    grown,
    holds,
    log_map,
    relative_map,
)
from heliograph.errors import BundleDamagedError, ShapeError, UsageError
from heliograph.reasons import BundleFault, BundlePart, FileFault

Double = npt.NDArray[np.float64]
OWN, GENERIC = np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([[4.0, 0.0], [2.0, 2.0]])
STEPS = 8


def fine_map(cells: Double, rows: int, columns: int) -> Double:
    """Linear between the cells' centres, the outermost values beyond them: by numpy's own interpolation."""
    down = (np.arange(rows) + 0.5) / STEPS - 0.5
    across = (np.arange(columns) + 0.5) / STEPS - 0.5
    tall = np.stack([np.interp(down, np.arange(len(line)), line) for line in cells.T], axis=1)
    return np.stack([np.interp(across, np.arange(len(line)), line) for line in tall])


def tried_one_by_one(fine: Double, size: tuple[int, int], shares: tuple[float, ...]) -> tuple[float, PixelBox]:
    """The best correlation of the map with a window's outline, and the window in pixels."""
    rows, columns = fine.shape
    best: tuple[float, PixelBox] = (-1.0, PixelBox(0, 0, 0, 0))
    for share in shares:
        side = share * min(size)
        wide, high = round(side * columns / size[0]), round(side * rows / size[1])
        for top in range(rows - high + 1):
            for left in range(columns - wide + 1):
                outline = np.zeros_like(fine)
                outline[top : top + high, left : left + wide] = 1
                found = float(np.corrcoef(outline.ravel(), fine.ravel())[0, 1])
                if found > best[0]:
                    x, y = size[0] / columns, size[1] / rows
                    edges = (left * x, top * y, (left + wide) * x, (top + high) * y)
                    best = found, PixelBox(round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3]))
    return best


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("cells", "size", "shares"),
    [((4, 5), (400, 320), (0.25,)), ((3, 6), (480, 120), (0.5,)), ((5, 2), (160, 400), (0.5, 0.8))],
)
def test_the_box_is_the_window_of_the_highest_correlation(
    cells: tuple[int, int], size: tuple[int, int], shares: tuple[float, ...], seed: int
) -> None:
    values = np.random.default_rng(seed).random(cells) ** 3
    found = find_box(values, size, windows=shares)
    fine = fine_map(values, STEPS * cells[0], STEPS * cells[1])
    contrast, box = tried_one_by_one(fine, size, shares)
    assert found.contrast == pytest.approx(contrast)
    assert found.box == box


def test_padding_is_cut_away_before_the_windows_are_tried() -> None:
    values = np.random.default_rng(7).random((4, 6)) ** 3
    values[3, 5] = 9.0  # padding
    found = find_box(values, (320, 160), windows=(0.5,), covered=(4 / 6, 0.5))
    contrast, box = tried_one_by_one(fine_map(values, 16, 32), (320, 160), (0.5,))
    assert found.contrast == pytest.approx(contrast)
    assert found.box == box


@pytest.mark.parametrize(
    ("cells", "corner"),
    [
        ([(0, 0), (7, 7)], (0, 0)),
        ([(0, 7), (7, 0)], (384, 0)),  # the uppermost
        ([(7, 0), (7, 7)], (0, 384)),  # then the leftmost
        ([(0, 0), (0, 7), (7, 0), (7, 7)], (0, 0)),
    ],
)
def test_of_equally_good_windows_the_uppermost_wins_then_the_leftmost(
    cells: list[tuple[int, int]], corner: tuple[int, int]
) -> None:
    values = np.zeros((8, 8))
    for cell in cells:
        values[cell] = 1.0
    left, top, right, bottom = find_box(values, (512, 512)).box
    assert (right - left, bottom - top) == (128, 128)
    assert (left, top) == corner


def test_a_window_of_the_whole_photo_tells_nothing() -> None:
    found = find_box(np.eye(4), (64, 64), windows=(1.0,))
    assert (found.box, found.contrast) == ((0, 0, 64, 64), 0.0)


def test_the_smallest_box_is_one_pixel() -> None:
    for place in range(8):
        values = np.full((8, 8), 0.01)
        values[place, 7 - place] = 1.0
        left, top, right, bottom = find_box(values, (3, 3), windows=(0.1,), least_side=1).box
        assert (right - left, bottom - top) == (1, 1)
        assert min(left, top) >= 0
        assert max(right, bottom) <= 3


def test_a_window_between_two_edges_takes_the_pixel_behind_the_nearest() -> None:
    """The best window of 6 of the 64 steps begins at step 17: 17 * 3 / 64 = 0.797 and 23 * 3 / 64 = 1.078 pixels."""
    values = np.full((8, 8), 0.01)
    values[2, 2] = 1.0
    assert find_box(values, (3, 3), windows=(0.1,), least_side=1).box == (1, 1, 2, 2)


@pytest.mark.parametrize(
    ("places", "nearest"),
    [
        ([(0, 3), (3, 3)], (0, 3)),  # as near as one another: the uppermost, then the leftmost
        ([(1, 0), (1, 6)], (1, 0)),
        ([(0, 3), (2, 3)], (2, 3)),  # 1.5 and 0.5 rows off the middle of 4
        ([(1, 3), (3, 3)], (1, 3)),
        ([(1, 1), (1, 4)], (1, 4)),  # 2 columns and 1 off the middle of 7
        ([(1, 2), (1, 5)], (1, 2)),
        ([(0, 2), (1, 1), (2, 5)], (0, 2)),  # hypot(1.5, 1), hypot(0.5, 2), hypot(0.5, 2)
    ],
)
def test_of_equal_places_the_nearest_to_the_centre_wins(
    places: list[tuple[int, int]], nearest: tuple[int, int]
) -> None:
    values = np.zeros((4, 7))
    for number, place in enumerate(places):
        values[place] = 0.5 - number * 1e-14  # what rounding does
    assert _nearest_to_centre(values) == nearest


@pytest.mark.parametrize(
    ("box", "size", "side", "expected"),
    [
        ((5, 5, 6, 6), (10, 10), 1, (5, 5, 6, 6)),
        ((4, 5, 4, 6), (10, 10), 0, (4, 5, 5, 6)),  # never nothing
        ((5, 4, 6, 4), (10, 10), 0, (5, 4, 6, 5)),
        ((0, 100, 512, 104), (512, 512), 8, (0, 38, 512, 166)),  # no longer than four times its width
        ((100, 0, 104, 512), (512, 512), 8, (38, 0, 166, 512)),
        ((40, 40, 60, 80), (200, 200), 30, (35, 40, 65, 80)),
        ((40, 40, 80, 60), (200, 200), 30, (40, 35, 80, 65)),
        ((0, 0, 4, 4), (20, 30), 8, (0, 0, 8, 8)),
        ((16, 26, 20, 30), (20, 30), 8, (12, 22, 20, 30)),
        ((2, 2, 4, 4), (6, 5), 9, (0, 0, 6, 5)),
    ],
)
def test_grown(
    box: tuple[int, int, int, int], size: tuple[int, int], side: int, expected: tuple[int, int, int, int]
) -> None:
    assert grown(PixelBox(*box), size, side) == expected


@pytest.mark.parametrize(
    ("region", "held"),
    [
        ((10, 20, 30, 40), True),
        ((11, 21, 29, 39), True),
        ((9, 20, 30, 40), False),
        ((10, 19, 30, 40), False),
        ((10, 20, 31, 40), False),
        ((10, 20, 30, 41), False),
    ],
)
def test_a_box_holds_a_region_on_every_side(region: tuple[int, int, int, int], held: bool) -> None:
    assert holds(PixelBox(10, 20, 30, 40), PixelBox(*region)) is held


def test_relative_map_worked_out_by_hand() -> None:
    assert np.array_equal(relative_map(OWN, None, 1.0), OWN)
    # The generic map's mean is 2: nothing is divided by less than half of it.
    assert np.array_equal(relative_map(OWN, GENERIC, 0.5), [[0.25, 3.0], [1.0, 1.0]])
    assert np.array_equal(relative_map(OWN, GENERIC, 2.0), [[0.25, 0.75], [0.5, 0.5]])
    for floor in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(UsageError):
            relative_map(OWN, GENERIC, floor)


def test_powers_of_maps_worked_out_by_hand() -> None:
    """In means OWN is 1/2 3/2 1 1 and GENERIC 2 0 1 1; with the floor 1 they are 1 3/2 1 1 and 2 1 1 1."""
    assert np.exp(log_map(OWN, 1.0)) == pytest.approx(np.array([[1.0, 1.5], [1.0, 1.0]]))
    assert np.exp(log_map(OWN, 0.25)) == pytest.approx(np.array([[0.5, 1.5], [1.0, 1.0]]))
    assert np.array_equal(log_map(np.zeros((2, 2)), 1.0), np.zeros((2, 2)))
    own = OWN[None, None]
    alone = RegionSetting(0, own=(2.0,)).relative(own, None)
    assert alone == pytest.approx(np.array([[1.0, 2.25], [1.0, 1.0]]) / 2.25)
    divided = RegionSetting(0, "any", own=(2.0,), generic=(-1.0,)).relative(own, GENERIC[None])
    assert divided == pytest.approx(np.array([[0.5, 2.25], [1.0, 1.0]]) / 2.25)
    unread = RegionSetting(0, "any", own=(2.0,)).relative(own, GENERIC[None])  # a generic prompt without exponents
    assert unread == pytest.approx(alone)


def test_without_powers_heads_are_averaged_before_they_are_divided() -> None:
    own, generic = np.stack([OWN, OWN.T])[None], np.stack([GENERIC, np.zeros((2, 2))])
    found = RegionSetting(0, "any", floor=1.0).relative(own, generic)
    # Mean over heads 1 2.5 2.5 2 over 2 0 1 1, floored at its mean 1.
    assert np.array_equal(found, [[0.5, 2.5], [2.5, 2.0]])


def test_the_least_side_is_a_share_of_the_shorter_side_and_32_at_least() -> None:
    setting = RegionSetting(0, windows=(0.0625,), least_share=0.25)
    for size, side in (((512, 256), 64), ((256, 512), 64), ((100, 80), 32), ((128, 128), 32), ((512, 132), 33)):
        left, top, right, bottom = setting.locate(np.eye(4) + 0.01, size).box
        assert (right - left, bottom - top) == (side, side)


def test_maps_photos_and_windows_at_their_bounds() -> None:
    assert checked_map(np.zeros((256, 256))).shape == (256, 256)
    with pytest.raises(ShapeError):
        checked_map(np.zeros((1, 65_537)))
    good = np.eye(2)
    for size in ((1, 1), (1 << 20, 1), (1, 1 << 20)):
        assert find_box(good, size).box[2] <= size[0]
    for size in ((0, 1), (1, 0), ((1 << 20) + 1, 1), (1, (1 << 20) + 1)):
        with pytest.raises(UsageError):
            find_box(good, size)
    assert find_box(good, (64, 64), windows=(0.5,) * 16).box[2] <= 64
    for windows in ((0.5,) * 17, (0.5, 1.5), (0.0, 0.5)):
        with pytest.raises(UsageError):
            find_box(good, (64, 64), windows=windows)
    for covered in ((0.5, 1.5), (0.0, 0.5), (1.5, 0.5)):
        with pytest.raises(UsageError):
            find_box(good, (64, 64), covered=covered)
    with pytest.raises(UsageError):
        find_box(good, (64, 64), least_side=0)


GOOD = RegionSetting(2, "any", 0.01, 1, (1.0, -2.0), (0.5, 0.25)).to_json()


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("layer", (0, 1024), (-1, 1025, 1.0)),
        ("floor", (1e-9, 1e9, 1), (0.9e-9, 1.1e9)),
        ("prompt_rows", (1, 2), (0, 3)),
        ("own", ([64.0, -64.0], [1.0] * 4096), ([64.5, 1.0], [-64.5, 1.0], [1.0] * 4097, [])),
        ("generic", ([64.0], [-64.0], [], [1.0] * 4096), ([64.5], [1.0] * 4097)),
        ("windows", ([1e-6], [1.0], [0.5] * 16), ([0.9e-6], [1.1], [0.5] * 17, [])),
        ("least_share", (1e-6, 1.0), (0.9e-6, 1.1)),
        ("generic_question", ("x", "x" * 400), ("", "x" * 401)),
    ],
)
def test_every_bound_of_a_setting(name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        made = RegionSetting.from_json(json.loads(json.dumps(GOOD | {name: value})))
        assert made.to_json()[name] == value
    for value in bad:
        with pytest.raises(BundleDamagedError):
            RegionSetting.from_json(GOOD | {name: value})


def test_bounds_of_a_setting_that_hang_together() -> None:
    rows = {"prompt_rows": 64, "own": [1.0] * 64}
    assert RegionSetting.from_json(GOOD | rows).prompt_rows == 64
    assert RegionSetting.from_json(GOOD | {"own": [], "generic": []}).own == ()
    assert RegionSetting.from_json(GOOD | {"generic_question": "", "generic": []}).generic == ()
    for wrong in ({"prompt_rows": 65, "own": [1.0] * 65}, {"prompt_rows": 2, "own": [1.0] * 3}, {"own": []}):
        with pytest.raises(BundleDamagedError):
            RegionSetting.from_json(GOOD | wrong)


def test_a_bundle_has_a_setting_where_it_has_the_file(tmp_path: Path) -> None:
    setting = RegionSetting(layer=3, least_share=0.25)
    (tmp_path / "region.json").write_text(json.dumps(setting.to_json()), encoding="utf-8")
    bundle: Any = SimpleNamespace(file=tmp_path.joinpath, file_names=("region.json",))
    assert RegionSetting.of(bundle) == setting
    bundle.file_names = ("other.json",)
    assert RegionSetting.of(bundle) is None


def test_of_a_corner_of_the_map_one_step_is_left() -> None:
    found = find_box(np.eye(4), (64, 64), covered=(0.01, 0.01))
    assert (found.box, found.contrast) == ((0, 0, 64, 64), 0.0)


def test_a_setting_is_the_paper_s_unless_it_says_otherwise() -> None:
    assert RegionSetting(3) == RegionSetting(3, "", 1.0, 1, (), (), (0.25,), 0.25)


def test_a_file_of_256_kib_is_read_and_no_larger_one_nor_a_link(tmp_path: Path) -> None:
    path, text = tmp_path / "region.json", json.dumps(GOOD)
    path.write_text(text.ljust(1 << 18))
    assert RegionSetting.load(path).to_json() == GOOD
    path.write_text(text.ljust((1 << 18) + 1))
    with pytest.raises(BundleDamagedError):
        RegionSetting.load(path)
    path.write_text(text)
    (tmp_path / "link.json").symlink_to(path)
    with pytest.raises(BundleDamagedError):
        RegionSetting.load(tmp_path / "link.json")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"windows": []}, FileFault.EMPTY),
        ({"windows": [0.5] * 17}, BundleFault.TOO_MANY),
        ({"own": [1.0] * 4097}, BundleFault.TOO_MANY),
        ({"own": [1.0] * 3, "prompt_rows": 2}, BundleFault.SHAPE),
        ({"own": []}, BundleFault.SHAPE),
        ({"layer": "2"}, FileFault.CONTENT),
        ({"layer": -1}, BundleFault.RANGE),
        ({"floor": float("nan")}, BundleFault.RANGE),
        ({"floor": "1"}, FileFault.CONTENT),
        ({"own": "12"}, FileFault.CONTENT),
        ({"generic_question": 7}, FileFault.CONTENT),
    ],
)
def test_the_reason_of_a_damaged_setting_is_told(change: dict[str, Any], fault: BundleFault | FileFault) -> None:
    with pytest.raises(BundleDamagedError) as caught:
        RegionSetting.from_json(GOOD | change)
    assert caught.value.reason == BundleDamagedError(BundlePart.REGION, fault).reason
