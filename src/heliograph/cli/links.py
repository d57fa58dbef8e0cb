"""Opens the device's connection: a websocket, through a shaped link where one is asked for."""

from __future__ import annotations

import argparse
import ipaddress
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from heliograph.cli.command import needs, note, warn
from heliograph.cli.text import printable
from heliograph.config import SERVER_VARIABLE, default_server, read_access_tokens
from heliograph.errors import FileUnreadableError, HeliographError, TlsFilesError, TokenFileError, UsageError
from heliograph.reading.files import check_regular
from heliograph.reasons import FileFault

if TYPE_CHECKING:
    from heliograph.edge.pairing import Pairing
    from heliograph.transport.base import Connection
    from heliograph.transport.links import LinkProfile


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """What a device shows and trusts, for every command that connects to a server of somebody else."""
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="access token for the server")
    parser.add_argument("--tls-ca", metavar="FILE", type=Path, help="certificates to trust for wss:// (PEM)")
    parser.add_argument(
        "--tls-client-cert", metavar="FILE", type=Path, help="certificate to show (PEM); needs --tls-client-key"
    )
    parser.add_argument("--tls-client-key", metavar="FILE", type=Path, help="its private key (PEM)")


def opener_of(arguments: argparse.Namespace) -> tuple[Callable[[], Awaitable[Connection]], str]:
    """What opens the connection that the options describe (``--server`` and ``--link`` among them), and the token.

    Raises:
        TokenFileError, FileUnreadableError, TlsFilesError, LinkTraceError: a file or link is of no use.
        UsageError: an address that is none, a certificate without its key, or one for a server without TLS.
    """
    from heliograph.transport.links import parse_link
    from heliograph.transport.opening import check_transport

    link = parse_link(arguments.link) if arguments.link else None
    token = read_access_tokens(arguments.token_file)[0] if arguments.token_file else ""
    server, pairing = _destination(arguments)
    arguments.server = server  # which is what later errors are about
    check_transport(server)
    needs(arguments, "--tls-client-cert", "--tls-client-key")
    needs(arguments, "--tls-client-key", "--tls-client-cert")
    context = tls_context(arguments.tls_ca, arguments.tls_client_cert, arguments.tls_client_key)
    if pairing is not None and context is None:
        return connection_opener(server, pairing.token, pairing.tls, link), pairing.token
    if context is not None and not _is_encrypted(server):
        option = "--tls-ca" if arguments.tls_client_cert is None else "--tls-client-cert"
        raise UsageError().noted(f"{option} is for wss:// alone, and --server is {server}.")
    if not (token.isascii() and token.isprintable()):
        raise TokenFileError(FileFault.CONTENT).noted(
            f"{arguments.token_file}: only printable ASCII in a device's token."
        )
    if token and is_in_the_clear(server):
        warn("the access token travels unencrypted, and whoever sees it can use it: prefer wss://")
    return connection_opener(server, token, context, link), token


def _destination(arguments: argparse.Namespace) -> tuple[str, Pairing | None]:
    """Where to connect to, and the pairing with that server; None where the options say themselves what to show and
    trust there.

    Raises:
        FileUnreadableError: the pairing is wanted, and its file is damaged.
    """
    from heliograph.edge.pairing import load_pairing

    named = arguments.server if arguments.server is not None else os.environ.get(SERVER_VARIABLE) or None
    says_itself = any((arguments.token_file, arguments.tls_ca, arguments.tls_client_cert))
    pairing = None if named is not None and says_itself else load_pairing()
    server = default_server("" if pairing is None else pairing.server) if named is None else named
    fits = pairing is not None and pairing.server == server and not says_itself
    return server, pairing if fits else None


def retry_notes(arguments: argparse.Namespace) -> Callable[[HeliographError], None]:
    """What says on standard error why a connection is tried again: every reason once, so that a timeout of minutes is
    not spent in silence on a set-up that cannot work."""
    known: set[str] = set()

    def note_retry(error: HeliographError) -> None:
        text = " ".join([str(error), *map(printable, getattr(error, "__notes__", ()))])
        if text not in known:
            known.add(text)
            note(arguments, f"trying again: {text}")

    return note_retry


def is_in_the_clear(server: str) -> bool:
    """Whether what is sent to this address leaves this machine without TLS."""
    try:
        host = urlsplit(server).hostname or ""
    except ValueError:
        return False  # no address at all: refused when it is opened
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost" or host.endswith(".localhost")
    return not is_here and not _is_encrypted(server)


def _is_encrypted(server: str) -> bool:
    return server.lower().startswith("wss:")


def tls_context(
    authority: Path | None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext | None:
    """A context for ``wss``, or None where the system's is as good.

    Args:
        authority: trust the certificates in this file alone; None for the system's.
        client_cert: certificate chain to show (PEM), with ``client_key``.
        client_key: its private key (PEM).

    Raises:
        FileUnreadableError: no certificates in ``authority``.
        TlsFilesError: certificate and key cannot be read or do not fit.
        UsageError: one without the other.
    """
    if (client_cert is None) != (client_key is None):
        raise UsageError().noted("a client's certificate and its key go together.")
    if authority is None and client_cert is None:
        return None
    if authority is not None:
        check_regular(authority)
    if client_cert is not None and client_key is not None:
        check_regular(client_cert, client_key, error=TlsFilesError)
    try:
        context = ssl.create_default_context(cafile=None if authority is None else str(authority))
    except (OSError, ssl.SSLError) as error:
        raise FileUnreadableError(FileFault.CONTENT).noted(f"--tls-ca {authority}: no certificates in PEM.") from error
    if client_cert is not None:
        try:
            # An encrypted key would ask for its pass phrase on the terminal: refuse it instead.
            context.load_cert_chain(client_cert, client_key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise TlsFilesError(FileFault.CONTENT).noted(f"{client_cert}, {client_key}.") from error
    return context


def connection_opener(
    server: str, token: str = "", context: ssl.SSLContext | None = None, link: LinkProfile | None = None
) -> Callable[[], Awaitable[Connection]]:
    """What :class:`heliograph.edge.client.DeviceClient` opens its connection with.

    Args:
        server: address; its scheme names the transport.
        token: access token, empty for none.
        context: for ``wss``.
        link: rate and delay to imitate; None for the network as it is.
    """
    from heliograph.transport.opening import open_connection
    from heliograph.transport.shaped import open_shaped

    async def on_the_network() -> Connection:
        return await open_connection(server, token, context if _is_encrypted(server) else None)

    async def opener() -> Connection:
        return await on_the_network() if link is None else await open_shaped(on_the_network, link)

    return opener
