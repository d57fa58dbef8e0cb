"""What a device does for one question with each strategy: its processor time, measured here, and its messages.

No cloud is asked. A stream is cut where the controller ``energy`` has enough at its default target, which both ends
know without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from heliograph.clock import processor_s
from heliograph.edge.messages import uplink
from heliograph.edge.photos.file import load_photo
from heliograph.edge.stop import expected_segments
from heliograph.energy.joules import Measured
from heliograph.energy.meters import Meters, available_meters
from heliograph.question import ENERGY, Question
from heliograph.strategies.base import Kind, Setting, label
from heliograph.strategies.selection import strategy_class
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from heliograph.edge.device import Device


@dataclass(frozen=True)
class Work:
    """One strategy on this machine.

    Attributes:
        strategy, setting: what was run.
        payload_bytes: header and segments that are sent.
        messages: bytes of each message; none where the device answers by itself.
        processor_s: median of the repetitions: reading the photo, encoding it, and an answer of the device's own.
        measured: joules of the whole machine during one repetition, by domain; empty where it has no meter.
        error: name of what went wrong, else None.
    """

    strategy: str
    setting: str
    payload_bytes: int = 0
    messages: tuple[int, ...] = ()
    processor_s: float = 0.0
    measured: tuple[Measured, ...] = ()
    error: str | None = None

    @property
    def label(self) -> str:
        """``webp size=128,quality=50``; a strategy at its default by its name alone."""
        strategy = strategy_class(self.strategy)
        plain = self.setting == label(strategy.default_setting)
        return self.strategy if plain else f"{self.strategy} {self.setting}"


def work_of(device: Device, photo: Path, question: str, name: str, setting: Setting, repeat: int) -> Work:
    """One strategy, run once unmeasured, so that nothing is loaded in measured time, and then ``repeat`` times.

    Args:
        device: encodes.
        photo: file to read.
        question: as asked.
        name: of the strategy.
        setting: complete.
        repeat: at least 1.

    Raises:
        HeliographError: of the photo, the question or the strategy.
    """
    run = _answered if strategy_class(name).kind is Kind.LOCAL else _encoded
    encoded = run(device, photo, question, name, setting)
    meters, seconds = available_meters(), []
    with meters.measuring():
        for _ in range(repeat):
            begun = processor_s()
            run(device, photo, question, name, setting)
            seconds.append(processor_s() - begun)
    messages = () if encoded is None else uplink(encoded, question).messages
    payload = 0 if encoded is None else encoded.payload_bytes
    return Work(name, label(setting), payload, messages, median(seconds), _each(meters, repeat))


def _encoded(device: Device, photo: Path, question: str, name: str, setting: Setting) -> EncodedImage:
    encoded = device.encode(load_photo(photo), name, setting)
    return encoded.prefix(expected_segments(encoded, Question(question, ENERGY)))


def _answered(device: Device, photo: Path, question: str, name: str, setting: Setting) -> None:
    device.local_model.answer(question, device.encode_tokens(load_photo(photo)))


def _each(meters: Meters, repeat: int) -> tuple[Measured, ...]:
    return tuple(Measured(one.joules / repeat, one.domains, one.seconds / repeat) for one in meters.measured.values())
