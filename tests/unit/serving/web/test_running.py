"""What a server is made of and how it is shut down, with the part that serves made up: nothing is loaded or awaited."""

import logging
import socket
import sys
from types import SimpleNamespace

import pytest
import uvicorn
from websockets.exceptions import InvalidState

from heliograph.errors import ModelUnsupportedError, TokenFileError
from heliograph.protocol.limits import MAX_MESSAGE_BYTES
from heliograph.serving.limits import Limits
from heliograph.serving.opening import load_cloud, with_bundle
from heliograph.serving.web import runner
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import fit_to_open_files, read_tokens, run_server


@pytest.fixture
def ran(monkeypatch, cloud):
    """What servers were made with, instead of running them."""
    made = []

    class Server:
        def __init__(self, application, tls, listening, on_ready):
            self.application, self.tls, self.listening, self._on_ready = application, tls, listening, on_ready
            made.append(self)

        def run(self):
            self.port = self.listening[0].getsockname()[1]
            self._on_ready()

    monkeypatch.setattr(runner, "_Server", Server)
    monkeypatch.setattr(runner, "load_cloud", lambda name, bundle: cloud)
    before = sys.getswitchinterval()
    yield made
    sys.setswitchinterval(before)


def test_a_server_of_this_machine_alone_has_nothing_to_warn_of(ran, cloud):
    urls, warnings = [], []
    run_server("127.0.0.1", 0, "telling", on_ready=urls.append, on_warning=warnings.append)
    (server,) = ran
    assert urls == [f"ws://127.0.0.1:{server.port}"]
    assert warnings == []
    assert (server.application.cloud, server.application.limits, server.tls) == (cloud, Limits(), None)
    assert server.application._access_log.with_texts is False
    assert [one.fileno() for one in server.listening] == [-1]  # the port is given back
    assert sys.getswitchinterval() == pytest.approx(0.001)


def test_what_a_server_is_given_is_what_it_runs_with(ran, tmp_path):
    file, warnings = tmp_path / "tokens", []
    file.write_text("right\n")
    limits = Limits(max_sessions=3)
    run_server(
        "0.0.0.0",
        0,
        "telling",
        token_file=file,
        hosts=("cloud.example",),
        limits=limits,
        log_texts=True,
        on_warning=warnings.append,
    )
    (server,) = ran
    assert server.application.limits is limits
    assert server.application._access_tokens == {"right"}
    assert server.application._access_log.with_texts is True
    assert ["TLS" in text for text in warnings] == [True]


def test_a_model_is_asked_to_read_fewer_visual_tokens(ran, cloud, monkeypatch):
    counts = []
    monkeypatch.setattr(cloud.model, "merge_visual_tokens", counts.append, raising=False)
    run_server("127.0.0.1", 0, "telling")
    run_server("127.0.0.1", 0, "telling", visual_tokens=28)
    assert counts == [28]


def test_a_model_that_reads_all_visual_tokens_is_refused_by_name(ran, cloud):
    with pytest.raises(ModelUnsupportedError) as refused:
        run_server("127.0.0.1", 0, "telling", visual_tokens=28)
    assert any("--visual-tokens" in note for note in refused.value.__notes__)
    assert ran == []


def test_a_host_that_is_a_name_may_be_called_by_it(cloud):
    assert runner._name_of("Cloud.Example") == ("cloud.example",)
    assert runner._name_of("no name") == ()


def test_addresses_with_colons_are_in_brackets():
    listening = SimpleNamespace(getsockname=lambda: ("::1", 8765))
    assert runner._url(listening, "::1", None) == "ws://[::1]:8765"
    assert runner._url(listening, "localhost", object()) == "wss://localhost:8765"


# ---- the part that is uvicorn's --------------------------------------------------------------------------------
def test_a_handshake_holds_nothing_that_the_link_need_not_carry(serve, cloud):
    server = serve(cloud)
    request = (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=20) as device:
        device.sendall(request)
        said = device.recv(4096).decode().lower()
    names = {line.partition(":")[0] for line in said.splitlines()[1:] if line}
    assert names == {"upgrade", "connection", "sec-websocket-accept"}


def test_what_uvicorn_is_told(cloud):
    """A pong that is late behind a full uplink ends nothing, no header names an address, no stranger fills the log."""
    configuration = runner._configuration(CloudApplication(cloud))
    assert (configuration.ws_ping_interval, configuration.ws_max_size) == (None, MAX_MESSAGE_BYTES)
    assert (configuration.proxy_headers, configuration.access_log, configuration.log_level) == (False, False, "error")
    assert (configuration.h11_max_incomplete_event_size, configuration.timeout_graceful_shutdown) == (16 * 1024, 3)


def test_one_line_of_uvicorn_is_no_news():
    def record(text):
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, text, (), None)

    assert not runner._is_no_false_alarm(record("ASGI callable returned without completing handshake."))
    assert runner._is_no_false_alarm(record("Exception in ASGI application"))


@pytest.fixture
def shut_down(monkeypatch, fake, cloud):
    """Shut a server down whose uvicorn fails so many times; what it did, and how long it took."""

    def run(failures, *connections, accepts=True):
        done = []

        async def shutdown(self, sockets=None):
            assert sockets == []
            done.append(len(self.server_state.connections))
            if len(done) - accepts <= failures:
                raise InvalidState

        monkeypatch.setattr(uvicorn.Server, "shutdown", shutdown)
        server = runner._Server(CloudApplication(cloud), None, (), lambda: None)

        async def close():
            done.append("closed")

        async def whole():
            server.server_state.connections.update(connections)
            server._acceptor = SimpleNamespace(close=close) if accepts else None
            await server.shutdown()
            return fake.now()

        return fake.run(whole()), done

    return run


def test_a_shutdown_that_fails_is_tried_again_soon(shut_down):
    took_s, done = shut_down(2)
    assert took_s == pytest.approx(0.1)
    assert done == ["closed", 0, 0, 0]


def test_a_server_that_never_began_to_accept_shuts_down_too(shut_down):
    assert shut_down(0, accepts=False) == (0.0, [0])


def test_connections_that_never_close_are_cut_off_after_a_second(shut_down):
    aborted = []

    class Peer:
        def __init__(self, transport):
            self.transport = transport

    took_s, done = shut_down(20, Peer(SimpleNamespace(abort=lambda: aborted.append(1))), Peer(None))
    assert took_s == pytest.approx(20 * 0.05)
    assert (aborted, done) == ([1], ["closed", *[2] * 20, 0])


# ---- files, models, tokens ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("possible", "sessions", "ungreeted"), [(319, 64, 255), (100, 64, 36), (66, 50, 16), (4, 3, 1), (2, 1, 1)]
)
def test_a_quarter_of_few_connections_is_for_strangers_and_nobody_gets_none(monkeypatch, possible, sessions, ungreeted):
    asked, said = [], []
    monkeypatch.setattr(runner, "allow_open_files", lambda wanted: asked.append(wanted) or possible)
    limits = fit_to_open_files(Limits(), said.append)
    assert (limits.max_sessions, limits.max_ungreeted, asked) == (sessions, ungreeted, [64 + 256])
    assert len(said) == 1


@pytest.mark.parametrize(("size", "fits"), [(256, True), (257, False)])
def test_an_access_token_has_at_most_256_bytes(tmp_path, caplog, size, fits):
    caplog.set_level(logging.INFO, "heliograph.serving")
    file = tmp_path / "tokens"
    file.write_text("x" * size)
    if fits:
        assert set(read_tokens(file)) == {"x" * size}
        assert [one.getMessage()[:18] for one in caplog.records] == ["access token 1 is "]
    else:
        with pytest.raises(TokenFileError) as raised:
            read_tokens(file)
        assert "over 256 bytes" in " ".join(raised.value.__notes__)


def test_a_codec_for_tokens_of_another_size_is_refused_with_both_sizes(monkeypatch):
    from heliograph.vlm import codec_folder

    monkeypatch.setattr(codec_folder, "check_fitted_on", lambda bundle, name: None)
    model, bundle = SimpleNamespace(hidden_size=64), SimpleNamespace(hidden_size=32)
    with pytest.raises(ModelUnsupportedError) as raised:
        with_bundle(model, "other", bundle)
    assert "32 numbers" in raised.value.__notes__[0]
    assert "makes 64" in raised.value.__notes__[0]


def test_the_reference_model_comes_with_its_bundle_and_another_model_with_none(monkeypatch):
    from heliograph.codec.bundle import Bundle
    from heliograph.reference import assets
    from heliograph.vlm import opening

    opened = []
    monkeypatch.setattr(opening, "open_model", lambda name: SimpleNamespace(name=name, grid=None, hidden_size=2))
    monkeypatch.setattr(Bundle, "from_pretrained", lambda folder: opened.append(folder) or "a bundle")
    monkeypatch.setattr("heliograph.serving.opening.with_bundle", lambda model, name, bundle: (name, bundle))
    monkeypatch.setattr(assets, "shipped_bundle_folder", lambda: "shipped")
    assert load_cloud("other", None).bundle_hash == b""
    assert opened == []
    assert load_cloud("reference", None) == ("reference", "a bundle")
    assert load_cloud("other", "mine") == ("other", "a bundle")
    assert opened == ["shipped", "mine"]
