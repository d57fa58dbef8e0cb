"""Product quantisation of visual tokens, ``pq``: an opponent of fixed rate, one byte per token and subspace.

::

    tokens (N, D) --mean, channel transform--> features (N, R) --split into m subspaces--> nearest of 256 centroids each
    --> m bytes per token, one segment per row of the grid ==> centroids --> features --> tokens

Product quantisation is that of Jégou et al., IEEE TPAMI 33(1), 2011; features go to subspaces by the eigenvalue
allocation of Ge et al., "Optimized Product Quantization", CVPR 2013. The transform is the closed-form codec's, so that
equal errors in all features hurt the model equally. Fitting is in :mod:`heliograph.training.fitting.fit_product`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds, check_shape, check_tokens, check_weights
from heliograph.codec.expectation import Expectation
from heliograph.codec.familiarity import FittedRange
from heliograph.codec.header import pack_header, parse_header
from heliograph.codec.levels import LevelCurve
from heliograph.codec.storage import file_names, read_arrays, stored_grid, write_arrays
from heliograph.errors import BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault, StreamFault
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens, tokens_make_sense

CENTROIDS = 256
"""One byte names a centroid."""

_FORMAT, _STEM = 1, "pq"
_MAX_VALUES, _MAX_SUBSPACES = 1 << 24, 64


@dataclass(frozen=True)
class ProductTables:
    """Everything that both ends hold.

    Attributes:
        grid: of the photos it was fitted on; rows and columns are fixed, tiles are not.
        mean: (P, D) float32 mean token at each position of a tile.
        forward, inverse: (D, R) and (R, D) float32, to features and back.
        owner: (Q, R) which subspace of quantiser q a feature belongs to; quantisers grow from coarse to fine.
        centroids: (Q, 256, R) float32; the columns of one subspace are its codebook.
        retained: (Q,) share of the features' energy that each quantiser kept of fitted photos, 0 to 1.
    """

    grid: Grid
    mean: FloatArray
    forward: FloatArray
    inverse: FloatArray
    owner: npt.NDArray[np.int64]
    centroids: FloatArray
    retained: FloatArray

    ARRAYS: ClassVar[tuple[str, ...]] = ("mean", "forward", "inverse", "owner", "centroids", "retained")

    @property
    def subspaces(self) -> list[int]:
        """m of each quantiser, which is also its bytes per token."""
        return [int(owner.max()) + 1 for owner in self.owner]

    def check(self) -> None:
        """Refuse what no fit writes.

        Raises:
            BundleDamagedError: shapes or values are out of bounds.
        """
        if self.forward.ndim != 2 or self.owner.ndim != 2:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
        positions, (hidden, features) = self.grid.rows * self.grid.columns, self.forward.shape
        quantisers = len(self.owner)
        wanted = {
            "mean": (positions, hidden),
            "inverse": (features, hidden),
            "owner": (quantisers, features),
            "centroids": (quantisers, CENTROIDS, features),
            "retained": (quantisers,),
        }
        for name, shape in wanted.items():
            check_shape(BundlePart.TABLES, getattr(self, name), shape)
        check_tokens(BundlePart.TABLES, self.mean)
        check_weights(BundlePart.TABLES, *(getattr(self, name) for name in self.ARRAYS if name != "mean"))
        check_bounds(BundlePart.TABLES, self.owner, 0, _MAX_SUBSPACES - 1)
        if self.grid.tokens * hidden > _MAX_VALUES:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        if self.subspaces != sorted(set(self.subspaces)):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)


class ProductCodec:
    """Product quantisers of several rates over one transform.

    The stream is not embedded: a photo is sent by one quantiser, whose number of subspaces is the header's extra byte.
    Tokens that have not come are the mean token of their position.

    Args:
        tables: checked.
    """

    kind: ClassVar[str] = "pq"
    learned: ClassVar[bool] = False
    energy_of_photo: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = file_names(_STEM)

    def __init__(self, tables: ProductTables) -> None:
        self.tables = tables
        self.fitted: FittedRange | None = None  # its misfit is not measured,
        self.levels: LevelCurve | None = None  # and its prefixes have no levels

    @property
    def grid(self) -> Grid:
        """The grid of the photos it was fitted on."""
        return self.tables.grid

    @property
    def hidden_size(self) -> int:
        """D."""
        return int(self.tables.forward.shape[0])

    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None) -> EncodedImage:
        """Encode with the finest quantiser that fits into ``max_bytes``; else with the coarsest, cut after a row.

        Raises:
            ShapeError: N, D or the grid do not fit, or a value is not finite.
        """
        if max_bytes is None:
            return self.encode_at(tokens, _MAX_SUBSPACES)
        header = len(pack_header(tokens.grid, self.grid, extra=1))
        encoded = self.encode_at(tokens, max(max_bytes - header, 0) // tokens.grid.tokens)
        ends = np.cumsum([len(segment) for segment in encoded.segments])
        return encoded.prefix(int(np.searchsorted(ends, max_bytes - header, side="right")))

    def encode_at(self, tokens: VisualTokens, token_bytes: int) -> EncodedImage:
        """Encode with the finest quantiser of at most ``token_bytes`` per token, else with the coarsest.

        Raises:
            ShapeError: N, D or the grid do not fit, or a value is not finite.
        """
        grid, values = tokens.grid, np.asarray(tokens.values, dtype=np.float32)
        if not self._takes(grid):
            raise ShapeError().noted(f"{grid} is none that this codec takes.")
        if values.shape != (grid.tokens, self.hidden_size):
            raise ShapeError().noted(
                f"tokens of this grid have the shape {(grid.tokens, self.hidden_size)}, not {values.shape}."
            )
        if not tokens_make_sense(values):
            raise ShapeError().noted("a value is not finite, or larger than a vision tower makes.")
        which = max((q for q, m in enumerate(self.tables.subspaces) if m <= token_bytes), default=0)
        codes = self._codes(self._features(values, grid.tiles), which)  # (N, m) u8
        row, data = grid.columns * codes.shape[1], codes.tobytes()
        segments = tuple(data[at : at + row] for at in range(0, len(data), row))
        share = float(self.tables.retained[which]) / len(segments)
        quality = tuple(share * (k + 1) for k in range(len(segments)))
        return EncodedImage(self.kind, pack_header(grid, self.grid, extra=codes.shape[1]), segments, quality)

    def level(self, header: bytes, segments: Sequence[bytes]) -> None:
        """Always None: a prefix has some tokens whole and others not at all."""

    def stated_grid(self, header: bytes) -> Grid:
        """See :class:`heliograph.codec.base.Codec`."""
        return self._read_header(header)[1]

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        """See :class:`heliograph.codec.base.Codec`.

        Raises:
            StreamDamagedError: also where segments hold more than the photo or no whole tokens.
        """
        which, grid = self._read_header(header)
        subspaces, data = self.tables.subspaces[which], b"".join(segments)
        if len(data) % subspaces or len(data) > grid.tokens * subspaces:
            raise StreamDamagedError(StreamFault.LENGTH)
        codes = np.frombuffer(data, dtype=np.uint8).reshape(-1, subspaces)
        tables = self.tables
        features = np.zeros((grid.tokens, tables.forward.shape[1]), dtype=np.float32)  # zero is the mean token
        for subspace, columns in enumerate(self._columns(which)):
            features[: len(codes), columns] = tables.centroids[which][np.ix_(codes[:, subspace], columns)]
        values = np.tile(tables.mean, (grid.tiles, 1)) + features @ tables.inverse
        return VisualTokens(np.asarray(values, dtype=np.float32), grid)

    def retained_energy(self, header: bytes, segments: Sequence[bytes]) -> float:
        """The quantiser's share on fitted photos, times the share of tokens that have come."""
        which, grid = self._read_header(header)
        came = sum(map(len, segments)) / (self.tables.subspaces[which] * grid.tokens)
        return float(self.tables.retained[which]) * min(came, 1.0)

    def expect(self, header: bytes, segments: Sequence[bytes], question: str = "") -> Expectation | None:
        """Always None: the codec has no error head."""
        return None

    def _features(self, values: FloatArray, tiles: int) -> FloatArray:
        """(N, D) to (N, R)."""
        return np.asarray((values - np.tile(self.tables.mean, (tiles, 1))) @ self.tables.forward, dtype=np.float32)

    def _codes(self, features: FloatArray, which: int) -> npt.NDArray[np.uint8]:
        """(N, m) nearest centroid in each subspace of (N, R) features."""
        codes = []
        for columns in self._columns(which):
            book = self.tables.centroids[which][:, columns]  # (256, r)
            distance = np.square(book).sum(axis=1) - 2 * features[:, columns] @ book.T  # (N, 256), up to a constant
            codes.append(distance.argmin(axis=1))
        return np.stack(codes, axis=1).astype(np.uint8)

    def _columns(self, which: int) -> list[npt.NDArray[np.int64]]:
        """Features of each subspace."""
        return [np.flatnonzero(self.tables.owner[which] == s) for s in range(self.tables.subspaces[which])]

    def _read_header(self, header: bytes) -> tuple[int, Grid]:
        found = parse_header(bytes(header), self.grid)
        subspaces, grid = found.extra, found.grid
        if not self._takes(grid):
            raise StreamDamagedError(StreamFault.GRID)
        if found.small or subspaces not in self.tables.subspaces:
            raise StreamDamagedError(StreamFault.HEADER)
        return self.tables.subspaces.index(subspaces), grid

    def _takes(self, grid: Grid) -> bool:
        same = (grid.rows, grid.columns) == (self.grid.rows, self.grid.columns)
        return same and grid.tiles >= 1 and grid.tokens * self.hidden_size <= _MAX_VALUES

    def save(self, folder: Path) -> None:
        """Write the tables; centroids and transform as float16."""
        grid = self.grid
        facts = {
            "format": _FORMAT,
            "kind": self.kind,
            "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
        }
        arrays: dict[str, npt.NDArray[Any]] = {name: getattr(self.tables, name) for name in ProductTables.ARRAYS}
        stored = {name: one.astype(np.uint8 if name == "owner" else np.float16) for name, one in arrays.items()}
        write_arrays(folder, _STEM, facts, stored)

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
            floats = {name: arrays[name].astype(np.float32) for name in ProductTables.ARRAYS if name != "owner"}
            tables = ProductTables(grid, owner=arrays["owner"].astype(np.int64), **floats)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT) from error
        tables.check()
        return cls(tables)
