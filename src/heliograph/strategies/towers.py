"""What strategies may ask of a vision tower: of the device's own, and of the cloud's behind its first layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from heliograph.types import FloatArray, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image


GREY = (128, 128, 128)
"""The photo that states are compared with at both ends."""


class PatchReader(Protocol):
    """A vision tower that begins with one affine map of every patch, and takes the map's results in place of pixels, or
    the results of its first blocks."""

    @property
    def pictures(self) -> tuple[tuple[int, int], ...]:
        """(width, height) in pixels of the pictures that it reads of a photo: the whole at its size, and where that is
        cut into tiles the whole in small."""

    @property
    def tiles(self) -> tuple[tuple[int, int, int], ...]:
        """What it reads of them, one after the other: (place among the pictures, left, top), all equally large."""

    @property
    def patches(self) -> tuple[int, int]:
        """(rows, columns) of patches in each tile."""

    @property
    def weight(self) -> FloatArray:
        """(d, 3, P, P) float32, of the levels 0 to 255 of R, G and B in a patch of P x P pixels."""

    @property
    def bias(self) -> FloatArray:
        """(d,) float32."""

    @property
    def blocks(self) -> int:
        """Blocks that it can be entered behind; 0 where none are found."""

    def tokens(self, embedded: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32 of a photo.

        Args:
            embedded: (tiles, rows, columns, d) float32, what the map makes of every patch.
        """

    def grey_states(self, block: int) -> FloatArray:
        """(tiles, rows * columns, d) float32: what the first ``block`` blocks make of a grey photo.

        Raises:
            ModelUnsupportedError: there are no more than so many blocks, or none of one state per patch.
        """

    def tokens_behind(self, block: int, states: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32 of a photo.

        Args:
            block: how many blocks are left out, 1 or more.
            states: (tiles, rows * columns, d) float32, what these make of the photo.

        Raises:
            ModelUnsupportedError: as :meth:`grey_states`.
            ShapeError: another shape.
        """


@dataclass(frozen=True)
class AttendedTokens:
    """Visual tokens, and what the tower's second-last layer makes of them.

    Attributes:
        tokens: (N, D) float32 values.
        received: (N,) float32 attention that each token's patches get, mean over heads, queries and patches.
        keys: (N, K) float32, mean over heads and patches.
    """

    tokens: VisualTokens
    received: FloatArray
    keys: FloatArray


@dataclass(frozen=True)
class Shortening:
    """What a tower's block works on, in units: the patches of one visual token each.

    Attributes:
        block: its number, from 0 on.
        states: (t, s * s, d) float32 of the t units that are left.
        keys: (t, s * s, K) float32, mean over heads; None before the block.
        sizes: (t,) visual tokens that each unit stands for.
        clusters: (N,) unit that each visual token belongs to; -1 for one that was dropped.
    """

    block: int
    states: FloatArray
    keys: FloatArray | None
    sizes: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]


Shorten = Callable[[Shortening], "npt.NDArray[np.int64] | None"]
"""To (t,) int64: which unit each becomes, 0 to t' - 1, or -1 for one that goes; None to leave all as they are. Units
that become one are averaged by their sizes. Asked before each block without keys, and between its attention and its MLP
with them."""


@dataclass(frozen=True)
class ShortTokens:
    """Visual tokens of a tower whose units became fewer on the way.

    Attributes:
        tokens: (N, D) float32; of units that became one, the same for all; of dropped ones, what was left of them.
        clusters: (N,) int64, which of the last units each belongs to; -1 for one that was dropped.
    """

    tokens: VisualTokens
    clusters: npt.NDArray[np.int64]


class BlockUnits(NamedTuple):
    """How much of a block a device runs.

    Attributes:
        attention: units that are left in its attention.
        mlp: in its MLP.
        scored: that a predictor before it looks at.
    """

    attention: int
    mlp: int
    scored: int = 0


class DeviceTower(Protocol):
    """The device's vision tower, of one square picture, block by block."""

    @property
    def blocks(self) -> int:
        """How many."""

    def states(self, photo: Image, block: int) -> FloatArray:
        """(P, d) float32: what the first ``block`` blocks make of a photo; what lies behind is not run.

        Raises:
            UsageError: there are not more than so many blocks.
        """

    def grey_states(self, block: int) -> FloatArray:
        """(P, d) float32: what they make of a grey photo (:data:`GREY`); made once.

        Raises:
            UsageError: there are not more than so many blocks.
        """

    def shortened(self, photo: Image, shorten: Shorten) -> ShortTokens:
        """Visual tokens of a photo, with fewer units from block to block.

        Raises:
            ModelUnsupportedError: its attention is not read rightly, so that nothing may be left out of it.
        """
