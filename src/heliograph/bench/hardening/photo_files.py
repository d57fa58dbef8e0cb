"""Some sixty photo files of odd kinds and sizes, made from a seed: what a device may be pointed at.

Sizes are those of cameras, screens and panoramas; kinds are those of the formats that a device reads. Each file is made
by the library that most people would use for it, and none is damaged.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SMALL = "1mp.jpg"
"""The usual photo that every other one is compared with."""

_SEED = 16
_TILE = 512
_ORIENTATION = 0x0112

Size = tuple[int, int]
_MP1, _MP8, _MP12, _MP16 = (1152, 864), (3264, 2448), (4032, 3024), (4608, 3456)
_MP24, _MP50, _MP100, _MP108, _MP200, _MP250 = (
    (6000, 4000),
    (8160, 6120),
    (10_000, 10_000),
    (12_000, 9000),
    (16_320, 12_240),
    (20_000, 12_500),
)


@dataclass(frozen=True)
class OddPhoto:
    """One file.

    Attributes:
        name: of the file.
        write: writes it.
    """

    name: str
    write: Callable[[Path], None]


def odd_photos() -> tuple[OddPhoto, ...]:
    """All of them; making them all takes minutes, and a few gigabytes of memory."""
    return tuple(_jpegs()) + tuple(_pngs()) + tuple(_frames()) + tuple(_others())


def _jpegs() -> Iterator[OddPhoto]:
    yield _saved(SMALL, _MP1, "JPEG", quality=85)
    for megapixels, size in ((8, _MP8), (12, _MP12), (16, _MP16), (24, _MP24), (50, _MP50), (108, _MP108)):
        yield _saved(f"{megapixels}mp.jpg", size, "JPEG", quality=85)
    yield _saved("200mp.jpg", _MP200, "JPEG", quality=75)
    yield _saved("250mp.jpg", _MP250, "JPEG", quality=75)
    for megapixels, size in ((12, _MP12), (50, _MP50), (250, _MP250)):
        yield _saved(f"{megapixels}mp-portrait.jpg", size, "JPEG", quality=75, turned=6)
    yield _saved("12mp-upside-down.jpg", _MP12, "JPEG", turned=3)
    for megapixels, size in ((12, _MP12), (24, _MP24), (100, _MP100)):
        yield _saved(f"{megapixels}mp-progressive.jpg", size, "JPEG", progressive=True)
    yield _saved("12mp-progressive-444.jpg", _MP12, "JPEG", progressive=True, subsampling=0)
    yield _saved("12mp-progressive-portrait.jpg", _MP12, "JPEG", progressive=True, turned=8)
    yield _saved("12mp-cmyk.jpg", _MP12, "JPEG", mode="CMYK")
    yield _saved("24mp-cmyk.jpg", _MP24, "JPEG", mode="CMYK")
    yield _saved("50mp-grey.jpg", _MP50, "JPEG", mode="L")
    yield _saved("12mp-display-p3.jpg", _MP12, "JPEG", icc_profile=rgb_profile(DISPLAY_P3, 2.2))
    yield _saved("panorama.jpg", (16_384, 4096), "JPEG")
    yield _saved("one-row.jpg", (65_000, 1), "JPEG")


def _pngs() -> Iterator[OddPhoto]:
    for megapixels, size in ((8, _MP8), (12, _MP12), (24, _MP24), (50, _MP50), (100, _MP100)):
        yield _saved(f"{megapixels}mp.png", size, "PNG", compress_level=1)
    for megapixels, size in ((12, _MP12), (24, _MP24), (100, (9999, 9999))):
        yield _saved(f"{megapixels}mp-transparent.png", size, "PNG", mode="RGBA", compress_level=1)
    yield _saved("24mp-palette.png", _MP24, "PNG", mode="P", compress_level=1)
    yield _saved("24mp-grey.png", _MP24, "PNG", mode="L", compress_level=1)
    yield OddPhoto("12mp-sixteen-bit.png", lambda path: _write_png(path, _MP12, depth=16))
    yield OddPhoto("24mp-sixteen-bit.png", lambda path: _write_png(path, _MP24, depth=16))
    yield OddPhoto("4mp-interlaced.png", lambda path: _write_png(path, (2304, 1728), interlaced=True))
    yield OddPhoto("24mp-interlaced.png", lambda path: _write_png(path, _MP24, interlaced=True))
    yield _saved("panorama.png", (16_384, 4096), "PNG", compress_level=1)
    yield _saved("12mp-portrait.png", _MP12, "PNG", compress_level=1, turned=6)


def _frames() -> Iterator[OddPhoto]:
    for megapixels, size in ((8, _MP8), (12, _MP12), (24, _MP24), (50, _MP50)):
        yield _saved(f"{megapixels}mp.webp", size, "WEBP", method=0)
    yield _saved("12mp-transparent.webp", _MP12, "WEBP", method=0, mode="RGBA")
    yield _saved("12mp-lossless.webp", _MP12, "WEBP", method=0, lossless=True)
    yield _saved("24mp-lossless.webp", _MP24, "WEBP", method=0, lossless=True)
    yield _saved("panorama.webp", (16_383, 4096), "WEBP", method=0)
    for megapixels, size in ((4, (2304, 1728)), (8, _MP8), (12, _MP12), (50, _MP50)):
        yield _saved(f"{megapixels}mp.avif", size, "AVIF", speed=10)
    yield _saved("8mp-444.avif", _MP8, "AVIF", speed=10, subsampling="4:4:4")
    yield _saved("8mp-transparent.avif", _MP8, "AVIF", speed=10, mode="RGBA")
    yield _saved("8mp-portrait.avif", _MP8, "AVIF", speed=10, turned=6)
    for picture_format, name in (("WEBP", "animated.webp"), ("GIF", "animated.gif"), ("AVIF", "animated.avif")):
        yield OddPhoto(name, _animation(picture_format, (1920, 1080)))
    for megapixels, size in ((12, _MP12), (50, _MP50)):
        yield OddPhoto(f"{megapixels}mp.heic", _heic(size))


def _others() -> Iterator[OddPhoto]:
    yield _saved("12mp.gif", _MP12, "GIF", mode="P")
    yield _saved("12mp.bmp", _MP12, "BMP")
    yield _saved("24mp.bmp", _MP24, "BMP")
    yield _saved("12mp.ppm", _MP12, "PPM")
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        yield _saved(f"12mp-{compression}.tif", _MP12, "TIFF", compression=compression)
    yield _saved("24mp.tif", _MP24, "TIFF", compression="tiff_adobe_deflate")
    yield _saved("23mp-large-file.tif", (5650, 4238), "TIFF", compression="tiff_lzw")
    yield _saved("12mp-cmyk.tif", _MP12, "TIFF", compression="tiff_lzw", mode="CMYK")
    yield _saved("12mp-float.tif", _MP12, "TIFF", mode="F")
    yield _saved("12mp-sixteen-bit.tif", _MP12, "TIFF", mode="I;16")
    yield OddPhoto("thumbnail-first.tif", _thumbnail_first)
    yield _saved("24mp-fax.tif", _MP24, "TIFF", compression="group4", mode="1")


def picture(size: Size, mode: str = "RGB", tile: int = _TILE) -> Image.Image:
    """Soft blotches with some grain, repeated in tiles, so that large ones are made in no time."""
    random = np.random.default_rng(_SEED)
    blotches = Image.fromarray(random.integers(0, 256, (8, 8, 4), dtype=np.uint8))
    grain = random.integers(0, 9, (tile, tile, 4), dtype=np.uint8)
    one = Image.fromarray(np.asarray(blotches.resize((tile, tile), Image.Resampling.BICUBIC)) // 2 + grain)
    one = one if mode == "RGBA" else one.convert("RGB")
    whole = Image.new(one.mode, size)
    for top in range(0, size[1], tile):
        for left in range(0, size[0], tile):
            whole.paste(one, (left, top))
    if mode == "I;16":
        return Image.fromarray(np.asarray(whole.convert("L")).astype(np.uint16) * 257)
    if mode == "P":
        return whole.convert("P", palette=Image.Palette.ADAPTIVE)
    return whole if whole.mode == mode else whole.convert(mode)


DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
"""CIE XYZ (D50) of red, green and blue."""


def rgb_profile(primaries: Sequence[tuple[float, float, float]], gamma: float) -> bytes:
    """An ICC profile (version 2, matrix and curves) of an RGB space."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        tags[name] = _xyz(primary)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0" + bytes(3)
    place, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = place + len(data)
    head = struct.pack(">I4s4s4s4s4s", size, bytes(4), b"\2\x10\0\0", b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _xyz((0.9642, 1.0, 0.8249))[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _saved(name: str, size: Size, picture_format: str, mode: str = "RGB", turned: int = 0, **how: Any) -> OddPhoto:
    def write(path: Path) -> None:
        more = dict(how)
        if turned:
            exif = Image.Exif()
            exif[_ORIENTATION] = turned
            more["exif"] = exif.tobytes()
        picture(size, mode).save(path, picture_format, **more)

    return OddPhoto(name, write)


def _animation(picture_format: str, size: Size) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        first = picture(size)
        others = [first.rotate(90 * turn) for turn in (1, 2)]
        first.save(path, picture_format, save_all=True, append_images=others, duration=100)

    return write


def _heic(size: Size) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import pillow_heif

        pillow_heif.from_pillow(picture(size)).save(path, quality=50, enc_params={"preset": "ultrafast"})

    return write


def _thumbnail_first(path: Path) -> None:
    whole = picture(_MP12)
    small = whole.resize((160, 120))
    small.save(path, "TIFF", save_all=True, append_images=[whole])


# ---- kinds of PNG that Pillow does not write ---------------------------------------------------------
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_bytes(levels: np.ndarray[Any, Any], interlaced: bool = False) -> bytes:
    """A PNG of (H, W, 3) levels of 8 or 16 bits, unfiltered."""
    height, width = levels.shape[:2]
    depth = 8 * levels.dtype.itemsize
    stored = levels.astype(levels.dtype.newbyteorder(">"))
    parts = [stored[y::down, x::across] for x, y, across, down in _ADAM7] if interlaced else [stored]
    rows = zlib.compressobj(1)
    data = b"".join(rows.compress(_unfiltered(part)) for part in parts if part.size) + rows.flush()
    out = io.BytesIO(b"")
    out.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, int(interlaced))
    for name, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        out.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))
    return out.getvalue()


def _unfiltered(part: np.ndarray[Any, Any]) -> bytes:
    rows = np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1)
    return np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1).tobytes()


def _write_png(path: Path, size: Size, depth: int = 8, interlaced: bool = False) -> None:
    levels = np.asarray(picture(size))
    path.write_bytes(png_bytes(levels.astype(np.uint16) * 257 if depth == 16 else levels, interlaced))
