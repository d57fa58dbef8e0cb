"""A photo as it arrives at the cloud, and what its newest restored prefix gave.

Segments are stored joined: as objects of their own, 4,096 segments of two bytes would take 60 times their payload.
"""

from __future__ import annotations

from array import array
from sys import getsizeof

from heliograph.types import EncodedImage, FloatArray, VisualTokens

NOTHING = -1
"""Segments of a prefix that there is none of yet."""

_PHOTO_BYTES = 700
"""Memory of an empty photo with its place in both books of the session; measured."""


class Photo:
    """What has arrived of one photo or crop.

    Args:
        strategy, header: as announced.
        total_segments: of the whole stream; 0 where the device has not stated it.
        now: seconds.

    Attributes:
        used_s: when it was last added to, asked about or answered from.
        finished: nothing more follows.
        energy: retained share of the prefix that was measured last; None before that, and where its strategy cannot
            know it.
        agreement: share of answers from that prefix that are expected to agree; None likewise.
        tokens: of the prefix of ``tokens_segments``, the longest restored so far.
    """

    def __init__(self, strategy: str, header: bytes, total_segments: int = 0, now: float = 0.0) -> None:
        self.used_s = self._news_s = now
        self.strategy, self.header, self.total_segments = strategy, header, total_segments
        self.finished = False
        self.energy: float | None = None
        self.agreement: float | None = None
        self.tokens: VisualTokens | None = None
        self.tokens_segments = NOTHING
        self._data = bytearray()
        self._ends = array("I")  # in ``_data``, of every segment
        self._arrived_s = array("d")

    def __len__(self) -> int:
        """Segments that have arrived."""
        return len(self._ends)

    @property
    def payload_bytes(self) -> int:
        """Header and segments."""
        return len(self.header) + len(self._data)

    @property
    def held_bytes(self) -> int:
        """Memory that the photo takes, restored tokens included."""
        stored = getsizeof(self._data) + getsizeof(self._ends) + getsizeof(self._arrived_s)
        return _PHOTO_BYTES + stored + (0 if self.tokens is None else _array_bytes(self.tokens.values))

    def prefix_bytes(self, segments: int) -> int:
        """Payload bytes of the header and the first ``segments`` segments."""
        return len(self.header) + (self._ends[segments - 1] if segments else 0)

    @property
    def news_s(self) -> float:
        """When it was announced, or its newest segment came."""
        return self._news_s

    def arrived_s(self, segment: int) -> float:
        """When a segment came; negative numbers count from the newest."""
        return self._arrived_s[segment]

    def add(self, payload: bytes, now: float) -> None:
        """Take the next segment."""
        self._data += payload
        self._ends.append(len(self._data))
        self._arrived_s.append(now)
        self.used_s = self._news_s = now

    def encoded(self, segments: int | None = None) -> EncodedImage:
        """The first segments, or all that have arrived, as a snapshot."""
        ends = self._ends if segments is None else self._ends[:segments]
        data, cut, begin = self._data, [], 0
        for end in ends:
            cut.append(bytes(data[begin:end]))
            begin = end
        return EncodedImage(self.strategy, self.header, tuple(cut))

    def newest_tokens(self) -> VisualTokens | None:
        """Tokens of everything that has arrived, where that was restored already."""
        return self.tokens if self.tokens_segments == len(self) else None

    def note_tokens(self, tokens: VisualTokens | None, segments: int) -> None:
        """Keep what a prefix was restored to, if no longer one was."""
        if tokens is not None and segments > self.tokens_segments:
            self.tokens, self.tokens_segments = tokens, segments

    def drop_tokens(self) -> None:
        """Give their memory back; they can be restored again."""
        self.tokens, self.tokens_segments = None, NOTHING


def _array_bytes(values: FloatArray) -> int:
    """A view keeps all of the array alive that it looks at."""
    return max(int(values.nbytes), int(getattr(values.base, "nbytes", 0)))
