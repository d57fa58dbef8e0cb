"""A picture file without what both ends know."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.errors import StreamDamagedError
from heliograph.reasons import StreamFault
from heliograph.strategies.baseline.pictures import MAX_PICTURE_SIDE


@dataclass(frozen=True)
class BareFile:
    """What is left of a picture file.

    Attributes:
        flags: 0 to 63, of the format.
        numbers: of the format, each below 2**21.
        body: the rest.
        complete: whether ``body`` is all of it; a cut stream has the beginning.
    """

    flags: int
    numbers: tuple[int, ...]
    body: bytes
    complete: bool = True


def side(number: int) -> int:
    """Pixels of an edge, of which one less stands in the header.

    Raises:
        StreamDamagedError: longer than any edge that is sent.
    """
    if number >= MAX_PICTURE_SIDE:
        raise StreamDamagedError(StreamFault.PICTURE)
    return number + 1
