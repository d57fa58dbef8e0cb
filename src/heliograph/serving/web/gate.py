"""Which web pages may use this cloud: a browser asks wherever a page tells it to, also at localhost.

A page of another origin says so in ``Origin``; devices send none. A page whose own name was made to point at this
machine (DNS rebinding) has the same origin as this cloud, but its name stands in ``Host``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.errors import UsageError

REFUSED_ORIGIN = "Web pages of this origin may not use this server.\n"
REFUSED_HOST = "This server is not known by this name.\n"

_LOCAL_NAME = "localhost"
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)
_OWN_PORTS = {"http": 80, "https": 443}


class Gate:
    """ASGI middleware: refuses foreign origins (403) and host names (421), and ends a connection after one answer.

    A connection for every request means that no connection can lie idle, pipeline requests or go on sending a body.

    Args:
        app: what is behind the gate.
        origins: of pages that may use the server, such as ``https://app.example``.
        hosts: names by which it is known, besides localhost and every address written in digits (a name is needed
            for rebinding); None allows all, for TLS, where a browser holds the name against the certificate.
        on_refusal: called with "Origin" or "Host".

    Raises:
        UsageError: an origin or host that is none.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: Iterable[str] = (),
        hosts: Iterable[str] | None = (),
        on_refusal: Callable[[str], None] = lambda header: None,
    ) -> None:
        self._app, self._on_refusal = app, on_refusal
        self._origins = frozenset(map(checked_origin, origins))
        self._hosts = None if hosts is None else frozenset(map(checked_host, hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or refuse one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sending = _one_answer(send) if scope["type"] == "http" else send
        if not all(origin.lower() in self._origins for origin in headers.getlist("origin")):
            self._on_refusal("Origin")
            await PlainTextResponse(REFUSED_ORIGIN, HTTPStatus.FORBIDDEN)(scope, receive, sending)
        elif not all(map(self._is_known, headers.getlist("host"))):
            self._on_refusal("Host")
            await PlainTextResponse(REFUSED_HOST, HTTPStatus.MISDIRECTED_REQUEST)(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)

    def _is_known(self, host: str) -> bool:
        if self._hosts is None:
            return True
        try:
            name = checked_host(host)
        except UsageError:
            return False
        return _is_address(name) or _is_local(name) or name in self._hosts


def checked_origin(text: str) -> str:
    """An origin as browsers write it: in lower case, without the port that its scheme has anyway.

    Raises:
        UsageError: it is not scheme://host or scheme://host:port.
    """
    text = text.lower()
    wanted = "an origin as browsers send it, such as https://app.example or http://10.0.0.7:8000"
    try:
        parts = urlsplit(text)
        name, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError.of_argument("--allow-origin", wanted, text) from error
    is_name = _NAME.fullmatch(name.removesuffix(".")) is not None or _is_address(name)
    if not parts.scheme or not is_name or "@" in text or text != f"{parts.scheme}://{parts.netloc}":
        raise UsageError.of_argument("--allow-origin", wanted, text)
    if ":" in name:
        name = f"[{ipaddress.ip_address(name)}]"
    return f"{parts.scheme}://{name}" + ("" if port in (None, _OWN_PORTS.get(parts.scheme)) else f":{port}")


def checked_host(text: str) -> str:
    """The name or address of a Host header in lower case, without port, brackets and the dot of the root.

    Raises:
        UsageError: it names no host.
    """
    wanted = "a host's name such as cloud.example"
    try:
        parts = urlsplit(f"//{text}")
        name, _ = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError as error:
        raise UsageError.of_argument("--allow-host", wanted, text) from error
    if parts.netloc != text or "@" in text or not (_NAME.fullmatch(name) or _is_address(name)):
        raise UsageError.of_argument("--allow-host", wanted, text)
    return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(name: str) -> bool:
    """Names that every resolver must answer with this machine's loopback address (RFC 6761)."""
    return name == _LOCAL_NAME or name.endswith(f".{_LOCAL_NAME}")


def _one_answer(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return sending
