"""Files that a command line names: whole or not at all, and named errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliograph.cli.files import make_folder, read_file, write_file
from heliograph.cli.links import tls_context
from heliograph.config import default_bundle, default_server, read_access_tokens
from heliograph.errors import FileUnreadableError, OutputUnwritableError, TokenFileError


def test_write_then_read(tmp_path: Path) -> None:
    path = tmp_path / "out.hgs"
    path.write_bytes(b"before")
    write_file(path, b"after")
    assert read_file(path) == b"after"
    assert os.listdir(tmp_path) == ["out.hgs"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@pytest.mark.parametrize("name", ["missing/out.hgs", "folder", "nul\0"])
def test_unwritable(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputUnwritableError):
        write_file(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == ["folder"]


def test_make_folder_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputUnwritableError):
        make_folder(tmp_path / "file")
    assert make_folder(tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("name", ["missing", ".", "nul\0"])
def test_unreadable(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileUnreadableError):
        read_file(tmp_path / name)


def test_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(11))
    assert len(read_file(tmp_path / "big", max_bytes=11)) == 11
    with pytest.raises(FileUnreadableError):
        read_file(tmp_path / "big", max_bytes=10)


def test_access_tokens(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("# devices\n\n one \ntwo\n")
    assert read_access_tokens(path) == ("one", "two")


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"\xff\xfe", b"x" * 65_537])
def test_useless_token_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with pytest.raises(TokenFileError):
        read_access_tokens(path)


def test_useless_certificate(tmp_path: Path) -> None:
    assert tls_context(None) is None
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(FileUnreadableError):
            tls_context(tmp_path / name)


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HELIOGRAPH_SERVER", raising=False)
    monkeypatch.delenv("HELIOGRAPH_BUNDLE", raising=False)
    assert default_server() == "ws://127.0.0.1:8765"
    assert default_bundle() is None
    monkeypatch.setenv("HELIOGRAPH_SERVER", "wss://cloud:1")
    monkeypatch.setenv("HELIOGRAPH_BUNDLE", str(tmp_path))
    assert default_server() == "wss://cloud:1"
    assert default_bundle() == tmp_path
