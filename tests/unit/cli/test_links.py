"""What a device shows and trusts: files that are of no use are named, and a token in the clear is told."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from heliograph.cli.links import add_connection_options, is_in_the_clear, opener_of, retry_notes, tls_context
from heliograph.cli.main import main
from heliograph.errors import (
    ConnectionLostError,
    FileUnreadableError,
    ServerBusyError,
    TlsFilesError,
    UsageError,
)
from heliograph.reference.assets import demo_photo_path
from processes import certificate as self_signed
from processes import locked_key


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("device"), "device")


def test_client_certificates_that_are_of_no_use_are_named(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    assert tls_context(None, cert, key) is not None
    (tmp_path / "broken.pem").write_text("no certificate")
    broken = tmp_path / "broken.pem"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody writes into it: whoever opened it by name would wait for ever
    pairs = [(tmp_path / "none", key), (cert, tmp_path / "none"), (broken, key), (cert, broken), (cert, tmp_path)]
    for pair in (*pairs, (pipe, key), (cert, pipe)):
        with pytest.raises(TlsFilesError):
            tls_context(None, *pair)
    for half in ((cert, None), (None, key)):
        with pytest.raises(UsageError):
            tls_context(None, *half)
    with pytest.raises(FileUnreadableError):
        tls_context(pipe)


def test_a_locked_key_asks_for_nothing(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with pytest.raises(TlsFilesError):
        tls_context(None, cert, locked_key(key, tmp_path / "locked.pem"))


def test_ask_names_a_client_certificate_that_is_of_no_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    line = ["ask", str(demo_photo_path()), "what?", "--strategy", "jpeg", "--tls-client-key", str(key)]
    secure = ["--server", "wss://127.0.0.1:1"]
    assert main([*line, *secure, "--tls-client-cert", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err.startswith("heliograph: tls-files: ")
    for wrong in (secure, ["--tls-client-cert", str(cert), "--server", "ws://127.0.0.1:1"]):
        assert main([*line, *wrong]) == 2
        assert capsys.readouterr().err.startswith("heliograph: usage: ")


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("ws://192.0.2.1:8765", True),
        ("ws://cloud.example", True),
        ("WS://cloud.example", True),
        ("ws://localhost.example:1", True),
        ("ws://[2001:db8::1]:1", True),
        ("ws://127.0.0.1:8765", False),
        ("ws://[::1]:8765", False),
        ("ws://localhost:8765", False),
        ("wss://cloud.example", False),
        ("WSS://cloud.example", False),
    ],
)
def test_a_token_that_travels_in_the_clear_is_told(
    server: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("secret")
    parser = argparse.ArgumentParser()
    add_connection_options(parser)
    parser.set_defaults(server=server, link=None)
    opener_of(parser.parse_args([]))
    assert capsys.readouterr().err == ""
    opener_of(parser.parse_args(["--token-file", str(tmp_path / "token")]))
    said = capsys.readouterr().err
    assert said.startswith("heliograph: warning: ") is told
    assert "secret" not in said
    assert is_in_the_clear(server) is told


@pytest.mark.parametrize("as_json", [False, True])
def test_why_a_connection_is_tried_again_is_said_once_a_reason(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    note_retry = retry_notes(argparse.Namespace(json=as_json))
    for error in (
        ConnectionLostError().noted("use wss://"),
        ConnectionLostError().noted("use wss://"),
        ServerBusyError(),
    ):
        note_retry(error)
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.startswith("trying again: ") for line in said.err.splitlines()] == ([] if as_json else [True, True])
    assert said.err.count("use wss://") == (0 if as_json else 1)
