"""Where a name's files lie: folders at once, a hub asked once, its cache where it is silent; all on loopback."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from heliograph import hub
from heliograph.cli.main import main
from heliograph.errors import ModelUnavailableError, UnauthorizedError
from heliograph.hub import Found, is_hub_id, locate

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Answers every request with one status; counts those about models: a port may be known to others from before."""

    def __init__(self, status: int, code: str | None = None) -> None:
        self.status, self.code, self.asked = status, code, 0

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        hub_ = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub_.asked += self.path.startswith("/api/models/")
                body = json.dumps({"id": "owner/name", "sha": COMMIT}).encode()
                self.send_response(hub_.status)
                if hub_.code:
                    self.send_header("X-Error-Code", hub_.code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The hub's client asks this address, and its cache is empty."""
    from huggingface_hub import constants

    def at(endpoint: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)

    monkeypatch.setattr(hub, "PATIENCE_S", 60.0)  # what answers or refuses at once may do so on a busy machine too
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    huggingface_hub.close_session()
    hub._asked.cache_clear()
    yield at
    huggingface_hub.close_session()
    hub._asked.cache_clear()


@pytest.fixture
def nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "_commit", refuse)


def notes(name: str, error: type[Any] = ModelUnavailableError) -> str:
    with pytest.raises(error) as raised:
        locate(name, None, error)
    assert str(raised.value) == error.text  # what goes on the wire is constant
    return " ".join(raised.value.__notes__)


# ---- folders -----------------------------------------------------------------------------------------
def test_a_folder_is_itself(tmp_path: Path, nobody_asked: None) -> None:
    assert locate(str(tmp_path), None, ModelUnavailableError) == Found(str(tmp_path))


PATHS = ("./owner/name", "/owner/name", "~/name", "path/to/model", "refrence", "owner/na me", "owner\\name", "a/../b")
ODD = ("owner/na--me", "owner/name.git", "", "owner/", "owner/\0", "x" * 5000, "y" * 300 + "/z", "owner/name\n")


@pytest.mark.parametrize("name", [*PATHS, *ODD])
def test_what_can_only_be_a_folder_is_refused_at_once(name: str, nobody_asked: None) -> None:
    assert not is_hub_id(name)
    for error in (ModelUnavailableError, UnauthorizedError):
        said = notes(name, error)
        assert "no such folder" in said
        assert repr(name[:200]) in said


def test_a_file_is_no_folder(tmp_path: Path, nobody_asked: None) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    assert "file" in notes(str(path))


# ---- a hub that answers ------------------------------------------------------------------------------
def test_a_hub_that_has_it_gives_the_commit_and_is_asked_once(online: Any) -> None:
    found = Found("owner/name", COMMIT)
    one = Hub(200)
    with one.running() as address:
        online(address)
        assert locate("owner/name", None, ModelUnavailableError) == found
        assert locate("owner/name", None, ModelUnavailableError) == found
    assert one.asked == 1


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "RepoNotFound", "no such model"),
        (401, None, "hf auth login"),
        (404, "RevisionNotFound", "no such revision"),
        (403, "GatedRepo", "terms"),
        (403, None, "HTTP 403"),
        (500, None, "HTTP 500"),
        (503, None, "HTTP 503"),
        (429, None, "HTTP 429"),
    ],
)
def test_a_hub_that_refuses_is_asked_once(online: Any, status: int, code: str | None, said: str) -> None:
    one = Hub(status, code)
    with one.running() as address:
        online(address)
        assert said in notes("owner/name")
    assert one.asked == 1


# ---- a hub that is silent ----------------------------------------------------------------------------
def test_a_hub_that_refuses_connections(online: Any) -> None:
    online("http://127.0.0.1:9")
    said = notes("owner/name")
    assert "the hub cannot be reached, and its cache" in said
    assert "no such folder" in said


def test_nobody_waits_for_a_hub_that_hangs(online: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that hangs: the time limit is ours, not that of whoever looks up the address."""
    released = threading.Event()
    monkeypatch.setattr(hub, "PATIENCE_S", 0.05)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: released.wait(60))
    try:
        assert "the hub does not answer, and its cache" in notes("owner/name")
    finally:
        released.set()


def cached(folder: Path) -> None:
    snapshot = folder / "models--owner--name" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    refs = folder / "models--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)


def test_the_cache_serves_where_the_hub_is_silent(online: Any, tmp_path: Path) -> None:
    cached(tmp_path / "cache")
    online("http://127.0.0.1:9")
    found = locate("owner/name", None, ModelUnavailableError)
    assert found == Found("owner/name", "main", cached_only=True)
    assert (hub.download(found) / "config.json").read_text() == "{}"


def test_offline_by_choice_asks_nobody(
    online: Any, nobody_asked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in notes("owner/name")
    cached(tmp_path / "cache")
    assert locate("owner/name", None, ModelUnavailableError).cached_only


# ---- on the command line -----------------------------------------------------------------------------
COMMANDS = (
    ["fit", "--vlm", "NAME", "--photos", "photos", "--out", "new/codec"],
    ["export", "--vlm", "NAME", "--out", "new/bundle"],
    ["train", "codec", "--vlm", "NAME", "--photos", "photos", "--out", "new/codec"],
    ["calibrate", "--vlm", "NAME", "--photos", "photos", "--out", "new/runs"],
    ["sizes", "--photos", "photos", "--vlm", "NAME", "--out", "new/sizes"],
    ["serve", "--vlm", "NAME", "--port", "0"],
)


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line[0])
@pytest.mark.parametrize("name", ["no/such/folder", "owner/name"])
def test_commands_say_it_in_one_line_and_leave_nothing(
    line: list[str],
    name: str,
    online: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    online("http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert main([word.replace("NAME", name) for word in line]) == 3
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("heliograph: model-unavailable: ")
    assert repr(name) in said
    assert "no such folder" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["no/such/folder", "owner/name", "./owner/name"])
def test_codecs_are_named_too(
    name: str, online: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    online("http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--codec", name, "--out", "new/bundle"]) == 3
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("heliograph: bundle-damaged: ")
    assert name.removeprefix("./") in said
    assert ("the hub cannot be reached" in said) == (name == "owner/name")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.cli.files import empty_folders_removed, make_folder

    with contextlib.suppress(ModelUnavailableError), empty_folders_removed():
        (make_folder(tmp_path / "a" / "b") / "tokens").write_text("kept")
        make_folder(tmp_path / "a" / "c")
        raise ModelUnavailableError
    assert (tmp_path / "a" / "b" / "tokens").exists()
    assert not (tmp_path / "a" / "c").exists()
    with contextlib.suppress(ModelUnavailableError), empty_folders_removed():
        make_folder(tmp_path / "a")
        raise ModelUnavailableError
    assert (tmp_path / "a").exists()  # was there before
