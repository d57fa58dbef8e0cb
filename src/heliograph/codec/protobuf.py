"""Protocol-buffer messages without a schema: the fields of one, where they lie, and how to write another.

What an ONNX network is made of, for ends that have no ``onnx`` package. Nothing is copied while reading: a field is its
number and where its bytes begin and end.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from functools import partial

from heliograph.codec.header import write_varint
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault

Data = bytes | mmap.mmap
Span = tuple[int, int]
network_damaged = partial(BundleDamagedError, BundlePart.NETWORK)
"""The error of a network, given what is wrong with it."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def fields(data: Data, span: Span, *, numbers: bool = False) -> Iterator[tuple[int, Span]]:
    """Number and bytes of each field that holds bytes, or with ``numbers`` also of those that hold one.

    Raises:
        BundleDamagedError: no message, or one that ends within a field.
    """
    at, end = span
    while at < end:
        tag, at = varint(data, at, end)
        wire, start = tag & 7, at
        if wire in (_VARINT, _FIXED64, _FIXED32):
            at = varint(data, at, end)[1] if wire == _VARINT else at + (8 if wire == _FIXED64 else 4)
            if numbers and at <= end:
                yield tag >> 3, (start, at)
        elif wire == _BYTES:
            length, at = varint(data, at, end)
            if length > end - at:
                raise network_damaged(FileFault.LENGTH)
            yield tag >> 3, (at, at + length)
            at += length
        else:  # groups, which this format never had
            raise network_damaged(BundleFault.NOT_NETWORK)
    if at != end:
        raise network_damaged(FileFault.LENGTH)


def varints(data: Data, span: Span) -> Iterator[int]:
    """Numbers that follow one another."""
    at, end = span
    while at < end:
        value, at = varint(data, at, end)
        yield value


def varint(data: Data, at: int, end: int) -> tuple[int, int]:
    """A number, and where it ends.

    Raises:
        BundleDamagedError: none ends there.
    """
    value = 0
    for place in range(at, min(end, at + _MAX_VARINT_BYTES)):
        byte = data[place]
        value |= (byte & 0x7F) << 7 * (place - at)
        if byte < 0x80:
            return value, place + 1
    raise network_damaged(BundleFault.NOT_NETWORK)


def field(number: int, content: bytes) -> bytes:
    """A field that holds bytes: another message, say."""
    return write_varint(number << 3 | _BYTES) + write_varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    """A field that holds a number that is not negative."""
    return write_varint(number << 3 | _VARINT) + write_varint(value)
