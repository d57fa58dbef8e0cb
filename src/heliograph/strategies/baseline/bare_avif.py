"""AVIF: the boxes and the sequence header that libavif writes for a still 4:2:0 picture of 8 bits (AV1 specification).

What follows from width and height is made from them, and so is the frame header up to its delta quantiser, which in
libaom's tuning for pictures follows from the base quantiser. All of it is checked by the device, file by file.
"""

from __future__ import annotations

from heliograph.codec.header import write_varint
from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.baseline.bare_file import BareFile, side
from heliograph.strategies.baseline.pictures import MAX_PICTURE_SIDE

_BIG_BLOCKS, _CDEF, _RESTORATION, _KNOWN_HEAD, _DELTA_QUANTISER = 1, 2, 4, 8, 16
_ALL_FLAGS = 31

_FILE_TYPE = b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1miafMA1B"
_BEFORE_LENGTH = (
    b"\x00\x00\x00\xebmeta\x00\x00\x00\x00"
    b"\x00\x00\x00\x21hdlr\x00\x00\x00\x00\x00\x00\x00\x00pict"
    + b"\x00"
    * 13
    + b"\x00\x00\x00\x0epitm\x00\x00\x00\x00\x00\x01"
    b"\x00\x00\x00\x1eiloc\x00\x00\x00\x00\x44\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x00\x01\x13"
)
_BEFORE_SIDES = (
    b"\x00\x00\x00\x28iinf\x00\x00\x00\x00\x00\x01\x00\x00\x00\x1ainfe\x02\x00\x00\x00\x00\x01\x00\x00av01Color\x00"
    b"\x00\x00\x00\x6aiprp\x00\x00\x00\x4bipco\x00\x00\x00\x14ispe\x00\x00\x00\x00"
)
_BEFORE_LEVEL = b"\x00\x00\x00\x10pixi\x00\x00\x00\x00\x03\x08\x08\x08\x00\x00\x00\x0cav1C\x81"
_AFTER_LEVEL = (
    b"\x0c\x00\x00\x00\x00\x13colrnclx\x00\x01\x00\x0d\x00\x06\x80"
    b"\x00\x00\x00\x17ipma\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x04\x01\x02\x83\x04"
)
_ITEM = len(_FILE_TYPE) + 0xEB + 8
"""Where the item's data begin, behind the head of ``mdat``."""

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


def stripped_avif(file: bytes) -> BareFile | None:
    """Width - 1 and height - 1; then the base quantiser where the frame header's beginning is known, and the rest."""
    place = file.find(b"ispe")
    sides = file[place + 8 : place + 16]
    width, height = int.from_bytes(sides[:4], "big"), int.from_bytes(sides[4:], "big")
    if place < 0 or not 0 < width <= MAX_PICTURE_SIDE or not 0 < height <= MAX_PICTURE_SIDE:
        return None
    for flags in (_CDEF | _RESTORATION, _CDEF, _RESTORATION, 0):
        for big in (0, _BIG_BLOCKS):
            head = _TEMPORAL_DELIMITER + _sequence_header(width, height, flags | big) + bytes([_FRAME])
            if file.startswith(head, _ITEM):
                frame = file[_after_size(file, _ITEM + len(head)) :]
                return _without_head(frame, width, height, flags | big)
    return None


def rebuilt_avif(bare: BareFile) -> bytes:
    """The file.

    Raises:
        StreamTruncatedError: ``bare`` is not complete.
        StreamDamagedError: its numbers are none of such a file.
    """
    width, height = map(side, bare.numbers)
    if bare.flags & ~_ALL_FLAGS:
        raise StreamDamagedError(StreamFault.HEADER)
    if not bare.complete:
        raise StreamTruncatedError().noted("avif-bare needs the whole picture, and the end of it is not here.")
    frame = bare.body
    if bare.flags & _KNOWN_HEAD:
        frame = _frame_head(bare.body[0], width, height, bare.flags) + bare.body[1:]
    item = _TEMPORAL_DELIMITER + _sequence_header(width, height, bare.flags)
    item += bytes([_FRAME]) + write_varint(len(frame)) + frame
    length, sides = len(item).to_bytes(4, "big"), width.to_bytes(4, "big") + height.to_bytes(4, "big")
    boxes = _FILE_TYPE + _BEFORE_LENGTH + length + _BEFORE_SIDES + sides + _BEFORE_LEVEL
    boxes += bytes([_level(width, height)]) + _AFTER_LEVEL
    return boxes + (len(item) + 8).to_bytes(4, "big") + b"mdat" + item


def _without_head(frame: bytes, width: int, height: int, flags: int) -> BareFile:
    numbers = width - 1, height - 1
    place = len(_before_quantiser(width, height, flags))
    quantiser = int.from_bytes(frame[:3], "big") >> (16 - place) & 0xFF
    for known in (flags | _KNOWN_HEAD, flags | _KNOWN_HEAD | _DELTA_QUANTISER):
        head = _frame_head(quantiser, width, height, known)
        if frame.startswith(head):
            return BareFile(known, numbers, bytes([quantiser]) + frame[len(head) :])
    return BareFile(flags, numbers, frame)


def _sequence_header(width: int, height: int, flags: int) -> bytes:
    """The OBU (5.5): profile 0, still picture, reduced header, BT.709 primaries, sRGB transfer, BT.601, full range."""
    across, down = (width - 1).bit_length() or 1, (height - 1).bit_length() or 1
    bits = f"00011{_level(width, height):05b}{across - 1:04b}{down - 1:04b}{width - 1:0{across}b}{height - 1:0{down}b}"
    bits += f"{flags & _BIG_BLOCKS}110{flags // _CDEF & 1}{flags // _RESTORATION & 1}"
    content = _packed(bits + f"001{1:08b}{13:08b}{6:08b}10000" + "1")
    return bytes([_SEQUENCE_HEADER, len(content)]) + content


def _frame_head(quantiser: int, width: int, height: int, flags: int) -> bytes:
    """The frame header (5.9) up to the bit that says whether quantisers vary, in whole bytes; the rest is sent."""
    shift = min(max((quantiser - 28) // 2, 0), 16)  # the chroma quantisers are lower by so much
    chroma = f"1{128 - shift:07b}" if shift else "0"
    luma_matrix, chroma_matrix = (
        next(level for above, level in levels if quantiser > above) for levels in (_LUMA_MATRIX, _CHROMA_MATRIX)
    )
    bits = f"{_before_quantiser(width, height, flags)}{quantiser:08b}0{chroma}{chroma}1"
    bits += f"{luma_matrix:04b}{chroma_matrix:04b}0{flags // _DELTA_QUANTISER & 1}"
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
