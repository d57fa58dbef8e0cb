"""A device's websocket behind an ASGI server, as a :class:`heliograph.transport.base.ServedConnection`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from heliograph.clock import now_s
from heliograph.errors import ConnectionLostError, FrameDamagedError
from heliograph.serving.turns import ALLOWANCE, Allowance, Turns
from heliograph.transport.base import NORMAL_CLOSURE

_GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What starlette and ASGI servers raise once the peer has left."""

_EMPTY_MESSAGE_S = 50e-6
"""What an empty message is taken to cost: it says nothing, but it wakes its reader."""


class AsgiConnection:
    """One accepted websocket.

    Args:
        websocket: of the device.
        turns: of the server; for a server whose websockets have no allowance of their own.
        clock: seconds, ascending.

    Attributes:
        allowance: of processor time, on which the websocket itself draws too where it is one of ours.
    """

    def __init__(self, websocket: WebSocket, turns: Turns, clock: Callable[[], float] = now_s) -> None:
        self._websocket, self._clock = websocket, clock
        given = websocket.scope.get("extensions", {}).get(ALLOWANCE)
        self.allowance: Allowance = given if given is not None else Allowance(turns, clock())

    @property
    def address(self) -> str:
        """The device's IP address; empty where the ASGI server does not tell."""
        client = self._websocket.client
        return client.host if client is not None else ""

    async def receive(self) -> bytes:
        """The next message that is not empty; ``b""`` after an orderly close.

        Raises:
            ConnectionLostError: the connection broke.
            FrameDamagedError: a text message.
        """
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                if message.get("code") != NORMAL_CLOSURE:
                    raise ConnectionLostError
                return b""
            data = message.get("bytes")
            if data is None:
                raise FrameDamagedError
            if data:
                return bytes(data)
            await asyncio.sleep(self.allowance.spend(_EMPTY_MESSAGE_S, self._clock()))

    async def send(self, data: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionLostError: the device has left.
        """
        await _gone_is_lost(self._websocket.send_bytes(data))

    async def close(self, code: int = NORMAL_CLOSURE) -> None:
        """Send a close frame.

        Raises:
            ConnectionLostError: the device has left.
        """
        await _gone_is_lost(self._websocket.close(code))


async def _gone_is_lost(work: Awaitable[None]) -> None:
    try:
        await work
    except _GONE as error:
        raise ConnectionLostError from error
