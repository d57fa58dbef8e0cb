"""The closed-form codec ``klt``: decorrelate, quantise in bit planes, one embedded arithmetic codeword.

::

    tokens (N, D) --Transform--> coefficients (T, P, R) --quantize--> integers
           --PlaneState: which decision next, in which context--> RunEncoder --> codeword --slices--> segments
    and back, with Restoration adding what the rest of the photo tells about what was not sent

Any byte prefix of the codeword decodes, so segments are slices and cost nothing. The idea of an ordered latent
whose every prefix is usable is that of arXiv 2604.26508; here everything is closed form and fitted in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from heliograph.codec.checks import check_bounds, check_shape, check_tokens, check_weights
from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.familiarity import FittedRange
from heliograph.codec.header import pack_header, parse_header
from heliograph.codec.plane_plan import PlaneModel
from heliograph.codec.planes import Change, PlaneState
from heliograph.codec.quantize import (
    dequantize,
    energy_byte,
    magnitude_limits,
    quantize,
    retained_share,
    total_energy,
)
from heliograph.codec.range_coder import RunDecoder, RunEncoder
from heliograph.codec.restoration import Restoration
from heliograph.codec.storage import file_names, read_arrays, stored_grid, write_arrays
from heliograph.codec.tables import (
    HIGHEST_SCALE_BIN,
    LOWEST_SCALE_BIN,
    SKEW_BINS,
    Int,
    Layout,
    Tables,
)
from heliograph.codec.transform import MODES, Transform, resample
from heliograph.errors import BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault, StreamFault
from heliograph.types import (
    LARGEST_WEIGHT,
    EncodedImage,
    FloatArray,
    Grid,
    VisualTokens,
    tokens_make_sense,
)

_MAX_COEFFICIENTS = 1 << 24
_SMALLEST_STEP = 1 / LARGEST_WEIGHT
_FORMAT, _STEM = 3, "klt"
_SPARE_BYTES = 8  # coded beyond a budget, so that its last bytes are those of the whole codeword
_RESTORATION = "restoration."  # before the names of its arrays


@dataclass(frozen=True)
class LayoutTables:
    """Statistics of the fitted grid, and per DCT frequency for grids that were not fitted."""

    scale_bin: Int
    skew_bin: Int
    other_scale_bin: Int


@dataclass(frozen=True)
class Codeword:
    """One encoded photo before it is cut.

    Attributes:
        data: the codeword.
        items: (K,) decisions known after each step.
        needed: (K,) bytes of ``data`` after which the step is certain, never falling.
        peak_energy: (n + 1,) restored energy after so many decisions, highest so far, in squared grains.
    """

    data: bytes
    items: Int
    needed: Int
    peak_energy: Int

    def known_at(self, byte_counts: Int) -> Int:
        """Decisions that a decoder knows with so many bytes."""
        steps = np.searchsorted(self.needed, byte_counts, side="right")
        return np.concatenate([np.zeros(1, np.int64), self.items])[steps]

    def energy_at(self, byte_counts: Int) -> Int:
        """Restored energy that a decoder reaches with so many bytes."""
        return np.asarray(self.peak_energy[self.known_at(byte_counts)], dtype=np.int64)


@dataclass(frozen=True)
class Decoded:
    """What a codeword prefix tells.

    Attributes:
        state: the coefficients.
        energy: restored energy, highest so far, in squared grains.
        level: how far the bit planes are known: p after all of plane p, the number of planes at the start.
    """

    state: PlaneState
    energy: int
    level: float


class KltCodec:
    """Closed-form codec; see the module. Make one with ``fit`` or ``load``.

    ``restoration`` is used by ``decode`` alone, and no integer depends on it. ``fitted`` is the misfit of photos like
    those it was fitted on, for :func:`heliograph.codec.familiarity.measured_stream`.
    """

    kind: ClassVar[str] = "klt"
    learned: ClassVar[bool] = False
    energy_of_photo: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = file_names(_STEM)

    def __init__(
        self,
        grid: Grid,
        transform: Transform,
        tables: Tables,
        layouts: LayoutTables,
        restoration: Restoration | None = None,
    ) -> None:
        self.grid, self.transform, self.tables, self.layouts = grid, transform, tables, layouts
        self.restoration = restoration
        self.fitted: FittedRange | None = None
        self.components = transform.forward.shape[1]
        self.magnitude_limits = magnitude_limits(tables, self.components)
        self._model = PlaneModel(tables, self._layout(grid))

    @property
    def hidden_size(self) -> int:
        """D."""
        return int(self.transform.forward.shape[0])

    # ---- encode --------------------------------------------------------------------------------
    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        """See :class:`heliograph.codec.base.Codec`. A ``max_bytes`` below the header sends the header alone."""
        coefficients = self._analyse(tokens)
        energy = energy_byte(total_energy(coefficients), self.tables.energy_unit)
        header = pack_header(energy, tokens.grid, self.grid)
        budget = None if max_bytes is None else max(max_bytes - len(header), 0)
        codeword = self.encode_coefficients(coefficients, tokens.grid, budget)
        data = codeword.data if budget is None else codeword.data[:budget]
        ends = segment_ends(len(data))
        restored = codeword.energy_at(np.asarray(ends, dtype=np.int64)).tolist()
        quality = tuple(retained_share(e, energy, self.tables.energy_unit) for e in restored)
        return EncodedImage(self.kind, header, cut(data, ends), quality)

    def encode_coefficients(
        self,
        coefficients: FloatArray,
        grid: Grid,
        budget: int | None = None,
        watch: Callable[[Change], None] | None = None,
    ) -> Codeword:
        """(T, P, R) coefficients in steps to a codeword; stops soon after ``budget`` bytes.

        ``watch`` is told what every pass changes, in coding order.
        """
        magnitude, negative = quantize(coefficients, self.magnitude_limits)
        state = PlaneState(self.model_for(grid), grid.tiles)
        encoder = RunEncoder()
        changes = [np.zeros(1, dtype=np.int64)]
        max_bytes = None if budget is None else budget + _SPARE_BYTES
        for plane, part in state.passes():
            items = state.items(plane, part)
            ones = ((magnitude[items.index] >> plane) & 1).nonzero()[0]
            minus = negative[items.index[ones]]
            chance = state.sign_chance(items, ones)
            done = encoder.encode_pass(state.cost_runs(items), ones, chance.tolist(), minus.tolist(), max_bytes)
            coded = int(ones.searchsorted(done))
            change = state.apply(items, ones[:coded], minus[:coded], done)
            changes.append(change.energy)
            if watch is not None:
                watch(change)
            if max_bytes is not None and encoder.bytes_out > max_bytes:
                break
        data = encoder.finish()
        known, needed = encoder.certain_bytes(data)
        energy = np.cumsum(np.concatenate(changes))
        return Codeword(data, known, needed, np.maximum.accumulate(energy))

    def _analyse(self, tokens: VisualTokens) -> FloatArray:
        values, grid = tokens.values, tokens.grid
        if values.shape != (grid.tokens, self.hidden_size):
            raise ShapeError().noted(
                f"tokens of this grid have the shape {(grid.tokens, self.hidden_size)}, not {values.shape}."
            )
        if grid.tokens == 0 or grid.tokens * self.components > _MAX_COEFFICIENTS:
            raise ShapeError().noted(
                f"a photo of {grid.tokens} tokens is empty, or has over {_MAX_COEFFICIENTS} coefficients."
            )
        values = np.asarray(values, dtype=np.float32)
        if not tokens_make_sense(values):
            raise ShapeError().noted("a value is not finite, or larger than a vision tower makes.")
        return self.transform.analyse(values, grid, self._is_fitted(grid))

    # ---- decode --------------------------------------------------------------------------------
    def stated_grid(self, header: bytes) -> Grid:
        """See :class:`heliograph.codec.base.Codec`."""
        return self._read_header(header)[1]

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        """See :class:`heliograph.codec.base.Codec`."""
        _, grid = self._read_header(header)
        decoded = self.decode_state(grid, b"".join(segments))
        state, fitted = decoded.state, self._is_fitted(grid)
        coefficients = dequantize(state.restored, state.shape)
        spectrum = self.transform.over_channels(coefficients, grid, fitted)  # (T, P, R)
        if self.restoration is not None:
            spectrum = self.restoration.apply(spectrum, (grid.rows, grid.columns), decoded.level)
        return VisualTokens(self.transform.synthesise(spectrum, grid, fitted), grid)

    def decode_integers(self, header: bytes, segments: Sequence[bytes]) -> Int:
        """(T, P, R) signed lower ends of the known magnitudes, in finest quantiser steps."""
        _, grid = self._read_header(header)
        state = self.decode_state(grid, b"".join(segments)).state
        return np.where(state.restored < 0, -state.known, state.known).reshape(state.shape)

    def expect(self, header: bytes, segments: Sequence[bytes], question: str = "") -> None:
        """Always None: the codec has no error head."""

    def retained_energy(self, header: bytes, segments: Sequence[bytes]) -> float:
        """Restored over total weighted energy; equals the sender's ``predicted_quality`` of the same prefix."""
        byte, grid = self._read_header(header)
        energy = self.decode_state(grid, b"".join(segments)).energy
        return retained_share(energy, byte, self.tables.energy_unit)

    def _read_header(self, header: bytes) -> tuple[int, Grid]:
        energy, grid = parse_header(bytes(header), self.grid)
        if grid.tokens * max(self.components, self.hidden_size) > _MAX_COEFFICIENTS:
            raise StreamDamagedError(StreamFault.GRID)
        return energy, grid

    def decode_state(self, grid: Grid, prefix: bytes) -> Decoded:
        """What a codeword prefix tells of the coefficients."""
        state = PlaneState(self.model_for(grid), grid.tiles)
        decoder = RunDecoder(prefix)
        energy, peak, level = 0, 0, float(self.tables.planes)
        for plane, part in state.passes():
            if decoder.ended:
                break
            items = state.items(plane, part)
            result = decoder.decode_pass(state.cost_runs(items), state.sign_chance(items, slice(None)))
            ones = np.asarray(result.ones, dtype=np.int64)
            change = state.apply(items, ones, np.asarray(result.negative, dtype=np.bool_), result.done)
            if change.done:
                course = energy + np.cumsum(change.energy)
                energy, peak = int(course[-1]), max(peak, int(course.max()))
            level = state.level(plane, part, result.done / len(items) if len(items) else 1.0)
        return Decoded(state, peak, level)

    # ---- grids ---------------------------------------------------------------------------------
    def _is_fitted(self, grid: Grid) -> bool:
        return (grid.rows, grid.columns) == (self.grid.rows, self.grid.columns)

    def model_for(self, grid: Grid) -> PlaneModel:
        """The plane engine's tables for a grid."""
        return self._model if self._is_fitted(grid) else PlaneModel(self.tables, self._layout(grid))

    def _layout(self, grid: Grid) -> Layout:
        spatial = self.transform.mode == "none"
        if self._is_fitted(grid):
            scale, skew = self.layouts.scale_bin, self.layouts.skew_bin
            neighbours = self.transform.mode != "learned"
        else:
            scale = resample(self.layouts.other_scale_bin, self.grid, grid)
            skew = resample(self.layouts.skew_bin, self.grid, grid) if spatial else np.full_like(scale, SKEW_BINS // 2)
            neighbours = True
        return Layout(grid.rows, grid.columns, spatial, neighbours, scale, skew)

    # ---- disk ----------------------------------------------------------------------------------
    def save(self, folder: Path) -> None:
        """Write ``klt.safetensors``."""
        grid, transform = self.grid, self.transform
        facts = {
            "format": _FORMAT,
            "kind": self.kind,
            "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
            "mode": transform.mode,
            "step": float(transform.step),
            "energy_unit": self.tables.energy_unit,
        }
        floats = ("mean", "forward", "inverse", "grid_forward", "grid_inverse")
        layouts = ("scale_bin", "skew_bin", "other_scale_bin")
        arrays: dict[str, Any] = {name: getattr(transform, name).astype(np.float32) for name in floats}
        arrays |= {name: getattr(self.layouts, name).astype(np.int16) for name in layouts}
        arrays |= {name: getattr(self.tables, name).astype(np.int32) for name in Tables.ARRAYS}
        if self.restoration is not None:
            arrays |= {_RESTORATION + name: array for name, array in self.restoration.stored().items()}
        write_arrays(folder, _STEM, facts, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            BundleDamagedError: anything is missing, out of bounds or of the wrong shape.
        """
        facts, arrays = read_arrays(folder, _STEM)
        try:
            if facts["format"] != _FORMAT or facts["kind"] != cls.kind:
                raise BundleDamagedError(BundlePart.TABLES, BundleFault.FORMAT)
            grid = stored_grid(facts)
            floats = ("mean", "forward", "inverse", "grid_forward", "grid_inverse")
            transform = Transform(facts["mode"], float(facts["step"]), *(arrays[n] for n in floats))
            integers = {name: arrays[name].astype(np.int64) for name in Tables.ARRAYS}
            tables = Tables(**integers, energy_unit=int(facts["energy_unit"]))
            layouts = LayoutTables(*(arrays[n].astype(np.int64) for n in ("scale_bin", "skew_bin", "other_scale_bin")))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT) from error
        _check_shapes(grid, transform, layouts)
        tables.check(transform.forward.shape[1])
        guess = {name.removeprefix(_RESTORATION): a for name, a in arrays.items() if name.startswith(_RESTORATION)}
        restoration = None
        if guess:
            if set(guess) != set(Restoration.ARRAYS):
                raise BundleDamagedError(BundlePart.RESTORATION, FileFault.CONTENT)
            restoration = Restoration.from_stored(guess, transform.forward.shape[1], tables.planes)
        return cls(grid, transform, tables, layouts, restoration)


def _check_shapes(grid: Grid, transform: Transform, layouts: LayoutTables) -> None:
    if transform.mode not in MODES:
        raise BundleDamagedError(BundlePart.TABLES, BundleFault.UNKNOWN)
    if transform.forward.ndim != 2:
        raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
    size, components = transform.forward.shape
    positions = grid.rows * grid.columns
    wanted = {
        "mean": (positions, size),
        "inverse": (components, size),
        "grid_forward": (positions, positions),
        "grid_inverse": (positions, positions),
    }
    for name, shape in wanted.items():
        check_shape(BundlePart.TABLES, getattr(transform, name), shape)
    # With P * D <= 2**24 the largest tokens then make coefficients below 2**115, and a stream spectra below 2**108.
    check_tokens(BundlePart.TABLES, transform.mean)
    weights = (transform.forward, transform.inverse, transform.grid_forward, transform.grid_inverse)
    check_weights(BundlePart.TABLES, *weights)
    if not _SMALLEST_STEP <= transform.step < LARGEST_WEIGHT:
        raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
    for name in ("scale_bin", "skew_bin", "other_scale_bin"):
        low, high = (0, SKEW_BINS - 1) if name == "skew_bin" else (LOWEST_SCALE_BIN, HIGHEST_SCALE_BIN)
        check_shape(BundlePart.TABLES, getattr(layouts, name), (positions, components))
        check_bounds(BundlePart.TABLES, getattr(layouts, name), low, high)
