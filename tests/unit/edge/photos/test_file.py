"""Every kind of photo file that a person may point at, and every kind that is none."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.edge.photos.file import load_photo
from heliograph.errors import PhotoMissingError, PhotoTooLargeError, PhotoUnreadableError


def corners(width: int = 40, height: int = 24) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = Image.new("RGB", (width, height), (255, 255, 255))
    image.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    image.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    image.paste((0, 0, 255), (0, height // 2, width // 2, height))
    return image


def saved(image: Image.Image, picture_format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, picture_format, **options)
    return out.getvalue()


def near(image: Image.Image, place: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(image.getpixel(place), colour, strict=True)) < 12


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM"])
def test_usual_formats(picture_format: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.with.no.telling.ending"
    path.write_bytes(saved(corners(), picture_format))
    loaded = load_photo(path)
    assert loaded.mode == "RGB"
    assert loaded.size == (40, 24)
    assert near(loaded, (3, 3), (255, 0, 0))
    assert loaded.tobytes() == load_photo(path.read_bytes()).tobytes()
    assert loaded.tobytes() == load_photo(str(path)).tobytes()


# ---- what is no photo -------------------------------------------------------------------------------


def test_missing_folder_and_odd_paths(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path, tmp_path / "none" / "x.jpg", "nul\0l", "x" * 5000, ""):
        with pytest.raises(PhotoMissingError):
            load_photo(path)


def test_a_pipe_is_no_file_and_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PhotoMissingError):
        load_photo(tmp_path / "pipe")


@pytest.mark.parametrize("data", [b"", b"\x00", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff", b"RIFF"])
def test_no_image(data: bytes) -> None:
    with pytest.raises(PhotoUnreadableError):
        load_photo(data)


def test_postscript_is_never_run() -> None:
    with pytest.raises(PhotoUnreadableError):
        load_photo(saved(corners(), "EPS"))


@pytest.mark.parametrize("picture_format", ["PNG", "WEBP", "AVIF"])
def test_truncated_at_many_places(picture_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), picture_format)
    # The last few bytes of a PNG are an end marker without pixels.
    for length in range(0, len(data) - 64, 97):
        with pytest.raises(PhotoUnreadableError):
            load_photo(data[:length])


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
@settings(deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_gives_a_photo_or_a_named_error(picture_format: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(saved(corners(), picture_format))
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(PhotoUnreadableError, PhotoTooLargeError):
        assert load_photo(bytes(data)).mode == "RGB"


def png_claiming(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(10_001, 10_000), (100_000, 100_000), (2**31 - 1, 1)])
def test_bombs_are_refused_before_memory_is_taken(size: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(PhotoTooLargeError):
            load_photo(png_claiming(*size))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


# ---- odd but good photos ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 1)])
def test_extreme_sizes(size: tuple[int, int]) -> None:
    assert load_photo(saved(corners(*size))).size == size


def test_cmyk_jpeg() -> None:
    loaded = load_photo(saved(corners().convert("CMYK"), "JPEG", quality=95))
    assert near(loaded, (3, 3), (255, 0, 0))


def test_palette_with_and_without_transparency() -> None:
    palette = corners().quantize(8)
    assert near(load_photo(saved(palette)), (3, 3), (255, 0, 0))
    transparent = load_photo(saved(palette, "PNG", transparency=palette.getpixel((3, 3))))
    assert near(transparent, (3, 3), (255, 255, 255))
    assert near(transparent, (36, 3), (0, 255, 0))


def test_transparency_is_laid_over_white() -> None:
    image = corners().convert("RGBA")
    image.putalpha(0)
    assert load_photo(saved(image)).getcolors() == [(40 * 24, (255, 255, 255))]
    grey = Image.new("LA", (4, 4), (0, 128))
    assert near(load_photo(saved(grey)), (0, 0), (127, 127, 127))
    keyed = load_photo(saved(corners(), "PNG", transparency=(255, 0, 0)))
    assert near(keyed, (3, 3), (255, 255, 255))


@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(picture_format: str) -> None:
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256)
    loaded = load_photo(saved(Image.fromarray(levels), picture_format))
    red = np.asarray(loaded)[0, :, 0].astype(int)
    assert np.abs(red - np.arange(256)).max() <= 1


def test_float_and_wide_integer_tiffs() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 256)
    assert np.abs(np.asarray(load_photo(saved(Image.fromarray(ramp), "TIFF")))[0, :, 0] - np.arange(256.0)).max() <= 1
    hot = np.array([[0, 500, 1000, np.nan, np.inf, -5]], dtype=np.float32)
    assert np.asarray(load_photo(saved(Image.fromarray(hot), "TIFF")))[0, :, 0].tolist() == [0, 128, 255, 0, 0, 0]
    wide = np.array([[0, 2**30, 2**31 - 1]], dtype=np.int32)
    assert np.asarray(load_photo(saved(Image.fromarray(wide), "TIFF")))[0, :, 0].tolist() == [0, 128, 255]


def test_one_bit_and_grey() -> None:
    assert load_photo(saved(Image.new("1", (3, 3), 1))).getpixel((0, 0)) == (255, 255, 255)
    assert load_photo(saved(Image.new("L", (3, 3), 77))).getpixel((0, 0)) == (77, 77, 77)


@pytest.mark.parametrize("picture_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation_gives_its_first_frame(picture_format: str) -> None:
    first, second = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
    data = saved(first, picture_format, save_all=True, append_images=[second])
    assert near(load_photo(data), (8, 8), (255, 0, 0))


@pytest.mark.parametrize(
    ("orientation", "top_left", "size"),
    [
        (1, (255, 0, 0), (40, 24)),
        (2, (0, 255, 0), (40, 24)),
        (3, (255, 255, 255), (40, 24)),
        (4, (0, 0, 255), (40, 24)),
        (5, (255, 0, 0), (24, 40)),
        (6, (0, 0, 255), (24, 40)),
        (7, (255, 255, 255), (24, 40)),
        (8, (0, 255, 0), (24, 40)),
        (99, (255, 0, 0), (40, 24)),
    ],
)
def test_exif_rotation(orientation: int, top_left: tuple[int, int, int], size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for picture_format in ("JPEG", "PNG", "WEBP"):
        loaded = load_photo(saved(corners(), picture_format, exif=exif.tobytes(), quality=95))
        assert loaded.size == size
        assert near(loaded, (2, 2), top_left)
        assert not loaded.getexif()
        assert not loaded.info


@pytest.mark.filterwarnings("error")
def test_broken_camera_data_does_not_cost_the_photo() -> None:
    for junk in (
        b"Exif\0\0",
        b"Exif\0\0MM\0\x2a\xff\xff\xff\xff",
        b"Exif\0\0II\x2a\0\x08\0\0\0\xff\xff" + b"\xff" * 40,
    ):
        data = saved(corners(), "JPEG", exif=junk, quality=95)
        assert near(load_photo(data), (3, 3), (255, 0, 0))


def test_errors_never_tell_the_path(tmp_path: Path) -> None:
    path = tmp_path / "secret-name.jpg"
    path.write_bytes(b"no image")
    with pytest.raises(PhotoUnreadableError) as caught:
        load_photo(path)
    assert "secret" not in str(caught.value)
