"""``nnc`` and ``klt-nnc``: tokens, or coefficients of ``klt``'s transform, through MPEG NNC (ISO/IEC 15938-17).

::

    tokens (N, D) -----------------------------+--> rows: channels, columns: tokens --process of nncodec--> stream, bare
         --transform of klt--> (T, P, R) ------+
    cloud: the same process --> rows --> tokens (klt-nnc: through the inverse transform)

The standard codes arrays of numbers, made for the weights of networks: a uniform or trellis-coded quantiser and a
context-adaptive arithmetic coder (DeepCABAC), no transform, no prefix that decodes. ``klt-nnc`` gives it our transform,
so that the coders are compared; ``nnc`` is the standard alone. Both are opponents: ``nncodec`` needs NumPy below 2, so
that it runs by the Python of an environment of its own, which ``HELIOGRAPH_NNC`` names at both ends. A cloud where it
is not named refuses these streams, as every cloud does unless its operator decides otherwise (decision 0040).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from heliograph.codec.header import pack_header, parse_header
from heliograph.config import NNC_VARIABLE
from heliograph.errors import MissingExtraError, StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
    joined,
    sliced,
)
from heliograph.strategies.foreign import ForeignProgram, ForeignProgramError
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.klt import KltCodec

WORKER = Path(__file__).with_name("nnc_worker.py")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_MAX_STREAM_BYTES = 1 << 22
_HIGHEST_STEP, _QP_ZERO = 120, 60
_BEFORE = 2
"""Bytes ahead of the bare stream: step and the length of the head that is left out."""


class NncStrategy(Strategy):
    """Header: as ``klt``'s; its small number is ``rdo``. Segments, joined: step, length of the head that was left
    out (0: none was), the rest of the stream.

    Knobs: ``step``, 0 to 120, the standard's ``qp`` plus 60, finer below; ``rdo``, 1 for trellis-coded choices by rate
    and distortion, 0 for a uniform quantiser.
    """

    name: ClassVar[str] = "nnc"
    default_setting: ClassVar[Setting] = {"step": 60, "rdo": 0}
    steps: ClassVar[tuple[int, ...]] = (72, 70, 68, 66, 64, 62, 60, 56)
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    codec: ClassVar[str] = "klt"
    program: ClassVar[str] = NNC_VARIABLE
    family: ClassVar[Family] = Family.SPLIT

    def settings(self) -> tuple[Setting, ...]:
        """A ladder of quantisers. Choices by rate and distortion help coefficients, and flatten tokens as they are."""
        return tuple({"step": step, "rdo": self.default_setting["rdo"]} for step in self.steps)

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The array of a photo.

        Raises:
            MissingExtraError: no environment with ``nncodec`` is named, or it does not work.
            CodecMissingError: the bundle holds no ``klt``.
        """
        completed = self.complete_setting(setting)
        step = int_knob(completed, "step", 0, _HIGHEST_STEP)
        rdo = int_knob(completed, "rdo", 0, 1)
        program = foreign_coder(os.environ)
        codec = cast("KltCodec", tools.codec(self.codec))
        tokens = tools.encode_tokens(photo)
        rows = self._rows(codec, tokens)
        try:
            made = _asked(program, "encode", rows.shape, step - _QP_ZERO, rdo, 0, rows.astype("<f4").tobytes())
        except ForeignProgramError as error:
            raise _unusable(str(error)) from error
        header = pack_header(tokens.grid, codec.grid, small=rdo)
        return EncodedImage(self.name, header, sliced(bytes([step]) + made))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N x D tokens.

        Raises:
            MissingExtraError: this cloud names no environment with ``nncodec``.
            StreamTruncatedError: fewer bytes than any stream has.
            StreamDamagedError: it does not decode; a stream that is cut does not either.
            ShapeError: the grid is none of this model's.
        """
        program = foreign_coder(os.environ)
        codec = cast("KltCodec", tools.codec(self.codec))
        grid = codec.stated_grid(encoded.header)
        tools.check_grid(grid)
        found = parse_header(encoded.header, codec.grid)
        data = joined(encoded.segments, _MAX_STREAM_BYTES)
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        if found.small > 1 or found.extra:
            raise StreamDamagedError(StreamFault.HEADER)
        if len(data) <= _BEFORE:
            raise StreamTruncatedError().noted("nnc needs the whole stream, and not even its beginning is here.")
        step, head = data[:_BEFORE]
        if step > _HIGHEST_STEP:
            raise StreamDamagedError(StreamFault.NUMBER)
        shape = self._shape(codec, grid)
        try:
            answer = _asked(program, "decode", shape, step - _QP_ZERO, found.small, head, data[_BEFORE:])
        except ForeignProgramError as error:
            raise StreamDamagedError(StreamFault.VALUE).noted(f"nncodec: {error}.") from error
        if len(answer) != 4 * math.prod(shape):
            raise StreamDamagedError(StreamFault.VALUE)
        rows = np.frombuffer(answer, dtype="<f4").reshape(shape).astype(np.float32)
        return Restored(tokens=self._tokens(codec, rows, grid))

    def _shape(self, codec: KltCodec, grid: Grid) -> tuple[int, int]:
        """Rows and columns of the array of a photo."""
        return codec.hidden_size, grid.tokens

    def _rows(self, codec: KltCodec, tokens: VisualTokens) -> FloatArray:
        """The array: channels are rows, which the standard's coder likes better than positions."""
        codec.analyse(tokens)  # looks at the tokens' shape and values
        return np.ascontiguousarray(tokens.values.T)

    def _tokens(self, codec: KltCodec, rows: FloatArray, grid: Grid) -> VisualTokens:
        """The inverse of ``_rows``."""
        return VisualTokens(np.ascontiguousarray(rows.T), grid)


class KltNncStrategy(NncStrategy):
    """Coefficients of the bundle's ``klt`` in finest steps, a component a row; the same stream otherwise."""

    name: ClassVar[str] = "klt-nnc"
    steps: ClassVar[tuple[int, ...]] = (80, 78, 76, 74, 72, 70, 68, 64)
    default_setting: ClassVar[Setting] = {"step": 70, "rdo": 1}

    def _shape(self, codec: KltCodec, grid: Grid) -> tuple[int, int]:
        return codec.components, grid.tokens

    def _rows(self, codec: KltCodec, tokens: VisualTokens) -> FloatArray:
        coefficients = codec.analyse(tokens)  # (T, P, R)
        return np.ascontiguousarray(coefficients.reshape(-1, coefficients.shape[2]).T)

    def _tokens(self, codec: KltCodec, rows: FloatArray, grid: Grid) -> VisualTokens:
        transform, fitted = codec.transform, codec.is_fitted(grid)
        coefficients = np.ascontiguousarray(rows.T).reshape(grid.tiles, -1, codec.components)
        return VisualTokens(
            transform.synthesise(transform.over_channels(coefficients, grid, fitted), grid, fitted), grid
        )


def foreign_coder(environment: Mapping[str, str]) -> ForeignProgram:
    """The program that codes arrays, by the Python that the environment names.

    Raises:
        MissingExtraError: it names none.
    """
    python = environment.get(NNC_VARIABLE, "")
    if not python:
        raise _unusable("no environment is named")
    return ForeignProgram((python, "-I", str(WORKER)), _ONE_THREAD)


def _asked(
    program: ForeignProgram, op: str, shape: tuple[int, ...], qp: int, rdo: int, head: int, data: bytes
) -> bytes:
    request: dict[str, Any] = {"op": op, "rows": shape[0], "columns": shape[1], "qp": qp, "rdo": rdo, "head": head}
    return program.run(request=json.dumps(request).encode() + b"\n" + data)


def _unusable(why: str) -> MissingExtraError:
    return MissingExtraError().noted(
        f"MPEG NNC runs by nncodec in an environment of its own: {why}. Make one (docs/howto/bench-opponents.md) and "
        f"name its Python in {NNC_VARIABLE}, at both ends."
    )
