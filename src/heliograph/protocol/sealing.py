"""What each end of a session does with its key: vouch for what it says, and believe nothing that nobody vouched for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from heliograph.errors import StreamForgedError, UsageError
from heliograph.protocol.authentication import (
    FROM_CLOUD,
    FROM_DEVICE,
    HELLO_TAG_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    Chain,
    chain_of_hello,
    digest_of,
)
from heliograph.protocol.buffer import FrameBuffer
from heliograph.protocol.frames import (
    SEAL,
    SEAL_AND_END,
    ErrorFrame,
    Frame,
    HelloFrame,
    ImageFrame,
    QuestionFrame,
    SegmentFrame,
    encode_frame,
    with_tag_room,
)
from heliograph.protocol.limits import MAX_UNSEALED_BYTES, MAX_UNSEALED_FRAMES
from heliograph.protocol.sealed_buffer import SealedFrameBuffer, TaggedFrameBuffer
from heliograph.reasons import ForgedFault

Wire = bytes | bytearray


class DeviceSeals:
    """Seals of what a device says.

    Args:
        key: 16 to 64 bytes; empty for a session without authentication.
        nonce: 8 bytes that no session had before; empty without a key.

    Raises:
        UsageError: a key or nonce of another length, or one without the other.
    """

    def __init__(self, key: bytes, nonce: bytes) -> None:
        if len(nonce) != (NONCE_BYTES if key else 0):
            wanted = f"{NONCE_BYTES} bytes with a key, and empty without one"
            raise UsageError().noted(f"nonce must be {wanted}; it has {len(nonce)}.")
        self._key, self._nonce = key, nonce
        self._chain = Chain(key, FROM_DEVICE) if key else None
        self._unsealed_bytes = self._unsealed_frames = 0
        self._is_due = False

    def greet(self, hello: HelloFrame) -> tuple[bytes, FrameBuffer]:
        """HELLO as it goes out, and the buffer for what the cloud says."""
        if self._chain is None:
            return encode_frame(hello), FrameBuffer()
        unsigned = encode_frame(replace(hello, nonce=self._nonce, tag=bytes(HELLO_TAG_BYTES)))[:-HELLO_TAG_BYTES]
        self._chain.update(unsigned)
        whole = unsigned + self._chain.tag(HELLO_TAG_BYTES)
        heard = Chain(self._key, FROM_CLOUD)
        heard.update(whole)
        return whole, TaggedFrameBuffer(heard)

    @property
    def has_key(self) -> bool:
        """Whether sessions of this end are authenticated."""
        return bool(self._key)

    def carried(self, frame: Frame, data: bytes) -> Wire:
        """A frame as it goes out, with a seal before it where the cloud could not hold back more."""
        if self._chain is None:
            return data
        full = self._unsealed_bytes + len(data) > MAX_UNSEALED_BYTES or self._unsealed_frames >= MAX_UNSEALED_FRAMES
        before = self.seal() if full else b""
        self._chain.update(data)
        self._unsealed_bytes += len(data)
        self._unsealed_frames += 1
        self._is_due = self._is_due or not _waits(frame)
        return before + data

    def seal(self) -> Wire:
        """A seal of what was said since the last one; nothing where that is nothing."""
        return self._sealed(SEAL) if self._unsealed_bytes else b""

    def seal_due(self) -> Wire:
        """A seal where something was said that the cloud must not wait for."""
        return self.seal() if self._is_due else b""

    def seal_and_end(self) -> Wire | None:
        """A seal that says IMAGE_END too; None where the session has none."""
        return None if self._chain is None else self._sealed(SEAL_AND_END)

    def _sealed(self, kind: int) -> Wire:
        assert self._chain is not None, "there is something to seal with"
        self._chain.update(bytes((kind,)))
        self._unsealed_bytes, self._unsealed_frames, self._is_due = 0, 0, False
        return bytes((kind,)) + self._chain.tag()


def _waits(frame: Frame) -> bool:
    """Whether a frame may lie unsealed with the cloud: one that is followed by more of a photo."""
    match frame:
        case QuestionFrame():
            return frame.image_follows and not frame.options.answer_within_code
        case _:
            return isinstance(frame, ImageFrame | SegmentFrame)


class CloudSeals:
    """Authentication at the cloud's end.

    Args:
        keys: of which a device must hold one; none for sessions without authentication.
        is_new_nonce: tells whether a nonce has never greeted here before, and remembers it.

    Raises:
        UsageError: a key of another length than is allowed.

    Attributes:
        key_digest: by which the key of this session is known, 16 bytes; empty before its HELLO, and without keys.
    """

    def __init__(self, keys: Sequence[bytes], is_new_nonce: Callable[[bytes], bool]) -> None:
        for key in keys:
            Chain(key, FROM_DEVICE)
        self._keys, self._is_new_nonce = tuple(keys), is_new_nonce
        self._tags: Chain | None = None
        self.key_digest = b""
        self.buffer = SealedFrameBuffer()

    def check(self, hello: HelloFrame) -> None:
        """Take the greeting for authentic; all that follows must be.

        Raises:
            StreamForgedError: it is not, it was seen before, or one end has a key and the other has none.
        """
        if bool(hello.nonce) != bool(self._keys):
            raise StreamForgedError(ForgedFault.ONE_END)
        if not self._keys:
            return
        whole = encode_frame(hello)
        key, chain = chain_of_hello(self._keys, whole)
        if not self._is_new_nonce(hello.nonce):
            raise StreamForgedError(ForgedFault.REPLAYED)
        self._tags, self.key_digest = Chain(key, FROM_CLOUD), digest_of(key)
        self._tags.update(whole)
        self.buffer.require_seals(chain)

    def carried(self, frame: Frame, data: bytes) -> Wire:
        """A frame as it goes out, with its tag; the ERROR that ends a session has none."""
        if self._tags is None or (isinstance(frame, ErrorFrame) and frame.question_id is None):
            return data
        data = with_tag_room(data, TAG_BYTES)
        self._tags.update(data)
        return data + self._tags.tag()
