"""Start a server: TLS, tokens, port, bundle and model, in this order: what is cheap to refuse is refused first."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from websockets.exceptions import InvalidState

from heliograph.config import read_keys, read_weighted_tokens
from heliograph.errors import TlsFilesError, TokenFileError, UsageError
from heliograph.protocol.access import owner_of
from heliograph.protocol.limits import MAX_ACCESS_TOKEN_BYTES, MAX_MESSAGE_BYTES
from heliograph.reading.files import check_regular
from heliograph.reasons import FileFault
from heliograph.serving.access_log import AccessLog, token_label
from heliograph.serving.admission.door import address_of, is_loopback
from heliograph.serving.limits import Limits
from heliograph.serving.opening import load_cloud, merge_visual_tokens
from heliograph.serving.web.accepting import MAX_HEAD_BYTES, Acceptor, HttpProtocol, WebsocketProtocol
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.gate import checked_host, checked_origin
from heliograph.serving.web.listening import allow_open_files, bind, bind_all, listen, turning_away
from heliograph.tracing.table import TraceSink

log = logging.getLogger("heliograph.serving")

_MAX_TOKEN_FILE_BYTES = 1 << 20
_SHUTDOWN_S = 3
_SWITCH_S = 0.001  # so long the event loop waits for another thread to give it the interpreter; by default 5 ms
_SHUTDOWN_ATTEMPTS = 20
_SHUTDOWN_PAUSE_S = 0.05


def run_server(
    host: str,
    port: int,
    model_name: str = "reference",
    bundle_folder: str | Path | None = None,
    token_file: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    *,
    tls_client_ca: Path | None = None,
    origins: Iterable[str] = (),
    hosts: Iterable[str] = (),
    on_ready: Callable[[str], None] = lambda url: None,
    on_warning: Callable[[str], None] = lambda text: None,
    limits: Limits | None = None,
    key_file: Path | None = None,
    trace: TraceSink | None = None,
    log_texts: bool = False,
    visual_tokens: int | None = None,
) -> None:
    """Serve until interrupted.

    Args:
        host: address to bind; a name is bound at each of its addresses.
        port: 0 takes a free one.
        model_name: ``reference``, a folder or a hub id.
        bundle_folder: bundle or codec, folder or hub id; None for the bundle that ships with the reference model;
            another model then only takes pictures.
        token_file: access tokens, one a line, with weights where they have any; None lets every device in.
        tls_cert: PEM certificate chain; with ``tls_key`` the server speaks ``wss``.
        tls_key: PEM private key.
        tls_client_ca: PEM certificates, one of which must have signed a device's own; None asks for none.
        origins: of web pages that may use it.
        hosts: names by which it is known, besides localhost, ``host`` and addresses; with TLS every name is, since a
            browser holds it against the certificate.
        on_ready: called once with the url, such as ``ws://127.0.0.1:8765``, when devices can connect.
        on_warning: called before that with what an operator should know.
        limits: bounds of this server.
        key_file: keys of which a device must hold one, for authenticated sessions; None for sessions without.
        trace: takes the events of all sessions; None for no trace.
        log_texts: questions and answers are to be in the access log.
        visual_tokens: that the language model reads of a photo at most; None for all.

    Raises:
        PortBusyError: the address cannot be bound.
        TlsFilesError, TokenFileError, KeyFileError: those files are of no use.
        UsageError: an origin or host that is none, or one TLS file without the other.
        ModelUnavailableError, ModelUnsupportedError, BundleDamagedError: model or bundle are of no use.
    """
    tls = tls_context(tls_cert, tls_key, tls_client_ca)
    tokens = read_tokens(token_file) if token_file else {}
    keys = read_keys(key_file) if key_file else ()
    origins = tuple(map(checked_origin, origins))
    known = None if tls else (*map(checked_host, hosts), *_name_of(host))
    listening = bind_all(host, port)
    sys.setswitchinterval(_SWITCH_S)
    logging.getLogger("uvicorn.error").addFilter(_is_no_false_alarm)
    try:
        for text in exposure(listening, bool(tokens or tls_client_ca), tls is not None, bool(known)):
            on_warning(text)
        limits = fit_to_open_files(limits or Limits(), on_warning)
        with turning_away(listening):
            log.info("loading model %s", model_name)
            cloud = load_cloud(model_name, bundle_folder)
            if visual_tokens is not None:
                merge_visual_tokens(cloud.model, visual_tokens)
        application = CloudApplication(
            cloud,
            frozenset(tokens),
            limits,
            origins=origins,
            hosts=known,
            keys=keys,
            trace=trace,
            access_log=AccessLog(with_texts=log_texts),
            weights=tokens,
        )
        _Server(application, tls, listening, lambda: on_ready(_url(listening[0], host, tls))).run()
    finally:
        for one in listening:
            one.close()


def _name_of(host: str) -> tuple[str, ...]:
    """The host as a name that a device may call it by; nothing where it is an address, or no name at all."""
    with contextlib.suppress(UsageError):
        return (checked_host(host),)
    return ()


def exposure(bound: Iterable[socket.socket], is_closed: bool, is_encrypted: bool, has_name: bool) -> list[str]:
    """What an operator should know about a server that other machines reach.

    Args:
        bound: its sockets.
        is_closed: devices must show an access token or a certificate.
        is_encrypted: it speaks TLS.
        has_name: devices may call it by one.
    """
    if all(is_loopback(address_of(one.getsockname()[0])) for one in bound):
        return []
    found = []
    if not is_closed:
        found.append("other machines reach this server, and without --token-file it answers whoever comes")
    if not is_encrypted:
        found.append(
            "other machines reach this server without TLS (--tls-cert, --tls-key): tokens, photos and answers can be "
            "read and changed on the way"
        )
    if not is_encrypted and not has_name:
        found.append("devices may call this server by its address only; allow its names with --allow-host")
    return found


def fit_to_open_files(limits: Limits, on_warning: Callable[[str], None]) -> Limits:
    """Limit connections to what the system lets this process hold open; says so where they are fewer."""
    wanted = limits.max_sessions + limits.max_ungreeted
    possible = allow_open_files(wanted)
    if possible >= wanted:
        return limits
    ungreeted = max(possible - limits.max_sessions, possible // 4, 1)
    sessions = max(min(limits.max_sessions, possible - ungreeted), 1)
    on_warning(f"the limit on open files (ulimit -n) leaves room for {sessions} sessions and {ungreeted} others")
    return replace(limits, max_sessions=sessions, max_ungreeted=ungreeted)


def read_tokens(path: Path) -> dict[str, float]:
    """Access tokens, one a line, and their weights; blank lines and lines that begin with ``#`` say nothing.

    Raises:
        TokenFileError: unreadable, a weight that is none, no token at all (which would let everybody in), or one of
            over 256 bytes.
    """
    tokens = read_weighted_tokens(path, _MAX_TOKEN_FILE_BYTES)
    if any(len(token.encode()) > MAX_ACCESS_TOKEN_BYTES for token in tokens):
        raise TokenFileError(FileFault.CONTENT).noted(f"{path}: a token has over {MAX_ACCESS_TOKEN_BYTES} bytes.")
    for number, token in enumerate(tokens, 1):
        log.info("access token %d is %s in the access log", number, token_label(owner_of(token)))
    return tokens


def tls_context(cert: Path | None, key: Path | None, client_ca: Path | None = None) -> ssl.SSLContext | None:
    """A server context, or None where no file is given.

    Args:
        cert: certificate chain (PEM).
        key: its private key (PEM).
        client_ca: certificates (PEM), one of which must have signed that of a device; None asks for none.

    Raises:
        UsageError: only one of certificate and key is given, or devices shall show theirs without either.
        TlsFilesError: they cannot be read or do not fit.
    """
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise UsageError().noted(
            "a certificate and its key go together, and devices show theirs to a server with both."
        )
    check_regular(*filter(None, (cert, key, client_ca)), error=TlsFilesError)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An encrypted key would ask for its pass phrase on the terminal and hang a service: refuse it instead.
        context.load_cert_chain(cert, key, password=lambda: b"")
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        raise TlsFilesError(FileFault.CONTENT) from error
    return context


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    """uvicorn takes a websocket that was refused with an HTTP answer for one that was forgotten, and logs an error."""
    return record.msg != "ASGI callable returned without completing handshake."


class _Server(uvicorn.Server):
    """uvicorn with connections that the application's door knows of (:mod:`heliograph.serving.web.accepting`).

    Args:
        application: what to serve.
        tls: context for ``wss``.
        listening: sockets that listen.
        on_ready: called once, when devices can connect.
    """

    def __init__(
        self,
        application: CloudApplication,
        tls: ssl.SSLContext | None,
        listening: tuple[socket.socket, ...],
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(_configuration(application))
        self._application, self._tls, self._listening, self._on_ready = application, tls, listening, on_ready
        self._acceptor: Acceptor | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept once the application is up."""
        await super().startup([])
        handshake_s = self._application.limits.request_timeout_s
        self._acceptor = Acceptor(self._listening, self._application.door, self._protocol, self._tls, handshake_s)
        self._on_ready()

    def _protocol(self, state: dict[str, Any]) -> asyncio.Protocol:
        return HttpProtocol(self.config, self.server_state, {**self.lifespan.state, **state})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down like uvicorn, which raises where a websocket is in its own closing: then again, soon after."""
        if self._acceptor is not None:
            await self._acceptor.close()
        for _ in range(_SHUTDOWN_ATTEMPTS):
            try:
                return await super().shutdown([])
            except InvalidState:
                await asyncio.sleep(_SHUTDOWN_PAUSE_S)
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self.server_state.connections.clear()
        await super().shutdown([])


def _configuration(application: CloudApplication) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi,
        loop="asyncio",
        ws=WebsocketProtocol,
        http=HttpProtocol,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # payload is entropy coded already
        ws_ping_interval=None,  # behind a full uplink a pong is late: the idle limit of the session counts instead
        lifespan="on",
        log_config=None,  # lines of its own go where ours go
        log_level="error",  # a warning for every bad request would let anybody fill the disk
        access_log=False,
        proxy_headers=False,  # an address that a header claims is nobody's address
        server_header=False,  # every byte of the handshake crosses the thin link
        date_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )


def _url(listening: socket.socket, host: str, tls: ssl.SSLContext | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'wss' if tls else 'ws'}://{shown}:{listening.getsockname()[1]}"


class BackgroundServer:
    """A server in a thread of this process, for tests, demonstrations and measured runs; a context manager.

    Args:
        application: what to serve.
        host: address to bind.
        port: 0 takes a free one.
        tls: context for ``wss``.

    Raises:
        PortBusyError: on entering, the address cannot be bound.
    """

    def __init__(
        self,
        application: CloudApplication,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._application, self._host, self._port, self._tls = application, host, port, tls
        self._ready = threading.Event()
        self.url = ""

    def __enter__(self) -> Self:
        listening = bind(self._host, self._port)
        listen(listening)
        self.url = _url(listening, self._host, self._tls)
        self._server = _Server(self._application, self._tls, (listening,), self._ready.set)
        self._thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def _serve(self, listening: socket.socket) -> None:
        try:
            self._server.run()
        finally:
            listening.close()
            self._ready.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
