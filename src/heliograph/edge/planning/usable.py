"""What a plan may choose from on this device, in front of a cloud that tells no more than its bundle's hash.

WELCOME names the model and the bundle. So whatever the bundle alone guarantees may be planned with; whether a part of
the same identity is at the other end is not known before the first stream is refused or not, and a plan that was
refused is made again without that strategy (:mod:`heliograph.edge.planning.planned`). Strategies that need more of the
cloud than a bundle and its parts (a vision tower that is entered, a program of other people) are never planned with;
``ask --strategy NAME`` without a plan sends them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from heliograph.errors import (
    AttentionMissingError,
    BundleDamagedError,
    CodecMissingError,
    HeliographError,
    MissingExtraError,
    ModelUnsupportedError,
    PartMismatchError,
    PartMissingError,
    ShapeError,
    UnknownNameError,
)
from heliograph.registry import CODECS
from heliograph.strategies.base import Family, Kind, Strategy
from heliograph.strategies.selection import LOCAL, strategies_for, strategies_with, strategy_class

if TYPE_CHECKING:
    from heliograph.edge.device import Device

TOKENS, PICTURES, ANSWER = "tokens", "pictures", "answer"
"""What is loaded when it is first used: the tower, Pillow's encoders, the own language model; and learned codecs and
parts, by their names."""

REFUSALS: tuple[type[HeliographError], ...] = (
    AttentionMissingError,
    CodecMissingError,
    MissingExtraError,
    ModelUnsupportedError,
    PartMismatchError,
    PartMissingError,
    ShapeError,
    UnknownNameError,
)
"""What either end says of a strategy that it cannot carry out."""

OF_THE_PHOTO: type[HeliographError] = ShapeError
"""That of these which another photo may not meet: strategies take photos of some shapes only."""


def usable_on(device: Device, named: Collection[str]) -> frozenset[str]:
    """The strategies among ``named`` that a plan may choose: this device can encode with them now, and the cloud needs
    no more than the same bundle and parts; and ``local`` where the device holds a model."""
    try:
        bundle = device.bundle
    except BundleDamagedError:
        plain = frozenset(strategies_with(tuned=True)) - frozenset(strategies_with(family=Family.GUIDED))
        return plain.intersection(named)
    silent = () if bundle.local_model_path is not None else strategies_with(speaks=True)
    known = frozenset(strategies_for(bundle.codec_kinds)).intersection(named).difference(silent)
    return frozenset(name for name in known if _possible(strategy_class(name), device))


def engines(strategy: str) -> tuple[str, ...]:
    """What must be loaded to encode with a strategy."""
    sender = strategy_class(strategy)
    if sender.kind is Kind.PICTURE:
        return (PICTURES, TOKENS) if sender.family is Family.GUIDED else (PICTURES,)
    learned = (sender.codec,) if sender.codec and CODECS.load(sender.codec).learned else ()
    part = (strategy,) if _needs_part(sender) else ()
    speaking = (ANSWER,) if getattr(sender, "speaks", False) and strategy != LOCAL else ()
    return (TOKENS, *learned, *part, *speaking)


def loading(engine: str) -> str:
    """Under which name it is kept what loading takes."""
    return f"loading {engine}"


def _possible(strategy: type[Strategy], device: Device) -> bool:
    if getattr(strategy, "enters_tower", False) or getattr(strategy, "program", ""):
        return False
    if not _needs_part(strategy):
        return True
    try:
        device.part(strategy.name)
    except (PartMissingError, BundleDamagedError):
        return False  # heliograph doctor says what is wrong with it
    return True


def _needs_part(strategy: type[Strategy]) -> bool:
    return bool(getattr(strategy, "needs_part", False))  # plug-ins of before do not say
