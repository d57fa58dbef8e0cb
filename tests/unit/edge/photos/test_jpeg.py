"""JPEG: what decoding one must hold, at which size it is read, and what is used of one that was cut."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from heliograph.edge.photos import jpeg as photo_jpeg
from heliograph.edge.photos import rows as photo_rows
from heliograph.edge.photos.file import load_photo, read_photo
from heliograph.errors import PhotoTooLargeError, PhotoUnreadableError
from heliograph.strategies.baseline.jpeg_header import read_jpeg_header
from processes import run_python


@pytest.fixture(autouse=True)
def small_photos_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_rows, "MIN_PIXELS", 1)


def blotches(width: int, height: int, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def jpeg(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **({"quality": 92} | options))
    return out.getvalue()


# ---- the header ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "subsampling", "blocks"),
    [
        ((64, 64), 0, 3 * 8 * 8),  # 4:4:4
        ((64, 64), 2, 8 * 8 + 2 * 4 * 4),  # 4:2:0
        ((64, 64), 1, 8 * 8 + 2 * 4 * 8),  # 4:2:2
        ((65, 17), 2, 10 * 4 + 2 * 5 * 2),  # whole units of 16 x 16 pixels: 5 x 2 of them
    ],
)
def test_coefficients_of_a_progressive_file(size: tuple[int, int], subsampling: int, blocks: int) -> None:
    data = jpeg(blotches(*size), progressive=True, subsampling=subsampling)
    header = read_jpeg_header(io.BytesIO(data))
    assert (header.width, header.height) == size
    assert header.coefficient_bytes == blocks * 64 * 2
    plain = read_jpeg_header(io.BytesIO(jpeg(blotches(*size), subsampling=subsampling)))
    assert plain.coefficient_bytes == 0


def test_a_scan_for_each_component_is_held_too() -> None:
    data = jpeg(blotches(64, 64), subsampling=0)
    place = data.index(b"\xff\xda") + 4
    one_component = data[:place] + b"\x01" + data[place + 1 :]  # the first scan's count of components
    assert read_jpeg_header(io.BytesIO(one_component)).coefficient_bytes == 3 * 64 * 64 * 2


def test_the_thumbnail_inside_the_camera_data_is_not_the_photo() -> None:
    exif = b"Exif\0\0" + jpeg(blotches(16, 16), progressive=True)
    data = jpeg(blotches(80, 40), exif=exif)
    header = read_jpeg_header(io.BytesIO(data))
    assert (header.width, header.height, header.buffered) == (80, 40, False)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\0\x05\x08\0", b"\x89PNG"])
def test_no_header(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_jpeg_header(io.BytesIO(data))


# ---- the size at which it is read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options", "turned", "room", "expected"),
    [
        ("RGB", {}, 1, 640 * 400 * 4, (640, 400)),
        ("RGB", {}, 1, 640 * 400 * 4 - 1, (320, 200)),
        ("RGB", {}, 6, 640 * 400 * 8, (400, 640)),  # decoded and turned
        ("RGB", {}, 6, 640 * 400 * 8 - 1, (200, 320)),
        ("CMYK", {}, 1, 640 * 400 * 8 - 1, (320, 200)),
        ("L", {}, 1, 640 * 400 * 5, (640, 400)),
        ("RGB", {"progressive": True, "subsampling": 0}, 1, 640 * 400 * 10, (640, 400)),
        ("RGB", {"progressive": True, "subsampling": 0}, 1, 640 * 400 * 10 - 1, (320, 200)),
        ("RGB", {"progressive": True, "subsampling": 0}, 1, 640 * 400 * 6 + 80 * 50 * 4, (80, 50)),
    ],
)
def test_read_smaller_where_the_whole_does_not_fit(
    mode: str, options: dict[str, object], turned: int, room: int, expected: tuple[int, int], monkeypatch
) -> None:
    monkeypatch.setattr(photo_jpeg, "DECODING_BYTES", room)
    exif = Image.Exif()
    exif[0x0112] = turned
    data = jpeg(blotches(640, 400, mode), exif=exif.tobytes(), **options)
    loaded = load_photo(data)
    assert loaded.size == expected
    whole = blotches(640, 400, mode).convert("RGB")
    if turned == 6:
        whole = whole.transpose(Image.Transpose.ROTATE_270)
    assert np.abs(np.asarray(loaded).astype(int) - np.asarray(whole.resize(expected, 4))).mean() < 6


def test_a_progressive_file_whose_coefficients_do_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_jpeg, "DECODING_BYTES", 640 * 400 * 6)
    assert load_photo(jpeg(blotches(640, 400), subsampling=0)).size == (640, 400)
    with pytest.raises(PhotoTooLargeError):
        load_photo(jpeg(blotches(640, 400), progressive=True, subsampling=0))


def test_no_photo_shrinks_beyond_recognition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_jpeg, "DECODING_BYTES", 640 * 400 * 6 + 80 * 50 * 4)
    data = jpeg(blotches(640, 400), progressive=True, subsampling=0)
    assert load_photo(data).size == (80, 50)
    monkeypatch.setattr(photo_rows, "MIN_PIXELS", 80 * 50 + 1)
    with pytest.raises(PhotoTooLargeError):
        load_photo(data)
    assert load_photo(jpeg(blotches(16, 16))).size == (16, 16)


def claiming(width: int, height: int) -> bytes:
    data = bytearray(jpeg(Image.new("RGB", (8, 8))))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def test_sizes_of_phones_are_read_and_larger_ones_refused() -> None:
    """16,320 x 12,240 pixels are the 200 megapixels of phones, at a quarter 4,080 x 3,060."""
    assert load_photo(claiming(16_320, 12_240)).size == (4080, 3060)
    with pytest.raises(PhotoTooLargeError):
        load_photo(claiming(20_001, 12_500))


def test_the_bounds_allow_what_is_promised() -> None:
    assert photo_jpeg.MAX_JPEG_PIXELS >= 250_000_000
    eighth = photo_jpeg.MAX_JPEG_PIXELS // 64 * photo_rows.RGB_BYTES
    assert 2 * eighth < photo_rows.DECODING_BYTES  # and turned


# ---- cut files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_tail_is_used_with_a_note(progressive: bool) -> None:
    image = blotches(256, 256)
    data = jpeg(image, progressive=progressive)
    whole = read_photo(data)
    assert whole.notes == ()
    cut = read_photo(data[: len(data) * 3 // 4])
    assert cut.image.size == (256, 256)
    assert len(cut.notes) == 1
    assert "ends early" in cut.notes[0]
    upper = slice(0, 96)
    difference = np.abs(np.asarray(cut.image).astype(int) - np.asarray(whole.image))[upper]
    assert difference.max() == 0 if not progressive else difference.mean() < 12
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_the_note_says_how_much_is_missing() -> None:
    data = jpeg(blotches(256, 256))
    cut = read_photo(data[: len(data) // 2])
    rows = np.asarray(cut.image).reshape(256, -1)
    filled = int((rows == rows[-1, -1]).all(axis=1).sum())
    assert 16 < filled < 240
    assert cut.notes == (f"The photo's file ends early: {filled / 256:.0%} of the picture is missing.",)


def test_a_missing_end_marker_costs_nothing_but_a_note() -> None:
    data = jpeg(blotches(64, 64))
    cut = read_photo(data[:-2])
    assert cut.image.tobytes() == load_photo(data).tobytes()
    assert cut.notes == ("The photo's file ends early: a little of the picture may be missing.",)


def test_where_hardly_anything_is_there_it_is_no_photo() -> None:
    data = jpeg(blotches(256, 256))
    scan = data.index(b"\xff\xda")
    for length in (0, 3, scan, scan + 14, scan + 80):
        with pytest.raises(PhotoUnreadableError):
            load_photo(data[:length])


def test_other_formats_and_the_whole_process_keep_refusing_cut_files() -> None:
    program = (
        "import io, sys; from PIL import Image; from heliograph.edge.photos.file import load_photo\n"
        "data = sys.stdin.buffer.read(); load_photo(data)\n"
        "try: Image.open(io.BytesIO(data)).load()\nexcept OSError: print('refused')"
    )
    data = jpeg(blotches(256, 256))
    assert run_python("-c", program, given=data[: len(data) * 3 // 4]).stdout.strip() == b"refused"
