"""Regular files of a bounded size; nothing else that a path can lead to is ever waited for.

A pipe, a device, a socket or a folder in a file's place must neither hang a program nor hand it something without
end. A file is therefore opened without waiting, looked at through its descriptor (not through its name, which may
lead elsewhere a moment later), and read up to a bound.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from heliograph.errors import FileUnreadableError, HeliographError
from heliograph.reasons import FileFault

MakeError = Callable[[FileFault], HeliographError]
"""The error of whoever asked for the file, given what is wrong with it: most often the error's class."""

_CHUNK = 1 << 20
_PIPE_WAIT_S = 30.0
# Windows has neither flag; there a name never opens a pipe.
_OPENING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def open_regular(path: Path, *, error: MakeError = FileUnreadableError, links: bool = True) -> Iterator[BinaryIO]:
    """A regular file, open for reading; what fails while it is read in the block is ``error`` too.

    Args:
        path: its name.
        error: makes what is raised of what is wrong.
        links: whether the last part of ``path`` may be a symbolic link.

    Raises:
        error: no such file, no permission, no regular file, or the disk fails.
    """
    try:
        with os.fdopen(_descriptor(path, error, links, pipes=False), "rb") as file:
            yield file
    except (OSError, ValueError) as cause:  # ValueError: a path with a null character
        raise _about(path, error, cause) from cause


def check_regular(*paths: Path, error: MakeError = FileUnreadableError) -> None:
    """Refuse pipes and devices before a library opens files by name and waits for them.

    Raises:
        error: one of them is no regular file, or cannot be read.
    """
    for path in paths:
        with open_regular(path, error=error):
            pass


def read_bytes(
    path: Path, *, max_bytes: int, error: MakeError = FileUnreadableError, links: bool = True, pipes: bool = False
) -> bytes:
    """A whole file.

    Args:
        path: its name.
        max_bytes: bytes that it may have.
        error: makes what is raised of what is wrong.
        links: whether the last part of ``path`` may be a symbolic link.
        pipes: whether it may be a pipe, as a shell puts one in the place of a file that a person names. A pipe that
            nobody writes into is empty, and one whose writer says nothing for 30 s is given up.

    Raises:
        error: not there, not readable, neither a regular file nor an allowed pipe, or over ``max_bytes``.
    """
    try:
        descriptor = _descriptor(path, error, links, pipes)
        try:
            data = _content(descriptor, max_bytes + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as cause:
        raise _about(path, error, cause) from cause
    if len(data) > max_bytes:
        raise error(FileFault.TOO_LARGE).noted(f"{path}: more than {max_bytes:,} bytes.")
    return data


def read_text(
    path: Path, *, max_bytes: int, error: MakeError = FileUnreadableError, links: bool = True, pipes: bool = False
) -> str:
    """A whole file as UTF-8; arguments and errors as :func:`read_bytes`, and ``error`` where it is not UTF-8."""
    data = read_bytes(path, max_bytes=max_bytes, error=error, links=links, pipes=pipes)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise error(FileFault.NOT_TEXT).noted(f"{path}.") from cause


def _about(path: Path, error: MakeError, cause: OSError | ValueError) -> HeliographError:
    """The error with the path and the system's reason, which the command line alone shows."""
    reason = getattr(cause, "strerror", None)
    return error(_fault(cause)).noted(f"{path}: {reason}." if reason else f"{path}.")


def _fault(cause: OSError | ValueError) -> FileFault:
    if isinstance(cause, FileNotFoundError | NotADirectoryError | ValueError):  # ValueError: no file has such a name
        return FileFault.MISSING
    if isinstance(cause, PermissionError):
        return FileFault.FORBIDDEN
    if isinstance(cause, IsADirectoryError) or cause.errno in (errno.ENXIO, errno.EOPNOTSUPP):  # a folder, a socket
        return FileFault.NOT_REGULAR
    return FileFault.LINK if cause.errno == errno.ELOOP else FileFault.UNREADABLE


def _descriptor(path: Path, error: MakeError, links: bool, pipes: bool) -> int:
    descriptor = os.open(path, _OPENING if links else _OPENING | _NO_LINK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode)):
        if not _NO_LINK and not links and Path(path).is_symlink():
            os.close(descriptor)
            raise error(FileFault.LINK).noted(f"{path}.")
        return descriptor
    os.close(descriptor)
    raise error(FileFault.NOT_REGULAR).noted(f"{path}.")


def _content(descriptor: int, max_bytes: int) -> bytes:
    """The content, up to ``max_bytes`` bytes."""
    parts: list[bytes] = []
    left = max_bytes
    while left:
        try:
            part = os.read(descriptor, min(left, _CHUNK))
        except BlockingIOError:  # a pipe whose writer has not come to write yet
            if not select.select([descriptor], [], [], _PIPE_WAIT_S)[0]:
                raise
            continue
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
