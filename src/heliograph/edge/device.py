"""What a device holds: the bundle's preprocessing, encoder, codec and local model, each loaded when first needed.

A device without a bundle can still send pictures; one that only sends pictures never loads ONNX Runtime.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from heliograph.codec.fallback import stated_likelihood, written_by
from heliograph.codec.levels import levels_missing
from heliograph.codec.manifest import ENCODER
from heliograph.codec.parts import no_parts
from heliograph.controllers.confidence import Draft, Signals, shown_confidence, signals_of
from heliograph.edge.encoder import PhotoEncoder, open_encoder
from heliograph.edge.preprocessing.frames import AnyPreprocessor, open_preprocessor
from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.edge.processor import unsuited
from heliograph.edge.sight import BundleSight
from heliograph.edge.tower import SquareTower
from heliograph.errors import AttentionMissingError, BundleDamagedError, ModelUnsupportedError
from heliograph.reasons import BundlePart, FileFault
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import DeviceTools, Setting, Strategy
from heliograph.strategies.perception import ReadLine, Sight
from heliograph.strategies.towers import AttendedTokens, DeviceTower
from heliograph.types import Answer, EncodedImage, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.codec.base import Codec
    from heliograph.codec.bundle import Bundle
    from heliograph.codec.calibration import Calibration
    from heliograph.codec.expectation import Expectation
    from heliograph.codec.parts import Part
    from heliograph.edge.local.model import LocalModel
    from heliograph.edge.reader import Reader

_LOG = logging.getLogger(__name__)

_DESCRIBE, _DESCRIPTION_TOKENS = "describe the picture.", 96


class Device:
    """The :class:`heliograph.strategies.base.DeviceTools` of a real device.

    Args:
        bundle: None for a device that only sends pictures.
        threads: of ONNX Runtime.

    Attributes:
        question: empty; :meth:`encode` is told one.
    """

    question = ""

    def __init__(self, bundle: Bundle | None, threads: int = 1) -> None:
        self._bundle = bundle
        self._threads = threads

    @property
    def bundle(self) -> Bundle:
        """The bundle.

        Raises:
            BundleDamagedError: the device has none.
        """
        if self._bundle is None:
            raise BundleDamagedError(BundlePart.BUNDLE, FileFault.MISSING)
        return self._bundle

    @property
    def bundle_hash(self) -> bytes:
        """8 bytes for HELLO; empty without a bundle."""
        return self._bundle.hash if self._bundle is not None else b""

    @property
    def calibration(self) -> Calibration | None:
        """How likely answers from prefixes are right; None where the bundle does not say."""
        return self._bundle.calibration if self._bundle is not None else None

    def foresee(self, prefix: EncodedImage, question: str) -> Expectation | None:
        """What the bundle's codec predicts of an answer from a prefix; None where it has no error head.

        Raises:
            HeliographError: the prefix is none of the codec's.
        """
        kind, header = written_by(prefix)
        if self._bundle is None or kind not in self._bundle.codec_kinds:
            return None
        return self._bundle.codec(kind).expect(header, prefix.segments, question)

    def likelihood(self, encoded: EncodedImage) -> float | None:
        """Chance, 0 to 1, that a photo is of the kind that its stream's codec was fitted on; None where unknown."""
        return None if self._bundle is None else stated_likelihood(encoded, self._bundle.familiarity)

    def signals(self, encoded: EncodedImage, question: str, answer: Answer) -> Signals:
        """What is known of an answer from a prefix, where no earlier draft is.

        Raises:
            HeliographError: the prefix is none of the codec's.
        """
        kind, header = written_by(encoded)
        codec = None if self._bundle is None or kind not in self._bundle.codec_kinds else self._bundle.codec(kind)
        return signals_of(
            [Draft(answer, encoded.payload_bytes)],
            question=question,
            expectation=None if codec is None else codec.expect(header, encoded.segments, question),
            retained_energy=None if codec is None else codec.retained_energy(header, encoded.segments),
        )

    def confidence(self, encoded: EncodedImage, question: str, answer: Answer) -> float:
        """The chance, 0 to 1, that an answer from a prefix is right, as the cloud would tell it.

        Raises:
            HeliographError: the prefix is none of the codec's.
        """
        signals = self.signals(encoded, question, answer)
        return shown_confidence(answer, signals, self.calibration, self.likelihood(encoded))

    @property
    def preferred_strategy(self) -> str:
        """The one to take where none is named: the bundle's best codec.

        Raises:
            BundleDamagedError: the device has none.
        """
        return self.bundle.preferred_codec

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind.

        Raises:
            CodecMissingError: it has none.
        """
        return self.bundle.codec(kind)

    def part(self, name: str) -> Part:
        """The trained part of a strategy for the bundle's model.

        Raises:
            PartMissingError: there is none, or no bundle.
            BundleDamagedError: it is there and cannot be used.
        """
        return no_parts(name) if self._bundle is None else self._bundle.part(name)

    @property
    def input_size(self) -> int:
        """Side of the VLM's square input in pixels."""
        return self.preprocessor.input_size

    def pictures(self, photo: Image) -> tuple[Image, ...]:
        """The RGB pictures that the VLM's vision tower reads of a photo, at their sizes.

        Raises:
            BundleDamagedError: no bundle, or one that cannot be run.
        """
        return self.preprocessor.pictures(photo)

    @cached_property
    def preprocessor(self) -> AnyPreprocessor:
        """The checkpoint's preprocessing."""
        return open_preprocessor(self.bundle.preprocessing)

    @cached_property
    def _encoder(self) -> PhotoEncoder:
        """Preprocessing and vision tower."""
        bundle = self.bundle
        if warning := unsuited(bundle):
            _LOG.warning("%s", warning)
        return open_encoder(bundle.file, self.preprocessor, bundle.grid, bundle.hidden_size, self._threads)

    @cached_property
    def local_model(self) -> LocalModel:
        """The language model in ONNX Runtime.

        Raises:
            BundleDamagedError: the bundle was exported without one.
        """
        from heliograph.edge.local.model import LocalModel

        return LocalModel.from_bundle(self.bundle, self._threads)

    def encode_tokens(self, photo: Image) -> VisualTokens:
        """The photo's visual tokens, (N, D) float32.

        Raises:
            BundleDamagedError: no bundle, or one that cannot be run.
        """
        return self._encoder(photo)

    @cached_property
    def sight(self) -> BundleSight | None:
        """Where its bundle's networks look in a photo; None without a bundle."""
        return None if self._bundle is None else BundleSight(self._bundle, lambda: self.tower, self._threads)

    def encode_attended(self, photo: Image) -> AttendedTokens:
        """The photo's visual tokens, and what the tower looks at.

        Raises:
            AttentionMissingError: the bundle's encoder does not tell, as those of photos' own grids do not, nor
                networks without attention.
            BundleDamagedError: no bundle, or one that cannot be run.
        """
        try:
            tower = self.tower
        except ModelUnsupportedError as error:
            raise AttentionMissingError from error
        return tower.attended(photo)

    @cached_property
    def tower(self) -> SquareTower:
        """The bundle's vision tower, block by block.

        Raises:
            ModelUnsupportedError: it is none of one square picture and plain blocks.
            BundleDamagedError: no bundle, or one that cannot be run.
        """
        if not isinstance(self.preprocessor, Preprocessor):
            raise ModelUnsupportedError().noted("a vision tower is looked into where it reads one square photo.")
        return SquareTower(self.bundle.file(ENCODER), self.preprocessor, self.bundle.grid, self._threads)

    @cached_property
    def _reader(self) -> Reader:
        from heliograph.edge.reader import Reader

        return Reader()

    def text_lines(self, photo: Image) -> Sequence[ReadLine]:
        """The lines of text in a photo, from top to bottom; needs no bundle.

        Raises:
            MissingExtraError: the extra ``ocr`` is not installed.
        """
        return [one.within(photo.size) for one in self._reader.lines(photo)]

    def describe(self, photo: Image) -> str:
        """The photo in words, by the bundle's own language model.

        Raises:
            BundleDamagedError: no bundle, or one without a language model.
        """
        model = self.local_model  # before the tower runs: a bundle without one is refused at once
        tokens = self.encode_tokens(photo)
        return model.answer(_DESCRIBE, tokens, max_new_tokens=_DESCRIPTION_TOKENS).text

    def encode(
        self,
        photo: Image,
        strategy: str,
        setting: Setting | None = None,
        agreement: float | None = None,
        question: str = "",
    ) -> EncodedImage:
        """The photo as a stream, with the bundle's hash where the strategy needs the bundle.

        Args:
            photo: RGB, as :func:`heliograph.edge.photos.file.load_photo` gives it.
            strategy: registry name.
            setting: knobs that differ from the strategy's defaults.
            agreement: share of answers, 0 to 1, at whose level the stream is to be stopped; None for no such place.
            question: that the stream is for; empty for none, or for several.

        Raises:
            UnknownNameError: no such strategy.
            UsageError: a knob is unknown or out of range.
            BundleDamagedError: an ``agreement``, and the bundle has no measured levels of the strategy's codec.
        """
        sender: Strategy = STRATEGIES.load(strategy)()
        tools = AskedDevice(self, question) if question and sender.asks(setting or {}) else self
        if agreement is None:
            encoded = sender.encode(photo, tools, setting or {})
        elif sender.codec and self.codec(sender.codec).levels is None:
            raise levels_missing()
        else:
            encoded = sender.encode_towards(photo, tools, setting or {}, agreement)
        _LOG.info("%s: %d bytes of payload in %d segments", strategy, encoded.payload_bytes, len(encoded.segments))
        return replace(encoded, bundle_hash=self.bundle_hash) if sender.needs_bundle else encoded


@dataclass(frozen=True)
class AskedDevice:
    """A device, or other tools, while a stream is made for one question.

    Attributes:
        tools: what is used.
        question: that the stream is for.
    """

    tools: DeviceTools
    question: str

    @property
    def sight(self) -> Sight | None:
        """Where to look, as the tools have it."""
        return self.tools.sight

    @property
    def input_size(self) -> int:
        """Side of the VLM's square input in pixels."""
        return self.tools.input_size

    def pictures(self, photo: Image) -> tuple[Image, ...]:
        """The RGB pictures that the VLM's vision tower reads of a photo, at their sizes."""
        return self.tools.pictures(photo)

    def text_lines(self, photo: Image) -> Sequence[ReadLine]:
        """The lines of text in a photo."""
        return self.tools.text_lines(photo)

    def describe(self, photo: Image) -> str:
        """The photo in words, by the device's own language model."""
        return self.tools.describe(photo)

    def part(self, name: str) -> Part:
        """The trained part of a strategy."""
        return self.tools.part(name)

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind."""
        return self.tools.codec(kind)

    @property
    def tower(self) -> DeviceTower:
        """The bundle's vision tower, block by block."""
        return self.tools.tower

    def encode_attended(self, photo: Image) -> AttendedTokens:
        """The photo's visual tokens, and what the tower looks at."""
        return self.tools.encode_attended(photo)

    def encode_tokens(self, photo: Image) -> VisualTokens:
        """The photo's visual tokens, (N, D) float32."""
        return self.tools.encode_tokens(photo)
