"""Opens the device's connection: a websocket, through a shaped link where one is asked for."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.errors import FileUnreadableError

if TYPE_CHECKING:
    from heliograph.transport.base import Connection
    from heliograph.transport.links import LinkProfile


def tls_context(authority: Path | None) -> ssl.SSLContext | None:
    """Trust the certificates in ``authority`` alone; None for the system's.

    Raises:
        FileUnreadableError: no certificates there.
    """
    if authority is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise FileUnreadableError from error


def connection_opener(
    server: str, token: str = "", context: ssl.SSLContext | None = None, link: LinkProfile | None = None
) -> Callable[[], Awaitable[Connection]]:
    """What :class:`heliograph.edge.client.DeviceClient` opens its connection with.

    Args:
        server: ``ws://`` or ``wss://`` address.
        token: access token, empty for none.
        context: for ``wss``.
        link: rate and delay to imitate; None for the network as it is.
    """
    from heliograph.transport.shaped import open_shaped
    from heliograph.transport.websocket_client import open_websocket

    async def on_the_network() -> Connection:
        return await open_websocket(server, token, context if server.startswith("wss:") else None)

    async def opener() -> Connection:
        return await on_the_network() if link is None else await open_shaped(on_the_network, link)

    return opener
