"""Opens a connection to a cloud by its address: the scheme says which transport carries it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from ssl import SSLContext

from heliograph.errors import UsageError
from heliograph.registry import TRANSPORTS
from heliograph.transport.addresses import without_secrets
from heliograph.transport.base import Connection
from heliograph.transport.opening_errors import check_address
from heliograph.transport.websocket_client import open_websocket

_MAX_SHOWN = 200

log = logging.getLogger(__name__)


async def open_connection(url: str, access_token: str = "", ssl: SSLContext | None = None) -> Connection:
    """Connect to a cloud.

    Args:
        url: ``ws://host:port/path``, ``wss://...``, or with the scheme of a plug-in.
        access_token: that a proxy in front of the cloud may want to see.
        ssl: context for encrypted transports; the system's certificates if None.

    Raises:
        UsageError: no transport has this scheme.
        PlugInError: the scheme is that of a plug-in that cannot be used.
        HeliographError: whatever the transport says; see :func:`heliograph.transport.websocket_client.open_websocket`.
    """
    log.info("connecting to %s", without_secrets(url)[:_MAX_SHOWN])
    connection: Connection = await _transport(url)(url, access_token, ssl)
    return connection


def check_transport(url: str) -> None:
    """Refuse what is no address of a cloud, before anything is done for it.

    Raises:
        UsageError: no transport has this scheme, or it is no whole address of a websocket.
        PlugInError: the scheme is that of a plug-in that cannot be used.
    """
    if _transport(url) is open_websocket:
        check_address(url)


def _transport(url: str) -> Callable[..., Awaitable[Connection]]:
    scheme = url.partition("://")[0].lower()
    if "://" in url and scheme in TRANSPORTS.names():
        found: Callable[..., Awaitable[Connection]] = TRANSPORTS.load(scheme)
        return found
    shown = without_secrets(url)[:_MAX_SHOWN]
    added = "".join(f" or {name}://..." for name in TRANSPORTS.plug_in_names())
    raise UsageError().noted(f"{shown or 'Nothing'}: an address is ws://host:port or wss://host:port{added}.")
