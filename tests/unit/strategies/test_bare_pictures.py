"""Pictures without what the receiver can rebuild: the same file comes back, whatever the picture, or a named error."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.bench.definitions import reference_plan
from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.registry import STRATEGIES
from heliograph.strategies.baseline import bare, bare_jpeg
from heliograph.strategies.baseline.pictures import MAX_PICTURE_BYTES, MAX_PICTURE_SIDE
from heliograph.types import EncodedImage
from strategy_tools import encoded_by, photo, restored_by

PLAIN = ("jpeg", "webp", "avif")
NAMES = tuple(f"{name}-bare" for name in PLAIN)
LEFT_OUT = {"jpeg": 200, "webp": 22, "avif": 280}  # of an AVIF whose head is unusual less than 288
"""Bytes that every small colour photo saves at least."""


def file_of(encoded: EncodedImage) -> bytes:
    found: bytes = STRATEGIES.load(encoded.strategy)()._file_of(encoded)
    return found


def stream_of(name: str, file: bytes) -> EncodedImage:
    found: EncodedImage = STRATEGIES.load(name)()._bare_or_whole(file)
    return found


def saved(picture: Image.Image, picture_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, picture_format, **options)
    return out.getvalue()


def check_round_trip(plain: str, picture: Image.Image, size: int, quality: int) -> EncodedImage:
    """Every file that the strategy makes comes back byte for byte, and the picture is the plain strategy's."""
    strategy = STRATEGIES.load(f"{plain}-bare")()
    whole = encoded_by(plain, picture, size=size, quality=quality)
    encoded = encoded_by(strategy.name, picture, size=size, quality=quality)
    small = picture.copy()
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    for file in strategy._files(small.convert("RGB"), quality):
        stream = stream_of(strategy.name, file)
        assert stream.header[0] & 1, "the file travels whole"
        assert file_of(stream) == file
    assert restored_by(encoded).image.tobytes() == restored_by(whole).image.tobytes()
    assert encoded.payload_bytes <= whole.payload_bytes - LEFT_OUT[plain]
    return encoded


pictures = st.builds(
    lambda width, height, seed, grey: photo(width, height, seed).convert("L" if grey else "RGB"),
    st.integers(1, 140),
    st.integers(1, 140),
    st.integers(0, 99),
    st.booleans(),
)


@settings(deadline=None, max_examples=20)
@given(pictures, st.sampled_from([1, 8, 33, 64, 65, 96, 128]), st.integers(1, 100))
@example(photo(130, 140, 3), 140, 100)
@example(photo(1, 1), 8, 50)
def test_jpeg_comes_back_byte_for_byte(picture: Image.Image, size: int, quality: int) -> None:
    check_round_trip("jpeg", picture, size, quality)


@settings(deadline=None, max_examples=20)
@given(pictures, st.sampled_from([1, 8, 33, 64, 65, 96, 128]), st.integers(1, 100))
def test_webp_comes_back_byte_for_byte(picture: Image.Image, size: int, quality: int) -> None:
    check_round_trip("webp", picture, size, quality)


@settings(deadline=None, max_examples=12)
@given(pictures, st.sampled_from([1, 8, 33, 64, 65, 96, 128]), st.integers(1, 99))
@example(photo(257, 129), 257, 20)
def test_avif_comes_back_byte_for_byte(picture: Image.Image, size: int, quality: int) -> None:
    check_round_trip("avif", picture, size, quality)


@pytest.mark.parametrize("plain", PLAIN)
def test_no_setting_of_the_bench_sends_a_whole_file(plain: str) -> None:
    plan = reference_plan("reference")
    sizes, qualities = plan.pixel_sizes, plan.pixel_qualities
    cells = [(size, qualities[(place + turn) % len(qualities)]) for turn in (0, 3) for place, size in enumerate(sizes)]
    for size, quality in cells:
        check_round_trip(plain, photo(192, 192, size), size, quality)


def test_a_lossless_avif_keeps_its_frame_header() -> None:
    encoded = encoded_by("avif-bare", size=24, quality=100)
    assert encoded.header[0] >> 2 & 8 == 0
    assert restored_by(encoded).image.size == (24, 16)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("jpeg-bare", "RGB", {"subsampling": 0}),
        ("jpeg-bare", "RGB", {"subsampling": 1}),
        ("jpeg-bare", "RGB", {"subsampling": 2}),  # with its JFIF segment
        ("jpeg-bare", "RGB", {"subsampling": 2, "comment": b"a secret place"}),
        ("jpeg-bare", "L", {}),
        ("jpeg-bare", "CMYK", {}),
        ("webp-bare", "RGB", {"lossless": True}),
        ("webp-bare", "RGBA", {}),
        ("avif-bare", "RGB", {"subsampling": "4:4:4"}),
        ("avif-bare", "RGBA", {}),
        ("avif-bare", "L", {}),
    ],
)
def test_other_files_travel_whole_behind_one_byte(name: str, mode: str, options: dict[str, Any]) -> None:
    picture = photo(40, 30).convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)  # an opaque one is written without
    file = saved(picture, name.split("-")[0].upper(), **options)
    encoded = stream_of(name, file)
    assert encoded.header == b"\x00"
    assert b"".join(encoded.segments) == file == file_of(encoded)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", [b"", b"x", b"\xff\xd8\xff\xd9", b"RIFF" + b"\x00" * 40, b"ispe" + b"\x00" * 40])
def test_what_is_no_picture_travels_whole(name: str, file: bytes) -> None:
    encoded = stream_of(name, file)
    assert (encoded.header, b"".join(encoded.segments)) == (b"\x00", file)


# ---- layouts; tests/interop reads the whole page ----------------------------------------------------
def test_layout_of_webp() -> None:
    picture = photo(60, 20)
    file = saved(picture, "WEBP", quality=35, method=6)
    first = (file[20] | file[21] << 8 | file[22] << 16) >> 5
    assert 0 < first < 1 << 14
    encoded = encoded_by("webp-bare", picture, size=60, quality=35)
    numbers = [59, 19, *([first] if first < 128 else [first & 127 | 128, first >> 7])]
    dropped = file.endswith(b"\x00")
    assert encoded.header == bytes([1 | 4 * dropped, *numbers])
    assert encoded.segments == (file[30 : -1 if dropped else None],)


def test_layout_of_avif() -> None:
    picture = photo(60, 20)
    file = saved(picture, "AVIF", quality=50, speed=4, subsampling="4:2:0", max_threads=1)
    sequence_header_bytes = file[278]
    frame = file[279 + sequence_header_bytes :]
    assert frame[:2] == bytes([0x32, len(frame) - 2])
    encoded = encoded_by("avif-bare", picture, size=60, quality=50)
    assert encoded.header == bytes([1 | 4 * (2 + 4 + 8 + 16), 59, 19])
    assert encoded.segments == (bytes([148]) + frame[7:],)


def test_layout_of_jpeg_with_standard_tables() -> None:
    picture = photo(60, 20)
    file = saved(picture, "JPEG", quality=20, subsampling=2)
    encoded = encoded_by("jpeg-bare", picture, size=60, quality=20)
    assert encoded.header == bytes([1, 20, 59, 19])
    assert encoded.segments == (file[623:-2].replace(b"\xff\x00", b"\xff"),)  # JFIF, tables, frame and scan are 623


# ---- parts of a stream ------------------------------------------------------------------------------
def test_a_long_stream_states_its_length() -> None:
    for name in NAMES:
        encoded = encoded_by(name, photo(300, 300), size=300, quality=80)
        assert len(encoded.segments) > 1
        assert encoded.header[0] & 2
        for count in range(1, len(encoded.segments)):
            if name != "jpeg-bare":
                with pytest.raises(StreamTruncatedError):
                    restored_by(encoded.prefix(count))
        with pytest.raises(StreamDamagedError) as caught:
            restored_by(EncodedImage(name, encoded.header, (*encoded.segments, b"x")))
        assert caught.value.fault is StreamFault.LENGTH


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_not_enough(name: str) -> None:
    with pytest.raises(StreamTruncatedError):
        restored_by(encoded_by(name, size=32, quality=20).prefix(0))


def test_every_prefix_of_a_progressive_jpeg_gives_what_the_file_s_prefix_gives() -> None:
    file = bare.BareJpegStrategy()._files(photo(320, 320), 90)[1]
    encoded = stream_of("jpeg-bare", file)
    body = b"".join(encoded.segments)
    assert encoded.header[0] == 1 | 2 | 4 * 2
    lengths = []
    for length in range(0, len(body), 37):
        found = file_of(EncodedImage("jpeg-bare", encoded.header, (body[:length],)))
        assert file.startswith(found)
        lengths.append(len(found))
    assert lengths == sorted(lengths)
    assert lengths[-1] > len(file) - 300
    assert restored_by(encoded.prefix(len(encoded.segments) - 1)).image.size == (320, 320)


def test_a_cut_sequential_jpeg_is_truncated_not_half_grey() -> None:
    for file in bare.BareJpegStrategy()._files(photo(320, 320), 90)[::2]:
        encoded = stream_of("jpeg-bare", file)
        with pytest.raises(StreamTruncatedError):
            restored_by(encoded.prefix(len(encoded.segments) - 1))


# ---- what strangers send ----------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_damage_gives_a_picture_or_a_named_error(name: str, data: st.DataObject) -> None:
    encoded = encoded_by(name, photo(60, 40), size=48, quality=30)
    header, body = bytearray(encoded.header), bytearray(b"".join(encoded.segments))
    for part in (header, body):
        for _ in range(data.draw(st.integers(0, 2))):
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        picture = restored_by(EncodedImage(name, bytes(header), (bytes(body[:cut]),))).image
    except (StreamDamagedError, StreamTruncatedError):
        return
    assert max(picture.size) <= MAX_PICTURE_SIDE


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=60)
@given(header=st.binary(max_size=16), body=st.binary(max_size=400))
def test_any_bytes_give_a_picture_or_a_named_error(name: str, header: bytes, body: bytes) -> None:
    try:
        picture = restored_by(EncodedImage(name, header, (body,))).image
    except (StreamDamagedError, StreamTruncatedError):
        return
    assert max(picture.size) <= MAX_PICTURE_SIDE


WIDE, NUMBER = b"\x80\x20", b"\xff\xff\x7f"  # 4096, which stands for an edge of 4097; the largest number


@pytest.mark.parametrize(
    ("name", "header"),
    [
        *((name, b"") for name in NAMES),
        *((name, b"\x00\x00") for name in NAMES),
        *((name, b"\x02\x01\x01\x01") for name in NAMES),
        *((name, b"\x01\x01\x01") for name in ("jpeg-bare", "webp-bare")),
        *((name, b"\x01\x01\x01\x01\x01") for name in NAMES),
        *((name, b"\x01\x10\x80\x00\x01") for name in NAMES),
        ("jpeg-bare", b"\x01\x00\x01\x01"),
        ("jpeg-bare", b"\x01\x65\x01\x01"),
        ("jpeg-bare", b"\x0d\x10\x01\x01"),
        ("jpeg-bare", b"\x01\x10" + WIDE + b"\x01"),
        ("jpeg-bare", b"\x01\x10\x01" + WIDE),
        ("webp-bare", b"\x09\x01\x01\x01"),
        ("webp-bare", b"\x01" + WIDE + b"\x01\x01"),
        ("webp-bare", b"\x01\x01" + WIDE + b"\x01"),
        ("webp-bare", b"\x01\x01\x01" + NUMBER),
        ("avif-bare", b"\x81\x01\x01"),
        ("avif-bare", b"\x01" + WIDE + b"\x01"),
        ("avif-bare", b"\x01\x01" + WIDE),
        ("webp-bare", b"\x03\x01\x01\x01\x81\x80\x80\x20"),  # 2**26 + 1 bytes
    ],
)
def test_a_header_that_no_device_writes(name: str, header: bytes) -> None:
    with pytest.raises(StreamDamagedError):
        file_of(EncodedImage(name, header, (b"body",)))


def test_lengths_are_looked_at_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_PICTURE_BYTES == 1 << 26
    stuffed = EncodedImage("jpeg-bare", b"\x01\x10\x01\x01", (b"\xff" * 60,))
    assert len(file_of(stuffed)) > 120
    monkeypatch.setattr(bare_jpeg, "MAX_PICTURE_BYTES", 119)
    with pytest.raises(StreamDamagedError):
        file_of(stuffed)
    monkeypatch.setattr(bare, "MAX_PICTURE_BYTES", 59)
    for name in NAMES:
        with pytest.raises(StreamDamagedError):
            file_of(EncodedImage(name, b"\x01\x10\x01\x01", (b"x" * 60,)))


def test_a_stream_of_zeros_is_no_endless_table() -> None:
    for kind in (1, 2):
        header = bytes([1 | kind << 2, 50, 15, 15])
        with pytest.raises(StreamDamagedError):
            restored_by(EncodedImage("jpeg-bare", header, (b"\x00" * 5000,)))
        with pytest.raises(StreamDamagedError):
            restored_by(EncodedImage("jpeg-bare", header, (b"\xff" * 50,)))


def test_pixels_of_the_bare_picture_are_those_of_its_file() -> None:
    """Against Pillow alone: what is restored is what the plain file shows."""
    picture = photo(48, 48)
    file = saved(picture, "WEBP", quality=50, method=6)
    shown = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    restored = restored_by(encoded_by("webp-bare", picture, size=48, quality=50)).image
    assert np.array_equal(np.asarray(restored), shown)
