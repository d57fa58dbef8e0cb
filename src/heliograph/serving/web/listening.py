"""Ports: bound before a model is loaded, closed to devices until it is there, and open files enough for all of them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Sequence

from heliograph.errors import PortBusyError, UsageError

_BACKLOG = 128
_ANY_PORT_ATTEMPTS = 16
_SPARE_FILES = 128
"""Open files for everything that is no connection: model, libraries, log, pipes."""

_NOT_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds the first address of a host but takes no connection until :func:`listen`.

    Raises:
        PortBusyError: the address is taken, forbidden or not this machine's.
        UsageError: the port is no port.
    """
    try:
        return _bound(*_addresses(host, port)[0])
    except OSError as error:
        raise PortBusyError().noted(f"{host} port {port}: {error.strerror}.") from error


def bind_all(host: str, port: int) -> tuple[socket.socket, ...]:
    """Like :func:`bind`, for every address of the host: ``localhost`` is 127.0.0.1 and ::1; a device may try either.

    Addresses that this machine does not have are passed over as long as there is another one. Port 0 takes one that is
    free on all of them.

    Raises:
        PortBusyError: one of the addresses is taken, or none is this machine's.
        UsageError: the port is no port.
    """
    for attempt in range(_ANY_PORT_ATTEMPTS if port == 0 else 1):
        try:
            return _bind_each(host, port)
        except OSError as error:
            if attempt + 1 == _ANY_PORT_ATTEMPTS or port != 0 or error.errno != errno.EADDRINUSE:
                raise PortBusyError().noted(f"{host} port {port}: {error.strerror}.") from error
    raise PortBusyError


def _bind_each(host: str, port: int) -> tuple[socket.socket, ...]:
    made: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in _addresses(host, port):
            chosen = made[0].getsockname()[1] if made else port
            try:
                made.append(_bound(family, (address[0], chosen, *address[2:])))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
        if missing is not None and not made:
            raise missing
    except OSError:
        for bound in made:
            bound.close()
        raise
    return tuple(made)


def _addresses(host: str, port: int) -> list[tuple[int, tuple[str, int, *tuple[int, ...]]]]:
    """Family and address of each one, without repetitions."""
    if not 0 <= port <= 65535:
        raise UsageError.of_argument("port", "0 to 65535", port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PortBusyError().noted(f"{host} is no address of this machine, nor a name of one.") from error
    return list(dict.fromkeys((info[0], info[4]) for info in found))  # type: ignore[misc]


def _bound(family: int, address: tuple[str, int, *tuple[int, ...]]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def listen(bound: socket.socket) -> None:
    """Take connections from now on.

    Raises:
        PortBusyError: another process listens there by now.
    """
    try:
        bound.listen(_BACKLOG)
    except OSError as error:
        raise PortBusyError from error


@contextlib.contextmanager
def turning_away(bound: Sequence[socket.socket]) -> Iterator[None]:
    """Listen, and reset every connection at once for as long as the block lasts: while a model loads.

    Listening makes the port this process's own: two that have only bound it (``SO_REUSEADDR``) would both go on to load
    their models. A device hears at once that there is nobody yet, instead of waiting unheard for minutes.

    Raises:
        PortBusyError: another process listens there.
    """
    for one in bound:
        listen(one)
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=_turn_away, args=(tuple(bound), theirs), daemon=True, name="heliograph-loading")
    thread.start()
    try:
        yield
    finally:
        ours.close()
        thread.join()
        theirs.close()


def _turn_away(listening: tuple[socket.socket, ...], until: socket.socket) -> None:
    while True:
        ready, _, _ = select.select((*listening, until), (), ())
        if until in ready:
            return
        for one in ready:
            with contextlib.suppress(OSError):
                came, _ = one.accept()
                came.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                came.close()


def allow_open_files(connections: int) -> int:
    """Let this process hold so many connections open; raises the soft limit where the hard one permits.

    Returns:
        How many connections it may hold, ``connections`` at most.
    """
    if sys.platform == "win32":
        return connections
    import resource

    wanted = connections + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return connections if soft == resource.RLIM_INFINITY else max(min(connections, soft - _SPARE_FILES), 1)
