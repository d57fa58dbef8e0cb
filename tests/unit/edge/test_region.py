"""A region of the original: cut from the upright photo at full size, clipped, and encoded by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from heliograph.boxes import WireBox
from heliograph.edge.device import Device
from heliograph.edge.region import RegionSending, region_encoder
from heliograph.errors import PhotoMissingError
from heliograph.strategies.baseline.pictures import decode_picture

_ORIENTATION = 0x0112


def test_a_file_is_cut_as_it_is_seen_and_not_as_it_is_stored(tmp_path: Path) -> None:
    seen = Image.new("RGB", (400, 200), (0, 0, 255))
    seen.paste((255, 0, 0), (0, 0, 100, 100))  # red in the upper left corner, once it is upright
    exif = Image.Exif()
    exif[_ORIENTATION] = 6  # stored turned; a viewer turns it by 90 degrees
    path = tmp_path / "turned.png"
    seen.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    encode = region_encoder(Device(None), path, RegionSending("webp", {"size": 512, "quality": 90}))
    encoded = encode(WireBox(0, 0, 256, 512))
    crop = decode_picture(b"".join(encoded.segments), "WEBP")
    assert encoded.strategy == "webp"
    assert crop.size == (100, 100)
    red, _, blue = crop.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 200 > 60 > blue


@pytest.mark.parametrize("strategy", ["webp", "avif", "jpeg"])
def test_a_crop_travels_in_the_size_and_form_that_was_chosen(strategy: str) -> None:
    photo = Image.effect_noise((600, 600), 80).convert("RGB")
    encode = region_encoder(Device(None), photo, RegionSending(strategy, {"size": 48, "quality": 20}))
    picture = decode_picture(b"".join(encode(WireBox(0, 0, 512, 512)).segments), strategy.upper())
    assert picture.size == (48, 48)


def test_a_photo_that_is_gone_is_named() -> None:
    with pytest.raises(PhotoMissingError):
        region_encoder(Device(None), "no-such-photo.jpg", RegionSending())(WireBox(0, 0, 10, 10))
