"""The photos of one session: how far each was sent, and what the cloud holds of it. Kept to be sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from heliograph.protocol.frames import HeldImage
from heliograph.protocol.session import DeviceSession
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Setting, Strategy, label
from heliograph.strategies.selection import strategy_class
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
        sent_bytes: payload handed to it, header included.
        finished: so was IMAGE_END.
        allowed: segments that the cloud wants at most (MORE sets a new bound).
        resumed: set by MORE.
    """

    image_id: int
    source: object
    encoded: EncodedImage | None = None
    announced: bool = False
    sent: int = 0
    sent_bytes: int = 0
    finished: bool = False
    allowed: int = NO_LIMIT
    resumed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def whole(self) -> bool:
        """All of it was sent, and the cloud knows that: a question about it costs no more payload."""
        return self.finished and self.encoded is not None and self.sent == len(self.encoded.segments)

    @property
    def cut(self) -> bool:
        """The cloud was told that nothing follows although there is more, because a question's bytes were used up. In
        this session nothing can be added to it."""
        return self.finished and not self.whole

    def lose(self, image_id: int) -> None:
        """The cloud holds nothing of it: the next time it is sent from the start, under another number."""
        self.image_id, self.announced = image_id, False
        self.sent, self.sent_bytes, self.finished, self.allowed = 0, 0, False, NO_LIMIT

    def payload_bytes(self, segments: int) -> int:
        """Header and the first ``segments`` segments in bytes."""
        return self.encoded.prefix(segments).payload_bytes if self.encoded else 0


def photo_key(identity: object, strategy: str, setting: Setting, question: str = "") -> object:
    """Under which a photo is held in one way of sending it, whether or not the setting names knobs at their defaults;
    a stream that was made for one question is held for that one alone.

    Raises:
        UnknownNameError, UsageError: there is no such strategy or knob.
    """
    completed = completed_setting(strategy, setting)
    made_for = question if strategy_class(strategy)().asks(completed) else ""
    return identity, strategy, label(completed), made_for


def completed_setting(strategy: str, setting: Setting) -> Setting:
    """Every knob of a strategy, by registry name.

    Raises:
        UnknownNameError, UsageError: there is no such strategy or knob.
    """
    sender: Strategy = STRATEGIES.load(strategy)()
    return sender.complete_setting(setting)


class HeldPhotos:
    """Streams by what they show, oldest first; the oldest goes when there are too many. The one book of what the cloud
    holds of this device's photos: the client sends by it, and the planner asks it."""

    def __init__(self) -> None:
        self._streams: dict[object, PhotoStream] = {}
        self._last_id = 0

    def __contains__(self, key: object) -> bool:
        return key in self._streams

    def __len__(self) -> int:
        return len(self._streams)

    def next_id(self) -> int:
        """A number that no photo and no question has had."""
        self._last_id += 1
        return self._last_id

    def get(self, key: object) -> PhotoStream | None:
        """The stream, or None."""
        return self._streams.get(key)

    def holds_whole(self, key: object) -> bool:
        """Whether a question that wants all of this photo would send none of it."""
        stream = self._streams.get(key)
        return stream is not None and stream.whole

    def begin(self, key: object, source: object, session: DeviceSession) -> PhotoStream:
        """A new stream."""
        while len(self._streams) >= _HELD_PHOTOS:
            self.forget(next(iter(self._streams)), session)
        stream = self._streams[key] = PhotoStream(self.next_id(), source)
        return stream

    def restart_stream(self, stream: PhotoStream, session: DeviceSession) -> None:
        """Have a stream that was cut sent from the start, because a question may have more of it."""
        session.forget_image(stream.image_id)
        stream.lose(self.next_id())

    def forget(self, key: object, session: DeviceSession | None) -> None:
        """Drop a stream here and, where the session is alive, in the cloud."""
        stream = self._streams.pop(key, None)
        if stream is not None and session is not None and not session.closed:
            session.forget_image(stream.image_id)

    def clear(self) -> None:
        """Drop all."""
        self._streams.clear()

    def resume(self, session: DeviceSession, held: Iterable[HeldImage] | None) -> None:
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
            stream.sent, stream.sent_bytes = image.segments, payload_bytes
            stream.finished, stream.allowed = image.finished, NO_LIMIT
            kept.add(image.image_id)
        for stream in self._streams.values():
            if stream.image_id not in kept:
                stream.lose(self.next_id())
