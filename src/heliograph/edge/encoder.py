"""The VLM's vision tower and projector on the device: pixels to visual tokens through ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from heliograph.codec.manifest import ENCODER
from heliograph.codec.onnx_session import open_session
from heliograph.edge.preprocessing.frames import AnyPreprocessor, Frame, FramePixels, FramePreprocessor
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import AnsweringFailedError, BundleDamagedError, ShapeError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.types import FloatArray, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    from PIL.Image import Image

Find = Callable[[str], Path]
_EARLIER_OUTPUTS = ["queries", "keys"]  # outputs that encoders of earlier exports had behind their tokens


class TokenEncoder:
    """Runs one graph.

    Args:
        path: network with one output (1, N, D) float32, and one input (1, 3, S, S) float32 or as many as ``inputs``.
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
        if len(taken) != inputs or outputs[1:] not in ([], _EARLIER_OUTPUTS):
            raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER).noted(f"{path.name}.")
        self._inputs, self._outputs = [one.name for one in taken], outputs[:1]

    def __call__(self, *pixels: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32 of pixels (1, 3, S, S) float32, or of one array per input.

        Raises:
            ShapeError: the pixels or the tokens do not have the shape that the bundle promises.
            AnsweringFailedError: a value of the tokens is not finite, or larger than any token is.
        """
        try:
            made = self._session.run(self._outputs, dict(zip(self._inputs, pixels, strict=True)))
        except Exception as error:  # onnxruntime raises its own class for a wrong shape
            shapes = " and ".join(str(one.shape) for one in pixels)
            raise ShapeError().noted(f"ONNX Runtime refuses pixels of shape {shapes}.") from error
        return self._checked(made[0])

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


@dataclass(frozen=True)
class SquareEncoding:
    """Photos as one square frame."""

    preprocessor: Preprocessor
    encoder: TokenEncoder

    def __call__(self, photo: Image) -> VisualTokens:
        """See :class:`PhotoEncoder`."""
        return self.encoder(self.preprocessor(photo))


@dataclass(frozen=True)
class FrameEncoding:
    """Photos in the nearest of several frames."""

    preprocessor: FramePreprocessor
    encoder: FrameEncoder

    def __call__(self, photo: Image) -> VisualTokens:
        """See :class:`PhotoEncoder`."""
        return self.encoder(self.preprocessor(photo))


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
    return SquareEncoding(preprocessor, TokenEncoder(find(ENCODER), grid, hidden_size, threads))
