"""The codec's border: visual tokens in, header and ordered segments out, and back from any prefix.

::

    VisualTokens (N, D) f32 --encode--> EncodedImage(header <= 16 B, segments) == prefix ==> decode --> (N, D) f32
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from heliograph.codec.expectation import Expectation
from heliograph.types import EncodedImage, Grid, VisualTokens

if TYPE_CHECKING:
    from heliograph.codec.familiarity import FittedRange
    from heliograph.codec.levels import LevelCurve

MAX_HEADER_BYTES = 16


class Codec(Protocol):
    """What every codec (closed form or learned) offers. Implementations hold frozen tables and no other state."""

    kind: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    """Names of the files that ``save`` writes; no two kinds share one."""

    learned: ClassVar[bool]
    """Trained, so that a bundle that holds it and a closed form prefers it."""

    energy_of_photo: ClassVar[bool]
    """Its retained energy is computed from the photo itself, not from what held-out photos retained on average."""

    fitted: FittedRange | None
    """Misfit of photos like those it was fitted on, from its bundle; None where nobody has measured it."""

    levels: LevelCurve | None
    """How often answers agree with those from uncompressed tokens, by level, from its bundle; likewise. Where it is
    there, the streams of ``encode`` state the agreement of every prefix."""

    @property
    def hidden_size(self) -> int:
        """D of the tokens that it was made for."""
        ...

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        """Tokens (N, D) float32 to a stream whose every prefix decodes.

        Args:
            tokens: finite values; D as the codec was fitted.
            max_bytes: upper bound of header plus segments in bytes; the stream simply ends earlier. Below the header it
                is the header alone.

        Raises:
            ShapeError: N or D do not fit, or a value is not finite.
        """
        ...

    def stated_grid(self, header: bytes) -> Grid:
        """The grid that a header states, before anything is decoded for it.

        Raises:
            StreamTruncatedError, StreamDamagedError, StreamVersionError: the header cannot be read.
        """
        ...

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        """All N x D tokens from a header and the first k segments, k = 0 included.

        Raises:
            StreamTruncatedError, StreamDamagedError, StreamVersionError: the header cannot be read.
        """
        ...

    def retained_energy(self, header: bytes, segments: Sequence[bytes]) -> float:
        """Share of the token energy that this prefix restores, 0 to 1, as the receiver knows it."""
        ...

    def level(self, header: bytes, segments: Sequence[bytes]) -> int | None:
        """How far this prefix tells the photo, see :mod:`heliograph.codec.levels`; None from a codec without levels."""
        ...

    def expect(self, header: bytes, segments: Sequence[bytes], question: str = "") -> Expectation | None:
        """What an answer from this prefix will be worth, before it is made; None from a codec without an error head."""
        ...

    def save(self, folder: Path) -> None:
        """Write every table into ``folder``."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            BundleDamagedError: a file is missing, or its contents do not have the stated shapes.
        """
        ...
