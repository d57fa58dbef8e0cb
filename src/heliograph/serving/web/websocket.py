"""uvicorn's websocket with bounds on what a peer can make it do or hold.

A frame costs a hundred times more to parse than to send, and up to 256 KiB of them arrive at once: empty frames, pings
and fragments would hold the event loop up for half a second before anything above hears of them. Here they are parsed
in slices with a turn of the loop between them, and nothing is read from the socket meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from heliograph.clock import now_s, worked_s
from heliograph.serving.turns import ALLOWANCE, SLICE_S, Allowance, Turns

MAX_FRAGMENTS = 1024
"""Bound of one message's fragments; each is kept until the last one, and empty ones do not count into its size."""

_PORTION_BYTES = 1 << 10
_CLOSE_S = 10.0
_TURNS: WeakKeyDictionary[ServerState, Turns] = WeakKeyDictionary()


class SteadyWebSocket(WebSocketsSansIOProtocol):
    """Takes the place of the class of uvicorn that it is derived from."""

    def __init__(self, config: Any, server_state: ServerState, app_state: dict[str, Any], **others: Any) -> None:
        super().__init__(config, server_state, app_state, **others)
        self._allowance = Allowance(_TURNS.setdefault(server_state, Turns()), now_s())
        self._unparsed = bytearray()
        self._next_slice: asyncio.Handle | None = None
        self._abort: asyncio.TimerHandle | None = None

    # ---- in --------------------------------------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        """Parse now as much as fits into a slice, the rest in later turns of the loop."""
        self._unparsed += data
        if self._next_slice is None:
            self._parse_slice()

    def _parse_slice(self) -> None:
        self._next_slice = None
        started = worked = worked_s()
        while self._unparsed and not self._is_held_up() and worked - started < SLICE_S:
            portion = bytes(self._unparsed[:_PORTION_BYTES])
            del self._unparsed[:_PORTION_BYTES]
            super().data_received(portion)
            worked = worked_s()
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.abort()  # a request of 200 fields, say, which the library would leave as it is
        wait_s = self._allowance.spend(worked - started, now_s())
        if self._unparsed and not self._is_held_up():
            self._next_slice = self.loop.call_later(wait_s, self._parse_slice)
        self._pause_or_resume()

    def _is_held_up(self) -> bool:
        """A message waits for the application, or the peer does not take what is sent to it."""
        return self.read_paused or not self.writable.is_set() or self.transport.is_closing()

    def _pause_or_resume(self) -> None:
        if self.transport.is_closing():
            self._unparsed.clear()
        elif self._unparsed or self._is_held_up():
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _go_on(self) -> None:
        if self._next_slice is None:
            self._next_slice = self.loop.call_soon(self._parse_slice)
        self._pause_or_resume()

    def handle_connect(self, event: Request) -> None:
        """Like uvicorn's; the application draws on the same allowance."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ALLOWANCE] = self._allowance

    async def receive(self) -> Any:
        """The next ASGI message; what has waited for its being taken is parsed soon."""
        message = await super().receive()
        if not self.disconnected:
            self._go_on()
        return message

    def handle_cont(self, event: Frame) -> None:
        """Like uvicorn's, with a bound on the number of fragments."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG)
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    # ---- out -------------------------------------------------------------------------------------------
    async def send(self, message: Any) -> None:
        """Like uvicorn's; after a close the peer's own is still read."""
        await super().send(message)
        if self.close_sent and not self.disconnected:
            self._go_on()

    def pause_writing(self) -> None:
        """Like uvicorn's; a peer that does not read its pongs is not heard either, or they would pile up."""
        super().pause_writing()
        self._pause_or_resume()

    def resume_writing(self) -> None:
        """Like uvicorn's."""
        super().resume_writing()
        self._go_on()

    # ---- the end ---------------------------------------------------------------------------------------
    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done: a peer that does not take the last bytes is cut off after a while."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._abort = self.loop.call_later(_CLOSE_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Like uvicorn's."""
        for timer in (self._next_slice, self._abort):
            if timer is not None:
                timer.cancel()
        self._unparsed.clear()
        self._allowance.close()
        super().connection_lost(exc)
