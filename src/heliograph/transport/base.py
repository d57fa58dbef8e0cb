"""What every connection can do, and what websocket framing costs."""

from __future__ import annotations

from typing import NamedTuple, Protocol

DEFAULT_QUEUE_BYTES = 256
"""How much a device that waits for "enough" leaves unsent: a few frames, so that little is sent in vain."""

_MASK_BYTES = 4

PING_BYTES, PONG_BYTES = 2 + _MASK_BYTES, 2
"""A websocket ping without payload from the device, and the answer to it."""

NORMAL_CLOSURE, TRY_AGAIN_LATER = 1000, 1013
"""How a connection ends: in order, or because the cloud is full. These are close codes of RFC 6455 and its IANA
registry; a transport that is no websocket tells them apart in its own way."""


class Delivery(NamedTuple):
    """How far the bytes of a connection have come; compare two of them to see whether anything moves.

    Attributes:
        accepted_bytes: handed to the connection so far, framing included.
        departed_bytes: of them, what has left this machine.
        acknowledged_bytes: of them, what the other end's system has acknowledged. Where this system does not say, what
            has left this process.
        certain: False where this system does not say.
        quiet_s: since the other end's system last said anything at all, acknowledgements of what is known already
            included; None where this system does not say.
    """

    accepted_bytes: int
    departed_bytes: int
    acknowledged_bytes: int
    certain: bool = True
    quiet_s: float | None = None

    @property
    def pending_bytes(self) -> int:
        """Accepted and not acknowledged."""
        return max(0, self.accepted_bytes - self.acknowledged_bytes)


class Connection(Protocol):
    """A stream of whole messages in both directions; every message is some frames of the protocol."""

    @property
    def sent_bytes(self) -> int:
        """Bytes that have left so far, websocket framing and HTTP handshake included; not what is still queued here."""

    @property
    def received_bytes(self) -> int:
        """Bytes taken from the TCP stream so far, websocket framing and HTTP handshake included."""

    async def send(self, data: bytes) -> None:
        """Send one message; empty data sends nothing. Waits while the connection's own buffer is full.

        Raises:
            ConnectionLostError: the connection is gone.
        """

    async def receive(self) -> bytes:
        """The next message, never empty; ``b""`` at the orderly end.

        Raises:
            ConnectionLostError: the connection broke.
            TimedOutError: nothing came within the connection's time limit, where it has one.
        """

    def backlog_bytes(self) -> int:
        """Bytes accepted by :meth:`send` that have not begun to travel."""

    def delivery(self) -> Delivery:
        """How far the bytes accepted by :meth:`send` have come."""

    async def ping(self) -> None:
        """Ask the other end for a sign of life and wait for it: :data:`PING_BYTES` up, :data:`PONG_BYTES` down.

        Raises:
            ConnectionLostError: the connection is gone.
        """

    async def drain(self, limit_bytes: int = DEFAULT_QUEUE_BYTES) -> None:
        """Wait until at most ``limit_bytes`` are unsent, so that a later "enough" can stop the rest.

        Raises:
            ConnectionLostError: the connection is gone.
        """

    async def close(self) -> None:
        """Close in an orderly way; safe to call twice."""

    def abort(self) -> None:
        """Let go without a word, as of a link that is dead: the other end takes it for a broken connection."""


class ServedConnection(Protocol):
    """What a cloud needs of a connection that a device has opened, whatever carries it.

    A connection that has these four members can be served: by
    :meth:`heliograph.serving.service.CloudService.serve`.
    """

    @property
    def address(self) -> str:
        """Where the device is, such as an IP address; empty where the transport cannot tell. Devices of one address
        share bounds where a cloud lets everybody in."""

    async def send(self, data: bytes) -> None:
        """Send one message, never empty. Waits while the device does not take what was sent.

        Raises:
            ConnectionLostError: the device has left.
        """

    async def receive(self) -> bytes:
        """The next message, never empty; ``b""`` at the orderly end.

        Raises:
            ConnectionLostError: the connection broke.
            FrameDamagedError: what came is no message of bytes.
        """

    async def close(self, code: int = NORMAL_CLOSURE) -> None:
        """Close in an orderly way.

        Args:
            code: :data:`TRY_AGAIN_LATER` where the cloud is full.

        Raises:
            ConnectionLostError: the device has left.
        """


def server_message_bytes(payload_bytes: int) -> int:
    """Bytes of one websocket message from the cloud with this payload (RFC 6455, section 5.2, no mask)."""
    if payload_bytes < 126:
        return payload_bytes + 2
    return payload_bytes + (4 if payload_bytes < 1 << 16 else 10)


def client_message_bytes(payload_bytes: int) -> int:
    """Bytes of one websocket message from the device with this payload (masked: four more)."""
    return server_message_bytes(payload_bytes) + _MASK_BYTES
