"""Latents of a light encoder on the device, and what a part's other half makes of them in the cloud.

::

    picture (3, S, S) --encoder.onnx, strided convolutions--> latents (C, P) --gains of the rate, rounded--> integers
        --frozen integer tables, range coder--> codeword
    cloud: integers (1, C, h, w), rate --decoder.onnx--> the tower's tokens (N, D)                  (bottlenecks)
           integers (1, C, h, w), rate --neck.onnx--> states behind the tower's block 2 --tower--> tokens (necks)

No tower runs on the device. One model has several rates: each scales the channels by gains of its own before they are
rounded, and has tables of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from heliograph.codec.channel_tables import ChannelTables, decode_channels, encode_channels
from heliograph.codec.checks import check_bounds, check_shape
from heliograph.codec.part_networks import run_network
from heliograph.codec.storage import stored_grid
from heliograph.errors import (
    AnsweringFailedError,
    BundleDamagedError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
)
from heliograph.reasons import BundleFault, BundlePart, FileFault, StreamFault
from heliograph.strategies.base import (
    CloudTools,
    DeviceTools,
    Kind,
    Restored,
    Setting,
    Strategy,
    int_knob,
    joined,
    sliced,
)
from heliograph.types import EncodedImage, FloatArray, Grid, VisualTokens, tokens_make_sense

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.parts import Part

ENCODER, DECODER, NECK = "encoder", "decoder", "neck"
ENTERED_BEHIND = 2
"""Blocks of the tower that a neck stands for."""

Int = np.ndarray[Any, np.dtype[np.int64]]
_MAX_SIDE, _MAX_VALUES = 1 << 12, 1 << 24
_MAX_SYMBOL_BYTES = 3
"""No symbol takes more: its share of 2 ** 16 is at least 1."""

_SMALLEST_GAIN, _LARGEST_GAIN = 1e-6, 1e6


class BottleneckStrategy(Strategy):
    """Header: 2 bytes of the part's identity, 1 byte the rate. Segments, joined: the codeword, of which all is needed.

    Knob ``rate``: from 0, the fewest bytes, up; how many there are the part says.

    Attributes:
        cloud_network: of the part, that the cloud runs.
    """

    cloud_network: ClassVar[str] = DECODER
    default_setting: ClassVar[Setting] = {"rate": 3}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    needs_part: ClassVar[bool] = True

    def settings(self) -> tuple[Setting, ...]:
        """Six rates, as the shipped parts have them."""
        return tuple({"rate": rate} for rate in range(6))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The photo's latents; no tower runs.

        Raises:
            PartMissingError: there is no part for this model.
            UsageError: the part has no such rate.
            ShapeError: the model reads photos of another size, or in several pictures.
        """
        completed = self.complete_setting(setting)
        part = tools.part(self.name)
        halves = BottleneckPart.of(part)
        rate = int_knob(completed, "rate", 0, halves.tables.rates - 1)
        integers = halves.integers(_only(tools.pictures(photo), halves.side), rate)
        codeword = encode_channels(integers, halves.tables, rate)
        return EncodedImage(self.name, part.identity + bytes([rate]), sliced(codeword))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens.

        Raises:
            PartMissingError, PartMismatchError: there is no part for this model, or the device has another one.
            StreamTruncatedError: the codeword is not whole.
            StreamDamagedError: a rate that the part has not, or more bytes than it can have.
            ShapeError: the part's grid is none of the model's.
        """
        part = tools.part(self.name)
        number = part.unwrapped(encoded.header)
        halves = BottleneckPart.of(part)
        if not number:
            raise StreamTruncatedError().noted("Its header has no rate.")
        if len(number) > 1 or number[0] >= halves.tables.rates:
            raise StreamDamagedError(StreamFault.HEADER)
        codeword = joined(encoded.segments, halves.most_bytes)
        if codeword is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        tools.check_grid(halves.grid)
        integers = decode_channels(codeword, halves.tables, number[0], halves.places)
        return Restored(tokens=self._tokens(halves, integers, number[0], tools))

    def _tokens(self, halves: BottleneckPart, integers: Int, rate: int, tools: CloudTools) -> VisualTokens:
        """All N tokens of integers (C, P): what the cloud's half of the part makes."""
        return VisualTokens(halves.cloud_half(self.cloud_network, integers, rate, halves.grid.tokens), halves.grid)


class NeckStrategy(BottleneckStrategy):
    """The same, with a network that leads into the model's own tower."""

    cloud_network: ClassVar[str] = NECK
    enters_tower: ClassVar[bool] = True

    def _tokens(self, halves: BottleneckPart, integers: Int, rate: int, tools: CloudTools) -> VisualTokens:
        """What the rest of the model's own tower makes of the neck's states.

        Raises:
            ModelUnsupportedError: its tower cannot be entered.
            ShapeError: it does not read such pictures.
        """
        states = halves.cloud_half(self.cloud_network, integers, rate, halves.places)  # (P, W)
        reader = tools.patch_reader((halves.side, halves.side))
        return reader.tokens_behind(ENTERED_BEHIND, np.ascontiguousarray(states[None]))


@dataclass(frozen=True)
class BottleneckPart:
    """A part's networks and tables.

    Attributes:
        part: that they are of.
        grid: of the tokens.
        hidden_size: channels of what the cloud's half makes.
        side: of the picture that the encoder reads, in pixels.
        rows, columns: of the latents.
        gains: (R, C) float32, by which latents are scaled at each rate.
        tables: of the integers.
    """

    part: Part
    grid: Grid
    hidden_size: int
    side: int
    rows: int
    columns: int
    gains: FloatArray
    tables: ChannelTables

    @classmethod
    def of(cls, part: Part) -> BottleneckPart:
        """Tables, checked.

        Raises:
            BundleDamagedError: they are none that a training writes.
        """
        facts, arrays = part.tables
        try:
            grid, numbers = stored_grid(facts), [facts[name] for name in ("hidden_size", "side", "rows", "columns")]
            gains, borders = arrays["gains"].astype(np.float32), arrays["borders"].astype(np.int64)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT) from error
        if any(type(one) is not int or one < 1 for one in numbers):
            raise BundleDamagedError(BundlePart.TABLES, FileFault.CONTENT)
        tables = ChannelTables(borders)
        tables.check()
        check_shape(BundlePart.TABLES, gains, (tables.rates, tables.channels))
        check_bounds(BundlePart.TABLES, gains, _SMALLEST_GAIN, _LARGEST_GAIN)
        hidden_size, side, rows, columns = numbers
        values = max(grid.tokens, rows * columns) * max(hidden_size, tables.channels)
        if side > _MAX_SIDE or values > _MAX_VALUES:
            raise BundleDamagedError(BundlePart.TABLES, BundleFault.RANGE)
        return cls(part, grid, hidden_size, side, rows, columns, gains, tables)

    @property
    def places(self) -> int:
        """P of the latents (C, P)."""
        return self.rows * self.columns

    @property
    def most_bytes(self) -> int:
        """The most bytes that a codeword can have."""
        return _MAX_SYMBOL_BYTES * self.tables.channels * self.places

    def integers(self, picture: Image, rate: int) -> Int:
        """(C, P) of a picture of the right size."""
        levels = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)[None]  # (1, 3, S, S)
        shape = (1, self.tables.channels, self.rows, self.columns)
        latents = run_network(self.part, ENCODER, {"pixels": np.ascontiguousarray(levels)}, shape)[0]
        scaled = latents * self.gains[rate][:, None, None]
        reach = float(self.tables.reach)
        found = np.clip(np.rint(scaled), -reach, reach).astype(np.int64)
        return np.asarray(found.reshape(self.tables.channels, self.places))

    def cloud_half(self, network: str, integers: Int, rate: int, places: int) -> FloatArray:
        """(places, :attr:`hidden_size`) float32 that a network of the cloud makes of integers (C, P).

        Raises:
            AnsweringFailedError: values that are no tokens, nor states.
        """
        shape = (1, self.tables.channels, self.rows, self.columns)
        given: dict[str, np.ndarray[Any, Any]] = {
            "latents": integers.astype(np.float32).reshape(shape),
            "rate": np.array([rate], dtype=np.int64),
        }
        found = run_network(self.part, network, given, (1, places, self.hidden_size))[0]
        if not tokens_make_sense(found):
            raise AnsweringFailedError
        return np.ascontiguousarray(found)


def _only(pictures: tuple[Image, ...], side: int) -> Image:
    """The one picture that the model's tower reads.

    Raises:
        ShapeError: there are several, or it has another size.
    """
    if len(pictures) != 1 or pictures[0].size != (side, side):
        sizes = " and ".join(f"{one.width}x{one.height}" for one in pictures)
        raise ShapeError().noted(f"the part is for one picture of {side}x{side} pixels, and this model reads {sizes}.")
    return pictures[0]
