"""One line that makes a device trust a server and the server let the device in, and what the device keeps of it.

A pairing code is an address with the access token and the SHA-256 of the server's certificate behind it::

    wss://10.0.0.5:8765#TOKEN.FINGERPRINT

The device fetches the certificate, holds it against the fingerprint, keeps address, token and certificate in a file
that only its user can read, and from then on trusts this one certificate for this one server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from heliograph.config import DEFAULT_PORT, state_folder, write_private
from heliograph.errors import FileUnreadableError, ServerUnreachableError, UsageError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import FileFault

MAX_CODE_CHARACTERS = 2048
_FORMAT = 1
_FILE = "pairing.json"
_MAX_FILE_BYTES = 1 << 16
_CONNECT_S = 20.0
_FINGERPRINT_BYTES = 32


@dataclass(frozen=True)
class PairingCode:
    """What a server shows and a device is given.

    Attributes:
        server: ``wss://host:port``.
        token: access token.
        fingerprint: SHA-256 of the server's certificate (DER), 32 bytes.
    """

    server: str
    token: str
    fingerprint: bytes

    def __str__(self) -> str:
        """The line to paste."""
        digest = base64.urlsafe_b64encode(self.fingerprint).rstrip(b"=").decode()
        return f"{self.server}#{quote(self.token, safe='')}.{digest}"

    @classmethod
    def parse(cls, text: str) -> PairingCode:
        """Read a pasted line.

        Raises:
            UsageError: it is no pairing code, or a part of one.
        """
        server, _, secrets = text.strip().partition("#")
        token, _, digest = secrets.rpartition(".")
        token = unquote(token)
        is_readable = all(part.isascii() and part.isprintable() for part in (server, token))
        try:
            fingerprint = base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4))
            parts = urlsplit(server)
            is_whole = parts.scheme == "wss" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            is_whole, fingerprint = False, b""
        if not (is_whole and is_readable and token and len(fingerprint) == _FINGERPRINT_BYTES):
            raise UsageError().noted("no whole pairing code: copy the line that heliograph serve --public shows.")
        return cls(server, token, fingerprint)


@dataclass(frozen=True)
class Pairing:
    """A server that this device is paired with.

    Attributes:
        server: its address.
        token: access token for it.
        certificate: the one that it is known by (PEM).
    """

    server: str
    token: str
    certificate: str

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts this certificate and no other. Its names do not matter: who holds its key is the server.

        Raises:
            FileUnreadableError: it is no certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        try:
            context.load_verify_locations(cadata=self.certificate)
        except (ssl.SSLError, ValueError) as error:
            raise _damaged() from error
        return context


def pair(code: PairingCode) -> Pairing:
    """Fetch the server's certificate, hold it against the code, and keep what is needed to come back.

    Raises:
        ServerUnreachableError: nobody answers there, or somebody with another certificate.
        OutputUnwritableError: the pairing cannot be kept.
    """
    parts = urlsplit(code.server)
    address = (parts.hostname or "", parts.port or DEFAULT_PORT)
    try:
        certificate = ssl.get_server_certificate(address, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no TLS there"
        raise ServerUnreachableError().noted(
            f"{code.server}: {reason}. Another address of the same server may be written in its place in the code."
        ) from error
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()
    if not hmac.compare_digest(digest, code.fingerprint):
        raise ServerUnreachableError().noted(
            f"{code.server} has another certificate than the code says: it is another server, it has made a new one "
            "(copy its line again), or somebody stands in between."
        )
    made = Pairing(code.server, code.token, certificate)
    data = {"format": _FORMAT, "server": made.server, "token": made.token, "certificate": made.certificate}
    write_private(pairing_path(), json.dumps(data, indent=1) + "\n")
    return made


def pairing_path() -> Path:
    """Where the pairing is kept."""
    return state_folder() / _FILE


def load_pairing() -> Pairing | None:
    """The pairing of this device; None where there is none.

    Raises:
        FileUnreadableError: the file is damaged.
    """
    if not pairing_path().exists():
        return None
    data: dict[str, Any] = read_json_object(pairing_path(), max_bytes=_MAX_FILE_BYTES)
    values = [data.get(name) for name in ("server", "token", "certificate")]
    texts = [value for value in values if isinstance(value, str)]
    if data.get("format") != _FORMAT or len(texts) != len(values):
        raise _damaged()
    return Pairing(*texts)


def _damaged() -> FileUnreadableError:
    return FileUnreadableError(FileFault.CONTENT).noted(f"{pairing_path()}: run heliograph pair again.")
