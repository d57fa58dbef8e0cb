"""Where crops are cut."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.second_look.boxes import contrast_box, random_box, text_cuts, true_box
from heliograph.boxes import PixelBox
from heliograph.controllers.region.find import holds
from heliograph.edge.reader import Line

SIZE = (1000, 800)


def line(left: int, top: int, wide: int = 100, high: int = 20, text: str = "") -> Line:
    return Line(text, PixelBox(left, top, left + wide, top + high), float(high))


def test_no_lines_give_no_crop() -> None:
    assert text_cuts([], SIZE, crops=3) == []


def test_near_lines_share_a_crop_and_far_ones_do_not() -> None:
    near = [line(100, 100), line(100, 122)]
    cuts = text_cuts([*near, line(800, 700)], SIZE, crops=2)
    assert len(cuts) == 2
    assert [sum(holds(cut.box, one.box) for one in near) for cut in cuts] in ([0, 2], [2, 0])


@pytest.mark.parametrize("crops", [1, 2, 3])
def test_every_line_is_in_one_of_at_most_so_many_crops(crops: int) -> None:
    lines = [line(x, y) for x in (0, 300, 880) for y in (0, 400, 770)]
    cuts = text_cuts(lines, SIZE, crops=crops)
    assert 1 <= len(cuts) <= crops
    assert all(any(holds(cut.box, one.box) for cut in cuts) for one in lines)
    assert all(holds(PixelBox(0, 0, *SIZE), cut.box) for cut in cuts)


def test_a_crop_is_sent_at_a_size_at_which_its_lowest_line_keeps_its_height() -> None:
    (cut,) = text_cuts([line(100, 100, 400, 80)], SIZE, crops=3, line_height=20)
    assert cut.size == round((cut.box.right - cut.box.left) / 4)
    (mixed,) = text_cuts([line(100, 100, 400, 80), line(100, 180, 400, 20)], SIZE, crops=1, line_height=20)
    assert mixed.size == mixed.box.right - mixed.box.left  # the lower line forbids it
    (small,) = text_cuts([line(100, 100, 100, 10)], SIZE, crops=1, line_height=20)
    assert small.size == small.box.right - small.box.left  # nothing is enlarged


def test_small_prints_crops_come_first() -> None:
    cuts = text_cuts([line(0, 0, 600, 60), line(800, 700, 60, 20)], SIZE, crops=3, line_height=32)
    assert cuts[0].box.left > 700


def test_lines_of_different_heights_stay_apart_where_joining_costs_pixels() -> None:
    large, small = line(0, 0, 900, 200), line(0, 210, 60, 12)
    assert len(text_cuts([large, small], SIZE, crops=2, line_height=24)) == 2


def test_contrast_is_highest_where_brightness_changes() -> None:
    values = np.full((480, 640, 3), 128, dtype=np.uint8)
    values[60:200, 400:560] = np.random.default_rng(3).integers(0, 256, (140, 160, 3))
    box = contrast_box(Image.fromarray(values), 0.35)
    assert box.left < 480 < box.right
    assert box.top < 130 < box.bottom
    assert (box.right - box.left) == pytest.approx(0.35 * 480, abs=8)


def test_random_boxes_have_the_size_lie_within_and_depend_on_the_key() -> None:
    boxes = {random_box(PixelBox(0, 0, 200, 100), SIZE, f"photo {number}") for number in range(8)}
    assert len(boxes) > 4
    assert all((b.right - b.left, b.bottom - b.top) == (200, 100) for b in boxes)
    assert all(holds(PixelBox(0, 0, *SIZE), box) for box in boxes)
    assert random_box(PixelBox(0, 0, 9, 9), SIZE, "k") == random_box(PixelBox(0, 0, 9, 9), SIZE, "k")


def test_the_true_place_is_the_line_that_shows_the_answer() -> None:
    lines = [line(0, 0, text="Grand"), line(500, 500, text="GRAND HOTEL"), line(500, 600, text="Hotel")]
    box = true_box(lines, ["grand hotel"], SIZE)
    assert box is not None
    assert holds(box, lines[1].box)
    assert box.top > 400
    assert box.bottom < 600


def test_the_true_place_of_words_on_several_lines_is_around_them() -> None:
    lines = [line(0, 0, text="other"), line(500, 500, text="Grand"), line(500, 600, text="hotel")]
    box = true_box(lines, ["nothing like it", "grand hotel"], SIZE)
    assert box is not None
    assert holds(box, lines[1].box)
    assert holds(box, lines[2].box)
    assert not holds(box, lines[0].box)


def test_an_answer_that_is_not_there_has_no_place() -> None:
    assert true_box([line(0, 0, text="Grand")], ["hotel"], SIZE) is None
