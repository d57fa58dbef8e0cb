"""``split-k``: the vision tower cut behind its k-th block, the rest of it in the cloud.

::

    DEVICE  photo --encoder.onnx, blocks 1 ... k--> states (P, d) --less those of a grey photo, / step--> integers
            --chances that follow what comes, no table--> one codeword
    CLOUD   integers x step + states of a grey photo --blocks k + 1 ... L, projector, of the model itself--> (N, D)

Split computing with compressed features, without training: neither end changes a weight, and the device's part is cut
out of the bundle's encoder when it is opened (:mod:`heliograph.codec.onnx_graph`). Every channel has its own scale,
which is not sent but followed (:mod:`heliograph.codec.state_planes`). What every photo has in common, positions above
all, is what both ends make of a grey one, so that it need not be sent either. Articles on such splits train a
bottleneck; this one shows what is lost without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.header import read_varint, write_varint
from heliograph.codec.state_planes import MAX_MAGNITUDE, MAX_STATES, decode_states, encode_states
from heliograph.errors import ShapeError, StreamDamagedError, StreamTruncatedError
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
)
from heliograph.strategies.towers import BlockUnits
from heliograph.types import EncodedImage, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BLOCK, MAX_LEVEL = 255, 63
MAX_SIDE = 4096
_LEVELS_AN_OCTAVE, _FINEST = 4, 1 / 64
_SIDE_BYTES = 2
_MAX_STATE_BYTES = 6


class SplitKStrategy(Strategy):
    """Header: k (1 byte), level (1 byte), and of the square picture width - 1 as a varint. Segments: slices of the
    codeword; of states that have not come, those of a grey photo are put.

    Knobs: ``block``, k, from 1 to one less than the tower has; ``level``, quarter octaves of the step above 1/64.
    """

    name: ClassVar[str] = "split-k"
    default_setting: ClassVar[Setting] = {"block": 2, "level": 26}
    kind: ClassVar[Kind] = Kind.TOKENS
    needs_bundle: ClassVar[bool] = True
    embedded: ClassVar[bool] = True
    family: ClassVar[Family] = Family.SPLIT
    enters_tower: ClassVar[bool] = True

    def settings(self) -> tuple[Setting, ...]:
        """Four steps behind each of three blocks."""
        return tuple({"block": block, "level": level} for block in (1, 2, 4) for level in (34, 30, 26, 22))

    def tower_units(self, setting: Setting, tokens: int, blocks: int) -> tuple[BlockUnits, ...]:
        """All of the first k blocks, nothing of the others."""
        block = int(self.complete_setting(setting)["block"])
        return tuple(BlockUnits(tokens, tokens) if one < block else BlockUnits(0, 0) for one in range(blocks))

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The states behind block k.

        Raises:
            ModelUnsupportedError: the bundle's encoder is no tower of plain blocks.
            UsageError: it has not more than so many.
            ShapeError: more states than a stream may hold.
        """
        completed = self.complete_setting(setting)
        block, level = int_knob(completed, "block", 1, MAX_BLOCK), int_knob(completed, "level", 0, MAX_LEVEL)
        states = tools.tower.states(photo, block)  # (P, d)
        if states.size > MAX_STATES:
            raise ShapeError().noted(f"a stream holds {MAX_STATES} states, not {states.size}.")
        grey = tools.tower.grey_states(block)
        largest = MAX_MAGNITUDE - 1
        integers = np.clip(np.rint((states - grey) / _step(level)), -largest, largest).astype(np.int64)
        codeword = encode_states(integers[None], _square(len(states)))
        header = bytes((block, level)) + write_varint(tools.input_size - 1)
        return EncodedImage(self.name, header, cut(codeword, segment_ends(len(codeword))))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """All N tokens from any prefix, by the rest of the tower.

        Raises:
            ModelUnsupportedError: the model's tower cannot be entered there.
            ShapeError: the model reads pictures of another size.
            StreamDamagedError: a header that no device writes, or too many bytes.
        """
        block, level, side = self._read(encoded.header)
        reader = tools.patch_reader((side, side))
        grey = reader.grey_states(block)  # (T, P, d)
        if len(grey) != 1 or grey.size > MAX_STATES:
            raise ShapeError().noted("states are sent of one square picture.")
        data = joined(encoded.segments, _MAX_STATE_BYTES * grey.size)
        if data is None:
            raise StreamDamagedError(StreamFault.LENGTH)
        shape = (1, grey.shape[1], grey.shape[2])
        found, count = decode_states(data, shape, reader.patches)
        away = np.zeros(grey.size, np.float32)
        away[:count] = found
        return Restored(tokens=reader.tokens_behind(block, _float(grey + away.reshape(shape) * _step(level))))

    def _read(self, header: bytes) -> tuple[int, int, int]:
        """k, level, and the side of the picture."""
        try:
            less, position = read_varint(header, 2, _SIDE_BYTES)
        except StreamTruncatedError as error:
            raise StreamDamagedError(StreamFault.HEADER) from error  # a header arrives whole or not at all
        if position != len(header) or not header[0] or header[1] > MAX_LEVEL or less >= MAX_SIDE:
            raise StreamDamagedError(StreamFault.HEADER)
        return header[0], header[1], less + 1


def _step(level: int) -> np.float32:
    return np.float32(_FINEST * 2 ** (level / _LEVELS_AN_OCTAVE))


def _square(patches: int) -> tuple[int, int]:
    side = int(np.sqrt(patches))
    if side * side != patches:
        raise ShapeError().noted(f"{patches} patches of a square picture are no square.")
    return side, side


def _float(values: FloatArray) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)
