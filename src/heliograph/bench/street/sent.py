"""What every way sends of the photos, and the visual tokens that come back: bytes, wire bytes, processor times.

::

    tokens:    device's own --strategy, such as klt ended at a level--> stream --strategy--> tokens
    pictures:  photo --size, quality--> file, as it is or bare --decoder--> picture --cloud's own tower--> tokens

Files of one format, size and quality hold the same picture, progressive or not, whole or bare: it is judged once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from heliograph.bench.exchange_model import exchange_messages
from heliograph.bench.stats import DoubleArray
from heliograph.bench.street.asked import QUESTIONS
from heliograph.bench.timing import processor_s
from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle
from heliograph.codec.parts import Part
from heliograph.edge.device import Device
from heliograph.errors import AttentionMissingError, ModelUnsupportedError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Family, Setting, Strategy, label, sliced
from heliograph.strategies.baseline.pictures import shrunk, to_rgb
from heliograph.strategies.baseline.pixels import JpegStrategy, optimised_jpegs
from heliograph.strategies.perception import ReadLine
from heliograph.strategies.selection import strategies_with
from heliograph.strategies.towers import AttendedTokens, DeviceTower, PatchReader
from heliograph.types import Answer, EncodedImage, FloatArray, Grid, VisualTokens
from heliograph.vlm.contract import TorchModel

PROGRESSIVE, BASELINE, BARE = "jpeg-progressive", "jpeg-baseline", "-bare"
_JPEG = JpegStrategy.name
_TUNED = strategies_with(tuned=True, family=Family.BASELINE)
FORMATS = tuple(name for name in _TUNED if not name.endswith(BARE))
"""Of picture files, by the strategy that sends them whole."""

PIXEL_NAMES = (PROGRESSIVE, BASELINE, *(name for name in _TUNED if name != _JPEG))
"""Every way of sending pixels; plain ``jpeg`` would be the smaller of the first two."""

_QUESTION, _ANSWER = QUESTIONS[0].text, Answer(QUESTIONS[0].answers[0], 1.0, 0.0)


@dataclass(frozen=True)
class Sent:
    """One way at one setting on I photos.

    Attributes:
        strategy, setting: printable.
        payload: (I,) bytes.
        wire: (I,) bytes of an exchange on an open connection, both directions, with one short question.
        encode_ms, decode_ms: (I,) processor time of the device, and of the cloud without its model.
    """

    strategy: str
    setting: str
    payload: DoubleArray
    wire: DoubleArray
    encode_ms: DoubleArray
    decode_ms: DoubleArray


@dataclass(frozen=True)
class Encoded:
    """What the device's own encoder makes of photos.

    Attributes:
        tokens: of each photo.
        encode_ms: (I,) processor time of preprocessing and encoder.
    """

    tokens: Sequence[VisualTokens]
    encode_ms: DoubleArray


def encoded_by(device: Device, photos: Sequence[Image.Image]) -> Encoded:
    """The photos through a device's encoder, which has been used before the first is timed."""
    device.encode_tokens(photos[0])
    tokens, times = [], []
    for photo in photos:
        started = processor_s()
        tokens.append(device.encode_tokens(photo))
        times.append(1000 * (processor_s() - started))
    return Encoded(tokens, np.array(times))


class _Ends:
    """What a strategy gets of device and cloud, with tokens that were made before.

    Args:
        bundle: of both.
        tokens: of the photo at hand.
    """

    question, sight = "", None

    def __init__(self, bundle: Bundle, tokens: VisualTokens) -> None:
        self._bundle, self._tokens = bundle, tokens
        self.grid, self.hidden_size = bundle.grid, bundle.hidden_size

    @property
    def input_size(self) -> int:
        """Side of the model's square input: no strategy of tokens asks."""
        raise NotImplementedError

    def pictures(self, photo: Image.Image) -> tuple[Image.Image, ...]:
        """Pictures that a tower reads: the field model's takes no coefficients."""
        raise NotImplementedError

    def patch_reader(self, size: tuple[int, int]) -> PatchReader:
        """The field model's tower does not begin with separate patches.

        Raises:
            ModelUnsupportedError: always.
        """
        raise ModelUnsupportedError().noted("the field model's tower does not begin with separate patches.")

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind."""
        return self._bundle.codec(kind)

    def part(self, name: str) -> Part:
        """The bundle's part of a strategy."""
        return self._bundle.part(name)

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        """The tokens at hand."""
        return self._tokens

    @property
    def tower(self) -> DeviceTower:
        """Never, likewise.

        Raises:
            ModelUnsupportedError: always.
        """
        raise ModelUnsupportedError().noted("the field model's tower has no blocks with attention.")

    def encode_attended(self, photo: Image.Image) -> AttendedTokens:
        """Never: the encoder is a convolutional one."""
        raise AttentionMissingError

    def text_lines(self, photo: Image.Image) -> Sequence[ReadLine]:
        """Never asked by a strategy of tokens."""
        raise NotImplementedError

    def describe(self, photo: Image.Image) -> str:
        """Never asked by a strategy of tokens."""
        raise NotImplementedError

    def check_grid(self, grid: Grid) -> None:
        """Nothing to refuse: the streams are made here."""


def coded(
    name: str, setting: Setting, photos: Sequence[Image.Image], encoded: Encoded, bundle: Bundle
) -> tuple[Sent, FloatArray]:
    """A strategy of tokens at a setting; with it (I, N, D) float32 restored tokens.

    Args:
        name: of the strategy.
        setting: its knobs, as far as they are not the usual ones.
        photos: of any size.
        encoded: by the device.
        bundle: of both ends.
    """
    strategy: Strategy = STRATEGIES.load(name)()
    columns: list[tuple[float, ...]] = []
    restored = []
    for photo, tokens, encoder_ms in zip(photos, encoded.tokens, encoded.encode_ms, strict=True):
        ends = _Ends(bundle, tokens)
        started = processor_s()
        stream = strategy.encode(photo, ends, strategy.complete_setting(setting))
        made = processor_s()
        found = strategy.restore(stream, ends).tokens
        decode_ms = 1000 * (processor_s() - made)
        assert found is not None  # a strategy of tokens
        restored.append(found.values)
        stream = replace(stream, bundle_hash=bundle.hash)
        columns.append((stream.payload_bytes, _wire(stream), encoder_ms + 1000 * (made - started), decode_ms))
    payload, wire, encode, decode = np.asarray(columns, np.float64).T
    return Sent(name, label(setting), payload, wire, encode, decode), np.stack(restored)


def pictured(
    name: str, setting: Setting, photos: Sequence[Image.Image], model: TorchModel, *, bare: bool = True
) -> tuple[list[Sent], FloatArray]:
    """A format at one size and quality, in every way that its file may travel; with it the tokens of what is decoded.

    Args:
        name: of :data:`FORMATS`.
        setting: size and quality.
        photos: of any size.
        model: whose own tower sees the pictures.
        bare: also the bare picture, which costs making the file once more.
    """
    made: dict[str, list[tuple[float, ...]]] = {}
    pictures = []
    for photo in photos:
        streams = _jpegs(photo, setting) if name == _JPEG else {name: _timed(name, photo, setting)}
        if bare and name + BARE in _TUNED:
            streams[name + BARE] = _timed(name + BARE, photo, setting)
        for way, (stream, encode_ms) in streams.items():
            coder = STRATEGIES.load(stream.strategy)()
            started = processor_s()
            picture = coder.restore(stream, None).image
            decode_ms = 1000 * (processor_s() - started)
            made.setdefault(way, []).append((stream.payload_bytes, _wire(stream), encode_ms, decode_ms))
        pictures.append(picture)
    columns = {way: np.asarray(rows, np.float64).T for way, rows in made.items()}
    found = [Sent(way, label(setting), *rows) for way, rows in columns.items()]
    return found, own_tokens(model, pictures)


def own_tokens(model: TorchModel, pictures: Sequence[Image.Image]) -> FloatArray:
    """(I, N, D) float32 of the model's own tower."""
    return np.stack([model.encode_image(one).values for one in pictures])


def _timed(strategy: str, photo: Image.Image, setting: Setting) -> tuple[EncodedImage, float]:
    coder = STRATEGIES.load(strategy)()
    started = processor_s()
    stream = coder.encode(photo, None, coder.complete_setting(setting))
    return stream, 1000 * (processor_s() - started)


def _jpegs(photo: Image.Image, setting: Setting) -> dict[str, tuple[EncodedImage, float]]:
    """Both kinds of file; each is charged for half of the making of both."""
    started = processor_s()
    files = optimised_jpegs(shrunk(to_rgb(photo), int(setting["size"])), int(setting["quality"]))
    each_ms = 500 * (processor_s() - started)
    return {
        way: (EncodedImage(_JPEG, b"", sliced(file)), each_ms)
        for way, file in zip((PROGRESSIVE, BASELINE), files, strict=True)
    }


def _wire(stream: EncodedImage) -> int:
    return exchange_messages(stream, _QUESTION, _ANSWER).exchange_bytes
