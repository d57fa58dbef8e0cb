"""The VLM's vision tower and projector on the device: pixels to visual tokens through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from heliograph.codec.onnx_session import open_session
from heliograph.errors import BundleDamagedError, ShapeError
from heliograph.types import FloatArray, Grid, VisualTokens


class TokenEncoder:
    """Runs ``encoder.onnx``.

    Args:
        path: network with one input ``pixel_values`` (1, 3, S, S) float32 and one output (1, N, D) float32.
        grid: how the N tokens lie.
        hidden_size: D.
        threads: of ONNX Runtime.

    Raises:
        BundleDamagedError: not a network with one input and one output.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, path: Path, grid: Grid, hidden_size: int, threads: int = 1) -> None:
        self._session = open_session(path, threads)
        self._grid = grid
        self._hidden_size = hidden_size
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleDamagedError
        self._input = inputs[0].name

    def __call__(self, pixels: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32 of pixels (1, 3, S, S) float32.

        Raises:
            ShapeError: the pixels or the tokens do not have the shape that the bundle promises.
        """
        try:
            made = self._session.run(None, {self._input: pixels})[0]
        except Exception as error:  # onnxruntime raises its own class for a wrong shape
            raise ShapeError from error
        values = np.ascontiguousarray(np.asarray(made, np.float32).reshape(-1, made.shape[-1]))
        if values.shape != (self._grid.tokens, self._hidden_size):
            raise ShapeError
        return VisualTokens(values, self._grid)
