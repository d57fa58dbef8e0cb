"""The closed-form codec ``klt``: decorrelate, quantise in bit planes, one embedded arithmetic codeword.

::

    tokens (N, D) --Transform--> coefficients (T, P, R) --quantize--> integers
           --PlaneState: which decision next, in which context--> RunEncoder --> codeword --slices--> segments
    and back, with Restoration adding what the rest of the photo tells about what was not sent

Any byte prefix of the codeword decodes, so segments are slices and cost nothing. The idea of an ordered latent
whose every prefix is usable is that of arXiv 2604.26508; here everything is closed form and fitted in seconds.

A photo is best cut where a bit plane ends: there everything is known to the same threshold, and nothing that would
have surprised the model is missing. The threshold there is the photo's *level*, in eighth octaves of the finest step;
a stream's ``fineness`` (0 to 7) moves its planes' thresholds down by as many, so that a plane can end at any level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from heliograph.codec.checks import check_bounds, check_shape
from heliograph.codec.codeword import Codeword, Decoded, EnergyCourse
from heliograph.codec.contexts import Contexts
from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.familiarity import FittedRange
from heliograph.codec.header import pack_header, parse_header
from heliograph.codec.levels import LevelCurve
from heliograph.codec.plane_plan import PlaneModel
from heliograph.codec.planes import Change, PlaneState
from heliograph.codec.quantize import dequantize, magnitude_limits, quantize, scaled
from heliograph.codec.range_coder import RunDecoder, RunEncoder
from heliograph.codec.restoration import Restoration
from heliograph.codec.storage import arrays_of, file_names, read_arrays, stored_grid, write_arrays
from heliograph.codec.tables import HIGHEST_SCALE_BIN, LOWEST_SCALE_BIN, SKEW_BINS, Int, Layout, Tables
from heliograph.codec.transform import Transform, resample
from heliograph.errors import BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault, StreamFault
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens, tokens_make_sense

_MAX_COEFFICIENTS = 1 << 24
_FORMAT, _STEM = 4, "klt"
FINENESSES = 8
"""Eighth octaves by which a stream may move its thresholds down."""
_SPARE_BYTES = 8  # coded beyond a budget, so that its last bytes are those of the whole codeword
_RESTORATION, _CONTEXTS = "restoration.", "contexts."  # before the names of their arrays


def fineness_of(level: int) -> int:
    """The fineness of the streams of which a plane ends at a level."""
    return -level % FINENESSES


@dataclass(frozen=True)
class LayoutTables:
    """Statistics of the fitted grid, and per DCT frequency for grids that were not fitted."""

    scale_bin: Int
    skew_bin: Int
    other_scale_bin: Int


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
        contexts: Contexts | None = None,
        restoration: Restoration | None = None,
    ) -> None:
        self.grid, self.transform, self.tables, self.layouts = grid, transform, tables, layouts
        self.contexts, self.restoration = contexts, restoration
        self.fitted: FittedRange | None = None
        self.levels: LevelCurve | None = None
        self.components = transform.forward.shape[1]
        self.magnitude_limits = magnitude_limits(tables, self.components)
        self._models: dict[int, PlaneModel] = {}

    @property
    def hidden_size(self) -> int:
        """D."""
        return int(self.transform.forward.shape[0])

    # ---- encode --------------------------------------------------------------------------------
    def encode(
        self,
        tokens: VisualTokens,
        *,
        max_bytes: int | None = None,
        fineness: int | None = None,
        level: int | None = None,
    ) -> EncodedImage:
        """See :class:`heliograph.codec.base.Codec`. A ``max_bytes`` below the header sends the header alone.

        Args:
            tokens: see there.
            max_bytes: see there; takes the fineness whose whole planes come finest within it, found by bisection.
            fineness: 0 to 7 takes that one; None chooses, 0 where there is no bound.
            level: ends the stream where everything above so many eighth octaves of the finest step is known, with the
                fineness of which a plane ends there; where that does not fit into ``max_bytes``, they alone count.

        Raises:
            ShapeError: see there; also for another fineness, or for a level below all planes.
        """
        if fineness not in (None, *range(FINENESSES)):
            raise ShapeError().noted(f"the fineness is 0 to {FINENESSES - 1}, not {fineness}.")
        coefficients = self.analyse(tokens)
        if level is not None:
            ended = self._to_level(coefficients, tokens.grid, level)
            if max_bytes is None or ended.payload_bytes <= max_bytes:
                return ended
        header_bytes = len(pack_header(tokens.grid, self.grid))
        budget = None if max_bytes is None else max(max_bytes - header_bytes, 0)
        if fineness is None and budget is not None:
            fineness, codeword = self._finest_within(coefficients, tokens.grid, budget)
        else:
            fineness = fineness or 0
            codeword = self.encode_coefficients(coefficients, tokens.grid, budget, fineness=fineness)
        return self._stream(codeword, tokens.grid, fineness, budget)

    def _to_level(self, coefficients: FloatArray, grid: Grid, level: int) -> EncodedImage:
        """The stream that ends with the plane of a level; an empty one at levels above the first plane's."""
        fineness = fineness_of(level)
        plane = (level + fineness) // FINENESSES
        if plane < 0:
            raise ShapeError().noted(f"the level is {1 - FINENESSES} or more, not {level}.")
        if plane >= self.tables.planes:
            return EncodedImage(self.kind, pack_header(grid, self.grid, small=fineness), ())
        codeword = self.encode_coefficients(coefficients, grid, fineness=fineness, last_plane=plane)
        return self._stream(codeword, grid, fineness, codeword.bytes_to(plane))

    def _stream(self, codeword: Codeword, grid: Grid, fineness: int, max_length: int | None) -> EncodedImage:
        """A codeword, or its first bytes, in segments that end where planes do."""
        data = codeword.data[:max_length]
        planes = {plane: end for plane in codeword.plane_ends if (end := codeword.bytes_to(plane)) is not None}
        ends = segment_ends(len(data), planes.values())
        quality = tuple(codeword.retained_at(np.asarray(ends, dtype=np.int64)).tolist())
        agreement: tuple[float, ...] = ()
        if self.levels is not None:
            whole = [min((plane for plane, at in planes.items() if at <= end), default=None) for end in ends]
            agreement = tuple(self.levels.agreement_at(self._level(plane, fineness)) for plane in whole)
        header = pack_header(grid, self.grid, small=fineness)
        return EncodedImage(self.kind, header, cut(data, ends), quality, predicted_agreement=agreement)

    def _finest_within(self, coefficients: FloatArray, grid: Grid, budget: int) -> tuple[int, Codeword]:
        """The fineness at which a whole plane ends within ``budget`` bytes of codeword at the lowest threshold.

        A plane that ends within the budget at one fineness is taken to end within it at all lower ones.
        """
        found = self.encode_coefficients(coefficients, grid, budget)
        whole = [plane for plane in found.plane_ends if (end := found.bytes_to(plane)) is not None and end <= budget]
        if not whole or min(whole) == 0:
            return 0, found
        low, high, plane = 0, FINENESSES, min(whole)
        while high - low > 1:
            middle = (low + high) // 2
            finer = self.encode_coefficients(coefficients, grid, budget, fineness=middle)
            end = finer.bytes_to(plane)
            if end is not None and end <= budget:
                low, found = middle, finer
            else:
                high = middle
        return low, found

    def encode_coefficients(
        self,
        coefficients: FloatArray,
        grid: Grid,
        budget: int | None = None,
        watch: Callable[[Change], None] | None = None,
        fineness: int = 0,
        last_plane: int = 0,
    ) -> Codeword:
        """(T, P, R) coefficients in steps to a codeword; stops soon after ``budget`` bytes, or after ``last_plane``.

        ``watch`` is told what every pass changes, in coding order.
        """
        magnitude, negative = quantize(scaled(coefficients, fineness), self.magnitude_limits)
        state = PlaneState(self.model_for(grid, fineness), grid.tiles)
        encoder, course = RunEncoder(), EnergyCourse(state.model, grid.tiles)
        coded, ends = 0, {}
        max_bytes = None if budget is None else budget + _SPARE_BYTES
        for plane, part in state.passes():
            if state.opens_plane(plane, part):
                encoder.begin()
            items = state.items(plane, part)
            ones = ((magnitude[items.index] >> plane) & 1).nonzero()[0]
            minus = negative[items.index[ones]]
            chance = state.sign_chance(items, ones)
            done = encoder.encode_pass(state.cost_runs(items), ones, chance.tolist(), minus.tolist(), max_bytes)
            known = int(ones.searchsorted(done))
            change = state.apply(items, ones[:known], minus[:known], done)
            course.add(change)
            if watch is not None:
                watch(change)
            coded += done
            if part == 1 and done == len(items):
                ends[plane] = coded
                if plane == last_plane:
                    break
            if max_bytes is not None and encoder.bytes_out > max_bytes:
                break
        data = encoder.finish()
        items_known, needed = encoder.certain_bytes(data)
        return Codeword(data, items_known, needed, course.retained(), ends)

    def analyse(self, tokens: VisualTokens) -> FloatArray:
        """(T, P, R) coefficients in finest steps.

        Raises:
            ShapeError: tokens that the codec does not take.
        """
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
        return self.transform.analyse(values, grid, self.is_fitted(grid))

    # ---- decode --------------------------------------------------------------------------------
    def stated_grid(self, header: bytes) -> Grid:
        """See :class:`heliograph.codec.base.Codec`."""
        return self._read_header(header)[1]

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        """See :class:`heliograph.codec.base.Codec`."""
        fineness, grid = self._read_header(header)
        decoded = self.decode_state(grid, b"".join(segments), fineness)
        state, fitted = decoded.state, self.is_fitted(grid)
        coefficients = dequantize(state.restored, state.shape, fineness)
        spectrum = self.transform.over_channels(coefficients, grid, fitted)  # (T, P, R)
        if self.restoration is not None:
            # Thresholds are lower by the fineness once there is one; before the first nothing is known.
            begun = min(self.tables.planes - decoded.planes, 1.0)
            level = decoded.planes - begun * fineness / FINENESSES
            spectrum = self.restoration.apply(spectrum, (grid.rows, grid.columns), level)
        return VisualTokens(self.transform.synthesise(spectrum, grid, fitted), grid)

    def decode_integers(self, header: bytes, segments: Sequence[bytes]) -> Int:
        """(T, P, R) signed lower ends of the known magnitudes, in finest quantiser steps of the stream."""
        fineness, grid = self._read_header(header)
        state = self.decode_state(grid, b"".join(segments), fineness).state
        return np.where(state.restored < 0, -state.known, state.known).reshape(state.shape)

    def expect(self, header: bytes, segments: Sequence[bytes], question: str = "") -> None:
        """Always None: the codec has no error head."""

    def retained_energy(self, header: bytes, segments: Sequence[bytes]) -> float:
        """Restored over expected total energy; equals the sender's ``predicted_quality`` of the same prefix."""
        fineness, grid = self._read_header(header)
        return self.decode_state(grid, b"".join(segments), fineness).retained

    def level(self, header: bytes, segments: Sequence[bytes]) -> int:
        """The lowest level at which everything is known, in eighth octaves of the finest step; at first that above all
        planes."""
        fineness, grid = self._read_header(header)
        whole = int(np.ceil(self.decode_state(grid, b"".join(segments), fineness).planes))
        return self._level(whole if whole < self.tables.planes else None, fineness)

    def _level(self, plane: int | None, fineness: int) -> int:
        """Where a plane ends; None for before the first."""
        return FINENESSES * self.tables.planes if plane is None else FINENESSES * plane - fineness

    def _read_header(self, header: bytes) -> tuple[int, Grid]:
        found = parse_header(bytes(header), self.grid)
        grid = found.grid
        if grid.tokens * max(self.components, self.hidden_size) > _MAX_COEFFICIENTS:
            raise StreamDamagedError(StreamFault.GRID)
        return found.small, grid

    def decode_state(self, grid: Grid, prefix: bytes, fineness: int = 0) -> Decoded:
        """What a codeword prefix tells of the coefficients."""
        state = PlaneState(self.model_for(grid, fineness), grid.tiles)
        decoder, changes = RunDecoder(prefix), list[Change]()
        planes = float(self.tables.planes)
        for plane, part in state.passes():
            if state.opens_plane(plane, part):
                decoder.begin()
            if decoder.ended:
                break
            items = state.items(plane, part)
            result = decoder.decode_pass(state.cost_runs(items), state.sign_chance(items, slice(None)))
            ones = np.asarray(result.ones, dtype=np.int64)
            changes.append(state.apply(items, ones, np.asarray(result.negative, dtype=np.bool_), result.done))
            planes = state.level(plane, part, result.done / len(items) if len(items) else 1.0)
        return Decoded(state, changes, planes)

    # ---- grids ---------------------------------------------------------------------------------
    def is_fitted(self, grid: Grid) -> bool:
        """Whether the statistics are of such a grid, tiles and the photo's size aside."""
        return (grid.rows, grid.columns) == (self.grid.rows, self.grid.columns)

    def model_for(self, grid: Grid, fineness: int = 0) -> PlaneModel:
        """The plane engine's tables for a grid; contexts belong to the fitted one."""
        if not self.is_fitted(grid):
            return PlaneModel(self.tables, self._layout(grid, fineness))
        if fineness not in self._models:
            self._models[fineness] = PlaneModel(self.tables, self._layout(grid, fineness), self.contexts)
        return self._models[fineness]

    def _layout(self, grid: Grid, fineness: int) -> Layout:
        spatial = self.transform.mode == "none"
        if self.is_fitted(grid):
            scale, skew = self.layouts.scale_bin, self.layouts.skew_bin
            neighbours = self.transform.mode != "learned"
        else:
            scale = resample(self.layouts.other_scale_bin, self.grid, grid)
            skew = resample(self.layouts.skew_bin, self.grid, grid) if spatial else np.full_like(scale, SKEW_BINS // 2)
            neighbours = True
        scale = np.clip(scale + fineness, LOWEST_SCALE_BIN, HIGHEST_SCALE_BIN)
        return Layout(grid.rows, grid.columns, neighbours, scale, skew)

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
        }
        floats = ("mean", "forward", "inverse", "grid_forward", "grid_inverse")
        layouts = ("scale_bin", "skew_bin", "other_scale_bin")
        arrays: dict[str, Any] = {name: getattr(transform, name).astype(np.float32) for name in floats}
        arrays |= {name: getattr(self.layouts, name).astype(np.int16) for name in layouts}
        arrays |= {name: getattr(self.tables, name).astype(np.int32) for name in Tables.ARRAYS}
        if self.restoration is not None:
            arrays |= {_RESTORATION + name: array for name, array in self.restoration.stored().items()}
        if self.contexts is not None:
            arrays |= {_CONTEXTS + name: array for name, array in self.contexts.stored().items()}
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
            tables = Tables(**integers)
            layouts = LayoutTables(*(arrays[n].astype(np.int64) for n in ("scale_bin", "skew_bin", "other_scale_bin")))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT) from error
        transform.check(grid.rows * grid.columns)
        _check_layouts(layouts, grid.rows * grid.columns, transform.forward.shape[1])
        tables.check(transform.forward.shape[1])
        size, planes = transform.forward.shape[1], tables.planes
        known = arrays_of(arrays, _CONTEXTS, Contexts.ARRAYS, BundlePart.TABLES)
        contexts = None if known is None else Contexts.from_stored(known, size, planes)
        guess = arrays_of(arrays, _RESTORATION, Restoration.ARRAYS, BundlePart.RESTORATION)
        restoration = None if guess is None else Restoration.from_stored(guess, size, planes)
        return cls(grid, transform, tables, layouts, contexts, restoration)


def _check_layouts(layouts: LayoutTables, positions: int, components: int) -> None:
    for name in ("scale_bin", "skew_bin", "other_scale_bin"):
        low, high = (0, SKEW_BINS - 1) if name == "skew_bin" else (LOWEST_SCALE_BIN, HIGHEST_SCALE_BIN)
        check_shape(BundlePart.TABLES, getattr(layouts, name), (positions, components))
        check_bounds(BundlePart.TABLES, getattr(layouts, name), low, high)
