"""The learned codec ``meta``: an autoencoder with ordered integer latents, entropy-coded so that any prefix decodes.

::

    tokens (N, D) --meta_encoder.onnx, round--> integers (T, K, c) --frozen tables--> codeword --slices--> segments
    prefix --frozen tables--> leading latents --meta_decoder.onnx (learned masks for the rest)--> tokens (N, D)

The ordered latent of learned queries follows the Meta AutoEncoder of arXiv 2604.26508. Floats live in the two networks
only; no symbol's probability depends on one. The device runs the encoder, the cloud the decoder; each is loaded when
first used. Training is in :mod:`heliograph.training.meta`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from heliograph.codec.checks import check_bounds, check_shape
from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.expectation import ErrorHead, Expectation
from heliograph.codec.familiarity import FittedRange, misfit, misfit_code
from heliograph.codec.header import Header, pack_header, parse_header
from heliograph.codec.latents import Int, LatentTables, decode_latents, encode_latents
from heliograph.codec.levels import LevelCurve
from heliograph.codec.onnx_session import open_session
from heliograph.codec.storage import file_names, read_arrays, stored_grid, write_arrays
from heliograph.errors import AnsweringFailedError, BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault, StreamFault
from heliograph.types import LARGEST_WEIGHT, EncodedImage, FloatArray, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    import onnxruntime

ENCODER, DECODER = "meta_encoder.onnx", "meta_decoder.onnx"
WEIGHTS = "meta.safetensors"
"""File of both networks' weights, which they name as their external data."""

_NETWORKS = (ENCODER, DECODER, WEIGHTS)
SHARE_ONE = 1 << 16  # retained shares are integers, this is all of the energy
_FORMAT, _STEM = 1, "meta_tables"
_MAX_VALUES = 1 << 24
_MAX_WORST = 0.99  # misfit of the worst held-out photo, as far as shares are held against it


@dataclass(frozen=True)
class MetaTables:
    """Everything but the networks.

    Attributes:
        grid: of the photos it was trained on; rows and columns are fixed, tiles are not.
        hidden_size: D.
        latents: frozen entropy tables, (K, c) integers a tile.
        retained: (K + 1,) share of the energy of features that the leading latents restored on held-out photos,
            never falling, 65536 = all.
        head: says what to expect of a prefix.
        most_missed: share of a tile's energy that the linear path may miss; above it a photo is none of the kind that
            was learned from.
    """

    grid: Grid
    hidden_size: int
    latents: LatentTables
    retained: Int
    head: ErrorHead
    most_missed: float

    def check(self) -> None:
        """Refuse what no training writes.

        Raises:
            BundleDamagedError: shapes or values are out of bounds.
        """
        self.latents.check()
        self.head.check(self.latents.latents)
        check_shape(BundlePart.TABLES, self.retained, (self.latents.latents + 1,))
        check_bounds(BundlePart.TABLES, self.retained, 0, SHARE_ONE)
        if not 0 <= self.most_missed < LARGEST_WEIGHT or not 1 <= self.grid.tokens * self.hidden_size <= _MAX_VALUES:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        if np.any(np.diff(self.retained) < 0):
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.ORDER)


class MetaCodec:
    """Learned codec; see the module. Made by ``heliograph train codec --kind meta``, read with ``load``.

    Args:
        tables: checked.
        folder: where the two networks lie.

    Attributes:
        fitted: misfit of photos like those it has learned; with it the header states the misfit of every photo.
    """

    kind: ClassVar[str] = "meta"
    learned: ClassVar[bool] = True
    energy_of_photo: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = (*file_names(_STEM), *_NETWORKS)

    def __init__(self, tables: MetaTables, folder: Path) -> None:
        self.tables, self._folder = tables, folder
        self.fitted: FittedRange | None = None
        self.levels: LevelCurve | None = None

    @property
    def grid(self) -> Grid:
        """The grid of the photos it was trained on."""
        return self.tables.grid

    @property
    def hidden_size(self) -> int:
        """D."""
        return self.tables.hidden_size

    # ---- encode --------------------------------------------------------------------------------
    def encode(self, tokens: VisualTokens, *, max_bytes: int | None = None, level: int | None = None) -> EncodedImage:
        """See :class:`heliograph.codec.base.Codec`. A ``max_bytes`` below the header sends the header alone.

        Args:
            tokens, max_bytes: see there.
            level: ends the stream after so many latents of every tile.
        """
        return self.encode_watchfully(tokens, max_bytes=max_bytes, level=level)[0]

    def encode_watchfully(
        self, tokens: VisualTokens, *, max_bytes: int | None = None, level: int | None = None
    ) -> tuple[EncodedImage, bool]:
        """The stream, and whether the photo is none of the kind it has learned: its linear path alone misses more of
        the features' energy than it did on any held-out photo."""
        integers, missed = self._measured(tokens)
        codeword, needed = encode_latents(integers, self.tables.latents)
        part, code = self._misfit(integers, tokens)
        header = pack_header(tokens.grid, self.grid, small=part, extra=code)
        data = codeword if max_bytes is None else codeword[: max(max_bytes - len(header), 0)]
        if level is not None:
            wanted = min(level * tokens.grid.tiles, len(needed))
            data = data[: int(needed[wanted - 1]) if wanted > 0 else 0]
        ends = segment_ends(len(data))
        known = needed.searchsorted(np.asarray(ends, dtype=np.int64), side="right")
        lowered = self._lowered_by(part, code)
        quality = tuple(self._share(int(count), tokens.grid.tiles) * lowered for count in known)
        agreement: tuple[float, ...] = ()
        if self.levels is not None:
            agreement = tuple(self.levels.agreement_at(int(count) // tokens.grid.tiles) for count in known)
        encoded = EncodedImage(self.kind, header, cut(data, ends), quality, predicted_agreement=agreement)
        return encoded, missed > self.tables.most_missed

    def _misfit(self, integers: Int, tokens: VisualTokens) -> tuple[int, int]:
        """The misfit of the whole stream, at the cost of a decoder run: the part of the fitted range, or its code.

        Both are 0 without a fitted range, where nothing is measured.
        """
        if self.fitted is None:
            return 0, 0
        restored = self._restored(integers, integers.shape[0] * integers.shape[1], tokens.grid)
        found = misfit(tokens.values, restored)
        part = self.fitted.part_of(found)
        return part, 0 if part else misfit_code(found)

    def latents(self, tokens: VisualTokens) -> Int:
        """(T, K, c) integers of visual tokens.

        Raises:
            ShapeError: N, D or the grid do not fit, or a value is not finite.
        """
        return self._measured(tokens)[0]

    def _measured(self, tokens: VisualTokens) -> tuple[Int, float]:
        """Integers, and the largest share of a tile's energy that the linear path misses."""
        grid = tokens.grid
        values = np.asarray(tokens.values, dtype=np.float32)
        if not self.takes(grid):
            raise ShapeError().noted(f"{grid} is none that this codec takes.")
        if values.shape != (grid.tokens, self.hidden_size):
            raise ShapeError().noted(
                f"tokens of {grid} have the shape {(grid.tokens, self.hidden_size)}, not {values.shape}."
            )
        if not tokens_make_sense(values):
            raise ShapeError().noted("a value is not finite, or larger than a vision tower makes.")
        made, missed = _run(self._encoder, {"tokens": values.reshape(grid.tiles, -1, self.hidden_size)}, 2)
        tables = self.tables.latents
        if made.shape != (grid.tiles, tables.latents, tables.channels) or missed.shape != (grid.tiles,):
            raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER).noted(f"{ENCODER}.")
        integers = np.clip(np.rint(made), -tables.reach, tables.reach).astype(np.int64)  # (T, K, c)
        return integers, float(missed.max())

    # ---- decode --------------------------------------------------------------------------------
    def stated_grid(self, header: bytes) -> Grid:
        """See :class:`heliograph.codec.base.Codec`."""
        return self._read_header(header)

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        """See :class:`heliograph.codec.base.Codec`."""
        grid = self._read_header(header)
        integers, count = self.decode_integers(grid, segments)
        return VisualTokens(self._restored(integers, count, grid), grid)

    def _restored(self, integers: Int, count: int, grid: Grid) -> FloatArray:
        """(N, D) tokens from the first ``count`` latents in coding order of (T, K, c) integers."""
        tables = self.tables.latents
        order = np.arange(tables.latents)[None] * grid.tiles + np.arange(grid.tiles)[:, None]  # (T, K)
        given = {"latents": integers.astype(np.float32), "known": order < count}
        (made,) = _run(self._decoder, given, 1)  # (T, N, D)
        if made.size != grid.tokens * self.hidden_size:
            raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER).noted(f"{DECODER}.")
        return np.ascontiguousarray(made.reshape(grid.tokens, -1))

    def decode_integers(self, grid: Grid, segments: Sequence[bytes]) -> tuple[Int, int]:
        """(T, K, c) integers, zeros where unknown, and how many latents in coding order the segments tell."""
        return decode_latents(b"".join(segments), self.tables.latents, grid.tiles)

    def retained_energy(self, header: bytes, segments: Sequence[bytes]) -> float:
        """Share that so many latents restored on held-out photos; equals the sender's ``predicted_quality``.

        Of a photo that is restored worse than those, by the misfit in its header, so much less.
        """
        found = self._parsed(header)
        share = self._share(self.decode_integers(found.grid, segments)[1], found.grid.tiles)
        return share * self._lowered_by(found.small, found.extra)

    def level(self, header: bytes, segments: Sequence[bytes]) -> int:
        """Latents that are known of every tile."""
        grid = self._read_header(header)
        return self.decode_integers(grid, segments)[1] // grid.tiles

    def expect(self, header: bytes, segments: Sequence[bytes], question: str = "") -> Expectation:
        """What to expect of an answer from this prefix, before it is made; better with the question.

        Raises:
            StreamTruncatedError, StreamDamagedError, StreamVersionError: the header cannot be read.
        """
        integers, count = self.decode_integers(self._read_header(header), segments)
        return self.tables.head.expect(integers, count, question)

    def _lowered_by(self, part: int, code: int) -> float:
        """What the share of held-out photos is multiplied by for a photo with this misfit, 0 to 1."""
        stated = None if self.fitted is None else self.fitted.stated(part, code)
        if self.fitted is None or stated is None:
            return 1.0
        worst = min(self.fitted.highest, _MAX_WORST)
        return min(max(1 - stated, 0.0) / (1 - worst), 1.0)

    def _share(self, count: int, tiles: int) -> float:
        """``count`` latents in coding order: some tiles may be one latent ahead of the others."""
        whole, ahead = divmod(count, tiles)
        retained = self.tables.retained
        least, most = int(retained[whole]), int(retained[min(whole + 1, len(retained) - 1)])
        return (least * tiles + (most - least) * ahead) / (tiles * SHARE_ONE)

    def _read_header(self, header: bytes) -> Grid:
        return self._parsed(header).grid

    def _parsed(self, header: bytes) -> Header:
        found = parse_header(bytes(header), self.grid)
        if not self.takes(found.grid):
            raise StreamDamagedError(StreamFault.GRID)
        return found

    def takes(self, grid: Grid) -> bool:
        """Whether it codes photos on a grid: tiles of the sides that it has learned, not too many."""
        same = (grid.rows, grid.columns) == (self.grid.rows, self.grid.columns)
        return same and grid.tiles >= 1 and grid.tokens * self.hidden_size <= _MAX_VALUES

    # ---- networks and disk ---------------------------------------------------------------------
    @cached_property
    def _encoder(self) -> onnxruntime.InferenceSession:
        return open_session(self._folder / ENCODER)

    @cached_property
    def _decoder(self) -> onnxruntime.InferenceSession:
        return open_session(self._folder / DECODER)

    def save(self, folder: Path) -> None:
        """Write tables and networks."""
        grid, tables = self.grid, self.tables
        facts = {
            "format": _FORMAT,
            "kind": self.kind,
            "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
            "hidden_size": tables.hidden_size,
            "most_missed": tables.most_missed,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            name: getattr(tables.latents, name).astype(np.int32) for name in LatentTables.ARRAYS
        }
        head = {name: getattr(tables.head, name) for name in ErrorHead.ARRAYS}
        write_arrays(folder, _STEM, facts, arrays | {"retained": tables.retained.astype(np.int32)} | head)
        for name in _NETWORKS:
            if (self._folder / name).resolve() != (folder / name).resolve():
                shutil.copyfile(self._folder / name, folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote; the networks are opened when first used.

        Raises:
            BundleDamagedError: anything is missing, out of bounds or of the wrong shape.
        """
        facts, arrays = read_arrays(folder, _STEM)
        try:
            if facts["format"] != _FORMAT or facts["kind"] != cls.kind:
                raise BundleDamagedError(BundlePart.TABLES, BundleFault.FORMAT)
            grid, hidden_size = stored_grid(facts), int(facts["hidden_size"])
            latents = LatentTables(**{name: arrays[name].astype(np.int64) for name in LatentTables.ARRAYS})
            head = ErrorHead(**{name: arrays[name].astype(np.float32) for name in ErrorHead.ARRAYS})
            tables = MetaTables(
                grid, hidden_size, latents, arrays["retained"].astype(np.int64), head, float(facts["most_missed"])
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT) from error
        tables.check()
        if not all((folder / name).is_file() for name in _NETWORKS):
            raise BundleDamagedError(BundlePart.NETWORK, FileFault.MISSING)
        return cls(tables, folder)


def _run(session: onnxruntime.InferenceSession, given: dict[str, npt.NDArray[Any]], outputs: int) -> list[FloatArray]:
    """The outputs of a network, checked to be as many as expected.

    Raises:
        BundleDamagedError: it does not take these inputs, or has other outputs.
        AnsweringFailedError: one of them holds a value that is not finite.
    """
    try:
        made = session.run(None, given)
    except Exception as error:  # onnxruntime raises classes of its own
        raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER) from error
    if len(made) != outputs:
        raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER)
    outputs_f32 = [np.asarray(one, dtype=np.float32) for one in made]
    if not all(np.all(np.isfinite(one)) for one in outputs_f32):
        raise AnsweringFailedError
    return outputs_f32
