"""A pairing code: what it says, what is refused, and which certificate a device trusts afterwards."""

from __future__ import annotations

import hashlib
import json
import ssl
import stat

import pytest

from heliograph.edge.pairing import Pairing, PairingCode, load_pairing, pair, pairing_path
from heliograph.errors import FileUnreadableError, ServerUnreachableError, UsageError

CODE = PairingCode("wss://10.0.0.5:8765", "a.token/with#signs", bytes(range(32)))


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_code_is_read_as_it_was_written():
    assert PairingCode.parse(f"  {CODE}\n") == CODE
    assert len(str(PairingCode("wss://10.0.0.5:8765", "x" * 32, bytes(32)))) < 120


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wss://10.0.0.5:8765",
        str(CODE).replace("wss", "ws"),
        str(CODE)[:-3],
        str(CODE).replace("8765", "x"),
        str(CODE).replace("10.0.0.5:8765", ""),
        "wss://here:0#a." + str(CODE).rpartition(".")[2],
        "wss://here:1#\u00e9." + str(CODE).rpartition(".")[2],
        "wss://here:1#a." + str(PairingCode("", "a", bytes(31))).rpartition(".")[2],
        "wss://here:1#a." + str(PairingCode("", "a", bytes(33))).rpartition(".")[2],
        "wss://here:1#." + str(CODE).rpartition(".")[2],
        "wss://here:1#%0a." + str(CODE).rpartition(".")[2],
        "wss://h\x1b[2Jere:1#a." + str(CODE).rpartition(".")[2],
    ],
)
def test_a_line_that_is_no_code_is_refused_without_being_repeated(text):
    with pytest.raises(UsageError) as refused:
        PairingCode.parse(text)
    assert "pairing code" in str(refused.value.__notes__)
    assert "token" not in str(refused.value.__notes__)


@pytest.mark.parametrize("server", ["wss://here", "wss://here:1", "wss://[::1]:65535"])
def test_addresses_with_and_without_a_port(server):
    code = PairingCode(server, "a token.with dots", bytes(32))
    assert PairingCode.parse(str(code)) == code


def test_a_code_is_a_line_of_base64_without_padding():
    assert str(PairingCode("wss://here", "a/b", bytes(32))) == f"wss://here#a%2Fb.{'A' * 43}"


@pytest.mark.parametrize(
    ("server", "address"), [("wss://here:1", ("here", 1)), ("wss://here", ("here", 8765)), ("wss://", ("", 8765))]
)
def test_the_certificate_is_asked_for_at_the_codes_address(server, address, monkeypatch):
    asked = []

    def refuse(where, timeout):
        asked.append((where, timeout))
        raise ValueError

    monkeypatch.setattr(ssl, "get_server_certificate", refuse)
    with pytest.raises(ServerUnreachableError) as refused:
        pair(PairingCode(server, "token", bytes(32)))
    assert asked == [(address, 20.0)]
    assert f"{server}: no TLS there." in str(refused.value.__notes__)


def test_the_systems_reason_is_said(monkeypatch):
    def refuse(where, timeout):
        raise OSError(113, "No route to host")

    monkeypatch.setattr(ssl, "get_server_certificate", refuse)
    with pytest.raises(ServerUnreachableError) as refused:
        pair(CODE)
    assert "No route to host" in str(refused.value.__notes__)


@pytest.mark.parametrize(("size", "read"), [(65_536, True), (65_537, False)])
def test_a_kept_pairing_has_64_kilobytes_at_most(size, read, state):
    state.mkdir()
    text = json.dumps({"format": 1, "server": "wss://x", "token": "t", "certificate": "c"})
    pairing_path().write_text(text.ljust(size))
    if read:
        assert load_pairing() == Pairing("wss://x", "t", "c")
    else:
        with pytest.raises(FileUnreadableError):
            load_pairing()


def test_a_pairing_of_another_format_is_damaged(state):
    state.mkdir()
    pairing_path().write_text(json.dumps({"format": 2, "server": "wss://x", "token": "t", "certificate": "c"}))
    with pytest.raises(FileUnreadableError):
        load_pairing()


def test_one_certificate_is_trusted_whatever_its_name():
    from heliograph.serving.web.identity import open_identity

    text = open_identity().pem_file.read_text()
    context = Pairing("wss://x", "t", text[text.index("-----BEGIN CERTIFICATE") :]).tls
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_REQUIRED)
    assert context.cert_store_stats()["x509"] == 1


def test_nobody_there_is_said_with_the_address(monkeypatch):
    with pytest.raises(ServerUnreachableError) as refused:
        pair(PairingCode("wss://127.0.0.1:9", "token", bytes(32)))
    assert "wss://127.0.0.1:9" in str(refused.value.__notes__)
    assert not pairing_path().exists()


def test_another_certificate_is_refused_and_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(ssl, "get_server_certificate", lambda address, timeout: ssl.DER_cert_to_PEM_cert(b"another"))
    with pytest.raises(ServerUnreachableError) as refused:
        pair(CODE)
    assert "another certificate" in str(refused.value.__notes__)
    assert CODE.token not in str(refused.value.__notes__)
    assert load_pairing() is None


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}', '{"format": 1, "server": "x", "token": 3}'])
def test_a_damaged_pairing_says_what_to_do(text, state):
    state.mkdir()
    pairing_path().write_text(text)
    with pytest.raises(FileUnreadableError) as refused:
        load_pairing()
    assert str(pairing_path()) in str(refused.value.__notes__)


def test_a_pairing_without_a_certificate_says_what_to_do():
    with pytest.raises(FileUnreadableError) as refused:
        _ = Pairing("wss://x", "t", "no certificate").tls
    assert "heliograph pair" in str(refused.value.__notes__)


def test_what_is_kept_is_for_its_user_alone(monkeypatch, state):
    code = PairingCode(CODE.server, CODE.token, hashlib.sha256(b"certificate").digest())
    certificate = ssl.DER_cert_to_PEM_cert(b"certificate")
    monkeypatch.setattr(ssl, "get_server_certificate", lambda address, timeout: certificate)
    assert load_pairing() is None
    made = pair(code)
    assert load_pairing() == made == Pairing(CODE.server, CODE.token, made.certificate)
    assert pairing_path().read_text().startswith('{\n "format": 1,\n "server": "wss://10.0.0.5:8765"')
    assert stat.S_IMODE(pairing_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert [path.name for path in state.iterdir()] == [pairing_path().name]
