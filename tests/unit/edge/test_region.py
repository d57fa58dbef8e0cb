"""A region of the original: cut from the upright photo at full size, clipped, and encoded by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from heliograph.edge.device import Device
from heliograph.edge.region import RegionSending, pixel_box, region_encoder
from heliograph.errors import PhotoMissingError, UsageError
from heliograph.strategies.pictures import decode_picture

_ORIENTATION = 0x0112


def test_a_box_is_the_smallest_of_whole_pixels_around_it() -> None:
    assert pixel_box((0, 0, 1024, 1024), 500, 300) == (0, 0, 500, 300)
    assert pixel_box((256, 512, 512, 1024), 400, 100) == (100, 50, 200, 100)
    assert pixel_box((1, 1, 2, 2), 512, 512) == (0, 0, 1, 1)


def test_a_box_is_clipped_to_the_photo() -> None:
    assert pixel_box((-50, 1000, 100, 3000), 1024, 1024) == (0, 1000, 100, 1024)


@given(
    st.tuples(*[st.integers(0, 1024)] * 4).filter(lambda b: b[0] < b[2] and b[1] < b[3]),
    st.integers(1, 9000),
    st.integers(1, 9000),
)
def test_every_box_has_pixels_and_lies_within_the_photo(
    box: tuple[int, int, int, int], width: int, height: int
) -> None:
    left, top, right, bottom = pixel_box(box, width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (1024, 0, 1030, 5), (-9, 0, 0, 5)])
def test_an_empty_box_or_one_outside_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError):
        pixel_box(box, 100, 100)


def test_a_file_is_cut_as_it_is_seen_and_not_as_it_is_stored(tmp_path: Path) -> None:
    seen = Image.new("RGB", (400, 200), (0, 0, 255))
    seen.paste((255, 0, 0), (0, 0, 100, 100))  # red in the upper left corner, once it is upright
    exif = Image.Exif()
    exif[_ORIENTATION] = 6  # stored turned; a viewer turns it by 90 degrees
    path = tmp_path / "turned.png"
    seen.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    encode = region_encoder(Device(None), path, RegionSending("webp", {"size": 512, "quality": 90}))
    encoded = encode((0, 0, 256, 512))
    crop = decode_picture(b"".join(encoded.segments), "WEBP")
    assert encoded.strategy == "webp"
    assert crop.size == (100, 100)
    red, _, blue = crop.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 200 > 60 > blue


@pytest.mark.parametrize("strategy", ["webp", "avif", "jpeg"])
def test_a_crop_travels_in_the_size_and_form_that_was_chosen(strategy: str) -> None:
    photo = Image.effect_noise((600, 600), 80).convert("RGB")
    encode = region_encoder(Device(None), photo, RegionSending(strategy, {"size": 48, "quality": 20}))
    picture = decode_picture(b"".join(encode((0, 0, 512, 512)).segments), strategy.upper())
    assert picture.size == (48, 48)


def test_a_photo_that_is_gone_is_named() -> None:
    with pytest.raises(PhotoMissingError):
        region_encoder(Device(None), "no-such-photo.jpg", RegionSending())((0, 0, 10, 10))
