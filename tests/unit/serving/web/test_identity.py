"""Token and certificate of ``serve --public``: made once, for their user alone, and what devices pair with."""

from __future__ import annotations

import hashlib
import ssl
import stat

import pytest

from heliograph.config import read_access_tokens
from heliograph.edge.pairing import PairingCode, load_pairing, pair
from heliograph.errors import OutputUnwritableError, ServerUnreachableError, TlsFilesError
from heliograph.serving.web.identity import open_identity, reachable_host
from heliograph.serving.web.runner import tls_context
from heliograph.transport.websocket_client import open_websocket


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path / "cloud"))
    return tmp_path / "cloud"


def test_it_is_made_once_and_for_its_user_alone(state):
    first = open_identity()
    made = [path.read_text() for path in first.files]
    assert [stat.S_IMODE(path.stat().st_mode) for path in first.files] == [0o600] * 3
    assert stat.S_IMODE(first.token_file.parent.stat().st_mode) == 0o700
    assert [path.read_text() for path in open_identity().files] == made
    (token,) = read_access_tokens(first.token_file)
    assert len(token) >= 32
    assert sorted(path.name for path in first.token_file.parent.iterdir()) == ["identity.pem", "token.txt"]


def test_files_that_others_could_read_are_closed_and_told_of():
    told = []
    identity = open_identity()
    identity.token_file.chmod(0o644)
    open_identity(told.append)
    assert stat.S_IMODE(identity.token_file.stat().st_mode) == 0o600
    assert len(told) == 1
    assert str(identity.token_file) in told[0]


def test_a_code_holds_token_and_fingerprint(state):
    identity = open_identity()
    code = identity.code("fe80::1", 5)
    assert code.server == "wss://[fe80::1]:5"
    assert PairingCode.parse(str(code)) == code
    pem = identity.pem_file.read_text()
    certificate = pem[pem.index("-----BEGIN CERTIFICATE") :]
    assert code.fingerprint == hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()


def test_damaged_files_and_folders_say_what_to_do(state):
    identity = open_identity()
    identity.pem_file.write_text("nothing")
    with pytest.raises(TlsFilesError) as refused:
        identity.code("here", 1)
    assert "delete it" in str(refused.value.__notes__)


def test_a_folder_that_cannot_be_made_is_named(state):
    state.write_text("a file in its place")
    with pytest.raises(OutputUnwritableError) as refused:
        open_identity()
    assert str(state) in str(refused.value.__notes__)


def test_where_devices_find_it():
    assert reachable_host("0.0.0.0", ["cloud.example"]) == "cloud.example"
    assert reachable_host("10.1.2.3", []) == "10.1.2.3"
    assert reachable_host("0.0.0.0", []) not in ("", "0.0.0.0")


def test_two_machines_share_nothing_but_the_line(cloud, state, tmp_path, monkeypatch, events, device_type):
    """The whole way: a server's own folder, the line, the device's own folder, and a question over pinned TLS."""
    import asyncio

    from heliograph.serving.web.application import CloudApplication
    from heliograph.serving.web.runner import BackgroundServer

    identity = open_identity()
    tokens = frozenset(read_access_tokens(identity.token_file))
    context = tls_context(*identity.files[1:])

    async def ask(pairing):
        connection = await open_websocket(pairing.server, pairing.token, pairing.tls)
        try:
            device = device_type(connection, pairing.token)
            device.ask()
            device.send([b"1", b"2", b"3"])
            await device.flush()
            return await device.final()
        finally:
            await connection.close()

    with BackgroundServer(CloudApplication(cloud, tokens, hosts=None), tls=context) as server:
        port = int(server.url.rpartition(":")[2])
        line = str(identity.code("127.0.0.1", port))
        monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path / "device"))
        pair(PairingCode.parse(line))
        final = asyncio.run(ask(load_pairing()))
        assert final.text == "what seen at 3"

        monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path / "another cloud"))
        stranger = open_identity().code("127.0.0.1", port)
        monkeypatch.setenv("HELIOGRAPH_STATE", str(tmp_path / "device"))
        with pytest.raises(ServerUnreachableError):
            pair(stranger)  # the certificate of somebody else
        assert load_pairing().token in tokens  # what was there stays

    other = open_identity()  # in the device's folder: another key on the same address
    with BackgroundServer(CloudApplication(cloud, tokens, hosts=None), port=port, tls=tls_context(*other.files[1:])):
        with pytest.raises(ServerUnreachableError) as refused:
            asyncio.run(ask(load_pairing()))
        assert "not trusted" in str(refused.value.__notes__)
