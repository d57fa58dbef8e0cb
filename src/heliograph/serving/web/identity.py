"""What ``heliograph serve --public`` shows to devices: an access token and a self-signed certificate, made once.

The certificate is trusted by its fingerprint, never by its names or dates. So it is valid from 1970 on, since a device
without a clock may believe that it is 1970, and has no end (RFC 5280, 4.1.2.5).
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import socket
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from heliograph.config import read_access_tokens, state_folder, write_private
from heliograph.edge.pairing import PairingCode
from heliograph.errors import TlsFilesError
from heliograph.reading.files import read_text
from heliograph.reasons import FileFault

_TOKEN_BYTES = 24
_MAX_FILE_BYTES = 1 << 16
_WILDCARDS = ("", "0.0.0.0", "::")
_DOCUMENTATION_ADDRESS = ("192.0.2.1", 9)  # RFC 5737; a datagram socket that is joined to it sends nothing


@dataclass(frozen=True)
class Identity:
    """The server's files.

    Attributes:
        token_file: one access token.
        pem_file: private key and certificate.
        code_file: takes the pairing code.
    """

    token_file: Path
    pem_file: Path
    code_file: Path

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """What a server is given: token file, certificate, key."""
        return self.token_file, self.pem_file, self.pem_file

    def code(self, host: str, port: int) -> PairingCode:
        """What devices are given.

        Args:
            host: name or address by which devices reach this server.
            port: that it listens on.

        Raises:
            TlsFilesError, TokenFileError: a file was damaged.
        """
        text = read_text(self.pem_file, max_bytes=_MAX_FILE_BYTES, error=TlsFilesError)
        begin = text.find("-----BEGIN CERTIFICATE-----")
        try:
            certificate = ssl.PEM_cert_to_DER_cert(text[max(begin, 0) :].strip())
        except ValueError as error:
            raise TlsFilesError(FileFault.CONTENT).noted(
                f"{self.pem_file}: delete it, and a new one is made; devices must be paired again."
            ) from error
        shown = f"[{host}]" if ":" in host else host
        (token, *_) = read_access_tokens(self.token_file)
        return PairingCode(f"wss://{shown}:{port}", token, hashlib.sha256(certificate).digest())


def open_identity(on_warning: Callable[[str], None] = lambda text: None) -> Identity:
    """The token and certificate of this machine's user; made where there are none.

    Args:
        on_warning: called with what an operator should know.

    Raises:
        OutputUnwritableError: they cannot be kept.
    """
    folder = state_folder() / "server"
    identity = Identity(folder / "token.txt", folder / "identity.pem", folder / "pairing.txt")
    for path, make in ((identity.token_file, _new_token), (identity.pem_file, _new_certificate)):
        if not path.exists():
            write_private(path, make(), replace=False)
        elif path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
            on_warning(f"{path} could be used by others until now: delete it for a new one, and pair devices again")
    return identity


def reachable_host(host: str, names: list[str]) -> str:
    """What devices are told to call: a name that the operator gave, the address that is bound, or this machine's
    address on the network that leads outside."""
    if names:
        return names[0]
    if host not in _WILDCARDS:
        return host
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_DOCUMENTATION_ADDRESS)
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()


def _new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES) + "\n"


def _new_certificate() -> str:
    """Key and certificate in PEM: ECDSA over P-256, which every TLS library speaks."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "heliograph")])
    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(1970, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()
