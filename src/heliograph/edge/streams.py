"""The photos of one session: how far each was sent, and what the cloud holds of it. Kept to be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from heliograph.protocol.frames import HeldImage
from heliograph.protocol.session import DeviceSession
from heliograph.types import EncodedImage

NO_LIMIT = 2**31


def half_way(segments: Sequence[bytes]) -> int:
    """How many of the segments hold half of their bytes: where an authenticated stream gets its first seal."""
    ends = list(accumulate(map(len, segments)))
    return next((count for count, end in enumerate(ends, start=1) if 2 * end >= ends[-1]), 0)


_HELD_PHOTOS = 32  # crops included; half of what the protocol allows


@dataclass
class PhotoStream:
    """One photo or crop in one session, and how far it has been sent.

    Attributes:
        image_id: its number on the wire.
        source: what the caller named; held so that its identity stays its own.
        encoded: None until the encoder is done.
        announced: IMAGE was handed to the link.
        sent: segments handed to the link.
        finished: so was IMAGE_END.
        allowed: segments that the cloud wants at most (MORE sets a new bound).
        resumed: set by MORE.
    """

    image_id: int
    source: object
    encoded: EncodedImage | None = None
    announced: bool = False
    sent: int = 0
    finished: bool = False
    allowed: int = NO_LIMIT
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    def payload_bytes(self, segments: int) -> int:
        """Header and the first ``segments`` segments in bytes."""
        return self.encoded.prefix(segments).payload_bytes if self.encoded else 0


class HeldPhotos:
    """Streams by what they show, oldest first; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._streams: dict[object, PhotoStream] = {}
        self._last_id = 0

    def __contains__(self, key: object) -> bool:
        return key in self._streams

    def next_id(self) -> int:
        """A number that no photo and no question has had."""
        self._last_id += 1
        return self._last_id

    def get(self, key: object) -> PhotoStream | None:
        """The stream, or None."""
        return self._streams.get(key)

    def begin(self, key: object, source: object, session: DeviceSession) -> PhotoStream:
        """A new stream."""
        while len(self._streams) >= _HELD_PHOTOS:
            self.forget(next(iter(self._streams)), session)
        stream = self._streams[key] = PhotoStream(self.next_id(), source)
        return stream

    def forget(self, key: object, session: DeviceSession | None) -> None:
        """Drop a stream here and, where the session is alive, in the cloud."""
        stream = self._streams.pop(key, None)
        if stream is not None and session is not None and not session.closed:
            session.forget_image(stream.image_id)

    def clear(self) -> None:
        """Drop all."""
        self._streams.clear()

    def go_on(self, session: DeviceSession, held: Iterable[HeldImage] | None) -> None:
        """Match every stream to what the cloud holds after the connection broke.

        What it holds goes on behind the last segment that arrived; everything else will be announced anew.

        Args:
            session: the one on the new connection; nothing was announced on it.
            held: from WELCOME; None where the cloud kept nothing.
        """
        by_id = {stream.image_id: stream for stream in self._streams.values()}
        kept = set[int]()
        for image in held or ():
            stream = by_id.get(image.image_id)
            payload_bytes = stream.payload_bytes(image.segments) if stream else 0
            session.hold_image(image.image_id, payload_bytes, image.segments, finished=image.finished)
            if stream is None:
                session.forget_image(image.image_id)  # given up while the link was down
                continue
            stream.sent, stream.finished, stream.allowed = image.segments, image.finished, NO_LIMIT
            kept.add(image.image_id)
        for stream in self._streams.values():
            if stream.image_id not in kept:
                stream.image_id, stream.announced = self.next_id(), False
                stream.sent, stream.finished, stream.allowed = 0, False, NO_LIMIT
