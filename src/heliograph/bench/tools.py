"""What strategies get in the bench: the real device's and cloud's tools, with every millisecond accounted for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from PIL import Image

from heliograph.bench.outcomes import Asked
from heliograph.bench.timing import processor_s
from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle
from heliograph.codec.parts import Part
from heliograph.edge.device import AskedDevice, Device
from heliograph.serving.cloud import Cloud
from heliograph.strategies.base import Setting, Strategy
from heliograph.strategies.perception import ReadLine, Sight
from heliograph.strategies.towers import AttendedTokens, DeviceTower
from heliograph.types import EncodedImage, FloatArray, VisualTokens
from heliograph.vlm.model import VisionLanguageModel

Made = TypeVar("Made")


@dataclass(frozen=True)
class Encoding:
    """A stream with processor milliseconds, ``encode_ms`` in all, ``codec_ms`` of it without the vision tower; and the
    device's networks that were run for it."""

    stream: EncodedImage
    encode_ms: float
    codec_ms: float
    asked: frozenset[Asked]


@dataclass(frozen=True)
class _NotedSight:
    """Sight that notes what it was asked for."""

    sight: Sight
    asked: set[Asked]

    def question_map(self, question: str, tokens: VisualTokens) -> FloatArray | None:
        """What the sight itself says of a question."""
        found = self.sight.question_map(question, tokens)
        if found is not None:
            self.asked.add(Asked.QUESTION_MAP)
        return found

    def shallow_map(self, photo: Image.Image) -> FloatArray:
        """What the sight itself says of a photo."""
        self.asked.add(Asked.FIRST_ATTENTION)
        return self.sight.shallow_map(photo)


class BenchDevice:
    """A real device that runs its vision tower, its reader and its language model once per photo, and charges the time
    to every strategy that asks."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._photo: Image.Image | None = None
        self._tokens: VisualTokens | None = None
        self._tower_s = 0.0
        self._charged_s = 0.0
        self._attended: tuple[Image.Image, AttendedTokens, float] | None = None
        self._spent_s = 0.0  # on what is made once a photo, within the strategy that asked first
        self._words: dict[Asked, tuple[Any, float]] = {}
        self._asked: set[Asked] = set()

    def codec(self, kind: str) -> Codec:
        """The bundle's codec of one kind."""
        return self.device.codec(kind)

    def part(self, name: str) -> Part:
        """The trained part of a strategy."""
        return self.device.part(name)

    question = ""

    @property
    def sight(self) -> Sight | None:
        """Where the bundle's networks look in a photo."""
        sight = self.device.sight
        return None if sight is None else _NotedSight(sight, self._asked)

    @property
    def input_size(self) -> int:
        """Side of the VLM's square input in pixels."""
        return self.device.input_size

    def pictures(self, photo: Image.Image) -> tuple[Image.Image, ...]:
        """The pictures that the VLM's vision tower reads of a photo."""
        return self.device.pictures(photo)

    def prepare(self, photo: Image.Image) -> VisualTokens:
        """Runs the tower, unless this photo was the last one already."""
        if self._tokens is None or photo is not self._photo:
            started = processor_s()
            self._tokens = self.device.encode_tokens(photo)
            self._tower_s = processor_s() - started
            self._photo = photo
            self._words.clear()
        return self._tokens

    def encode_tokens(self, photo: Image.Image) -> VisualTokens:
        """The photo's visual tokens; the tower's time is charged to whoever asks."""
        tokens = self.prepare(photo)
        self._asked.add(Asked.TOWER)
        self._charged_s += self._tower_s
        return tokens

    def encode_attended(self, photo: Image.Image) -> AttendedTokens:
        """The same tokens, with what the tower looks at; likewise made once a photo and charged to whoever asks."""
        if self._attended is None or photo is not self._attended[0]:
            started = processor_s()
            made = self.device.encode_attended(photo)
            spent_s = processor_s() - started
            self._attended = photo, made, spent_s
            self._spent_s += spent_s
        self._asked.add(Asked.TOWER)
        self._charged_s += self._attended[2]
        return self._attended[1]

    @property
    def tower(self) -> DeviceTower:
        """The bundle's vision tower, block by block; what it does is charged to whoever asks as work of its own."""
        return self.device.tower

    def text_lines(self, photo: Image.Image) -> Sequence[ReadLine]:
        """The photo's lines of text."""
        return self._once(Asked.READER, photo, lambda: self.device.text_lines(photo))

    def describe(self, photo: Image.Image) -> str:
        """The photo in words, by the device's own language model."""
        return self._once(Asked.DESCRIPTION, photo, lambda: self.device.describe(photo))

    def _once(self, name: Asked, photo: Image.Image, make: Callable[[], Made]) -> Made:
        """What is made of the photo, with the time that it took the first time."""
        self.prepare(photo)
        self._asked.add(name)
        if name not in self._words:
            started = processor_s()
            made = make()
            spent_s = processor_s() - started
            self._words[name] = made, spent_s
            self._spent_s += spent_s
        found, took_s = self._words[name]
        self._charged_s += took_s
        kept: Made = found
        return kept

    def encode(self, strategy: Strategy, photo: Image.Image, setting: Setting, question: str = "") -> Encoding:
        """The photo as a stream for a question, and what a device without our cache would need for it."""
        self.prepare(photo)
        self._charged_s = self._spent_s = 0.0
        self._asked.clear()
        started = processor_s()
        tools = AskedDevice(self, question) if question and strategy.asks(setting) else self
        encoded = strategy.encode(photo, tools, strategy.complete_setting(setting))
        codec_s = max(0.0, processor_s() - started - self._spent_s)
        if strategy.needs_bundle:
            encoded = replace(encoded, bundle_hash=self.device.bundle_hash)
        return Encoding(encoded, 1000 * (codec_s + self._charged_s), 1000 * codec_s, frozenset(self._asked))


@dataclass(frozen=True)
class Bench:
    """A device, a cloud and the model between questions and answers."""

    model: VisionLanguageModel
    bundle: Bundle
    device: BenchDevice
    cloud: Cloud


def open_bench(model: VisionLanguageModel, bundle: Bundle) -> Bench:
    """Open device and cloud around one model and one bundle."""
    return Bench(
        model, bundle, BenchDevice(Device(bundle)), Cloud(model, bundle.codecs, bundle.hash, parts=bundle.part)
    )


def warmed_up(bench: Bench, photos: Sequence[Image.Image]) -> Bench:
    """The same bench after a first use of every engine, so that loading is not counted as work."""
    for photo in photos:
        tokens = bench.device.encode_tokens(photo)
        for codec in bench.bundle.codecs.values():
            encoded = codec.encode(tokens)
            codec.decode(encoded.header, encoded.segments)
        bench.model.answer("what is this?", [photo], max_new_tokens=1)
        bench.model.answer("what is this?", [tokens], max_new_tokens=1)
    return bench
