"""A photo as it arrives at the cloud, and what its newest restored prefix gave."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliograph.types import EncodedImage, VisualTokens

NOTHING = -1
"""Segments of a prefix that there is none of yet."""


@dataclass
class Photo:
    """What has arrived of one photo or crop.

    Attributes:
        strategy, header: as announced.
        total_segments: of the whole stream; 0 where the device has not said.
        segments: in order, with ``arrived_s`` and, per number of segments, ``prefix_bytes``.
        finished: nothing more follows.
        energy: retained share of the prefix of ``measured_segments``; None where its strategy cannot know it.
        tokens: of the prefix of ``tokens_segments``, the longest restored so far.
    """

    strategy: str
    header: bytes
    total_segments: int = 0
    segments: list[bytes] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    prefix_bytes: list[int] = field(default_factory=list)
    finished: bool = False
    energy: float | None = None
    measured_segments: int = NOTHING
    tokens: VisualTokens | None = None
    tokens_segments: int = NOTHING

    def __post_init__(self) -> None:
        self.prefix_bytes.append(len(self.header))

    @property
    def payload_bytes(self) -> int:
        """Header and segments."""
        return self.prefix_bytes[-1]

    def add(self, payload: bytes, now: float) -> None:
        """Take the next segment."""
        self.segments.append(payload)
        self.arrived_s.append(now)
        self.prefix_bytes.append(self.prefix_bytes[-1] + len(payload))

    def encoded(self) -> EncodedImage:
        """Everything that has arrived, as a snapshot."""
        return EncodedImage(self.strategy, self.header, tuple(self.segments))

    def newest_tokens(self) -> VisualTokens | None:
        """Tokens of everything that has arrived, where that was restored already."""
        return self.tokens if self.tokens_segments == len(self.segments) else None

    def note_tokens(self, tokens: VisualTokens | None, segments: int) -> None:
        """Keep what a prefix was restored to, if no longer one was."""
        if tokens is not None and segments > self.tokens_segments:
            self.tokens, self.tokens_segments = tokens, segments
