"""``tokens-1d``: a photo as an ordered list of codes of ten bits, each of which tells most of what is left.

::

    tower --tokens (T, N, D)--> encoder.onnx: K registers read them --nearest codeword each--> codes (T, K)
    codes --prior over codes, integer tables--> one codeword, cut anywhere
    prefix --whole codes that it holds--> decoder.onnx, learned masks for the rest --> tokens (N, D)

One-dimensional tokens are those of TiTok (arXiv 2406.07550), their order by nested dropout that of FlexTok (arXiv
2502.13967) and One-D-Piece (arXiv 2501.10064). Different here: registers read the tower's tokens instead of pixels, and
the decoder restores those for an unmodified VLM; beside the registers runs a linear path on which each code quantises
what the codes before it leave; codewords are not brought to unit length, since how large a rest is must be told; codes
are not sent flat, but by what an earlier code tells of them (:mod:`heliograph.codec.code_prior`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.codec.code_prior import CodePrior, Int, decode_codes, encode_codes
from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.header import pack_header, parse_header
from heliograph.codec.part_networks import run_network
from heliograph.codec.parts import Part
from heliograph.codec.storage import stored_grid
from heliograph.errors import BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault, StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Family,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
)
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_CODES, _MAX_VALUES = 256, 1 << 24


class Tokens1dStrategy(Strategy):
    """Header: 2 bytes of the part's identity, then the header of :mod:`heliograph.codec.header` on the part's grid.

    Knob ``codes``: of every tile at most; 0 for all that there are.
    """

    name: ClassVar[str] = "tokens-1d"
    default_setting: ClassVar[Setting] = {"codes": 0}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    needs_part: ClassVar[bool] = True
    family: ClassVar[Family] = Family.COMPRESSED_LATENT
    paper: ClassVar[str | None] = "2406.07550"

    def settings(self) -> tuple[Setting, ...]:
        """Settings from two codes to all."""
        return tuple({"codes": count} for count in (2, 4, 6, 8, 12, 16, 20, 24, 28, 0))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The photo's codes.

        Raises:
            PartMissingError: there is no part for this model.
            ShapeError: the photo's grid is none that the part takes.
        """
        count = int_knob(self.complete_setting(setting), "codes", 0, _MAX_CODES)
        part = tools.part(self.name)  # before the tower runs
        registers = Registers.of(part)
        tokens = tools.encode_tokens(photo)
        codeword, needed = encode_codes(registers.codes(tokens), registers.prior)
        wanted = min(count or registers.prior.codes, registers.prior.codes) * tokens.grid.tiles
        data = codeword if wanted == len(needed) else codeword[: int(needed[wanted - 1])]
        header = part.identity + pack_header(tokens.grid, registers.grid)
        return EncodedImage(self.name, header, cut(data, segment_ends(len(data))))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens from the codes that are there whole, none included.

        Raises:
            PartMissingError, PartMismatchError: there is no part for this model, or the device has another one.
            StreamTruncatedError, StreamDamagedError, StreamVersionError: the header cannot be read.
            ShapeError: its grid is none of the model's.
        """
        part = tools.part(self.name)
        header = part.unwrapped(encoded.header)
        registers = Registers.of(part)
        grid = parse_header(header, registers.grid).grid
        if not registers.takes(grid):
            raise StreamDamagedError(StreamFault.GRID)
        tools.check_grid(grid)
        codes, known = decode_codes(b"".join(encoded.segments), registers.prior, grid.tiles)
        return Restored(tokens=VisualTokens(registers.tokens(codes, known, grid), grid))


@dataclass(frozen=True)
class Registers:
    """A part's networks and tables.

    Attributes:
        part: that they are of.
        grid: of the photos that it was trained on.
        hidden_size: D.
        prior: over codes.
    """

    part: Part
    grid: Grid
    hidden_size: int
    prior: CodePrior

    @classmethod
    def of(cls, part: Part) -> Registers:
        """Tables, checked.

        Raises:
            BundleDamagedError: they are none that a training writes.
        """
        facts, arrays = part.tables
        try:
            prior = CodePrior(**{name: arrays[name].astype(np.int64) for name in CodePrior.ARRAYS})
            grid, hidden_size = stored_grid(facts), int(facts["hidden_size"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT) from error
        prior.check()
        if not 1 <= hidden_size * grid.tokens <= _MAX_VALUES:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        return cls(part, grid, hidden_size, prior)

    def takes(self, grid: Grid) -> bool:
        """Whether photos of a grid can be coded: tiles of the sides that were learned."""
        same = (grid.rows, grid.columns) == (self.grid.rows, self.grid.columns)
        return same and grid.tiles >= 1 and grid.tokens * self.hidden_size <= _MAX_VALUES

    def codes(self, tokens: VisualTokens) -> Int:
        """(T, K) codes of tokens.

        Raises:
            ShapeError: N, D or the grid do not fit, or a value is not finite.
        """
        grid, values = tokens.grid, np.asarray(tokens.values, dtype=np.float32)
        if not self.takes(grid) or values.shape != (grid.tokens, self.hidden_size) or not tokens_make_sense(values):
            raise ShapeError().noted(f"{grid} with {values.shape} values is not what {self.part.name} was trained for.")
        given = {"tokens": values.reshape(grid.tiles, -1, self.hidden_size)}
        made = run_network(self.part, "encoder", given, (grid.tiles, self.prior.codes))
        if made.min() < 0 or made.max() >= self.prior.words:
            raise BundleDamagedError(BundlePart.NETWORK, BundleFault.BORDER).noted("encoder.onnx.")
        return made.astype(np.int64)

    def tokens(self, codes: Int, known: int, grid: Grid) -> FloatArray:
        """(N, D) tokens from the first ``known`` of (T, K) codes in coding order."""
        tiles = grid.tiles
        order = np.arange(self.prior.codes)[None] * tiles + np.arange(tiles)[:, None]  # (T, K)
        shape = (tiles, grid.tokens // tiles, self.hidden_size)
        made = run_network(self.part, "decoder", {"codes": codes, "known": order < known}, shape)
        return np.ascontiguousarray(made.reshape(grid.tokens, -1), dtype=np.float32)
