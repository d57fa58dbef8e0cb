"""What docs/bare-pictures.md says, once more by a receiver written from the page: it rebuilds what Pillow wrote."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.codec.klt import KltCodec
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.registry import STRATEGIES
from heliograph.strategies.split.feature_video import _bare_or_whole
from heliograph.types import EncodedImage, VisualTokens

WAVES = np.add.outer(np.arange(300) ** 2 // 90, np.arange(300) * 3)[..., None] * np.array([1, 2, 3]) % 256
PHOTO = Image.fromarray(WAVES.astype(np.uint8))


def saved(picture: Image.Image, picture_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, picture_format, **options)
    return out.getvalue()


def sent(name: str, size: tuple[int, int], quality: int) -> tuple[Image.Image, EncodedImage]:
    picture = PHOTO.crop((0, 0, *size))
    return picture, STRATEGIES.load(name)().encode(picture, None, {"size": max(size), "quality": quality})


def varints(data: bytes) -> list[int]:
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    assert shift == 0
    return found


def opened(encoded: EncodedImage, count: int) -> tuple[int, list[int], bytes]:
    """The format's flags, its numbers and the segments."""
    first, numbers, body = encoded.header[0], varints(encoded.header[1:]), b"".join(encoded.segments)
    assert first & 1
    assert numbers[count:] == ([len(body)] if first & 2 else [])
    assert bool(first & 2) == (len(encoded.segments) > 1)
    return first >> 2, numbers[:count], body


def as_bytes(bits: str) -> bytes:
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


# ---- WebP ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("size", "quality"), [((48, 48), 20), ((48, 31), 60), ((300, 200), 90)])
def test_webp(size: tuple[int, int], quality: int) -> None:
    picture, encoded = sent("webp-bare", size, quality)
    flags, (across, down, first), body = opened(encoded, 3)
    frame = (first * 32 + 16).to_bytes(3, "little") + bytes.fromhex("9D012A")
    frame += (across + 1).to_bytes(2, "little") + (down + 1).to_bytes(2, "little") + body + bytes(flags & 1)
    rest = b"WEBPVP8 " + len(frame).to_bytes(4, "little") + frame
    file = b"RIFF" + len(rest).to_bytes(4, "little") + rest
    assert file == saved(picture, "WEBP", quality=quality, method=6)


# ---- AVIF ------------------------------------------------------------------------------------------
def box(kind: str, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind.encode() + content


def avif(flags: int, across: int, down: int, body: bytes, grey: bool = False) -> bytes:
    width, height, area = across + 1, down + 1, (across + 1) * (down + 1)
    level = 0 if area <= 147_456 and height <= 1152 else 1
    big, cdef, restored, begun, delta = (str(flags >> place & 1) for place in range(5))
    wide, high = max(1, across.bit_length()), max(1, down.bit_length())
    sequence = f"00011{level:05b}{wide - 1:04b}{high - 1:04b}{across:0{wide}b}{down:0{high}b}"
    sequence += f"{big}110{cdef}{restored}{'011' if grey else '001'}{1:08b}{13:08b}{6:08b}{'10' if grey else '10000'}1"
    if begun == "1":
        q, body = body[0], body[1:]
        block = 128 if big == "1" else 64
        offset = min(max((q - 28) // 2, 0), 16)
        chroma = f"1{128 - offset:07b}" if offset else "0"
        luma_level = 10 - sum(q > border for border in (240, 220, 200, 160, 100, 40))
        chroma_level = 10 - sum(q > border for border in (236, 216, 176, 116, 52))
        head = "0001" + "0" * (width > block) + "0" * (height > block) + f"{q:08b}0"
        if grey:
            head += "000" + ("0" * 15 + "10" if delta == "1" else "")
        else:
            head += f"{chroma}{chroma}1{luma_level:04b}{chroma_level:04b}0{delta}"
        body = as_bytes(head[: len(head) - len(head) % 8]) + body
    size, rest = b"", len(body)
    while rest > 127:
        size, rest = size + bytes([rest % 128 + 128]), rest // 128
    packed = as_bytes(sequence)
    item = bytes([0x12, 0, 0x0A, len(packed)]) + packed + b"\x32" + size + bytes([rest]) + body
    edges = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    place = bytes.fromhex("00000000 44 00 0001 0001 0000 0001 0000 01" + ("0D" if grey else "13")) + len(item).to_bytes(
        4, "big"
    )
    entry = bytes(4) + b"\x00\x01" + box("infe", bytes.fromhex("02000000 0001 0000") + b"av01Color\x00")
    properties = box("ispe", bytes(4) + edges) + box(
        "pixi", bytes.fromhex("0000000001 08" if grey else "0000000003080808")
    )
    properties += box("av1C", bytes([0x81, level, 0x1C if grey else 0x0C, 0])) + box(
        "colr", b"nclx" + bytes.fromhex("0001000D000680")
    )
    described = box("ipco", properties) + box("ipma", bytes.fromhex("000000000000000100010401028304"))
    meta = box("hdlr", bytes(8) + b"pict" + bytes(13)) + box("pitm", bytes(4) + b"\x00\x01") + box("iloc", place)
    meta += box("iinf", entry) + box("iprp", described)
    brands = b"avifmif1miaf" + (b"" if grey else b"MA1B")
    return box("ftyp", b"avif" + bytes(4) + brands) + box("meta", bytes(4) + meta) + box("mdat", item)


@pytest.mark.parametrize(
    ("size", "quality"),
    [((1, 1), 50), ((48, 64), 5), ((65, 31), 20), ((64, 80), 50), ((96, 96), 75), ((40, 40), 88), ((24, 24), 95)],
)
def test_avif(size: tuple[int, int], quality: int) -> None:
    picture, encoded = sent("avif-bare", size, quality)
    flags, (across, down), body = opened(encoded, 2)
    file = saved(picture, "AVIF", quality=quality, speed=4, subsampling="4:2:0", max_threads=1)
    assert avif(flags, across, down, body) == file


@pytest.mark.parametrize(("size", "quality"), [((48, 48), 5), ((48, 48), 50), ((96, 80), 20), ((30, 200), 60)])
def test_grey_avif(size: tuple[int, int], quality: int) -> None:
    picture = PHOTO.crop((0, 0, *size)).convert("L")
    options = {"quality": quality, "speed": 4, "subsampling": "4:0:0", "max_threads": 1, "advanced": {"tune": "psnr"}}
    file = saved(picture, "AVIF", **options)
    data = _bare_or_whole(np.asarray(picture), quality)
    assert data[0] & 8
    assert avif(data[0], size[0] - 1, size[1] - 1, data[1:], grey=True) == file


@pytest.mark.parametrize("scaling", ["shared", "minmax"])
def test_feature_video(scaling: str) -> None:
    codec = KltCodec.load(Path(shipped_bundle_folder()))
    random, transform = np.random.default_rng(9), codec.transform
    spectrum = random.normal(0, 9, (1, 64, codec.components)).astype(np.float32) * transform.step
    tokens = VisualTokens(transform.synthesise(spectrum, codec.grid, True), codec.grid)
    tools: Any = SimpleNamespace(
        encode_tokens=lambda photo: tokens, codec=lambda kind: codec, check_grid=lambda grid: 0
    )
    strategy, k = STRATEGIES.load("feature-video")(), 7
    encoded = strategy.encode(PHOTO, tools, {"components": k, "quality": 100, "scaling": scaling})
    number = ["shared", "minmax"].index(scaling)
    assert encoded.header == bytes([0b11000000 | number << 3, k])
    data = b"".join(encoded.segments)
    if scaling == "shared":
        low = np.full(k, -(2 ** ((data[0] - 128) / 8)))
        span, data = -2 * low, data[1:]
    else:
        codes, data = np.frombuffer(data[: 2 * k], np.uint8).reshape(k, 2).astype(float), data[2 * k :]
        size = 2 ** ((codes[:, 0] % 128 - 64) / 4)
        low = np.where(codes[:, 0] == 0, 0, np.where(codes[:, 0] > 127, -size, size))
        span = 2 ** ((codes[:, 1] - 128) / 8)
    across = math.ceil(math.sqrt(k * 8 / 8))
    file = avif(data[0], across * 8 - 1, math.ceil(k / across) * 8 - 1, data[1:], grey=True)
    picture = np.asarray(Image.open(io.BytesIO(file)).convert("L")).astype(float)
    restored_spectrum = np.zeros((1, 64, codec.components), np.float32)
    for c in range(k):
        row, column = divmod(c, across)
        tile = picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].reshape(64)
        restored_spectrum[0, :, c] = (low[c] + span[c] * tile / 255) * transform.step
    wanted = transform.synthesise(restored_spectrum, codec.grid, True)
    found = strategy.restore(encoded, tools).tokens.values
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-3)
    assert np.abs(restored_spectrum[..., :k] - spectrum[..., :k]).max() <= span.max() / 255 * 0.51 * transform.step


# ---- JPEG ------------------------------------------------------------------------------------------
SCANS = {
    0: [("", "03 01 00 02 11 03 11 00 3F 00")],
    1: [("00 10 01 11", "03 01 00 02 11 03 11 00 3F 00")],
    2: [
        ("00 01", "03 01 00 02 10 03 10 00 00 01"),
        ("10", "01 01 00 01 05 02"),
        ("11", "01 03 01 01 3F 01"),
        ("11", "01 02 01 01 3F 01"),
        ("10", "01 01 00 06 3F 02"),
        ("10 refined", "01 01 00 01 3F 21"),
        ("", "03 01 00 02 00 03 00 00 00 10"),
        ("11 refined", "01 03 01 01 3F 10"),
        ("11 refined", "01 02 01 01 3F 10"),
        ("10 refined", "01 01 00 01 3F 10"),
    ],
}


class Bits:
    def __init__(self, data: bytes, place: int) -> None:
        self.bits, self.at = "".join(f"{byte:08b}" for byte in data[place : place + 4000]), 0

    def take(self, count: int) -> int:
        self.at += count
        return int("0" + self.bits[self.at - count : self.at], 2)

    def zeros(self) -> int:
        count = self.bits.index("1", self.at) - self.at
        self.at += count + 1
        return count

    def golomb(self, order: int) -> int:
        more = self.zeros() + order
        return 2**more + self.take(more) - 2**order


def segments_of(file: bytes, marker: int) -> Iterator[bytes]:
    """Contents of the segments with this marker, up to the first scan."""
    at = 2
    while file[at + 1] != 0xDA:
        length = int.from_bytes(file[at + 2 : at + 4], "big")
        if file[at + 1] == marker:
            yield file[at + 4 : at + 2 + length]
        at += 2 + length


def table(bits: Bits, order: list[int]) -> bytes:
    counts, symbols, length = [0] * 16, [], 1
    for _ in range(bits.take(8)):
        length += bits.zeros()
        counts[length - 1] += 1
        symbols.append(order.pop(bits.golomb(0)))
    return bytes([*counts, *symbols])


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(kind: int, quality: int, across: int, down: int, body: bytes) -> bytes:
    sample = saved(PHOTO, "JPEG", quality=quality)  # for the standards' tables, which are libjpeg's own
    steps, standard = list(segments_of(sample, 0xDB)), list(segments_of(sample, 0xC4))
    values = list(standard[1][17:])
    likely = [
        symbol for run, value in enumerate(values) for symbol in ((value, 16 * run + 16) if run < 14 else (value,))
    ]
    orders = {"0": [2, 3, 1, 4, 0, 5, 6, 7, 8, 9, 10, 11], "1": likely}
    refined = [symbol for run in range(16) for symbol in (16 * run + 1, 16 * run)]
    file = b"\xff\xd8" + b"".join(segment(0xDB, content) for content in steps)
    edges = (down + 1).to_bytes(2, "big") + (across + 1).to_bytes(2, "big")
    frame = b"\x08" + edges + bytes.fromhex("03 012200 021101 031101")
    file += segment(0xC2 if kind == 2 else 0xC0, frame)
    file += b"".join(segment(0xC4, content) for content in standard) if kind == 0 else b""
    place = 0
    for number, (tables, parameters) in enumerate(SCANS[kind], 1):
        bits, length = Bits(body, place), len(body)
        for name in tables.removesuffix(" refined").split():
            order = refined if "refined" in tables else orders[name[0]]
            file += segment(0xC4, bytes.fromhex(name) + table(bits, list(order)))
        if number < len(SCANS[kind]):
            length = bits.golomb(6)
        place += -(-bits.at // 8)
        data = body[place : place + length]
        file += segment(0xDA, bytes.fromhex(parameters)) + data.replace(b"\xff", b"\xff\x00")
        place += len(data)
    return file + b"\xff\xd9"


@pytest.mark.parametrize(("size", "quality"), [((16, 9), 5), ((64, 64), 20), ((96, 80), 75), ((300, 300), 90)])
def test_jpeg(size: tuple[int, int], quality: int) -> None:
    """All three kinds, and the one that is sent is the shortest."""
    picture, chosen = sent("jpeg-bare", size, quality)
    lengths = []
    options: dict[str, Any] = {"quality": quality, "subsampling": 2}
    for kind, more in enumerate(({}, {"optimize": True}, {"optimize": True, "progressive": True})):
        file = saved(picture, "JPEG", **options, **more)
        file = file[:2] + file[20:]  # without its JFIF segment
        encoded = STRATEGIES.load("jpeg-bare")()._bare_or_whole(file)
        flags, numbers, body = opened(encoded, 3)
        assert flags == kind
        assert numbers == [quality, size[0] - 1, size[1] - 1]
        assert jpeg(flags, *numbers, body) == file
        lengths.append(encoded.payload_bytes)
    assert chosen.payload_bytes == min(lengths)
