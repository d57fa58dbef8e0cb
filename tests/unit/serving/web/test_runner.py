"""Ports, tokens and TLS files: every fault is named before a model is loaded."""

import asyncio
import contextlib
import os
import socket
import ssl

import pytest

from heliograph.cli.links import tls_context as device_tls_context
from heliograph.config import read_access_tokens
from heliograph.errors import (
    BundleDamagedError,
    ConnectionLostError,
    ModelUnavailableError,
    PortBusyError,
    ServerUnreachableError,
    TlsFilesError,
    TokenFileError,
    UsageError,
)
from heliograph.serving.limits import Limits
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.listening import bind, listen
from heliograph.serving.web.runner import BackgroundServer, exposure, read_tokens, run_server, tls_context
from heliograph.transport.websocket_client import open_websocket
from processes import certificate as self_signed
from processes import locked_key


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


def test_the_port_is_given_back_when_the_model_cannot_be_loaded(tmp_path):
    with bind("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    for _ in range(2):
        with pytest.raises(ModelUnavailableError):
            run_server("127.0.0.1", port, str(tmp_path))


def test_tokens_are_read_one_a_line(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("# comment\n\n  first \nsecönd\r\n")
    assert read_tokens(file) == {"first": 1.0, "secönd": 1.0}


def test_a_token_may_have_a_weight_which_a_device_passes_over(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("usual\nheavy weight=2.5\nlight   weight=.5\nweight=3\na=b weight=1\n")
    assert read_tokens(file) == {"usual": 1.0, "heavy": 2.5, "light": 0.5, "weight=3": 1.0, "a=b": 1.0}
    assert read_access_tokens(file) == ("usual", "heavy", "light", "weight=3", "a=b")


@pytest.mark.parametrize("weight", ["", "0", "-1", "nan", "inf", "much", "101", "1 2"])
def test_a_weight_that_is_none_is_named_with_its_line(tmp_path, weight):
    file = tmp_path / "tokens"
    file.write_text(f"first\nsecond weight={weight}\n")
    with pytest.raises(TokenFileError) as caught:
        read_tokens(file)
    assert "line 2" in str(caught.value.__notes__)
    assert "second" not in str(caught.value.__notes__)  # a token is a secret


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
    return self_signed(tmp_path_factory.mktemp("tls"))[0].parent


@pytest.fixture
def asking():
    """A conversation of one question."""

    async def conversation(device):
        device.ask()
        device.send([b"x"])
        await device.flush()
        return await device.final()

    return conversation


def test_tls_files_that_do_not_fit_are_named(tmp_path, certificate):
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnothing\n")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody writes into it: whoever opened it by name would wait for ever
    pairs = [(tmp_path / "none", key), (cert, tmp_path / "none"), (broken, key), (cert, cert), (cert, tmp_path)]
    for pair in (*pairs, (pipe, key), (cert, pipe), (cert, key, pipe)):
        with pytest.raises(TlsFilesError):
            tls_context(*pair)
    for pair in ((cert, None), (None, key)):
        with pytest.raises(UsageError):
            tls_context(*pair)
    assert tls_context(None, None) is None


def test_an_encrypted_key_is_refused_and_asks_for_nothing(tmp_path, certificate):
    with pytest.raises(TlsFilesError):
        tls_context(certificate / "cert.pem", locked_key(certificate / "key.pem", tmp_path / "locked.pem"))


def test_tls_carries_a_session(cloud, certificate, talk, asking):
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))

    context = tls_context(certificate / "cert.pem", certificate / "key.pem")
    with BackgroundServer(CloudApplication(cloud), tls=context) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        assert talk(server, asking, ssl=trusting).text == "what seen at 1"


def test_a_certificate_that_nobody_vouches_for_is_said(cloud, certificate):
    context = tls_context(certificate / "cert.pem", certificate / "key.pem")
    with (
        BackgroundServer(CloudApplication(cloud), tls=context) as server,
        pytest.raises(ServerUnreachableError) as raised,
    ):
        asyncio.run(open_websocket(server.url, ssl=ssl.create_default_context()))
    assert "certificate is not trusted" in " ".join(raised.value.__notes__)


@pytest.fixture(scope="module")
def device_certificate(tmp_path_factory, certificate):
    """Of a device, signed by itself: the file is also the authority to trust."""
    return self_signed(tmp_path_factory.mktemp("device"), "device")[0].parent


def test_a_device_without_a_certificate_of_the_authority_is_not_let_in(
    cloud, certificate, device_certificate, talk, asking
):
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    own, own_key = device_certificate / "cert.pem", device_certificate / "key.pem"
    context = tls_context(cert, key, own)
    with BackgroundServer(CloudApplication(cloud), tls=context) as server:
        assert talk(server, asking, ssl=device_tls_context(cert, own, own_key)).text == "what seen at 1"
        for foreign in (device_tls_context(cert), device_tls_context(cert, cert, key)):
            with pytest.raises((ServerUnreachableError, ConnectionLostError)):
                talk(server, asking, ssl=foreign)
        assert talk(server, asking, ssl=device_tls_context(cert, own, own_key)).text == "what seen at 1"


def test_an_authority_of_devices_that_is_none_is_named(tmp_path, certificate):
    cert, key = certificate / "cert.pem", certificate / "key.pem"
    (tmp_path / "empty.pem").write_text("")
    for authority in (tmp_path / "none", tmp_path / "empty.pem", key, tmp_path):
        with pytest.raises(TlsFilesError):
            tls_context(cert, key, authority)
    with pytest.raises(UsageError):
        tls_context(None, None, cert)


def test_handshakes_that_are_never_finished_keep_no_device_out(cloud, certificate, talk, asking):
    cert = certificate / "cert.pem"
    limits = Limits(max_ungreeted=8, max_per_address=8, request_timeout_s=3600.0, hello_timeout_s=3600.0)
    application = CloudApplication(cloud, limits=limits)
    context = tls_context(cert, certificate / "key.pem")
    with BackgroundServer(application, tls=context) as server, contextlib.ExitStack() as silent:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        crowd = [silent.enter_context(socket.create_connection(address, timeout=20)) for _ in range(40)]
        assert talk(server, asking, ssl=device_tls_context(cert)).text == "what seen at 1"
        for one in crowd[:32]:
            assert one.recv(1) == b""
    assert application.metrics.connections_dropped_total >= 32


def test_a_handshake_that_takes_too_long_is_ended(cloud, certificate):
    application = CloudApplication(cloud, limits=Limits(request_timeout_s=0.2))
    context = tls_context(certificate / "cert.pem", certificate / "key.pem")
    with BackgroundServer(application, tls=context) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=20) as slow:
            slow.sendall(b"\x16\x03\x01")
            assert slow.recv(1) == b""


@pytest.mark.parametrize(
    ("is_closed", "is_encrypted", "has_name", "told"),
    [
        (False, False, False, ["--token-file", "--tls-cert", "--allow-host"]),
        (True, False, False, ["--tls-cert", "--allow-host"]),
        (True, False, True, ["--tls-cert"]),
        (False, True, False, ["--token-file"]),
        (True, True, False, []),
    ],
)
def test_an_operator_is_told_what_other_machines_can_do(is_closed, is_encrypted, has_name, told):
    with bind("127.0.0.1", 0) as here, bind("0.0.0.0", 0) as everywhere:
        assert exposure([here], is_closed, is_encrypted, has_name) == []
        lines = exposure([here, everywhere], is_closed, is_encrypted, has_name)
    assert [option in line for option, line in zip(told, lines, strict=True)] == [True] * len(told)


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
