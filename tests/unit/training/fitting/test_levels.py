"""Measuring agreement by level, with codecs and a model whose shares are known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.training.fitting.levels import MIN_PHOTOS, measured_levels, never_falling
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens

GRID = Grid(1, 1)
PHOTOS = [VisualTokens(np.full((1, 1), float(place)), GRID) for place in range(20)]
ASKED = [("one?", "two?")] * 20


class Model:
    """Answers with the number that a photo shows; of a photo that is not restored, with none."""

    def __init__(self, batches: bool) -> None:
        self.batches = batches
        self.calls = 0

    def answer_many(self, asked: Sequence[tuple[str, Sequence[VisualTokens]]], *, max_new_tokens: int) -> list[Answer]:
        self.calls += 1
        assert max_new_tokens <= 12
        return [Answer(f" {question} {images[0].values[0, 0]:.0f}", 1.0, 0.0) for question, images in asked]


class Codec:
    """Restores photo n from a level on that is finer than ``limits[n]``; its streams are as long as that is fine."""

    def __init__(self, falling: bool, limits: Sequence[float]) -> None:
        self.falling, self.limits = falling, limits
        self.tables = SimpleNamespace(planes=6, latents=SimpleNamespace(latents=24))
        self.levels_asked: list[int] = []

    def takes(self, grid: Grid) -> bool:
        return grid == GRID

    def encode(self, tokens: VisualTokens, *, level: int) -> EncodedImage:
        if level not in self.levels_asked:
            self.levels_asked.append(level)
        fine = 48 - level if self.falling else level
        place = int(tokens.values[0, 0])
        shown = place if fine >= self.limits[place] else -1
        return EncodedImage("", bytes((shown + 1,)), (b"x" * fine,))

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        return VisualTokens(np.full((1, 1), header[0] - 1.0), GRID)


def codecs(**made: Codec) -> Any:
    return made


def test_levels_of_klt_are_octaves_and_half_ones_where_answers_change() -> None:
    limits = [*[14] * 5, *[19] * 5, *[30] * 10]  # a quarter from 16 on, a half from 24 (or 20) on, all from 32 on
    klt = Codec(True, limits)
    found = measured_levels(Model(True), codecs(klt=klt), PHOTOS, ASKED)
    assert found is not None
    curve = found.curves["klt"]
    assert curve.levels == (48, 32, 24, 20, 16)  # 40 has few bytes, 28 lies below half, and 16 is enough
    assert curve.agreement == (0.0, 0.25, 0.5, 0.5, 1.0)
    assert (curve.photos, curve.questions) == (20, 40)
    assert klt.levels_asked == [48, 40, 32, 24, 16, 20]


def test_a_model_that_answers_one_by_one_is_asked_about_octaves_alone() -> None:
    found = measured_levels(Model(False), codecs(klt=Codec(True, [30] * 20)), PHOTOS, ASKED)
    assert found is not None
    assert found.curves["klt"].levels == (48, 32, 24, 16)


def test_latents_of_meta_in_twelve_steps_and_only_of_photos_that_it_takes() -> None:
    other = VisualTokens(np.zeros((2, 1)), Grid(1, 2))
    photos, asked = [other, *PHOTOS[:MIN_PHOTOS]], [("?",), *[("one?", "two?")] * MIN_PHOTOS]
    done: list[int] = []
    found = measured_levels(Model(True), codecs(meta=Codec(False, [15] * 20)), photos, asked, done.append)
    assert found is not None
    assert found.curves["meta"].levels == (0, 12, 14, 16)
    assert found.curves["meta"].agreement == (0.0, 0.0, 0.0, 1.0)
    assert found.curves["meta"].photos == MIN_PHOTOS
    assert done == [MIN_PHOTOS] * 4
    assert measured_levels(Model(True), codecs(meta=Codec(False, [15] * 20)), photos[:-1], asked[:-1]) is None


def test_too_few_photos_and_codecs_without_levels_give_none() -> None:
    model = Model(True)
    assert measured_levels(model, codecs(klt=Codec(True, [1] * 20)), PHOTOS[: MIN_PHOTOS - 1], ASKED) is None
    assert measured_levels(model, codecs(pq=Codec(True, [1] * 20)), PHOTOS, ASKED) is None
    assert model.calls == 0


def test_a_codec_whose_whole_stream_tells_next_to_nothing_has_no_curve() -> None:
    short = Codec(False, [1] * 20)
    short.tables.latents.latents = 10
    assert measured_levels(Model(True), codecs(meta=short), PHOTOS, ASKED) is None


def test_answers_are_asked_for_in_batches_of_photos() -> None:
    model = Model(False)
    measured_levels(model, codecs(klt=Codec(True, [30] * 20)), PHOTOS, ASKED)
    assert model.calls == 2 * 5  # of 16 and 4 photos: uncompressed, and at four levels


@pytest.mark.parametrize(
    ("shares", "found"),
    [
        ([0.1, 0.5, 0.9], (0.1, 0.5, 0.9)),
        ([0.5, 0.4, 0.9], (0.45, 0.45, 0.9)),
        ([0.9, 0.6, 0.3], (0.6, 0.6, 0.6)),
        ([0.2, 0.8, 0.5, 0.5, 1.0], (0.2, 0.6, 0.6, 0.6, 1.0)),
    ],
)
def test_shares_never_fall(shares: list[float], found: tuple[float, ...]) -> None:
    assert never_falling(shares) == found
