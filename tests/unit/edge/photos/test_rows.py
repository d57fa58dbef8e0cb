"""By how much a photo shrinks, in which strips it is read and where they lie: arithmetic on the promised bounds."""

from __future__ import annotations

import pytest
from PIL import Image

from heliograph.edge.photos import jpeg, png, rows, webp
from heliograph.edge.photos.rows import Rows, cutter, finished, fits, reduction, shows_enough
from heliograph.errors import PhotoTooLargeError


def test_the_bounds_are_those_of_the_decision() -> None:
    """docs/decisions/0016-reading-photos.md and docs/limits.md."""
    assert (rows.DECODING_BYTES, rows.PHOTO_BYTES, rows.MIN_PIXELS, rows.RGB_BYTES) == (104e6, 64e6, 1e6, 4)
    assert (jpeg.MAX_JPEG_PIXELS, png.MAX_STREAMED_PIXELS, webp.MAX_SCALED_PIXELS) == (250e6, 100e6, 100e6)
    assert png.STREAM_BYTES == 12e6


@pytest.mark.parametrize(
    ("size", "held", "factor"),
    [
        ((4000, 4000), 40_000_000, 1),  # 64 MB, and as much as decoding leaves
        ((4000, 4000), 40_000_001, 2),
        ((4001, 4000), 0, 2),
        ((8000, 8000), 0, 2),
        ((8001, 8000), 0, 3),
        ((2000, 2000), 88_000_001, 2),  # a megapixel is left
        ((4000, 250), 100_000_000, 1),
    ],
)
def test_the_smallest_factor_at_which_a_photo_fits(size: tuple[int, int], held: int, factor: int) -> None:
    assert reduction(size, held) == factor


@pytest.mark.parametrize(("size", "held"), [((1999, 2000), 88_100_000), ((4000, 250), 100_000_001)])
def test_no_photo_shrinks_below_a_megapixel(size: tuple[int, int], held: int) -> None:
    with pytest.raises(PhotoTooLargeError):
        reduction(size, held)


@pytest.mark.parametrize(("size", "room", "factor"), [((160, 160), 400, 16), ((2, 2), 4, 2), ((1, 2), 2, 2)])
def test_a_factor_is_sixteen_and_the_longer_edge_at_most(
    size: tuple[int, int], room: int, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MIN_PIXELS", 0)
    assert reduction(size, rows.DECODING_BYTES - room) == factor
    with pytest.raises(PhotoTooLargeError):
        reduction(size, rows.DECODING_BYTES - room + 1)


def test_what_may_be_held_and_what_is_worth_sending() -> None:
    assert (fits(64_000_000), fits(64_000_001)) == (True, False)
    assert (shows_enough(1, 1), shows_enough(1_000_000, 2), shows_enough(999_999, 2)) == (True, True, False)


@pytest.mark.parametrize(
    ("size", "factor", "strips"),
    [
        ((1 << 18, 3), 1, [(0, 1), (1, 2), (2, 3)]),
        ((1 << 19, 2), 1, [(0, 1), (1, 2)]),
        ((1 << 19, 4), 2, [(0, 2), (2, 4)]),
        ((1 << 16, 9), 1, [(0, 4), (4, 8), (8, 9)]),
        ((1 << 16, 9), 3, [(0, 3), (3, 6), (6, 9)]),
        ((1 << 16, 9), 2, [(0, 4), (4, 8), (8, 9)]),
        ((100, 50), 1, [(0, 50)]),
    ],
)
def test_strips_of_a_quarter_of_a_megapixel_in_whole_steps_of_the_factor(
    size: tuple[int, int], factor: int, strips: list[tuple[int, int]]
) -> None:
    assert list(rows._strips(size, factor)) == strips


@pytest.mark.parametrize(
    ("orientation", "place"),
    [(1, (0, 2)), (2, (0, 2)), (3, (0, 5)), (4, (0, 5)), (5, (2, 0)), (6, (5, 0)), (7, (5, 0)), (8, (2, 0))],
)
def test_where_rows_two_to_five_of_ten_lie(orientation: int, place: tuple[int, int]) -> None:
    assert rows._place(orientation, 2, 5, 10) == place


def test_a_picture_that_is_a_photo_already_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (4, 3), (1, 2, 3))
    plain = Rows(picture.size, cutter(picture), 48, whole=picture)
    assert finished(plain) is picture
    for other in (
        Rows(picture.size, cutter(picture), 48),
        Rows(picture.size, cutter(picture), 64_000_001, whole=picture),
        Rows(picture.size, cutter(picture), 48, 3, whole=picture),
    ):
        made = finished(other)
        assert made is not picture
        assert made.tobytes() == picture.tobytes()


def test_rows_are_upright_and_of_no_profile_where_nothing_else_is_said() -> None:
    plain = Rows((1, 1), lambda top, bottom: Image.new("RGB", (1, 1)), 4)
    assert (plain.orientation, plain.profile, plain.whole) == (1, None, None)


def test_strips_are_cut_at_their_full_width() -> None:
    picture = Image.new("RGB", (7, 9))
    assert cutter(picture)(2, 5).size == (7, 3)
