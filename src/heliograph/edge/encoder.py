"""The VLM's vision tower and projector on the device: pixels to visual tokens through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from heliograph.codec.onnx_session import open_session
from heliograph.edge.attention import (
    KEYS,
    QUERIES,
    AttentionFacts,
    attention_received,
    merged,
    over_heads,
    pooled,
)
from heliograph.edge.preprocessing.frames import AnyPreprocessor, Frame, FramePixels, FramePreprocessor
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import AnsweringFailedError, AttentionMissingError, BundleDamagedError, ShapeError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.strategies.base import AttendedTokens
from heliograph.types import FloatArray, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    from PIL.Image import Image

Find = Callable[[str], Path]
_FIRST = "encoder.onnx"
_RANK = 3  # (1, P, width)


class TokenEncoder:
    """Runs one graph.

    Args:
        path: network with one output (1, N, D) float32, and one input (1, 3, S, S) float32 or as many as ``inputs``;
            behind the first output there may be those of :mod:`heliograph.edge.attention`.
        grid: how the N tokens lie.
        hidden_size: D.
        threads: of ONNX Runtime.
        inputs: how many.

    Raises:
        BundleDamagedError: not a network with so many inputs and one output.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, path: Path, grid: Grid, hidden_size: int, threads: int = 1, inputs: int = 1) -> None:
        self._session = open_session(path, threads)
        self._grid = grid
        self._hidden_size = hidden_size
        taken, outputs = self._session.get_inputs(), [one.name for one in self._session.get_outputs()]
        if len(taken) != inputs or outputs[1:] not in ([], [QUERIES, KEYS]):
            raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER).noted(f"{path.name}.")
        self._inputs, self._outputs = [one.name for one in taken], outputs
        self._facts = AttentionFacts.read(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, *pixels: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32 of pixels (1, 3, S, S) float32, or of one array per input.

        Raises:
            ShapeError: the pixels or the tokens do not have the shape that the bundle promises.
            AnsweringFailedError: a value of the tokens is not finite, or larger than any token is.
        """
        return self._checked(self._run(self._outputs[:1], pixels)[0])

    def attended(self, *pixels: FloatArray) -> AttendedTokens:
        """The same tokens, and what the tower looks at.

        Raises:
            AttentionMissingError: the network does not tell.
            ShapeError, AnsweringFailedError: as for the tokens alone.
        """
        if self._facts is None or len(self._outputs) == 1:
            raise AttentionMissingError
        made, queries, keys = self._run(self._outputs, pixels)
        tokens = self._checked(made)
        side = merged(queries.shape[1], self._grid) if queries.ndim == _RANK else None
        if side is None or queries.shape != keys.shape or queries.shape[2] % self._facts.heads:
            raise AttentionMissingError
        received, mean = attention_received(queries[0], keys[0], self._facts), over_heads(keys[0], self._facts.heads)
        return AttendedTokens(tokens, pooled(received, self._grid, side), pooled(mean, self._grid, side))

    def _run(self, outputs: Sequence[str], pixels: Sequence[FloatArray]) -> list[FloatArray]:
        try:
            made: list[FloatArray] = self._session.run(outputs, dict(zip(self._inputs, pixels, strict=True)))
        except Exception as error:  # onnxruntime raises its own class for a wrong shape
            shapes = " and ".join(str(one.shape) for one in pixels)
            raise ShapeError().noted(f"ONNX Runtime refuses pixels of shape {shapes}.") from error
        return made

    def _checked(self, made: FloatArray) -> VisualTokens:
        values = np.ascontiguousarray(np.asarray(made, np.float32).reshape(-1, made.shape[-1]))
        if values.shape != (self._grid.tokens, self._hidden_size):
            raise ShapeError().noted(
                f"the encoder makes {values.shape}, and the bundle states {(self._grid.tokens, self._hidden_size)}."
            )
        if not tokens_make_sense(values):
            raise AnsweringFailedError
        return VisualTokens(values, self._grid)


class FrameEncoder:
    """Runs the graph of whichever frame a photo is in.

    A graph is opened when a photo first needs it, and closed when one needs another: a small device has memory for one.

    Args:
        find: path of a file of the bundle by its name, such as a folder's ``joinpath``.
        frames: as its preprocessing states them.
        hidden_size: D.
        threads: of ONNX Runtime.
    """

    def __init__(self, find: Find, frames: Sequence[Frame], hidden_size: int, threads: int = 1) -> None:
        self._find, self._frames = find, tuple(frames)
        self._hidden_size, self._threads = hidden_size, threads
        self._opened: Mapping[int, TokenEncoder] = {}

    def __call__(self, pixels: FramePixels) -> VisualTokens:
        """Visual tokens (N, D) float32, with the frame's size as that of the photo.

        Raises:
            ShapeError: the pixels or the tokens do not have the shape that the bundle promises.
            BundleDamagedError: the frame's graph is missing or damaged.
        """
        if pixels.frame not in self._opened:
            self._opened = {}  # closed before the next one is opened
            self._opened = {pixels.frame: self._open(self._frames[pixels.frame])}
        return self._opened[pixels.frame](*pixels.sources)

    def _open(self, frame: Frame) -> TokenEncoder:
        path = self._find(frame.encoder)
        return TokenEncoder(path, frame.grid, self._hidden_size, self._threads, len(frame.sources))


class PhotoEncoder(Protocol):
    """From photos to visual tokens."""

    def __call__(self, photo: Image) -> VisualTokens:
        """Visual tokens (N, D) float32."""

    def attended(self, photo: Image) -> AttendedTokens:
        """The same tokens, and what the tower looks at.

        Raises:
            AttentionMissingError: the encoder does not tell.
        """


@dataclass(frozen=True)
class SquareEncoding:
    """Photos as one square frame."""

    preprocessor: Preprocessor
    encoder: TokenEncoder

    def __call__(self, photo: Image) -> VisualTokens:
        """See :class:`PhotoEncoder`."""
        return self.encoder(self.preprocessor(photo))

    def attended(self, photo: Image) -> AttendedTokens:
        """See :class:`PhotoEncoder`."""
        return self.encoder.attended(self.preprocessor(photo))


@dataclass(frozen=True)
class FrameEncoding:
    """Photos in the nearest of several frames, whose encoders tell no attention."""

    preprocessor: FramePreprocessor
    encoder: FrameEncoder

    def __call__(self, photo: Image) -> VisualTokens:
        """See :class:`PhotoEncoder`."""
        return self.encoder(self.preprocessor(photo))

    def attended(self, photo: Image) -> AttendedTokens:
        """Always raises ``AttentionMissingError``."""
        raise AttentionMissingError


def open_encoder(
    find: Find, preprocessor: AnyPreprocessor, grid: Grid, hidden_size: int, threads: int = 1
) -> PhotoEncoder:
    """Open the encoder from photos to visual tokens, for either format of preprocessing.

    Args:
        find: path of a file of the bundle by its name, such as a folder's ``joinpath``.
        preprocessor: of the bundle.
        grid, hidden_size: of the bundle; with several frames each states its own grid.
        threads: of ONNX Runtime.

    Raises:
        BundleDamagedError: no network there; of several frames' networks, only when a photo needs one.
        MissingExtraError: onnxruntime is not installed.
    """
    if isinstance(preprocessor, FramePreprocessor):
        return FrameEncoding(preprocessor, FrameEncoder(find, preprocessor.frames, hidden_size, threads))
    return SquareEncoding(preprocessor, TokenEncoder(find(_FIRST), grid, hidden_size, threads))
