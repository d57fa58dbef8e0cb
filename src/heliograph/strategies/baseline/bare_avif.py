"""AVIF: the boxes and the sequence header that libavif writes for a still picture of 8 bits (AV1 specification).

What follows from width and height is made from them, and so is the beginning of the frame header. Of 4:2:0 colour in
libaom's tuning for pictures that is all up to the delta quantiser, since matrices and chroma follow from the base
quantiser; of grey (4:0:0) tuned for squared error all up to the loop filter, where there is none. All of it is checked
by the device, file by file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from heliograph.codec.header import write_varint
from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.baseline.bare_file import BareFile, side
from heliograph.strategies.baseline.pictures import MAX_PICTURE_SIDE

_BIG_BLOCKS, _CDEF, _RESTORATION, _KNOWN_HEAD, _MORE = 1, 2, 4, 8, 16
"""``_MORE`` with ``_KNOWN_HEAD``: of colour the quantiser varies, of grey there is no loop filter."""
_ALL_FLAGS = 31

_COLOUR, _GREY = 3, 1
"""Channels."""


@dataclass(frozen=True)
class _Boxes:
    """What stands around the item: constants of a kind of picture, but for its length, sides and level."""

    file_type: bytes
    before_length: bytes
    before_sides: bytes
    before_level: bytes
    after_level: bytes

    @classmethod
    def of(cls, channels: int) -> Self:
        file_type = b"ftypavif\x00\x00\x00\x00avifmif1miaf" + (b"MA1B" if channels == _COLOUR else b"")
        file_type = (4 + len(file_type)).to_bytes(4, "big") + file_type
        item = len(file_type) + 0xE8 + channels + 8
        before_length = (
            bytes([0, 0, 0, 0xE8 + channels])
            + b"meta\x00\x00\x00\x00\x00\x00\x00\x21hdlr\x00\x00\x00\x00\x00\x00\x00\x00pict"
            + bytes(13)
            + b"\x00\x00\x00\x0epitm\x00\x00\x00\x00\x00\x01"
            b"\x00\x00\x00\x1eiloc\x00\x00\x00\x00\x44\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x00"
            + item.to_bytes(2, "big")
        )
        before_sides = (
            b"\x00\x00\x00\x28iinf\x00\x00\x00\x00\x00\x01\x00\x00\x00\x1ainfe\x02\x00\x00\x00\x00\x01\x00\x00av01Color\x00"
            + bytes([0, 0, 0, 0x67 + channels])
            + b"iprp"
            + bytes([0, 0, 0, 0x48 + channels])
            + b"ipco\x00\x00\x00\x14ispe\x00\x00\x00\x00"
        )
        pixels = bytes([0, 0, 0, 0x0D + channels]) + b"pixi\x00\x00\x00\x00" + bytes([channels]) + b"\x08" * channels
        after_level = (
            bytes([0x0C if channels == _COLOUR else 0x1C]) + b"\x00\x00\x00\x00\x13colrnclx\x00\x01\x00\x0d\x00\x06\x80"
            b"\x00\x00\x00\x17ipma\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x04\x01\x02\x83\x04"
        )
        return cls(file_type, before_length, before_sides, pixels + b"\x00\x00\x00\x0cav1C\x81", after_level)

    @property
    def item(self) -> int:
        """Where the item's data begin, behind the head of ``mdat``."""
        return len(self.file_type) + self.before_length[3] + 8


_BOXES = {channels: _Boxes.of(channels) for channels in (_COLOUR, _GREY)}

_TEMPORAL_DELIMITER, _SEQUENCE_HEADER, _FRAME = b"\x12\x00", 0x0A, 0x32

_LEVELS = (
    # Annex A.3: level, pixels, width, height at most.
    (0, 147_456, 2048, 1152),
    (1, 278_784, 2816, 1584),
    (4, 665_856, 4352, 2448),
    (5, 1_065_024, 5504, 3096),
    (8, 2_359_296, 6144, 3456),
    (12, 8_912_896, 8192, 4352),
    (16, 35_651_584, 16_384, 8704),
)

_LUMA_MATRIX = ((240, 4), (220, 5), (200, 6), (160, 7), (100, 8), (40, 9), (-1, 10))
_CHROMA_MATRIX = ((236, 5), (216, 6), (176, 7), (116, 8), (52, 9), (-1, 10))
"""(base quantiser above which, level of the quantiser matrix)."""


def stripped_avif(file: bytes, *, grey: bool = False) -> BareFile | None:
    """Width - 1 and height - 1; then the base quantiser where the frame header's beginning is known, and the rest."""
    channels = _GREY if grey else _COLOUR
    place = file.find(b"ispe")
    sides = file[place + 8 : place + 16]
    width, height = int.from_bytes(sides[:4], "big"), int.from_bytes(sides[4:], "big")
    if place < 0 or not 0 < width <= MAX_PICTURE_SIDE or not 0 < height <= MAX_PICTURE_SIDE:
        return None
    item = _BOXES[channels].item
    for flags in (_CDEF | _RESTORATION, _CDEF, _RESTORATION, 0):
        for big in (0, _BIG_BLOCKS):
            head = _TEMPORAL_DELIMITER + _sequence_header(width, height, flags | big, channels) + bytes([_FRAME])
            if file.startswith(head, item):
                frame = file[_after_size(file, item + len(head)) :]
                return _without_head(frame, width, height, flags | big, channels)
    return None


def rebuilt_avif(bare: BareFile, *, grey: bool = False) -> bytes:
    """The file.

    Raises:
        StreamTruncatedError: ``bare`` is not complete.
        StreamDamagedError: its numbers are none of such a file.
    """
    channels = _GREY if grey else _COLOUR
    width, height = map(side, bare.numbers)
    if bare.flags & ~_ALL_FLAGS:
        raise StreamDamagedError(StreamFault.HEADER)
    if not bare.complete:
        raise StreamTruncatedError().noted("the bare AVIF is not whole: the end of the picture is not here.")
    frame = bare.body
    if bare.flags & _KNOWN_HEAD:
        frame = _frame_head(bare.body[0], width, height, bare.flags, channels) + bare.body[1:]
    item = _TEMPORAL_DELIMITER + _sequence_header(width, height, bare.flags, channels)
    item += bytes([_FRAME]) + write_varint(len(frame)) + frame
    length, sides = len(item).to_bytes(4, "big"), width.to_bytes(4, "big") + height.to_bytes(4, "big")
    boxes, level = _BOXES[channels], bytes([_level(width, height)])
    around = boxes.file_type + boxes.before_length + length + boxes.before_sides + sides + boxes.before_level
    return around + level + boxes.after_level + (len(item) + 8).to_bytes(4, "big") + b"mdat" + item


def _without_head(frame: bytes, width: int, height: int, flags: int, channels: int) -> BareFile:
    numbers = width - 1, height - 1
    place = len(_before_quantiser(width, height, flags))
    quantiser = int.from_bytes(frame[:3], "big") >> (16 - place) & 0xFF
    tried = (flags | _KNOWN_HEAD, flags | _KNOWN_HEAD | _MORE)
    for known in tried if channels == _COLOUR else tried[::-1]:
        head = _frame_head(quantiser, width, height, known, channels)
        if frame.startswith(head):
            return BareFile(known, numbers, bytes([quantiser]) + frame[len(head) :])
    return BareFile(flags, numbers, frame)


def _sequence_header(width: int, height: int, flags: int, channels: int) -> bytes:
    """The OBU (5.5): profile 0, still picture, reduced header, BT.709 primaries, sRGB transfer, BT.601, full range."""
    across, down = (width - 1).bit_length() or 1, (height - 1).bit_length() or 1
    bits = f"00011{_level(width, height):05b}{across - 1:04b}{down - 1:04b}{width - 1:0{across}b}{height - 1:0{down}b}"
    bits += f"{flags & _BIG_BLOCKS}110{flags // _CDEF & 1}{flags // _RESTORATION & 1}"
    colour = channels == _COLOUR
    content = _packed(f"{bits}0{int(not colour)}1{1:08b}{13:08b}{6:08b}" + ("10000" if colour else "10") + "1")
    return bytes([_SEQUENCE_HEADER, len(content)]) + content


def _frame_head(quantiser: int, width: int, height: int, flags: int, channels: int) -> bytes:
    """The frame header (5.9) up to the bit that says whether quantisers vary, or up to the loop filter's deltas, in
    whole bytes; the rest is sent."""
    bits = f"{_before_quantiser(width, height, flags)}{quantiser:08b}"
    if channels == _GREY:
        bits += "0000" + ("0" * 15 + "10" if flags & _MORE else "")
        return _packed(bits[: len(bits) // 8 * 8])
    shift = min(max((quantiser - 28) // 2, 0), 16)  # the chroma quantisers are lower by so much
    chroma = f"1{128 - shift:07b}" if shift else "0"
    luma_matrix, chroma_matrix = (
        next(level for above, level in levels if quantiser > above) for levels in (_LUMA_MATRIX, _CHROMA_MATRIX)
    )
    bits += f"0{chroma}{chroma}1{luma_matrix:04b}{chroma_matrix:04b}0{flags // _MORE & 1}"
    return _packed(bits[: len(bits) // 8 * 8])


def _before_quantiser(width: int, height: int, flags: int) -> str:
    """The frame header's bits before the base quantiser; where blocks could be split into tiles, a bit says no."""
    block = 128 if flags & _BIG_BLOCKS else 64
    return "0001" + "0" * ((width > block) + (height > block))


def _level(width: int, height: int) -> int:
    return next(
        level for level, area, wide, high in _LEVELS if width * height <= area and width <= wide and height <= high
    )


def _packed(bits: str) -> bytes:
    """Bits as bytes, the last one filled with zeros."""
    count = -(-len(bits) // 8)
    return int(bits.ljust(8 * count, "0"), 2).to_bytes(count, "big")


def _after_size(file: bytes, place: int) -> int:
    while place < len(file) and file[place] & 0x80:
        place += 1
    return place + 1
