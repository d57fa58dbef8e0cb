"""The device's session over as many connections as it takes: taken up again where one broke."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from heliograph.edge.link import DeviceLink
from heliograph.edge.streams import HeldPhotos
from heliograph.errors import ConnectionLostError, ServerUnreachableError, TimedOutError
from heliograph.protocol.authentication import NONCE_BYTES
from heliograph.protocol.session import DeviceSession
from heliograph.transport.base import Connection

RECONNECT_S = 60.0
"""How long a device tries to get a session back whose connection broke; a question's own limit may end it sooner."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_WELCOME_S = 10.0
_BROKEN = (ConnectionLostError, ServerUnreachableError, TimedOutError)


class DeviceSessionKeeper:
    """Gives the open link of one device session.

    Args:
        open_connection: makes an open connection.
        bundle_hash: of the device.
        access_token: shown to the cloud.
        photos: sent again as far as the cloud does not hold them.
        clock: seconds, ascending.
        reconnect_s: how long to try after a connection broke; 0 for not at all.
        key: shared with the cloud, to authenticate every session; empty for none.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        bundle_hash: bytes,
        access_token: str,
        photos: HeldPhotos,
        clock: Callable[[], float],
        reconnect_s: float = RECONNECT_S,
        key: bytes = b"",
    ) -> None:
        self._open_connection = open_connection
        self._bundle_hash, self._access_token = bundle_hash, access_token
        self._photos = photos
        self._clock = clock
        self._reconnect_s = reconnect_s
        self._key = key
        self._link: DeviceLink | None = None
        self._earlier_bytes = (0, 0)
        self.reconnections = 0

    @property
    def usable(self) -> bool:
        """True where the next question finds an open connection."""
        return self._link is not None and self._link.usable

    @property
    def session(self) -> DeviceSession | None:
        """Of the open link."""
        return self._link.session if self._link is not None else None

    @property
    def counters(self) -> tuple[int, int]:
        """Bytes sent and received over all connections so far."""
        up, down = self._earlier_bytes
        if self._link is None:
            return up, down
        return up + self._link.connection.sent_bytes, down + self._link.connection.received_bytes

    def flush(self) -> None:
        """Let what is queued go out."""
        if self._link is not None:
            self._link.flush()

    async def close(self) -> None:
        """Close the connection, if there is one; never waits longer than two seconds."""
        link = self._let_go()
        self._photos.clear()
        if link is not None:
            await link.close()

    async def linked(self) -> DeviceLink:
        """The open link; a connection is opened where there is none, and a session that broke meanwhile goes on.

        Raises:
            ServerUnreachableError: no connection.
        """
        if self._link is not None and not self._link.usable and not await self.go_on():
            await self.close()
        if self._link is None:
            self._link = self._greeting(await self._opened())
        self._link.drop_events()
        return self._link

    async def go_on(self) -> bool:
        """Take the session up again after its connection broke.

        Returns:
            False where it cannot go on: the cloud gave no token, or nothing could be reached for too long. Photos that
            the cloud did not keep are marked to be sent again.
        """
        broken = self._link
        if broken is None or not broken.session_token or self._reconnect_s <= 0:
            return False
        token, until_s, pause_s = broken.session_token, self._clock() + self._reconnect_s, _FIRST_PAUSE_S
        self._let_go()
        await broken.abandon()
        while True:
            try:
                await self._take_up(token)
            except _BROKEN:
                if self._clock() + pause_s > until_s:
                    return False
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            self.reconnections += 1
            return True

    async def _take_up(self, token: bytes) -> None:
        link = self._greeting(await self._opened(), token)
        link.flush()
        try:
            async with asyncio.timeout(_WELCOME_S):
                welcome = await link.welcome()
        except TimeoutError as error:
            await link.abandon()
            raise TimedOutError from error
        except BaseException:
            await link.abandon()
            raise
        link.drop_events()
        self._photos.go_on(link.session, welcome.held)
        self._link = link

    async def _opened(self) -> Connection:
        try:
            return await self._open_connection()
        except TimedOutError as error:
            raise ServerUnreachableError from error

    def _greeting(self, connection: Connection, token: bytes = b"") -> DeviceLink:
        session = DeviceSession(
            self._bundle_hash,
            self._access_token,
            resumable=True,
            session_token=token,
            key=self._key,
            nonce=secrets.token_bytes(NONCE_BYTES) if self._key else b"",
        )
        return DeviceLink(connection, session, self._clock)

    def _let_go(self) -> DeviceLink | None:
        self._earlier_bytes = self.counters
        link, self._link = self._link, None
        return link
