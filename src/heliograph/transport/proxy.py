"""Which proxy the environment names for a cloud: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``WSS_PROXY``, ``WS_PROXY``,
``NO_PROXY``.

The choice and the CONNECT exchange are those of ``websockets``; addresses of this machine are never asked of a proxy,
as no browser does.
"""

from __future__ import annotations

from ipaddress import ip_address

from websockets.exceptions import InvalidProxy
from websockets.proxy import get_proxy, parse_proxy
from websockets.uri import parse_uri

from heliograph.errors import ServerUnreachableError


def proxy_for(url: str) -> str | None:
    """Address of the proxy to go through; None to connect directly.

    Args:
        url: of the cloud, ``ws://`` or ``wss://``.

    Raises:
        ServerUnreachableError: the environment names something that is no proxy's address.
        ValueError, websockets.exceptions.InvalidURI: ``url`` is no such address.
    """
    address = parse_uri(url)
    if _is_this_machine(address.host):
        return None
    proxy = get_proxy(address)
    if proxy is None:
        return None
    try:
        parse_proxy(proxy)
    except (InvalidProxy, ValueError) as error:
        raise ServerUnreachableError(proxied=True) from error
    return proxy


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
