"""What each reader must hold and at what scale it reads, worked out by hand; and the camera's own words on a photo."""

from __future__ import annotations

import hashlib
import io
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from heliograph.edge.photos import jpeg, webp
from heliograph.edge.photos.heif import heif_rows, is_heif
from heliograph.edge.photos.identity import photo_identity
from heliograph.edge.photos.png import PngStrips
from heliograph.edge.photos.turn import orientation_of, without_camera_data
from heliograph.errors import PhotoTooLargeError, PhotoUnreadableError

MB = 1_000_000


def saved(image: Image.Image, picture_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, picture_format, **options)
    return out.getvalue()


# ---- JPEG ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("size", "mode", "coefficients", "plain", "divisor"),
    [
        ((4000, 4000), "RGB", 0, True, 1),
        ((4001, 4000), "RGB", 0, True, 2),
        ((4000, 3250), "RGB", 0, False, 1),  # 52 MB, and as much for the turned photo
        ((4000, 3251), "RGB", 0, False, 2),
        ((4000, 4000), "RGB", 40 * MB, True, 1),
        ((4000, 4000), "RGB", 40 * MB + 1, True, 2),
        ((4000, 4000), "L", 0, False, 1),  # a byte a pixel, then four
        ((4001, 4000), "L", 0, False, 2),
        ((8000, 8000), "RGB", 0, True, 2),
        ((8001, 8000), "RGB", 0, True, 4),  # odd edges are rounded up
        ((20_000, 12_500), "RGB", 0, True, 4),
        ((16_001, 16_000), "RGB", 0, True, 8),
    ],
)
def test_the_divisor_with_which_a_jpeg_fits(
    size: tuple[int, int], mode: str, coefficients: int, plain: bool, divisor: int
) -> None:
    image: Any = SimpleNamespace(width=size[0], height=size[1], mode=mode)
    assert jpeg._divisor(image, coefficients, plain) == divisor


@pytest.mark.parametrize(("size", "coefficients"), [((32_000, 32_001), 0), ((2000, 2000), 100 * MB + 1)])
def test_a_jpeg_that_no_divisor_helps(size: tuple[int, int], coefficients: int) -> None:
    image: Any = SimpleNamespace(width=size[0], height=size[1], mode="RGB")
    with pytest.raises(PhotoTooLargeError):
        jpeg._divisor(image, coefficients, True)


@pytest.mark.parametrize("there", [0, 1, 63, 64, 65, 100, 129, 130])
def test_the_share_that_is_filled_with_one_colour(there: int) -> None:
    image: Any = Image.new("RGB", (40, 130), (128, 128, 128))
    image.paste((1, 2, 3), (0, 0, 40, there))
    if there == 130:
        image.putpixel((39, 128), (9, 9, 9))  # of one colour altogether but for a pixel above the last row
        assert jpeg._missing_share(image) == pytest.approx(1 / 130)
    else:
        assert jpeg._missing_share(image) == pytest.approx(1 - there / 130)


@pytest.mark.parametrize(("missing", "is_photo"), [(0.75, True), (0.7501, False)])
def test_three_quarters_may_be_missing(missing: float, is_photo: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "_missing_share", lambda image: missing)
    cut = io.BytesIO(saved(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")[:-200])
    if is_photo:
        assert jpeg.jpeg_rows(cut)[1] == missing
    else:
        with pytest.raises(PhotoUnreadableError):
            jpeg.jpeg_rows(cut)


# ---- WebP ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pixels", "whole_bytes", "pixels_read"),
    [
        (100 * MB, 0, 104 * MB / 12),
        (100 * MB, -1000 * MB, 16 * MB),  # were the decoder free: what a photo may hold
        (8 * MB, 0, 8 * MB),
        (9 * MB, 0, 104 * MB / 12),
        (2 * MB, 92 * MB, 1 * MB),
        (900_000, 93 * MB, 900_000),  # 916,667 pixels of room for fewer
        (MB, 92 * MB, MB),
    ],
)
def test_the_scale_at_which_a_webp_fits(pixels: int, whole_bytes: int, pixels_read: float) -> None:
    assert webp._scale(pixels, whole_bytes) == pytest.approx(math.sqrt(pixels_read / pixels))


@pytest.mark.parametrize(
    ("pixels", "whole_bytes"), [(100 * MB + 1, 0), (2 * MB, 92 * MB + 12), (2 * MB, 104 * MB), (2 * MB, 200 * MB)]
)
def test_a_webp_that_no_scale_helps(pixels: int, whole_bytes: int) -> None:
    with pytest.raises(PhotoTooLargeError):
        webp._scale(pixels, whole_bytes)


def riff(kind: bytes, flags: int = 0, more: bytes = b"") -> io.BytesIO:
    return io.BytesIO(b"RIFF\0\0\0\0WEBP" + kind + bytes(4) + bytes([flags]) + more)


@pytest.mark.parametrize(
    ("file", "per_pixel"),
    [
        (riff(b"VP8 ", 0x10, b"VP8L"), 0),
        (riff(b"VP8L"), 5),
        (riff(b"VP8X", 0x10), 3),
        (riff(b"VP8X", 0x2F), 0),
        (riff(b"VP8X", 0x10, b"VP8L"), 5),
        (riff(b"VP8X", 0, bytes(4096 - 25) + b"VP8L"), 5),  # the last of the bytes that are looked at
        (riff(b"VP8X", 0, bytes(4096 - 24) + b"VP8L"), 0),
    ],
)
def test_what_the_coding_of_a_webp_needs(file: io.BytesIO, per_pixel: int) -> None:
    file.read(7)
    assert webp._whole_bytes(file) == per_pixel


@pytest.mark.parametrize(("mode", "per_pixel"), [("RGB", 0), ("RGBA", 3)])
def test_a_webp_counts_its_file_twice_and_the_library(
    mode: str, per_pixel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[tuple[int, int]]()

    def scale(pixels: int, whole_bytes: int) -> float:
        asked.append((pixels, whole_bytes))
        return 1.0

    monkeypatch.setattr(webp, "_scale", scale)
    picture = Image.new(mode, (64, 48), (200, 100, 50, 128)[: len(mode)])
    file = io.BytesIO(saved(picture, "WEBP", quality=90))
    size = len(file.getvalue())
    rows = webp.scaled_webp_rows(Image.open(file), file, size, 6)  # type: ignore[arg-type]
    assert asked == [(64 * 48, 16 * MB + 2 * size + per_pixel * 64 * 48)]
    assert (rows.size, rows.held_bytes, rows.orientation) == ((64, 48), 64 * 48 * 3 + 16 * MB, 6)
    wanted = (200, 100, 50) if mode == "RGB" else (227, 177, 152)  # half of it over white
    assert all(abs(a - b) < 6 for a, b in zip(rows.strip(47, 48).getpixel((63, 0)), wanted, strict=True))  # type: ignore[arg-type]


def test_libvips_keeps_nothing_and_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to = list[tuple[str, int]]()
    fake = SimpleNamespace(
        cache_set_max=lambda value: set_to.append(("kept", value)),
        concurrency_set=lambda value: set_to.append(("threads", value)),
    )
    monkeypatch.setitem(sys.modules, "pyvips", fake)  # type: ignore[arg-type]
    webp._vips.cache_clear()
    assert webp._vips() is fake
    webp._vips.cache_clear()
    assert set_to == [("kept", 0), ("threads", 1)]


# ---- HEIF ----------------------------------------------------------------------------------------------
def box(brands: bytes, size: int | None = None) -> bytes:
    whole = b"ftypmp42" + bytes(4) + brands
    return (len(whole) + 4 if size is None else size).to_bytes(4, "big") + whole


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (box(b"heic"), True),
        (box(b"isomheic"), True),
        (box(b"isomheic", size=20), False),  # behind the end of the box
        (box(b"isomheic", size=23), False),
        (box(b"isomheic", size=24), True),
        (box(b"isomheic")[:-1], False),
        (box(b"isom" * 59 + b"heic"), True),  # bytes 252 to 255
        (box(b"isom" * 60 + b"heic"), False),
        (box(b"heicavif"), False),
        (box(b"heic").replace(b"ftyp", b"ftyq"), False),
    ],
)
def test_brands_count_within_their_box_and_256_bytes(head: bytes, is_one: bool) -> None:
    assert is_heif(head) is is_one


@pytest.mark.parametrize(("file_bytes", "fits"), [(104 * MB - 7 * 2 * MB, True), (104 * MB - 7 * 2 * MB + 1, False)])
def test_seven_bytes_a_pixel_and_the_file(file_bytes: int, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(16))  # of which rows of two RGB pixels and two bytes of filling are read here
    picture = SimpleNamespace(size=(2000, 1000), data=data, stride=8, mode="RGB", info={"icc_profile": b"p"})
    asked = list[dict[str, Any]]()

    def opened(file: Any, **how: Any) -> Any:
        asked.append(how)
        return picture

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(open_heif=opened))  # type: ignore[arg-type]
    if not fits:
        with pytest.raises(PhotoTooLargeError):
            heif_rows(io.BytesIO(), file_bytes)
        return
    rows = heif_rows(io.BytesIO(), file_bytes)
    assert asked == [{"convert_hdr_to_8bit": True}]
    assert (rows.size, rows.held_bytes, rows.orientation, rows.profile) == ((2000, 1000), 8000, 1, b"p")
    picture.size = (2, 2)
    rows = heif_rows(io.BytesIO(), 0)
    assert rows.strip(0, 1).tobytes() == data[:6]
    assert rows.strip(1, 2).tobytes() == data[8:14]
    assert rows.strip(0, 2).tobytes() == data[:6] + data[8:14]


# ---- PNG -----------------------------------------------------------------------------------------------
def test_a_png_whose_header_is_cut_or_is_another_than_pillows_is_damaged() -> None:
    data = saved(Image.new("RGB", (5, 4)), "PNG")
    image: Any = Image.open(io.BytesIO(data))
    for other in (data[:25], saved(Image.new("RGB", (5, 3)), "PNG"), data[:25] + b"\5" + data[26:]):
        with pytest.raises(OSError, match=r"cut|two headers"):
            PngStrips(image, io.BytesIO(other))


# ---- what a camera says --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "orientation"), [({}, 1), ({0x0112: 1}, 1), ({0x0112: 8}, 8), ({0x0112: 9}, 1), ({0x0112: 0}, 1)]
)
def test_orientations_are_one_to_eight(said: dict[int, int], orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "getexif", lambda image: said)
    assert orientation_of(Image.new("RGB", (1, 1))) == orientation  # type: ignore[arg-type]


def test_nothing_of_the_camera_is_left() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(saved(Image.new("RGB", (4, 4)), "PNG", exif=exif.tobytes())))
    assert image.getexif()
    assert without_camera_data(image) is image
    assert not image.getexif()
    assert not image.info


def test_an_identity_is_sixteen_bytes_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(b"content")
    assert photo_identity(path) == hashlib.blake2b(b"content", digest_size=16).digest()
    picture = Image.new("RGB", (1, 1))
    assert photo_identity(picture) == photo_identity(picture)
    assert photo_identity(picture) != photo_identity(picture.copy())
