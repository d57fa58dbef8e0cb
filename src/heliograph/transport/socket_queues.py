"""What the system knows of a TCP socket's send queue: Linux says how much was never sent and what was not
acknowledged."""

from __future__ import annotations

import socket
import struct
import sys

_SIOCOUTQNSD = 0x894B  # Linux: bytes in the send queue that were never sent
_QUIET_AT, _QUIET_END = 56, 60  # Linux's struct tcp_info: milliseconds since the last acknowledgement
_SENT_AT, _SENT_END = 200, 216  # since 4.19: bytes sent, bytes sent again
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def keep_send_queue_short(connected: socket.socket | None, limit_bytes: int) -> None:
    """Let the system take no more than ``limit_bytes`` that cannot be sent yet; without effect but on Linux."""
    if connected is not None and sys.platform.startswith("linux") and connected.fileno() >= 0:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limit_bytes)


def reset_on_close(connected: socket.socket | None) -> None:
    """Let closing reset the connection: what is queued is dropped and not sent in vain for minutes."""
    if connected is not None and connected.fileno() >= 0:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def departed_bytes(connected: socket.socket | None) -> int | None:
    """Bytes of the stream that were sent, each counted once however often it was; None where the system does not
    say."""
    info = _tcp_info(connected, _SENT_END)
    if info is None:
        return None
    sent, retransmitted = struct.unpack_from("QQ", info, _SENT_AT)
    return int(sent - retransmitted)


def quiet_s(connected: socket.socket | None) -> float | None:
    """Seconds since the last packet of the other end that acknowledges anything; None where the system does not say."""
    info = _tcp_info(connected, _QUIET_END)
    return None if info is None else float(struct.unpack_from("I", info, _QUIET_AT)[0] / 1e3)


def unsent_bytes(connected: socket.socket | None) -> int:
    """Bytes in the system's queue that were never sent; 0 where it does not say."""
    return _asked(connected, _SIOCOUTQNSD) or 0


def unacknowledged_bytes(connected: socket.socket | None) -> int | None:
    """Bytes in the system's queue that the other end has not acknowledged, unsent ones included; None where it does not
    say."""
    if not sys.platform.startswith("linux"):
        return None
    import termios  # only where there is one

    return _asked(connected, termios.TIOCOUTQ)


def _tcp_info(connected: socket.socket | None, size: int) -> bytes | None:
    """The first ``size`` bytes of what Linux tells about the connection; None where it tells less."""
    if connected is None or not sys.platform.startswith("linux") or connected.fileno() < 0:
        return None
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    except OSError:
        return None
    return info if len(info) == size else None


def _asked(connected: socket.socket | None, request: int) -> int | None:
    if connected is None or not sys.platform.startswith("linux") or connected.fileno() < 0:
        return None
    import fcntl

    try:
        return int(struct.unpack("i", fcntl.ioctl(connected.fileno(), request, b"\0\0\0\0"))[0])
    except OSError:  # a kernel that does not answer, or a socket of another kind
        return None
