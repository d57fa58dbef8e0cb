"""Strategies that send pictures: what comes back, from which prefixes, and what damaged pictures meet."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.strategies.baseline.pictures import (
    MAX_PICTURE_SIDE,
    decode_picture,
    longest_edge_size,
    squashed,
    to_rgb,
)
from heliograph.types import EncodedImage
from strategy_tools import encoded_by, photo, restored_by

PIXELS = ("jpeg", "webp", "avif")


def difference(a: Image.Image, b: Image.Image) -> float:
    first, second = (np.asarray(i.resize((128, 128)).convert("RGB"), np.float32) for i in (a, b))
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize("name", PIXELS)
def test_picture_comes_back_alike_at_no_larger_size(name: str) -> None:
    restored = restored_by(encoded_by(name, size=150, quality=90)).image
    assert restored is not None
    assert restored.mode == "RGB"
    assert restored.size == (150, 100)
    assert difference(restored, photo()) < 6
    assert restored_by(encoded_by(name, size=512, quality=50)).image.size == (300, 200)  # never enlarged


@pytest.mark.parametrize("name", PIXELS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (500, 1), (1, 500)])
def test_odd_pictures(name: str, size: tuple[int, int]) -> None:
    assert restored_by(encoded_by(name, photo(*size), size=512, quality=50)).image.size == size


@pytest.mark.parametrize("name", PIXELS)
def test_carries_no_metadata(name: str) -> None:
    picture = photo()
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    picture.info.update(exif=exif.tobytes(), icc_profile=b"profile" * 40, comment=b"a secret place", xmp=b"secret")
    plain = b"".join(encoded_by(name).segments)
    assert b"".join(encoded_by(name, picture).segments) == plain


def test_jpeg_is_the_smallest_that_pillow_makes() -> None:
    for size, quality in ((32, 10), (256, 75)):
        ours = encoded_by("jpeg", size=size, quality=quality).payload_bytes
        small = photo()
        small.thumbnail((size, size), Image.Resampling.LANCZOS)
        for progressive in (False, True):
            out = io.BytesIO()
            small.save(out, "JPEG", quality=quality, optimize=True, progressive=progressive, subsampling=2)
            assert ours <= len(out.getvalue()) - 18


def test_progressive_jpeg_gets_better_with_every_slice_and_never_fails_after_its_first_scan() -> None:
    picture = photo(640, 640)
    encoded = encoded_by("jpeg", picture, size=640, quality=95)
    assert len(encoded.segments) > 8
    errors = []
    for count in range(len(encoded.segments) + 1):
        try:
            errors.append(difference(restored_by(encoded.prefix(count)).image, picture))
        except StreamTruncatedError:
            assert not errors
    assert len(errors) > len(encoded.segments) // 2
    assert errors[-1] < errors[len(errors) // 2] < errors[0]


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_other_pictures_need_every_byte(name: str) -> None:
    data = b"".join(encoded_by(name, size=64, quality=30).segments)
    for length in range(len(data)):
        with pytest.raises((StreamTruncatedError, StreamDamagedError)):
            restored_by(EncodedImage(name, b"", (data[:length],)))


def test_baseline_jpeg_prefix_is_truncated_not_half_grey() -> None:
    out = io.BytesIO()
    photo().save(out, "JPEG", quality=90)
    with pytest.raises(StreamTruncatedError):
        restored_by(EncodedImage("jpeg", b"", (out.getvalue()[:-40],)))


@pytest.mark.parametrize("name", PIXELS)
@settings(deadline=None)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_damaged_pictures_give_a_picture_or_a_named_error(name: str, place: int, value: int) -> None:
    data = bytearray(b"".join(encoded_by(name, size=48, quality=30).segments))
    data[place % len(data)] = value
    try:
        picture = restored_by(EncodedImage(name, b"", (bytes(data),))).image
    except (StreamDamagedError, StreamTruncatedError):
        return
    assert picture is not None
    assert max(picture.size) <= MAX_PICTURE_SIDE


@pytest.mark.parametrize("name", PIXELS)
def test_refuses_pictures_larger_than_any_that_is_sent(name: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (MAX_PICTURE_SIDE + 8, 16)).save(out, name.upper())
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage(name, b"", (out.getvalue(),)))


def test_refuses_a_jpeg_header_that_claims_gigapixels() -> None:
    data = bytearray(b"".join(encoded_by("jpeg", size=48, quality=30).segments))
    frame = max(data.find(b"\xff\xc2"), data.find(b"\xff\xc0"))
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage("jpeg", b"", (bytes(data),)))


def test_pictures_are_bounded_by_what_decoding_them_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest that each strategy writes is restored; one that takes more is refused before it is decoded."""
    from PIL import ImageFile

    from heliograph.strategies.baseline import pictures

    picture = Image.linear_gradient("L").resize((512, 512)).convert("RGB")
    progressive = 4 * 512 * 512 + 3 * 2 * 512 * 512
    for name, options, held in (
        ("jpeg", {"quality": 90}, 4 * 512 * 512),
        ("jpeg", {"quality": 90, "progressive": True, "subsampling": 0}, progressive),
        ("webp", {"quality": 90}, 12 * 512 * 512),
        ("avif", {"quality": 60, "subsampling": "4:2:0"}, round(8.25 * 512 * 512)),
    ):
        out = io.BytesIO()
        picture.save(out, name.upper(), **options)
        encoded = EncodedImage(name, b"", (out.getvalue(),))
        of_file = 0 if name == "jpeg" else 2 * len(out.getvalue())
        with monkeypatch.context() as patch:
            patch.setattr(pictures, "MAX_DECODING_BYTES", held + of_file)
            restored = restored_by(encoded).image
            assert restored is not None
            assert np.abs(np.asarray(restored).astype(int) - np.asarray(picture)).mean() < 4
            patch.setattr(pictures, "MAX_DECODING_BYTES", held + of_file - 1)
            patch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
            with pytest.raises(StreamDamagedError):
                restored_by(encoded)
        assert held * (MAX_PICTURE_SIDE // 512) ** 2 + of_file < pictures.MAX_DECODING_BYTES


def test_a_picture_of_another_format_is_damage() -> None:
    out = io.BytesIO()
    photo().save(out, "GIF")
    with pytest.raises(StreamDamagedError):
        decode_picture(out.getvalue(), "JPEG")


def test_rgb_restores_the_model_input_exactly_and_costs_base64() -> None:
    encoded = encoded_by("rgb")
    assert encoded.payload_bytes == 2 + 128 * 128 * 4
    assert restored_by(encoded).image.tobytes() == squashed(photo(), 128).tobytes()
    with pytest.raises(StreamTruncatedError):
        restored_by(encoded.prefix(len(encoded.segments) - 1))


# ---- shared geometry --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (128, 128)),
        ((300, 200), (128, 86)),
        ((1, 9000), (1, 128)),
        ((9000, 1), (128, 1)),
        ((7, 9), (100, 128)),
    ],
)
def test_longest_edge_follows_the_processor(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert longest_edge_size(*size, 128) == expected


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert to_rgb(clear).getpixel((0, 0)) == (255, 255, 255)
    assert to_rgb(Image.new("LA", (2, 2), (10, 255))).getpixel((0, 0)) == (10, 10, 10)
