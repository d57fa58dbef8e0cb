"""Bytes in any portions in, whole frames out, with memory bounded by the largest frame allowed."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.errors import FrameTooLargeError
from heliograph.protocol.fields import read_varint
from heliograph.protocol.frames import SHORT_SEGMENT_FLAG, SMALL_FIELD_MASK, Frame, SegmentFrame
from heliograph.protocol.parsing import max_body_bytes, parse_body

_PORTION_BYTES = 64 << 10


class FrameBuffer:
    """Holds what has arrived of a frame until the frame is whole.

    At most ``MAX_FRAME_BYTES`` plus one portion (64 KiB) are held: a length is judged as soon as the head is
    readable, and a longer input is taken in portions.
    """

    tag_bytes = 0
    """Bytes at the end of every body, beyond what its type may hold."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._missing_bytes = 0

    @property
    def missing_bytes(self) -> int:
        """Bytes that complete the frame that has begun; 0 where that is not known yet."""
        return self._missing_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes held: of the unfinished frame at the end of what was fed."""
        return len(self._data)

    @property
    def unfinished_bytes(self) -> int:
        """Bytes of the unfinished frame at the end of what was fed."""
        return len(self._data)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames that ``data`` completes, in order.

        Raises:
            FrameDamagedError: a head or body breaks the rules; frames before it have been yielded.
            FrameTooLargeError: a head claims more than its type may have.
        """
        view = memoryview(data)
        for start in range(0, len(view), _PORTION_BYTES):
            self._data += view[start : start + _PORTION_BYTES]
            yield from self._whole_frames()

    def clear(self) -> None:
        """Give the memory back; used once the session is closed."""
        self._data = bytearray()

    def _whole_frames(self) -> Iterator[Frame]:
        position = 0
        try:
            while (found := self._next_frame(position)) is not None:
                frame, position = found
                yield frame
        finally:
            self._drop(position)

    def _drop(self, count: int) -> None:
        del self._data[:count]

    def _next_frame(self, position: int) -> tuple[Frame, int] | None:
        span = self._span(position)
        return None if span is None else (self._parse(position, *span), span[1])

    def _span(self, position: int) -> tuple[int, int] | None:
        """Where the body of the frame at ``position`` begins and ends; None where it is not all here."""
        self._missing_bytes = 0
        if position >= len(self._data):
            return None
        first = self._data[position]
        if first & SHORT_SEGMENT_FLAG:
            start, length = position + 1, first & ~SHORT_SEGMENT_FLAG
        else:
            most = max_body_bytes(first >> 3)  # an unknown type is refused without waiting for its length
            head = read_varint(self._data, position + 1)
            if head is None:
                return None
            length, start = head
            if length > most + self.tag_bytes:
                raise FrameTooLargeError
        end = start + length
        if end > len(self._data):
            self._missing_bytes = end - len(self._data)
            return None
        return start, end

    def _parse(self, position: int, start: int, end: int) -> Frame:
        first, body = self._data[position], bytes(self._data[start:end])
        if first & SHORT_SEGMENT_FLAG:
            return SegmentFrame(None, body)
        return parse_body(first >> 3, first & SMALL_FIELD_MASK, body)
