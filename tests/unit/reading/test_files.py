"""Regular files alone, bounded, and no path that makes a program wait."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.errors import FileUnreadableError, KeyFileError, TokenFileError
from heliograph.reading.files import open_regular, read_bytes, read_text
from heliograph.reasons import FileFault

REASONS = {
    "fifo": FileFault.NOT_REGULAR,
    "socket": FileFault.NOT_REGULAR,
    "folder": FileFault.NOT_REGULAR,
    "device": FileFault.NOT_REGULAR,
    "missing": FileFault.MISSING,
    "below a file": FileFault.MISSING,
    "null": FileFault.MISSING,
    "link to a fifo": FileFault.NOT_REGULAR,
    "link to itself": FileFault.LINK,
}


@pytest.fixture(params=REASONS)
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, FileFault]]:
    path = tmp_path / "it"
    with socket.socket(socket.AF_UNIX) as bound:
        yield prepared(request.param, path, bound), REASONS[request.param]


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
    elif kind == "below a file":
        path.write_bytes(b"x")
        return path / "b"
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "link to a fifo":
        os.mkfifo(path.parent / "pipe")
        path.symlink_to(path.parent / "pipe")
    return path


def test_what_is_no_file_is_refused_at_once_with_the_reason(no_file: tuple[Path, FileFault]) -> None:
    path, reason = no_file
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    with pytest.raises(KeyFileError) as keys:
        read_bytes(path, max_bytes=100, error=KeyFileError)
    with pytest.raises(TokenFileError) as tokens:
        read_text(path, max_bytes=100, error=TokenFileError)
    with pytest.raises(FileUnreadableError) as opened, open_regular(path):
        raise AssertionError("it was opened")
    for found in (keys, tokens, opened):
        assert found.value.fault is reason
        assert str(path) not in str(found.value)
        assert any(note.startswith(str(path)) for note in found.value.__notes__)
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    assert len(read_bytes(path, max_bytes=3 << 20)) == 3 << 20
    with pytest.raises(FileUnreadableError) as found:
        read_bytes(path, max_bytes=(3 << 20) - 1)
    assert found.value.fault is FileFault.TOO_LARGE
    path.write_bytes(b"")
    assert read_bytes(path, max_bytes=0) == b""
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FileUnreadableError) as found:
        read_text(path, max_bytes=10)
    assert found.value.fault is FileFault.NOT_TEXT


def test_links_only_where_they_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", max_bytes=1) == b"x"
    with pytest.raises(FileUnreadableError) as found:
        read_bytes(tmp_path / "link", max_bytes=1, links=False)
    assert found.value.fault is FileFault.LINK


def test_a_pipe_that_a_person_names(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert read_bytes(path, max_bytes=10, pipes=True) == b""  # nobody writes

    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(writing, b"x" * 200_000), os.close(writing)))
    writer.start()
    try:
        assert read_bytes(Path(f"/dev/fd/{reading}"), max_bytes=200_000, pipes=True) == b"x" * 200_000
    finally:
        writer.join()
        os.close(reading)


def test_an_endless_pipe_ends_at_the_bound() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x" * 1000)  # and it stays open
    try:
        with pytest.raises(FileUnreadableError):
            read_bytes(Path(f"/dev/fd/{reading}"), max_bytes=999, pipes=True)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_failure_while_it_is_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for cause, reason in (
        (OSError("the disk fails"), FileFault.UNREADABLE),
        (PermissionError(13, "no"), FileFault.FORBIDDEN),
        (IsADirectoryError(21, "no"), FileFault.NOT_REGULAR),
    ):
        with pytest.raises(KeyFileError) as found, open_regular(tmp_path / "file", error=KeyFileError):
            raise cause
        assert found.value.fault is reason
