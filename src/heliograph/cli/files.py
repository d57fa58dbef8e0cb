"""Reading and writing the files that a command line names, with named errors."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from heliograph.cli.file_kinds import HEAD_BYTES, is_picture, kind_of
from heliograph.errors import (
    OutputUnwritableError,
    StreamDamagedError,
    StreamForgedError,
    StreamTruncatedError,
    StreamVersionError,
)
from heliograph.reading.files import read_bytes
from heliograph.reasons import StreamFault

MAX_STREAM_FILE_BYTES = 1 << 28


@contextlib.contextmanager
def stream_named(path: Path, data: bytes) -> Iterator[None]:
    """Errors of a stream file say which one it was, and of a file of another kind what it is: that stays on this
    terminal.

    Args:
        path: its name.
        data: its content.
    """
    try:
        yield
    except StreamDamagedError as error:
        if error.fault is StreamFault.NOT_A_STREAM:
            kind = kind_of(data[:HEAD_BYTES])
            error.add_note(f"{path} is no .hgs file" + (f" but {kind}." if kind else "."))
            photo = f"heliograph encode {path} -o out.hgs makes one." if is_picture(kind) else ""
            error.about(path, photo or "Give a file that heliograph encode has written.")
        error.about(path)
        raise
    except (StreamTruncatedError, StreamVersionError, StreamForgedError) as error:
        error.about(path)
        raise


def read_file(path: Path, max_bytes: int = MAX_STREAM_FILE_BYTES) -> bytes:
    """The content of a file or, as a shell's ``<(...)`` gives one, of a pipe.

    Raises:
        FileUnreadableError: no such file, a folder or device, or over ``max_bytes``.
    """
    return read_bytes(path, max_bytes=max_bytes, pipes=True)


def write_file(path: Path, data: bytes) -> None:
    """Write the whole file or nothing: an interrupted write leaves what was there before.

    Raises:
        OutputUnwritableError: the disk refuses, or the path is a folder.
    """
    if path.exists() and not path.is_file():
        _write_in_place(path, data)  # a pipe or a device such as /dev/stdout
        return
    partial = None
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    except (OSError, ValueError) as error:
        if partial is not None:
            with contextlib.suppress(OSError):
                os.unlink(partial)
        raise _unwritable(path, error) from error


_made: list[Path] = []


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing: before the work, so that a disk that refuses is known at once.

    Raises:
        OutputUnwritableError: it cannot be made, or is a file.
    """
    try:
        missing = [one for one in (path, *path.parents) if not one.exists()]
        _made.extend(reversed(missing))
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    return path


@contextlib.contextmanager
def empty_folders_removed() -> Iterator[None]:
    """A context that removes empty folders made by :func:`make_folder` again where the work fails."""
    _made.clear()
    try:
        yield
    except BaseException:
        for path in reversed(_made):
            with contextlib.suppress(OSError):  # there is something in it, or it was never made
                path.rmdir()
        raise


def _write_in_place(path: Path, data: bytes) -> None:
    try:
        with path.open("wb") as file:
            file.write(data)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError | ValueError) -> OutputUnwritableError:
    """The error with the path and the system's reason, which stay on this terminal."""
    reason = getattr(error, "strerror", None)
    return OutputUnwritableError().noted(f"{path}: {reason}." if reason else f"{path}.")


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    current = os.umask(0o022)
    os.umask(current)
    return current
