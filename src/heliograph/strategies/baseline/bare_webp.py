"""Lossy WebP: RIFF container and the ten bytes before a VP8 frame's first partition (RFC 6386, 9.1; RFC 9649)."""

from __future__ import annotations

from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.baseline.bare_file import BareFile, side

_FRAME = 20
"""Where the VP8 frame begins: behind ``RIFF``, length, ``WEBP``, ``VP8 ``, length."""

_FRAME_HEAD = 10
_START_CODE = b"\x9d\x01\x2a"
_SHOWN_KEY_FRAME, _PARTITION_SHIFT, _PARTITION_BITS = 0x10, 5, 19
_ZERO_DROPPED = 1


def stripped_webp(file: bytes) -> BareFile | None:
    """Width - 1, height - 1 and bytes of the first partition; then the partitions, without a last zero byte."""
    tag, sides = file[_FRAME : _FRAME + 3], file[_FRAME + 6 : _FRAME + _FRAME_HEAD]
    body = file[_FRAME + _FRAME_HEAD :]
    if not body:
        return None
    width, height = int.from_bytes(sides[:2], "little"), int.from_bytes(sides[2:], "little")
    if not width or not height:
        return None
    numbers = width - 1, height - 1, int.from_bytes(tag, "little") >> _PARTITION_SHIFT
    return BareFile(_ZERO_DROPPED, numbers, body[:-1]) if body[-1] == 0 else BareFile(0, numbers, body)


def rebuilt_webp(bare: BareFile) -> bytes:
    """The file.

    Raises:
        StreamTruncatedError: ``bare`` is not complete.
        StreamDamagedError: its numbers are none of such a file.
    """
    width, height, first_partition = bare.numbers
    sides = side(width).to_bytes(2, "little") + side(height).to_bytes(2, "little")
    if bare.flags & ~_ZERO_DROPPED or first_partition >= 1 << _PARTITION_BITS:
        raise StreamDamagedError(StreamFault.HEADER)
    if not bare.complete:
        raise StreamTruncatedError().noted("webp-bare needs the whole picture, and the end of it is not here.")
    tag = (first_partition << _PARTITION_SHIFT | _SHOWN_KEY_FRAME).to_bytes(3, "little")
    frame = tag + _START_CODE + sides + bare.body + b"\x00" * (bare.flags & _ZERO_DROPPED)
    chunk = b"WEBPVP8 " + len(frame).to_bytes(4, "little") + frame
    return b"RIFF" + len(chunk).to_bytes(4, "little") + chunk
