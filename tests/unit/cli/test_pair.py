"""The command line of pairing: the code comes by standard input, and no output repeats it."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
import stat
import sys

import pytest

from heliograph.cli.links import opener_of
from heliograph.cli.main import build_parser, main
from heliograph.cli.serve import _write_code
from heliograph.edge.pairing import PairingCode, load_pairing
from heliograph.errors import FileUnreadableError
from heliograph.serving.web.identity import open_identity

CODE = PairingCode("wss://127.0.0.1:9", "secret-token", hashlib.sha256(b"certificate").digest())


@pytest.fixture(autouse=True)
def device(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path))
    monkeypatch.delenv("HELIOGRAPH_SERVER", raising=False)
    certificate = ssl.DER_cert_to_PEM_cert(b"certificate")
    monkeypatch.setattr(ssl, "get_server_certificate", lambda address, timeout: certificate)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_line_from_standard_input_pairs_and_is_not_repeated(options, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{CODE}\nmore"))
    assert main(["pair", *options]) == 0
    shown = capsys.readouterr()
    assert CODE.server in shown.out
    assert CODE.token not in shown.out + shown.err
    assert load_pairing().token == CODE.token
    if options:
        assert json.loads(shown.out)["server"] == CODE.server


def test_the_code_has_no_place_on_the_command_line(capsys):
    assert main(["pair", str(CODE)]) == 2


def test_a_line_that_is_none_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("secret-token\n"))
    assert main(["pair"]) == 2
    shown = capsys.readouterr().err
    assert "serve --public" in shown
    assert "secret-token" not in shown


@pytest.mark.parametrize("option", ["--token-file", "--tls-cert", "--tls-key"])
def test_public_makes_its_own_files(option, tmp_path, capsys):
    other = ["--tls-key", "x"] if option == "--tls-cert" else ["--tls-cert", "x"] if option == "--tls-key" else []
    assert main(["serve", "--public", option, str(tmp_path / "x"), *other]) == 2
    assert "--public makes its own" in capsys.readouterr().err


def asked(*options):
    return build_parser("ask")[0].parse_args(["ask", "photo.jpg", "what?", *options])


def test_ask_goes_to_the_paired_server_unless_it_is_told_otherwise(monkeypatch, tmp_path):
    def opened(*options):
        arguments = asked(*options)
        _, token = opener_of(arguments)
        return token

    monkeypatch.setattr("heliograph.edge.pairing.Pairing.tls", None)
    assert opened() == ""
    monkeypatch.setattr("sys.stdin", io.StringIO(str(CODE)))
    assert main(["pair"]) == 0
    assert opened() == CODE.token
    assert opened("--server", CODE.server) == CODE.token
    assert opened("--server", "ws://127.0.0.1:1") == ""  # another server learns nothing
    (tmp_path / "own.txt").write_text("own")
    assert opened("--server", CODE.server, "--token-file", str(tmp_path / "own.txt")) == "own"
    monkeypatch.setenv("HELIOGRAPH_SERVER", "ws://127.0.0.1:1")
    assert opened() == ""


def test_a_damaged_pairing_is_no_hindrance_where_it_is_not_wanted(tmp_path):
    (tmp_path / "pairing.json").write_text("{")
    (tmp_path / "own.txt").write_text("own")
    with pytest.raises(FileUnreadableError):
        opener_of(asked())
    opener_of(asked("--server", "wss://x:1", "--token-file", str(tmp_path / "own.txt")))


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_server_shows_the_code_on_a_terminal_alone(is_terminal, monkeypatch, capsys):
    """A journal or a container's log keeps what it gets."""
    identity = open_identity()
    arguments = build_parser("serve")[0].parse_args(["serve", "--public", "--host", "10.0.0.5"])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    path = _write_code(arguments, identity, "wss://10.0.0.5:8765")
    code = path.read_text().strip()
    shown = capsys.readouterr()
    assert PairingCode.parse(code).server == "wss://10.0.0.5:8765"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (code in shown.err) is is_terminal
    assert is_terminal or str(path) in shown.err
    assert code not in shown.out
