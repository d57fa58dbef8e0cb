"""What keeps a websocket from opening is named, with the reason for people and without secrets of the address."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.http11 import Response

from heliograph import errors
from heliograph.transport.addresses import without_secrets
from heliograph.transport.opening_errors import check_address, opening_error


def status(code: int) -> InvalidStatus:
    return InvalidStatus(Response(code, "", []))  # type: ignore[arg-type]


def closed_early() -> InvalidMessage:
    error = InvalidMessage("did not receive a valid HTTP response")
    error.__cause__ = EOFError()
    return error


@pytest.mark.parametrize(
    ("raised", "expected", "word"),
    [
        (TimeoutError(), errors.TimedOutError, ""),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), errors.ServerUnreachableError, "refused"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), errors.ServerUnreachableError, "name was not found (unknown)"),
        (OSError(errno.ENETUNREACH, "x"), errors.ServerUnreachableError, "Network is unreachable"),
        (ssl.SSLError(1, "x"), errors.ServerUnreachableError, "TLS failed"),
        (status(404), errors.ServerUnreachableError, "HTTP 404"),
        (status(401), errors.UnauthorizedError, "HTTP 401"),
        (status(403), errors.UnauthorizedError, "HTTP 403"),
        (status(421), errors.HostRefusedError, ""),
        (status(429), errors.ServerBusyError, ""),
        (status(503), errors.ServerBusyError, ""),
        (InvalidMessage("x"), errors.ServerUnreachableError, "no websocket server"),
        (ValueError("ssl argument is incompatible with a ws:// URI"), errors.UsageError, ""),
    ],
)
def test_every_reason_has_its_name_and_says_why(
    raised: Exception, expected: type[errors.HeliographError], word: str
) -> None:
    found = opening_error(raised, encrypted=False, proxied=False)
    assert type(found) is expected
    assert word in " ".join(getattr(found, "__notes__", []))


@pytest.mark.parametrize(("encrypted", "advice"), [(False, "use wss://"), (True, "--tls-client-cert")])
@pytest.mark.parametrize("raised", [closed_early(), ConnectionResetError(), ssl.SSLEOFError(8, "EOF")])
def test_a_server_that_closes_at_once_may_want_other_tls(raised: Exception, encrypted: bool, advice: str) -> None:
    found = opening_error(raised, encrypted=encrypted, proxied=False)
    assert type(found) is errors.ConnectionLostError
    assert advice in found.__notes__[0]


def test_a_certificate_that_is_not_trusted_is_said() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    found = opening_error(error, encrypted=True, proxied=False)
    assert type(found) is errors.ServerUnreachableError
    assert "self-signed certificate" in found.__notes__[0]


@pytest.mark.parametrize("url", ["", "photo.jpg", "http://user:secret@x/", "ws://", "ws://user:secret@[::1/"])
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(errors.UsageError) as raised:
        check_address(url)
    assert "secret" not in "".join(raised.value.__notes__)


def test_addresses_are_taken_and_shown_without_secrets() -> None:
    check_address("ws://127.0.0.1:8765/x")
    check_address("wss://cloud.example")
    assert without_secrets("wss://me:secret@cloud.example/x") == "wss://cloud.example/x"
    assert without_secrets("wss://cloud.example/x") == "wss://cloud.example/x"
