"""Regular files alone, bounded, and no path that makes a program wait."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.errors import BundleDamagedError, FileUnreadableError, TokenFileError
from heliograph.reading.files import open_regular, read_bytes, read_text


@pytest.fixture(params=["fifo", "socket", "folder", "device", "missing", "null", "link to a fifo"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "it"
    with socket.socket(socket.AF_UNIX) as bound:
        yield prepared(request.param, path, bound)


def prepared(kind: str, path: Path, bound: socket.socket) -> Path:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        bound.bind(os.path.relpath(path))
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        return Path("/dev/zero")
    elif kind == "null":
        return path.parent / "a\0b"
    elif kind == "link to a fifo":
        os.mkfifo(path.parent / "pipe")
        path.symlink_to(path.parent / "pipe")
    return path


def test_what_is_no_file_is_refused_at_once(no_file: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    with pytest.raises(BundleDamagedError):
        read_bytes(no_file, most=100, error=BundleDamagedError)
    with pytest.raises(TokenFileError):
        read_text(no_file, most=100, error=TokenFileError)
    with pytest.raises(FileUnreadableError), open_regular(no_file):
        raise AssertionError("it was opened")
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    assert len(read_bytes(path, most=3 << 20)) == 3 << 20
    with pytest.raises(FileUnreadableError):
        read_bytes(path, most=(3 << 20) - 1)
    path.write_bytes(b"")
    assert read_bytes(path, most=0) == b""
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FileUnreadableError):
        read_text(path, most=10)


def test_links_only_where_they_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", most=1) == b"x"
    with pytest.raises(FileUnreadableError):
        read_bytes(tmp_path / "link", most=1, links=False)


def test_a_pipe_that_a_person_names(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert read_bytes(path, most=10, pipes=True) == b""  # nobody writes

    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(writing, b"x" * 200_000), os.close(writing)))
    writer.start()
    try:
        assert read_bytes(Path(f"/dev/fd/{reading}"), most=200_000, pipes=True) == b"x" * 200_000
    finally:
        writer.join()
        os.close(reading)


def test_an_endless_pipe_ends_at_the_bound() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x" * 1000)  # and it stays open
    try:
        with pytest.raises(FileUnreadableError):
            read_bytes(Path(f"/dev/fd/{reading}"), most=999, pipes=True)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_failure_while_it_is_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(BundleDamagedError), open_regular(tmp_path / "file", error=BundleDamagedError):
        raise OSError("the disk fails")
