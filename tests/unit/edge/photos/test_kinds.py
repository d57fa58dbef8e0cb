"""PNG in strips, large WebP, thumbnails in TIFF, HEIC, and photos that cannot be read for reasons of the system."""

from __future__ import annotations

import io
import itertools
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.hardening.photo_files import picture, png_bytes
from heliograph.edge.photos import pillow as photo_pillow
from heliograph.edge.photos import rows as photo_rows
from heliograph.edge.photos import webp as photo_webp
from heliograph.edge.photos.file import load_photo, read_photo
from heliograph.edge.photos.heif import is_heif
from heliograph.edge.photos.png import PngStrips
from heliograph.errors import (
    MissingExtraError,
    PhotoForbiddenError,
    PhotoMemoryError,
    PhotoTooLargeError,
    PhotoUnreadableError,
)
from heliograph.strategies.baseline.picture_memory import decoding_bytes

RANDOM = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def small_photos_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_rows, "MIN_PIXELS", 1)


def saved(image: Image.Image, picture_format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, picture_format, **options)
    return out.getvalue()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for a photo of 10,000 pixels, and as much again to decode it."""
    for module in (photo_pillow, photo_rows):
        monkeypatch.setattr(module, "PHOTO_BYTES", 40_000)
    for module in (photo_pillow, photo_rows):
        monkeypatch.setattr(module, "DECODING_BYTES", 80_000)
    monkeypatch.setattr(photo_pillow, "STREAM_BYTES", 0)
    monkeypatch.setattr(photo_rows, "_STRIP_PIXELS", 1000)


# ---- PNG ------------------------------------------------------------------------------------------------

KINDS: list[tuple[str, dict[str, object]]] = [
    ("RGB", {}),
    ("RGBA", {}),
    ("L", {}),
    ("LA", {}),
    ("1", {}),
    ("P", {}),
    ("P", {"bits": 1}),
    ("P", {"bits": 2}),
    ("P", {"bits": 4}),
    ("P", {"transparency": bytes(range(100))}),
    ("L", {"transparency": 7}),
    ("RGB", {"transparency": (3, 4, 5)}),
]


def photo_of(mode: str, size: tuple[int, int], bits: int = 8) -> Image.Image:
    noise = RANDOM.integers(0, 256, (size[1] // 7 + 2, size[0] // 7 + 2, 4), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    return image.convert("RGB").quantize(2**bits) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize(("mode", "options"), KINDS)
@pytest.mark.parametrize("size", [(37, 53), (1, 9), (9, 1), (160, 120)])
def test_strips_are_what_pillow_decodes(mode: str, options: dict[str, object], size: tuple[int, int]) -> None:
    file = io.BytesIO(saved(photo_of(mode, size, int(options.get("bits", 8))), "PNG", **options))
    strips = PngStrips(Image.open(file), file)
    cuts = sorted({0, size[1], *RANDOM.integers(0, size[1] + 1, 3).tolist()})
    parts = [np.asarray(strips.strip(*cut).convert("RGBA")) for cut in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate(parts), np.asarray(Image.open(file).convert("RGBA")))


def filtered_png(levels: np.ndarray, colour: int) -> bytes:
    """A PNG (16 bits) whose rows go through all five filters of the format in turn."""
    height, width, channels = levels.shape
    rows = levels.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)
    pixel = 2 * channels
    out, above = b"", np.zeros(rows.shape[1], int)
    for number, row in enumerate(rows):
        left = np.concatenate([np.zeros(pixel, int), row[:-pixel]])
        corner = np.concatenate([np.zeros(pixel, int), above[:-pixel]])
        guess = left + above - corner
        near = np.stack([np.abs(guess - left), np.abs(guess - above), np.abs(guess - corner)]).argmin(axis=0)
        paeth = np.choose(near, [left, above, corner])
        predicted = (np.zeros_like(row), left, above, (left + above) // 2, paeth)[number % 5]
        out += bytes([number % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    pieces = zlib.compress(out)
    halves = chunk(b"IDAT", pieces[:7]) + chunk(b"IDAT", b"") + chunk(b"IDAT", pieces[7:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + halves + chunk(b"IEND", b"")


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_keep_their_high_bytes(colour: int, channels: int) -> None:
    levels = RANDOM.integers(0, 65536, (23, 31, channels))
    file = io.BytesIO(filtered_png(levels, colour))
    strips = PngStrips(Image.open(file), file)
    parts = [np.asarray(strips.strip(top, min(top + 4, 23)).convert("RGBA")) for top in range(0, 23, 4)]
    kept = {1: (0,), 2: (0, 3), 3: (0, 1, 2), 4: (0, 1, 2, 3)}[channels]
    assert np.array_equal(np.concatenate(parts)[..., kept], levels >> 8)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_a_png_that_does_not_fit_is_read_smaller(mode: str) -> None:
    image = photo_of(mode, (200, 199))
    loaded = load_photo(saved(image, "PNG"))
    assert loaded.size == (100, 100)
    white = Image.new("RGBA", image.size, "white")
    wanted = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB").reduce(2)
    assert np.array_equal(np.asarray(loaded), np.asarray(wanted))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_in_strips_as_in_one(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = photo_of("RGB", (80, 45))
    from PIL import ImageOps

    data = saved(image, "PNG", exif=exif.tobytes())
    assert np.array_equal(
        np.asarray(load_photo(data)), np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    )


@pytest.mark.usefixtures("narrow")
def test_a_large_png_that_is_cut_or_damaged_is_refused() -> None:
    data = saved(photo_of("RGB", (200, 199)), "PNG")
    for length in (60, len(data) // 2, len(data) - 40):
        with pytest.raises(PhotoUnreadableError):
            load_photo(data[:length])
    with pytest.raises(PhotoUnreadableError):
        load_photo(data[: len(data) // 2] + bytes(50) + data[len(data) // 2 + 50 :])


@pytest.mark.usefixtures("narrow")
def test_what_is_not_stored_in_rows_is_refused_where_it_does_not_fit() -> None:
    levels = np.asarray(photo_of("RGB", (200, 199)))
    assert load_photo(png_bytes(levels)).size == (100, 100)
    with pytest.raises(PhotoTooLargeError):
        load_photo(png_bytes(levels, interlaced=True))
    for picture_format in ("BMP", "TIFF", "PPM"):
        with pytest.raises(PhotoTooLargeError):
            load_photo(saved(photo_of("RGB", (200, 199)), picture_format))


@pytest.mark.usefixtures("narrow")
def test_a_gif_may_take_all_the_room_for_decoding() -> None:
    """A byte a pixel, twice while it is decoded: 2 x 40,000 is all there is, and a row more is too much."""
    assert load_photo(saved(photo_of("L", (200, 200)), "GIF")).size == (100, 100)
    with pytest.raises(PhotoTooLargeError):
        load_photo(saved(photo_of("L", (200, 201)), "GIF"))


@pytest.mark.usefixtures("narrow")
def test_a_streamed_png_has_so_many_pixels_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(photo_of("RGB", (200, 199)), "PNG")
    monkeypatch.setattr(photo_pillow, "MAX_STREAMED_PIXELS", 39_800)
    assert load_photo(data).size == (100, 100)
    monkeypatch.setattr(photo_pillow, "MAX_STREAMED_PIXELS", 39_799)
    with pytest.raises(PhotoTooLargeError):
        load_photo(data)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("mode", "size", "orientation", "decoding", "fits"),
    [
        ("RGB", (100, 100), 1, 40_000, True),  # the photo is what was decoded
        ("RGB", (100, 100), 1, 39_999, False),
        ("RGB", (100, 101), 1, 80_000, False),  # 40,400 bytes of photo
        ("RGB", (100, 100), 6, 80_000, True),  # decoded, and beside it the turned photo
        ("RGB", (100, 100), 6, 79_999, False),
        ("RGBA", (100, 100), 1, 80_000, True),
        ("RGBA", (100, 100), 1, 79_999, False),
        ("L", (100, 100), 1, 50_000, True),  # one byte a pixel, then four
        ("L", (100, 100), 1, 49_999, False),
        ("keyed", (100, 100), 1, 80_000, True),
        ("keyed", (100, 100), 1, 79_999, False),
    ],
)
def test_what_fits_at_full_size(
    mode: str, size: tuple[int, int], orientation: int, decoding: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_pillow, "DECODING_BYTES", decoding)
    options: dict[str, object] = {"transparency": (3, 4, 5)} if mode == "keyed" else {}
    data = saved(photo_of("RGB" if mode == "keyed" else mode, size), "PNG", **options)
    file = io.BytesIO(data)
    assert photo_pillow._fits(Image.open(file), file, len(data), orientation) is fits


def test_interlaced() -> None:
    levels = np.asarray(photo_of("RGB", (37, 29)))
    assert np.array_equal(np.asarray(load_photo(png_bytes(levels, interlaced=True))), levels)


# ---- WebP -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"mode": "RGBA"}])
def test_a_webp_that_does_not_fit_is_scaled_by_its_decoder(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture((640, 480), str(options.pop("mode", "RGB")))
    data = saved(image, "WEBP", quality=95, **options)
    whole = load_photo(data)
    assert whole.size == (640, 480)
    for module in (photo_pillow, photo_rows, photo_webp):
        monkeypatch.setattr(module, "PHOTO_BYTES", 320 * 240 * 4)
    loaded = load_photo(data)
    assert loaded.size == (320, 240)
    assert np.abs(np.asarray(loaded).astype(int) - np.asarray(whole.reduce(2))).mean() < 4
    with pytest.raises(PhotoUnreadableError):
        load_photo(data[: len(data) * 2 // 3])


def test_without_libvips_a_large_webp_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(picture((640, 480)), "WEBP")
    monkeypatch.setattr(photo_pillow, "PHOTO_BYTES", 320 * 240 * 4)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    photo_webp._vips.cache_clear()
    with pytest.raises(MissingExtraError):
        load_photo(data)


# ---- TIFF -----------------------------------------------------------------------------------------------


def pages(*sizes: tuple[int, int], reduced: int | None = None) -> bytes:
    from PIL import TiffImagePlugin

    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out) as writer:
        for place, size in enumerate(sizes):
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[254] = 1 if place == reduced else 0
            Image.new("RGB", size, (place * 50, 0, 0)).save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
    return out.getvalue()


def test_a_tiff_counts_its_strip_and_its_file() -> None:
    levels = RANDOM.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for options, strip in (({"compression": "tiff_lzw", "strip_size": 40 * 3 * 10}, 10), ({}, 30)):
        data = saved(Image.fromarray(levels), "TIFF", **options)
        file = io.BytesIO(data)
        rows = Image.open(file).tag_v2.get(278)
        assert rows == strip
        assert decoding_bytes(Image.open(file), file, len(data)) == 4 * 40 * 30 + 4 * 40 * strip + len(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (pages((16, 12), (160, 120)), (160, 120)),
        (pages((16, 12), (160, 120), (80, 60)), (160, 120)),
        (pages((160, 120), (16, 12)), (160, 120)),
        (pages((100, 120), (110, 120)), (100, 120)),  # two pages of a document
        (pages((100, 120), (110, 120), reduced=0), (110, 120)),
        (pages((100, 120), (300, 120), reduced=1), (100, 120)),
        (pages((100, 120), reduced=0), (100, 120)),
        (pages((10, 10), (20, 10)), (20, 10)),  # half as many pixels: a thumbnail
        (pages((11, 10), (20, 10)), (11, 10)),
        (pages(*[(2, 2)] * 99, (20, 20)), (20, 20)),  # a hundred pages are looked at
        (pages(*[(2, 2)] * 100, (20, 20)), (2, 2)),
    ],
)
def test_a_tiff_sends_its_photo_and_not_its_thumbnail(data: bytes, expected: tuple[int, int]) -> None:
    assert load_photo(data).size == expected


def test_a_page_that_does_not_say_what_it_is_counts_as_a_page() -> None:
    data = saved(Image.new("RGB", (100, 120)), "TIFF", save_all=True, append_images=[Image.new("RGB", (110, 120))])
    assert load_photo(data).size == (100, 120)


# ---- HEIC -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        ((b"heic", b"mif1", b"heic"), True),
        ((b"mif1", b"mif1", b"heic"), True),
        ((b"msf1", b"msf1", b"hevc"), True),
        ((b"heix", b"mif1"), True),
        ((b"avif", b"mif1", b"miaf"), False),
        ((b"mif1", b"avif", b"miaf"), False),
        ((b"mp42", b"isom"), False),
    ],
)
def test_brands(brands: tuple[bytes, ...], expected: bool) -> None:
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    assert is_heif((len(box) + 4).to_bytes(4, "big") + box + b"heic" * 5) is expected


def test_without_the_extra_a_heic_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(MissingExtraError) as caught:
        load_photo(path)
    assert caught.value.extra == "heif"
    assert "heliograph[heif]" in str(caught.value)


def test_heic_with_the_extra() -> None:
    import pillow_heif as heif

    image = picture((320, 200))
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)
    heif.encode("RGB", turned.size, turned.tobytes(), out, quality=90, exif=exif.tobytes())
    loaded = load_photo(out.getvalue())
    assert loaded.size == (320, 200)
    assert np.abs(np.asarray(loaded).astype(int) - np.asarray(image)).mean() < 8
    with pytest.raises(PhotoUnreadableError):
        load_photo(out.getvalue()[:400])


# ---- the system -----------------------------------------------------------------------------------------


def test_no_permission_is_its_own_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(saved(photo_of("RGB", (9, 9)), "JPEG"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "denied")

    for name in ("os.stat", "builtins.open"):
        with monkeypatch.context() as patch:
            patch.setattr(name, refuse)
            with pytest.raises(PhotoForbiddenError) as caught:
                load_photo(path)
        assert "secret" not in str(caught.value)
    assert read_photo(path).image.size == (9, 9)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
def test_too_little_memory_is_its_own_error(picture_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    def refuse(*_: object) -> None:
        raise MemoryError

    data = saved(photo_of("RGB", (9, 9)), picture_format)
    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    with pytest.raises(PhotoMemoryError):
        load_photo(data)
