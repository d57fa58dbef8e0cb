"""A greeting and no question: to know whether a cloud takes this device."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from heliograph.clock import now_s
from heliograph.edge.link import DeviceLink
from heliograph.protocol.authentication import NONCE_BYTES
from heliograph.protocol.events import WelcomeReceived
from heliograph.protocol.session import DeviceSession
from heliograph.transport.base import Connection


async def greet(
    open_connection: Callable[[], Awaitable[Connection]], bundle_hash: bytes, access_token: str = "", key: bytes = b""
) -> WelcomeReceived:
    """Open a connection, say HELLO, and close it when the cloud has answered.

    Args:
        open_connection: makes an open connection.
        bundle_hash: of the device; empty for one without a bundle.
        access_token: shown to the cloud.
        key: shared with the cloud; empty for none.

    Raises:
        HeliographError: no connection, or the cloud refuses the device. Waits as long as the cloud takes.
    """
    connection = await open_connection()
    session = DeviceSession(bundle_hash, access_token, key=key, nonce=secrets.token_bytes(NONCE_BYTES) if key else b"")
    link = DeviceLink(connection, session, now_s)
    link.flush()
    try:
        return await link.welcome()
    finally:
        await link.close()
