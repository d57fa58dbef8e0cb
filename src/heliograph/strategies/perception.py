"""What a device knows of a photo beside its visual tokens: the text in it, and where to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from heliograph.types import FloatArray, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ReadLine:
    """A line of text that a reader found in a photo.

    Attributes:
        text: as it was read.
        left, top, right, bottom: of the box around it, 0 to 1 of the photo's width and height.
        height: of the line across its direction, 0 to 1 of the photo's longest edge.
        score: 0 to 1, how sure the reader is.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float
    height: float
    score: float


class Sight(Protocol):
    """What a device with a bundle knows of where to look in a photo. A map lies over the whole photo; its values are
    not negative, and only their proportions mean anything."""

    def question_map(self, question: str, tokens: VisualTokens) -> FloatArray | None:
        """(rows, columns) float32: where the bundle's own language model looks at the photo behind ``tokens`` to
        answer; None where it holds none, or none whose attention can be read."""

    def shallow_map(self, photo: Image) -> FloatArray:
        """(rows, columns) float32: the attention that each place gets in the vision tower's first layer.

        Raises:
            BundleDamagedError: the encoder has no attention that can be read.
        """
