"""What keeps a websocket from opening, as a named error with the reason for the person at the command line."""

from __future__ import annotations

import os
from http import HTTPStatus
from socket import gaierror
from ssl import SSLCertVerificationError, SSLEOFError, SSLError

from websockets.exceptions import InvalidMessage, InvalidStatus, InvalidURI
from websockets.uri import parse_uri

from heliograph.errors import (
    ConnectionLostError,
    HeliographError,
    HostRefusedError,
    ServerBusyError,
    ServerUnreachableError,
    TimedOutError,
    UnauthorizedError,
    UsageError,
)
from heliograph.transport.addresses import without_secrets

_MAX_SHOWN = 200
_BUSY_STATUSES = (429, 502, 503, 504)
_FORBIDDEN_STATUSES = (401, 403)
_HALF_WAY = "It closed the connection before it answered: if it speaks TLS, use wss://."
_HALF_WAY_WITH_TLS = (
    "It closed the connection before it answered: if it asks devices for a certificate, give one that it trusts with "
    "--tls-client-cert; if it speaks no TLS, use ws://."
)


def check_address(url: str) -> None:
    """Refuse what is no address of a cloud, before anything is done for it.

    Raises:
        UsageError: not ``ws://host:port/path`` or ``wss://...``.
    """
    try:
        parse_uri(url)
    except (InvalidURI, ValueError) as error:
        shown = without_secrets(url)[:_MAX_SHOWN]
        raise UsageError().noted(f"{shown or 'Nothing'}: an address is ws://host:port or wss://host:port.") from error


def opening_error(error: Exception, *, encrypted: bool, proxied: bool) -> HeliographError:
    """The named error for what the library or the system raised while a connection was opened.

    Args:
        error: of websockets, asyncio, ssl or the socket.
        encrypted: the address begins with ``wss:``.
        proxied: the way there is a proxy that the environment names.
    """
    if isinstance(error, TimeoutError):
        return TimedOutError()
    if isinstance(error, SSLCertVerificationError):  # which is a ValueError too
        return ServerUnreachableError(proxied=proxied).noted(f"Its certificate is not trusted: {error.verify_message}.")
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # TLS given for ws://
        return UsageError().noted("TLS settings are for an address that begins with wss://, and this one does not.")
    if isinstance(error, InvalidStatus) and error.response.status_code in _FORBIDDEN_STATUSES:
        status = error.response.status_code
        return UnauthorizedError().noted(f"The answer was HTTP {status}; is the address right, path included?")
    if isinstance(error, InvalidStatus) and error.response.status_code == HTTPStatus.MISDIRECTED_REQUEST:
        return HostRefusedError()
    if isinstance(error, InvalidStatus) and error.response.status_code in _BUSY_STATUSES:
        return ServerBusyError()
    if _broke_half_way(error):
        return ConnectionLostError().noted(_HALF_WAY_WITH_TLS if encrypted else _HALF_WAY)
    return ServerUnreachableError(proxied=proxied).noted(_reason(error))


def _reason(error: Exception) -> str:
    """Why nothing could be opened, for the person at the command line."""
    match error:
        case ConnectionRefusedError():
            return "The connection was refused: nothing listens there."
        case gaierror():
            return f"The host's name was not found ({error.strerror})."
        case SSLError():
            return f"TLS failed ({getattr(error, 'reason', None) or error})."
        case OSError(errno=int(number)):
            return f"{os.strerror(number)}."
        case InvalidStatus():
            return f"The answer was HTTP {error.response.status_code}; is the address right, path included?"
        case InvalidMessage():
            return "What answers there is no websocket server."
        case _:
            return f"{error}."


def _broke_half_way(error: Exception) -> bool:
    """Whether somebody took the connection, and it ended before the HTTP response did."""
    if isinstance(error, InvalidMessage):
        return isinstance(error.__cause__, EOFError)
    return isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError | SSLEOFError)
