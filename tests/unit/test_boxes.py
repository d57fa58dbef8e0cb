"""Boxes in pixels and in 1/1024 of the photo: each the smallest around the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.boxes import PixelBox, WireBox, pixel_box, wire_box
from heliograph.errors import UsageError

SIDES = st.integers(1, 9000)


def test_on_the_wire_by_hand() -> None:
    assert wire_box(PixelBox(0, 0, 512, 256), 512, 512) == WireBox(0, 0, 1024, 512)
    assert wire_box(PixelBox(1, 1, 2, 2), 3, 3) == WireBox(341, 341, 683, 683)  # 341.3 and 682.7
    assert wire_box(PixelBox(10, 20, 30, 40), 100, 4096) == WireBox(102, 5, 308, 10)  # 102.4, 5, 307.2, 10


def test_in_pixels_by_hand() -> None:
    assert pixel_box(WireBox(0, 0, 1024, 1024), 500, 300) == PixelBox(0, 0, 500, 300)
    assert pixel_box(WireBox(256, 512, 512, 1024), 400, 100) == PixelBox(100, 50, 200, 100)
    assert pixel_box(WireBox(1, 1, 2, 2), 512, 512) == PixelBox(0, 0, 1, 1)
    assert pixel_box(WireBox(102, 5, 308, 10), 100, 4096) == PixelBox(9, 20, 31, 40)  # 9.96, 20, 30.08, 40


def test_each_has_its_type() -> None:
    assert type(wire_box(PixelBox(0, 0, 1, 1), 2, 2)) is WireBox
    assert type(pixel_box(WireBox(0, 0, 1, 1), 2, 2)) is PixelBox


def test_a_box_is_clipped_to_the_photo() -> None:
    assert pixel_box(WireBox(-50, 1000, 100, 3000), 1024, 1024) == PixelBox(0, 1000, 100, 1024)


def boxes(width: int, height: int) -> st.SearchStrategy[tuple[int, int, int, int]]:
    corners = st.tuples(*(st.integers(0, most) for most in (width, height, width, height)))
    return corners.filter(lambda box: box[0] < box[2] and box[1] < box[3])


@given(boxes(1024, 1024), SIDES, SIDES)
def test_every_box_has_pixels_and_lies_within_the_photo(
    box: tuple[int, int, int, int], width: int, height: int
) -> None:
    left, top, right, bottom = pixel_box(WireBox(*box), width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@given(st.data(), SIDES, SIDES)
def test_what_comes_back_holds_what_was_asked_for(data: st.DataObject, width: int, height: int) -> None:
    asked = PixelBox(*data.draw(boxes(width, height)))
    cut = pixel_box(wire_box(asked, width, height), width, height)
    assert cut.left <= asked.left < asked.right <= cut.right
    assert cut.top <= asked.top < asked.bottom <= cut.bottom


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (1024, 0, 1030, 5), (-9, 0, 0, 5)])
def test_an_empty_box_or_one_outside_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError):
        pixel_box(WireBox(*box), 100, 100)
