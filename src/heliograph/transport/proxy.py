"""Which proxy the environment names for a cloud: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``WSS_PROXY``, ``WS_PROXY``,
``NO_PROXY``.

The choice and the CONNECT exchange are those of ``websockets``; addresses of this machine are never asked of a proxy,
as no browser does.
"""

from __future__ import annotations

from importlib.util import find_spec
from ipaddress import ip_address

from websockets.exceptions import InvalidProxy
from websockets.proxy import get_proxy, parse_proxy
from websockets.uri import parse_uri

from heliograph.errors import MissingExtraError, ServerUnreachableError


def proxy_for(url: str) -> str | None:
    """Address of the proxy to go through; None to connect directly.

    Args:
        url: of the cloud, ``ws://`` or ``wss://``.

    Raises:
        ServerUnreachableError: the environment names something that is no proxy's address.
        MissingExtraError: it names a SOCKS proxy, and ``heliograph[socks]`` is not installed.
        ValueError, websockets.exceptions.InvalidURI: ``url`` is no such address.
    """
    address = parse_uri(url)
    if _is_this_machine(address.host):
        return None
    proxy = get_proxy(address)
    if proxy is None:
        return None
    try:
        scheme = parse_proxy(proxy).scheme
    except (InvalidProxy, ValueError) as error:
        raise ServerUnreachableError(proxied=True) from error
    if scheme.startswith("socks") and not _has_socks():
        raise MissingExtraError("socks")
    return proxy


def _has_socks() -> bool:
    return find_spec("python_socks") is not None


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
