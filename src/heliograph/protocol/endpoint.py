"""What both ends of a session share: bytes in and out, the state, and how a session ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar

from heliograph.errors import ConnectionLostError, HeliographError, ProtocolStateError, UsageError, all_errors
from heliograph.protocol.buffer import FrameBuffer
from heliograph.protocol.events import ErrorReceived, Event, SessionClosed
from heliograph.protocol.frames import ErrorFrame, Frame, encode_frame, frame_type
from heliograph.protocol.limits import BUNDLE_HASH_BYTES
from heliograph.protocol.states import State, Table, next_state

OnFrame = Callable[[bool, Frame], None]
"""Called with True and a frame that was queued, or with False and one that came and is allowed; never raises."""


class Endpoint(ABC):
    """Base of :class:`DeviceSession` and :class:`CloudSession`. Touches no socket and no clock.

    Attributes:
        on_frame: sees every frame, for a trace; None for nobody. What authenticates frames is not shown.
    """

    _sends: ClassVar[Table]
    _receives: ClassVar[Table]

    def __init__(self, bundle_hash: bytes) -> None:
        if len(bundle_hash) not in (0, BUNDLE_HASH_BYTES):
            raise UsageError().noted(
                f"bundle_hash must have {BUNDLE_HASH_BYTES} bytes, or none; it has {len(bundle_hash)}."
            )
        self._bundle_hash = bytes(bundle_hash)
        self._state = State.NEW
        self._buffer: FrameBuffer = FrameBuffer()
        self._outgoing = bytearray()
        self._last_heard_s: float | None = None
        self.on_frame: OnFrame | None = None

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def closed(self) -> bool:
        """True once nothing can be sent or received; bytes already queued may still be fetched."""
        return self._state is State.CLOSED

    @property
    def last_heard_s(self) -> float | None:
        """``now`` of the last :meth:`receive` with data, for the owner's time limits; None before it."""
        return self._last_heard_s

    @property
    def held_bytes(self) -> int:
        """Bytes held in the receive buffer: of an unfinished frame, and of those that wait for their seal."""
        return self._buffer.held_bytes

    @property
    def missing_bytes(self) -> int:
        """Bytes that complete the frame that has begun to arrive; 0 where there is none, or not known yet."""
        return self._buffer.missing_bytes

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for :meth:`bytes_to_send`."""
        return len(self._outgoing)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the connection and report what they mean; never raises on what a peer sent.

        Args:
            data: any portion of the stream; empty at its end.
            now: seconds on the owner's clock.

        Returns:
            Events in the order of the wire. A damaged or forbidden frame queues an ERROR for the peer, closes
            the session and ends the list with ``SessionClosed``; a closed session ignores what follows.
        """
        return list(self.events_of(data, now))

    def events_of(self, data: bytes, now: float) -> Iterator[Event]:
        """Like :meth:`receive`, one event at a time; to be exhausted before the next data.

        For a server: a hostile message of a megabyte can hold a million empty segments, and this way their
        events never exist together.
        """
        if self._state is State.CLOSED:
            return
        if not data:
            yield self._end_of_stream()
            return
        self._last_heard_s = now
        try:
            for frame in self._buffer.feed(data):
                self._state = next_state(self._receives, self._state, frame_type(frame))
                if self.on_frame is not None:
                    self.on_frame(False, frame)
                yield from self._on_error(frame) if isinstance(frame, ErrorFrame) else self._on_frame(frame)
                if self._state is State.CLOSED:
                    return
        except HeliographError as error:
            yield self._fail(type(error))

    def bytes_to_send(self) -> bytes:
        """Everything queued since the last call; goes out as one websocket message to save framing."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def close(self) -> None:
        """End the session from this side; queued bytes can still be fetched."""
        self._state = State.CLOSED
        self._buffer.clear()
        self._forget_all()

    @abstractmethod
    def _on_frame(self, frame: Frame) -> Iterator[Event]:
        """Events of one allowed frame; raises a HeliographError that ends the session."""

    @abstractmethod
    def _on_question_failed(self, question_id: int) -> None:
        """The peer gave up a question."""

    @abstractmethod
    def _forget_all(self) -> None:
        """Drop photos and questions."""

    @abstractmethod
    def _is_waiting(self) -> bool:
        """True where an end of the stream now would cut something off."""

    def _send(self, frame: Frame) -> None:
        if self.closed:
            raise ProtocolStateError
        self._state = next_state(self._sends, self._state, frame_type(frame))
        self._queue(frame)

    def _queue(self, frame: Frame) -> None:
        if self.on_frame is not None:
            self.on_frame(True, frame)
        self._outgoing += self._carried(frame, encode_frame(frame))

    @abstractmethod
    def _carried(self, frame: Frame, data: bytes) -> bytes | bytearray:
        """A frame's bytes as they go out; an end with a key adds its own."""

    def _on_error(self, frame: ErrorFrame) -> Iterator[Event]:
        error_class = all_errors().get(frame.code, HeliographError)
        yield ErrorReceived(error_class, frame.question_id)
        if frame.question_id is None:
            self.close()
            yield SessionClosed(error_class)
        else:
            self._on_question_failed(frame.question_id)

    def _fail(self, error_class: type[HeliographError]) -> SessionClosed:
        self._queue(ErrorFrame(error_class.code, None))
        self.close()
        return SessionClosed(error_class)

    def _end_of_stream(self) -> SessionClosed:
        cut_off = self._is_waiting() or self._buffer.unfinished_bytes > 0
        self.close()
        return SessionClosed(ConnectionLostError if cut_off else None)
