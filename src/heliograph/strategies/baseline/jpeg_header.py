"""What a JPEG's header says about the memory that reading it takes (ITU-T T.81, annex B).

A sequential file with one interleaved scan is decoded row by row. Every other one, progressive or with a scan for each
component, must hold all coefficients of the picture before its first pixel exists, at whatever scale it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

_START_OF_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_BLOCK, _BLOCK_BYTES = 8, 64 * 2
_MAX_MARKERS = 10_000


@dataclass(frozen=True)
class JpegHeader:
    """Size, components and order of a JPEG.

    Attributes:
        width, height: in pixels.
        sampling: (horizontal, vertical) factor of each component.
        buffered: whether a decoder must hold all coefficients.
    """

    width: int
    height: int
    sampling: tuple[tuple[int, int], ...]
    buffered: bool

    @property
    def coefficient_bytes(self) -> int:
        """What a decoder holds beside the pixels: two bytes for each coefficient, or nothing."""
        if not self.buffered:
            return 0
        most_across, most_down = (max(factors) for factors in zip(*self.sampling, strict=True))
        blocks = 0
        for across, down in self.sampling:
            columns = _ceil(_ceil(self.width * across, most_across * _BLOCK), across) * across
            rows = _ceil(_ceil(self.height * down, most_down * _BLOCK), down) * down
            blocks += columns * rows
        return blocks * _BLOCK_BYTES


def read_jpeg_header(file: BinaryIO) -> JpegHeader:
    """The header of the JPEG at the file's start; the file is left where it was.

    Raises:
        ValueError: no JPEG, or one without a frame and a scan.
    """
    place = file.tell()
    try:
        file.seek(0)
        return _read(file)
    finally:
        file.seek(place)


def _read(file: BinaryIO) -> JpegHeader:
    if file.read(2) != b"\xff\xd8":
        raise ValueError("no JPEG")
    frame: bytes | None = None
    progressive = False
    for _ in range(_MAX_MARKERS):
        marker = _next_marker(file)
        if marker in _ALONE:
            continue
        length = int.from_bytes(_exactly(file, 2), "big") - 2
        if length < 0:
            raise ValueError("a segment is too short")
        if marker in _FRAMES and frame is None:
            frame, progressive = _exactly(file, length), marker in _PROGRESSIVE
        elif marker == _START_OF_SCAN:
            components = _exactly(file, 1)[0]
            if frame is None:
                raise ValueError("a scan without a frame")
            return _header(frame, progressive, components)
        else:
            file.seek(length, 1)
    raise ValueError("no scan")


def _header(frame: bytes, progressive: bool, scan_components: int) -> JpegHeader:
    if len(frame) < 6 or frame[5] == 0 or len(frame) < 6 + 3 * frame[5]:
        raise ValueError("a frame is too short")
    factors = tuple((packed >> 4, packed & 15) for packed in frame[7 : 6 + 3 * frame[5] : 3])
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    if not all(1 <= factor <= 4 for pair in factors for factor in pair):
        raise ValueError("a sampling factor is out of range")
    return JpegHeader(width, height, factors, progressive or scan_components < len(factors))


def _next_marker(file: BinaryIO) -> int:
    """The next marker's second byte; fill bytes and what lies between two segments are skipped, as decoders do."""
    while _exactly(file, 1) != b"\xff":
        pass
    while (code := _exactly(file, 1)) == b"\xff":
        pass
    return code[0]


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("the header is cut")
    return data


def _ceil(value: int, divisor: int) -> int:
    return -(-value // divisor)
