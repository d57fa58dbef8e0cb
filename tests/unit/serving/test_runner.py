"""Ports, tokens and TLS files: every fault is named before a model is loaded."""

import socket
import ssl
import subprocess

import pytest

from heliograph.errors import (
    BundleDamagedError,
    ModelUnavailableError,
    PortBusyError,
    TlsFilesError,
    TokenFileError,
    UsageError,
)
from heliograph.serving.application import CloudApplication
from heliograph.serving.runner import BackgroundServer, bind, listen, load_cloud, read_tokens, run_server, tls_context


def test_a_busy_port_is_named_before_the_model_is_loaded():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortBusyError):
            run_server("127.0.0.1", taken.getsockname()[1], "no-such-model")


def test_devices_are_refused_while_the_model_loads():
    bound = bind("127.0.0.1", 0)
    with bound, socket.socket() as device:
        with pytest.raises(ConnectionRefusedError):
            device.connect(bound.getsockname())
        listen(bound)
        with socket.socket() as second:
            second.connect(bound.getsockname())


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_an_address_that_is_not_ours_is_named(host):
    with pytest.raises(PortBusyError):
        bind(host, 0)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_named(port):
    with pytest.raises(UsageError):
        bind("127.0.0.1", port)


def test_the_port_is_given_back_when_the_model_cannot_be_loaded(tmp_path):
    with bind("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    for _ in range(2):
        with pytest.raises(ModelUnavailableError):
            run_server("127.0.0.1", port, str(tmp_path))


def test_tokens_are_read_one_a_line(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("# comment\n\n  first \nsecönd\r\n")
    assert read_tokens(file) == {"first", "secönd"}


@pytest.mark.parametrize("content", [b"", b"# nobody\n\n", b"\xff\xfe\x00", b"x" * 300, b"a\n" * (1 << 20)])
def test_a_token_file_without_use_is_named(tmp_path, content):
    file = tmp_path / "tokens"
    file.write_bytes(content)
    with pytest.raises(TokenFileError):
        read_tokens(file)


def test_a_missing_token_file_is_named(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(TokenFileError):
            read_tokens(path)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    made = subprocess.run(command, capture_output=True)
    if made.returncode:
        pytest.skip("openssl is not there to make a certificate")
    return folder


def test_tls_files_that_do_not_fit_are_named(tmp_path, certificate):
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    for pair in ((tmp_path / "none", key), (cert, tmp_path / "none"), (broken, key), (cert, cert), (cert, tmp_path)):
        with pytest.raises(TlsFilesError):
            tls_context(*pair)
    for pair in ((cert, None), (None, key)):
        with pytest.raises(UsageError):
            tls_context(*pair)
    assert tls_context(None, None) is None


def test_an_encrypted_key_is_refused_and_asks_for_nothing(tmp_path, certificate):
    locked = tmp_path / "locked.pem"
    command = ["openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", certificate / "key.pem", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(TlsFilesError):
        tls_context(certificate / "cert.pem", locked)


def test_tls_carries_a_session(cloud, certificate, talk):
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))

    async def conversation(device):
        device.session.ask(0, 0, "what", controller="fixed", target=0)
        device.session.announce_image(0, "klt", b"")
        device.session.send_segment(0, b"x")
        device.session.finish_image(0)
        await device.flush()
        return await device.final()

    context = tls_context(certificate / "cert.pem", certificate / "key.pem")
    with BackgroundServer(CloudApplication(cloud), tls=context) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        assert talk(server, conversation, ssl=trusting).text == "what seen at 1"


def test_a_damaged_bundle_is_named(model_folder, tmp_path):
    with pytest.raises(BundleDamagedError):
        load_cloud(str(model_folder), tmp_path)


def test_a_model_without_bundle_takes_pictures_only(model_folder):
    cloud = load_cloud(str(model_folder), None)
    assert cloud.bundle_hash == b""


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    from heliograph.reference.recipe import build_reference_model

    return build_reference_model(tmp_path_factory.mktemp("model"), seed=1)
