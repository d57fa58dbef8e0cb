"""How often answers agree with those from uncompressed tokens at each level of a bundle's codecs, on held-out photos.

::

    tokens --encode(level)--> stream --decode--> restored tokens --answer_many--> answers --the same?--> share by level
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from heliograph.codec.base import Codec
from heliograph.codec.fallback import CLOSED_FORM, LEARNED
from heliograph.codec.levels import LevelCurve, LevelCurves
from heliograph.controllers.confidence import MAX_CALIBRATED_TOKENS
from heliograph.types import Answer, VisualTokens

if TYPE_CHECKING:
    from heliograph.codec.klt import KltCodec
    from heliograph.codec.meta import MetaCodec

MIN_PHOTOS = 16
"""Of fewer photos the share of answers says too little."""

_OCTAVE, _HALF = 8, 4
"""Levels of ``klt`` that are measured: every octave, and half ones where answers are quick and change much."""

_LATENTS = 12  # steps to all latents of ``meta``
_FEW_BYTES = 12  # of a stream that tells next to nothing: such levels are not measured
_ENOUGH = 0.995  # finer levels can add nothing
_MUCH = 0.02
_PHOTOS_AT_ONCE = 16

Questions = Sequence[Sequence[str]]


class AnsweringModel(Protocol):
    """The frozen model, as far as levels need it."""

    @property
    def batches(self) -> bool:
        """Many questions cost little more than one."""

    def answer_many(self, asked: Sequence[tuple[str, Sequence[VisualTokens]]], *, max_new_tokens: int) -> list[Answer]:
        """The greedy answer to each question about its photo."""


def measured_levels(
    model: AnsweringModel,
    codecs: Mapping[str, Codec],
    photos: Sequence[VisualTokens],
    asked: Questions,
    advance: Callable[[int], None] = lambda steps: None,
) -> LevelCurves | None:
    """The curve of every codec that has levels; None where there are too few photos, or no such codec.

    Args:
        model: answers.
        codecs: of a bundle, by kind.
        photos: tokens of held-out photos, (N, D) float32 each.
        asked: questions about each, which have short answers.
        advance: called with the photos of every level that was measured.
    """
    if len(photos) < MIN_PHOTOS:
        return None
    curves: dict[str, LevelCurve | None] = {}
    if CLOSED_FORM in codecs:
        klt = cast("KltCodec", codecs[CLOSED_FORM])
        measured = _Measured(model, klt, photos, asked, advance)
        measured.add(range(_OCTAVE * klt.tables.planes, -1, -_OCTAVE))
        if model.batches:
            measured.add(measured.steep(_HALF))
        curves[CLOSED_FORM] = measured.curve(falling=True)
    if LEARNED in codecs:
        meta = cast("MetaCodec", codecs[LEARNED])
        taken = [place for place, one in enumerate(photos) if meta.takes(one.grid)]
        if len(taken) >= MIN_PHOTOS:
            measured = _Measured(model, meta, [photos[at] for at in taken], [asked[at] for at in taken], advance)
            latents = meta.tables.latents.latents
            measured.add(sorted({round(part * latents / _LATENTS) for part in range(_LATENTS + 1)}))
            curves[LEARNED] = measured.curve(falling=False)
    known = {kind: curve for kind, curve in curves.items() if curve is not None}
    return LevelCurves(known) if known else None


class _Measured:
    """What is measured of one codec, level by level.

    Args:
        model, photos, asked, advance: as :func:`measured_levels` takes them.
        codec: encodes to a level.
    """

    def __init__(
        self,
        model: AnsweringModel,
        codec: KltCodec | MetaCodec,
        photos: Sequence[VisualTokens],
        asked: Questions,
        advance: Callable[[int], None],
    ) -> None:
        self._model, self._codec, self._photos, self._asked, self._advance = model, codec, photos, asked, advance
        self._wanted = _answers(model, photos, asked)
        self.shares: dict[int, float] = {}

    def add(self, levels: Sequence[int]) -> None:
        """Measure levels, given from coarse to fine, as far as they can tell anything new."""
        for level in levels:
            streams = [self._codec.encode(one, level=level) for one in self._photos]
            if self.shares and np.mean([one.payload_bytes for one in streams]) < _FEW_BYTES:
                continue
            restored = (self._codec.decode(one.header, one.segments) for one in streams)
            given = _answers(self._model, restored, self._asked)
            same = [one == other for one, other in zip(given, self._wanted, strict=True)]
            self.shares[level] = float(np.mean(same))
            self._advance(len(self._photos))
            if self.shares[level] >= _ENOUGH:
                break

    def steep(self, after: int) -> list[int]:
        """Levels so far behind those from which more than half of the answers are reached in a large step."""
        pairs = pairwise(self.shares.items())
        return [level - after for (level, share), (_, next_share) in pairs if next_share > max(share + _MUCH, 0.5)]

    def curve(self, *, falling: bool) -> LevelCurve | None:
        """All that was measured, from coarse to fine; None of a codec whose whole streams tell next to nothing."""
        if len(self.shares) < 2:
            return None
        levels = sorted(self.shares, reverse=falling)
        agreement = never_falling([self.shares[one] for one in levels])
        return LevelCurve(tuple(levels), agreement, len(self._photos), len(self._wanted))


def _answers(
    model: AnsweringModel, photos: Sequence[VisualTokens] | Iterator[VisualTokens], asked: Questions
) -> list[str]:
    """The text of the answer to every question, photo by photo."""
    found: list[str] = []
    waiting: list[tuple[str, Sequence[VisualTokens]]] = []
    for number, (tokens, questions) in enumerate(zip(photos, asked, strict=True), start=1):
        waiting += [(question, [tokens]) for question in questions]
        if number % _PHOTOS_AT_ONCE == 0 or number == len(asked):
            made = model.answer_many(waiting, max_new_tokens=MAX_CALIBRATED_TOKENS)
            found += [answer.text.strip() for answer in made]
            waiting = []
    return found


def never_falling(shares: Sequence[float]) -> tuple[float, ...]:
    """The nearest shares, in squares, that never fall: isotonic regression."""
    from sklearn.isotonic import isotonic_regression

    return tuple(float(f"{one:.4f}") for one in isotonic_regression(np.asarray(shares, dtype=np.float64)))
