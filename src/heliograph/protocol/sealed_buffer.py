"""Frame buffers of sessions with a key: nothing comes out of them that was not authenticated."""

from __future__ import annotations

from heliograph.errors import FrameDamagedError, StreamForgedError
from heliograph.protocol.authentication import TAG_BYTES, Chain
from heliograph.protocol.buffer import FrameBuffer
from heliograph.protocol.frames import SEAL_AND_END, Frame, FrameType, LastImageEndFrame
from heliograph.protocol.limits import MAX_UNSEALED_BYTES, MAX_UNSEALED_FRAMES
from heliograph.reasons import ForgedFault

_SEAL_BYTES = 1 + TAG_BYTES
_SMALLEST_TYPE = 1 << 3  # first bytes below it are no frame's


class SealedFrameBuffer(FrameBuffer):
    """The cloud's: holds frames back, unread but for their lengths, until the seal behind them is found right.

    Up to HELLO it is a plain buffer; the session calls :meth:`require_seals` once it knows the device's key. From then
    on at most ``MAX_UNSEALED_BYTES`` and one portion, or ``MAX_UNSEALED_FRAMES``, are held.
    """

    def __init__(self) -> None:
        super().__init__()
        self._chain: Chain | None = None
        self._unsealed_frames = 0
        self._scanned = 0  # frames before are whole, and none of them is an unchecked seal
        self._sealed: int | None = None  # where a seal lies that was found right; None: all frames before are out
        self._passed = 0  # behind the last seal whose frames are out

    def require_seals(self, chain: Chain) -> None:
        """Hold every later frame until its seal has come; called between two frames.

        Args:
            chain: has taken in everything before.
        """
        self._chain = chain

    @property
    def unfinished_bytes(self) -> int:
        """Bytes of the unfinished frame at the end; whole frames without a seal are late ones that nobody needs."""
        return len(self._data) - self._scanned if self._chain is not None else len(self._data)

    def clear(self) -> None:
        """Give the memory back."""
        super().clear()
        self._scanned = 0

    def _drop(self, count: int) -> None:
        count, self._passed = max(count, self._passed), 0
        super()._drop(count)
        self._scanned = max(0, self._scanned - count)
        self._sealed = None if self._sealed is None else self._sealed - count

    def _next_frame(self, position: int) -> tuple[Frame, int] | None:
        if self._chain is None:
            return super()._next_frame(position)
        while True:
            if self._sealed is None and not self._check_next_seal(position, self._chain):
                return None
            assert self._sealed is not None, "a seal was found"
            if position < self._sealed:
                return super()._next_frame(position)
            ends = self._data[position] == SEAL_AND_END
            self._sealed, position = None, position + _SEAL_BYTES
            self._passed = position
            if ends:
                return LastImageEndFrame(), position

    def _check_next_seal(self, start: int, chain: Chain) -> bool:
        """Find the next seal and check it; False where it is not here yet.

        Raises:
            StreamForgedError: it is wrong, or none comes for too long.
        """
        at = self._seal_at(start)
        if at is None:
            if len(self._data) - start > MAX_UNSEALED_BYTES:
                raise StreamForgedError(ForgedFault.UNSEALED)
            return False
        with memoryview(self._data) as data:
            chain.update(data[start : at + 1])
        chain.check(bytes(self._data[at + 1 : at + _SEAL_BYTES]))
        self._sealed, self._scanned, self._unsealed_frames = at, at + _SEAL_BYTES, 0
        return True

    def _seal_at(self, start: int) -> int | None:
        """Where the next whole seal lies, and nothing behind it was looked at; None where there is none so far."""
        at = max(self._scanned, start)
        try:
            while at < len(self._data):
                if self._data[at] < _SMALLEST_TYPE:
                    if self._data[at] > SEAL_AND_END:
                        raise FrameDamagedError
                    return at if at + _SEAL_BYTES <= len(self._data) else None
                span = self._span(at)
                if span is None:
                    return None
                at = span[1]
                self._unsealed_frames += 1
                if self._unsealed_frames > MAX_UNSEALED_FRAMES:
                    raise StreamForgedError(ForgedFault.UNSEALED)
            return None
        finally:
            self._scanned = at


class TaggedFrameBuffer(FrameBuffer):
    """The device's: every frame from the cloud ends with a tag, but for the ERROR that ends the session.

    That one needs none, since whoever could forge it could cut the connection as well, and a cloud that does not know
    the key must be able to say so.

    Args:
        chain: has taken in HELLO.
    """

    tag_bytes = TAG_BYTES

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self._chain = chain

    def _parse(self, position: int, start: int, end: int) -> Frame:
        if self._data[position] == FrameType.ERROR << 3:
            return super()._parse(position, start, end)
        if end - start < TAG_BYTES:
            raise StreamForgedError(ForgedFault.UNSEALED)
        with memoryview(self._data) as data:
            self._chain.update(data[position : end - TAG_BYTES])
        self._chain.check(bytes(self._data[end - TAG_BYTES : end]))
        return super()._parse(position, start, end - TAG_BYTES)
