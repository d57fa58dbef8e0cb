"""Authentication by a key that both ends hold: HMAC-SHA256 over everything an end says, in order.

::

    HELLO ... nonce, tag 8 bytes | frames frames frames SEAL tag | frames SEAL tag        device to cloud
    WELCOME ... tag | DRAFT ... tag | ENOUGH tag | FINAL ... tag                          cloud to device

Every tag is the beginning of an HMAC over the one before it, whole, and all bytes since. So it vouches for contents and
order of everything since HELLO: a frame that was changed, left out, repeated or moved makes this tag and all later ones
wrong. Nothing that the device says takes effect before a seal behind it was found right.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from heliograph.errors import StreamForgedError, UsageError
from heliograph.reasons import ForgedFault

TAG_BYTES = 4
"""Length of tags of seals and frames from the cloud: a guess hits once in 2**32, and a wrong one ends the session."""
HELLO_TAG_BYTES = 8
NONCE_BYTES = 8
MIN_KEY_BYTES, MAX_KEY_BYTES = 16, 64

FROM_DEVICE, FROM_CLOUD, FILE = b"heliograph 2 device", b"heliograph 2 cloud", b"heliograph hgs 1"
"""Purposes: a key of its own is derived for each, so that no tag can be taken for another's."""

_HASH = "sha256"


def digest_of(key: bytes) -> bytes:
    """A digest (16 bytes) by which sessions with one key are known."""
    return hashlib.blake2b(key, digest_size=16, person=b"session key").digest()


class Chain:
    """The running authentication of one direction, or of a file.

    Args:
        key: 16 to 64 bytes that both ends share.
        purpose: one of the constants above.

    Raises:
        UsageError: a key of another length.
    """

    def __init__(self, key: bytes, purpose: bytes) -> None:
        if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
            raise UsageError().noted(f"a key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes; this one has {len(key)}.")
        self._key = hmac.digest(key, purpose, _HASH)
        self._running = hmac.new(self._key, digestmod=_HASH)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take in what is said."""
        self._running.update(data)

    def tag(self, size: int = TAG_BYTES) -> bytes:
        """What vouches for all that was taken in so far; later tags vouch for it too."""
        whole = self._running.digest()
        self._running = hmac.new(self._key, whole, _HASH)
        return whole[:size]

    def check(self, tag: bytes) -> None:
        """Compare the tag that came, in constant time.

        Raises:
            StreamForgedError: it is another one.
        """
        if not hmac.compare_digest(self.tag(len(tag)), tag):
            raise StreamForgedError(ForgedFault.OTHER_KEY)


def chain_of_hello(keys: Iterable[bytes], hello: bytes) -> tuple[bytes, Chain]:
    """The key that a device greets with and the chain that goes on behind its HELLO.

    Args:
        keys: those that this cloud knows.
        hello: the frame as it was sent; its last 8 bytes are the tag.

    Raises:
        StreamForgedError: the tag fits none of them.
    """
    body, tag = hello[:-HELLO_TAG_BYTES], hello[-HELLO_TAG_BYTES:]
    found: tuple[bytes, Chain] | None = None
    for key in keys:  # all of them, so that the time does not tell which one it was
        chain = Chain(key, FROM_DEVICE)
        chain.update(body)
        if hmac.compare_digest(chain.tag(HELLO_TAG_BYTES), tag):
            found = key, chain
    if found is None:
        raise StreamForgedError(ForgedFault.OTHER_KEY)
    return found


class Nonces:
    """Nonces of recent greetings, so that a recorded session cannot be replayed while they are remembered.

    Args:
        most: how many are remembered.
    """

    def __init__(self, most: int = 1 << 14) -> None:
        self._max_count = most
        self._seen: dict[bytes, None] = {}

    def is_new(self, nonce: bytes) -> bool:
        """Whether it was never seen, as far as this remembers; from now on it was."""
        if nonce in self._seen:
            return False
        self._seen[nonce] = None
        if len(self._seen) > self._max_count:
            del self._seen[next(iter(self._seen))]
        return True
