"""Start a server: TLS, tokens, port, bundle and model, in this order: what is cheap to refuse is refused first."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import uvicorn
from websockets.exceptions import InvalidState

from heliograph.errors import (
    BundleDamagedError,
    ModelUnsupportedError,
    PortBusyError,
    TlsFilesError,
    TokenFileError,
    UsageError,
)
from heliograph.protocol.limits import MAX_ACCESS_TOKEN_BYTES, MAX_MESSAGE_BYTES
from heliograph.serving.application import CloudApplication
from heliograph.serving.cloud import AnsweringModel, Cloud
from heliograph.serving.looking import REGION_FILE, RegionFinder
from heliograph.serving.shared import Limits
from heliograph.serving.websocket import SteadyWebSocket

if TYPE_CHECKING:
    from heliograph.codec.bundle import Bundle

_MAX_TOKEN_FILE_BYTES = 1 << 20
_MAX_REGION_FILE_BYTES = 1 << 18
_BACKLOG = 128
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
    on_ready: Callable[[str], None] = lambda url: None,
    limits: Limits | None = None,
) -> None:
    """Serve until interrupted.

    Args:
        host: address to bind.
        port: 0 takes a free one.
        model_name: ``reference``, a folder or a hub id.
        bundle_folder: bundle or codec, folder or hub id; None for the bundle that ships with the reference model;
            another model then only takes pictures.
        token_file: access tokens, one a line; None lets every device in.
        tls_cert: PEM certificate chain; with ``tls_key`` the server speaks ``wss``.
        tls_key: PEM private key.
        on_ready: called once with the url, such as ``ws://127.0.0.1:8765``, when devices can connect.
        limits: bounds of this server.

    Raises:
        PortBusyError: the address cannot be bound.
        TlsFilesError, TokenFileError: those files are of no use.
        ModelUnavailableError, ModelUnsupportedError, BundleDamagedError: model or bundle are of no use.
    """
    tls = tls_context(tls_cert, tls_key)
    tokens = read_tokens(token_file) if token_file else frozenset[str]()
    listening = bind(host, port)
    sys.setswitchinterval(_SWITCH_S)
    try:
        cloud = load_cloud(model_name, bundle_folder)
        listen(listening)
        server = _server(CloudApplication(cloud, tokens, limits), tls, lambda: on_ready(_url(listening, host, tls)))
        server.run(sockets=[listening])
    finally:
        listening.close()


def load_cloud(model_name: str, bundle_folder: str | Path | None) -> Cloud:
    """Model and bundle, checked against each other.

    Raises:
        ModelUnavailableError, BundleDamagedError: one cannot be loaded.
        CodecModelMismatchError: the bundle's codecs were fitted on another checkpoint.
        ModelUnsupportedError: the bundle was made for a model with other tokens.
    """
    from heliograph.vlm.codec_folder import check_fitted_on
    from heliograph.vlm.loading import REFERENCE
    from heliograph.vlm.opening import open_model

    model = open_model(model_name)
    if bundle_folder is None and model_name != REFERENCE:
        return Cloud(model)
    from heliograph.codec.bundle import Bundle

    if bundle_folder is None:
        from heliograph.reference.assets import shipped_bundle_folder

        bundle_folder = shipped_bundle_folder()
    bundle = Bundle.from_pretrained(bundle_folder)
    check_fitted_on(bundle, model_name)
    if bundle.hidden_size != model.hidden_size or (model.fixed_grid and bundle.grid.tokens != model.grid.tokens):
        raise ModelUnsupportedError
    return Cloud(model, bundle.codecs, bundle.hash, bundle.calibration, open_finder(model, bundle))


def open_finder(model: AnsweringModel, bundle: Bundle) -> RegionFinder | None:
    """What finds regions with the bundle's ``region.json``, the way this model's attention is read; None without one.

    Raises:
        BundleDamagedError: the file is no such setting.
    """
    from heliograph.controllers.region import RegionSetting
    from heliograph.vlm.attention import Looker
    from heliograph.vlm.general import GeneralModel
    from heliograph.vlm.model import VisionLanguageModel

    if REGION_FILE not in bundle.file_names or not isinstance(model, VisionLanguageModel | GeneralModel):
        return None
    try:
        with bundle.file(REGION_FILE).open("rb") as file:
            text = file.read(_MAX_REGION_FILE_BYTES)
        return Looker(model, RegionSetting.from_json(json.loads(text)))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleDamagedError from error


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds the address but refuses connections until :func:`listen`.

    A device that comes while the model loads is refused at once and can try again, instead of waiting unheard.

    Raises:
        PortBusyError: the address is taken, forbidden or not this machine's.
        UsageError: the port is no port.
    """
    if not 0 <= port <= 65535:
        raise UsageError
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise PortBusyError from error
    made.setblocking(False)
    return made


def listen(bound: socket.socket) -> None:
    """Take connections from now on.

    Raises:
        PortBusyError: another process listens there by now.
    """
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        raise PortBusyError from error


def read_tokens(path: Path) -> frozenset[str]:
    """Access tokens, one a line; blank lines and lines that begin with ``#`` say nothing.

    Raises:
        TokenFileError: unreadable, no token at all (which would let everybody in), or one of over 256 bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TOKEN_FILE_BYTES + 1)
        lines = [line.strip() for line in data.decode("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileError from error
    tokens = frozenset(line for line in lines if line and not line.startswith("#"))
    too_long = any(len(token.encode()) > MAX_ACCESS_TOKEN_BYTES for token in tokens)
    if len(data) > _MAX_TOKEN_FILE_BYTES or not tokens or too_long:
        raise TokenFileError
    return tokens


def tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """A server context, or None where neither file is given.

    Raises:
        UsageError: only one of the two is given.
        TlsFilesError: they cannot be read or do not fit.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UsageError
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # An encrypted key would ask for its pass phrase on the terminal and hang a service: refuse it instead.
        context.load_cert_chain(cert, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise TlsFilesError from error
    return context


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which raises where a websocket is half way through its own closing: then again, soon after."""
        for _ in range(_SHUTDOWN_ATTEMPTS):
            try:
                return await super().shutdown(sockets)
            except InvalidState:
                await asyncio.sleep(_SHUTDOWN_PAUSE_S)
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self.server_state.connections.clear()
        await super().shutdown(sockets)


def _server(application: CloudApplication, tls: ssl.SSLContext | None, on_ready: Callable[[], None]) -> _Server:
    config = uvicorn.Config(
        application.asgi,
        ws=SteadyWebSocket,
        http="h11",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # payload is entropy coded already
        ws_ping_interval=None,  # behind a full uplink a pong is late: the idle limit of the session counts instead
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,  # every byte of the handshake crosses the thin link
        date_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_S,
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
    )
    return _Server(config, on_ready)


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
        self._server = _server(self._application, self._tls, self._ready.set)
        self._thread = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def _serve(self, listening: socket.socket) -> None:
        try:
            self._server.run(sockets=[listening])
        finally:
            listening.close()
            self._ready.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
