"""Misfit and what follows from it: arithmetic by hand, scenes against noise, and the byte in the header."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.codec.fallback import stated_likelihood
from heliograph.codec.familiarity import (
    UNFAMILIAR_BELOW,
    FittedRange,
    FittedRanges,
    measured_stream,
    misfit,
    misfit_code,
    misfit_of,
    prefix_misfit,
)
from heliograph.codec.header import pack_header, stated_extra
from heliograph.codec.klt import KltCodec
from heliograph.errors import BundleDamagedError
from heliograph.training.fitting.familiarity import measured_ranges
from heliograph.types import EncodedImage, Grid, VisualTokens

RANGE = FittedRange(40, (0.1, 0.11, 0.15, 0.2, 0.22, 0.3, 0.4), 100)


def test_misfit_is_the_error_over_what_varies() -> None:
    tokens = np.asarray([[0, 0], [2, 4]], np.float32)  # mean (1, 2): it varies by 1 + 4 + 1 + 4 = 10
    assert misfit(tokens, tokens + np.asarray([[1, 0], [0, 2]], np.float32)) == pytest.approx(0.5)
    assert misfit(tokens, np.tile(tokens.mean(axis=0), (2, 1))) == pytest.approx(1.0)
    assert misfit(tokens, tokens) < 1e-6
    flat = np.ones((2, 2), np.float32)  # one colour all over: no share of nothing, but as badly restored as can be
    assert misfit(flat, flat) < 1e-6
    assert misfit(flat, flat * 2) > 1e6


@pytest.mark.parametrize(("value", "code"), [(1.0, 128), (0.5, 96), (2.0, 160), (1e-9, 1), (1e9, 255)])
def test_a_misfit_is_one_byte(value: float, code: int) -> None:
    assert misfit_code(value) == code
    if 1 < code < 255:
        assert misfit_of(code) == pytest.approx(value)


def test_codes_come_back() -> None:
    assert [misfit_code(misfit_of(code)) for code in range(1, 256)] == list(range(1, 256))


def test_likelihood_follows_bayes() -> None:
    assert RANGE.likelihood(0.2) == RANGE.likelihood(0.05) > 0.99
    density = 0.99 * math.exp(-(1.645**2) / 2) / math.sqrt(2 * math.pi)  # at the quantile of 0.95
    assert RANGE.likelihood(0.3) == pytest.approx(density / (density + 0.01 / 16))
    falling = [RANGE.likelihood(value) for value in (0.3, 0.4, 0.5, 0.7, 1.0)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < 0.01


def test_quantiles_of_measured_misfits() -> None:
    found = FittedRange.of(9, [float(value) for value in range(1, 102)])
    assert found == FittedRange(9, (2.0, 6.0, 26.0, 51.0, 76.0, 96.0, 100.0), 101)
    assert found.highest == 100.0


def noise(seed: int, like: VisualTokens) -> VisualTokens:
    """As strong as the tokens it is like, and nothing else of them."""
    random = np.random.default_rng(seed)
    values = random.normal(size=like.values.shape) * like.values.std()
    return VisualTokens(values.astype(np.float32), like.grid)


def test_another_kind_of_photo_is_told_from_the_fitted_one(codec: KltCodec, photos: list[VisualTokens]) -> None:
    ranges = measured_ranges({"klt": codec}, photos[:12])
    assert ranges is not None
    fitted = ranges.ranges["klt"]
    assert fitted.photos == 12
    familiar = [prefix_misfit(codec, one, fitted.payload_bytes) for one in photos[12:]]
    other = [prefix_misfit(codec, noise(seed, one), fitted.payload_bytes) for seed, one in enumerate(photos[12:])]
    assert max(familiar) < min(other)
    assert np.mean([fitted.likelihood(value) for value in familiar]) > 0.9
    assert max(fitted.likelihood(value) for value in other) < UNFAMILIAR_BELOW
    assert measured_ranges({"klt": codec}, photos[:7]) is None
    streams = [codec.encode(one) for one in photos[:12]]  # as a device has them that sends without a bound
    same = [prefix_misfit(codec, one, fitted.payload_bytes, made) for one, made in zip(photos, streams, strict=False)]
    assert fitted.quantiles[3] == pytest.approx(np.median(same), rel=1e-4)


@pytest.fixture
def fitted_codec(codec: KltCodec, photos: list[VisualTokens]) -> Any:
    """The codec with its range, for one test."""
    ranges = measured_ranges({"klt": codec}, photos)
    assert ranges is not None
    codec.fitted = ranges.ranges["klt"]
    yield codec
    codec.fitted = None


def test_photos_of_the_fitted_kind_cost_nothing(fitted_codec: KltCodec, photos: list[VisualTokens]) -> None:
    same = [measured_stream(fitted_codec, one, None) == fitted_codec.encode(one) for one in photos]
    assert sum(same) >= len(same) - 1  # one in a hundred may look like another kind


@pytest.mark.parametrize("limit", [None, 60, 20, 4])
def test_other_photos_say_so_within_the_budget(
    fitted_codec: KltCodec, photos: list[VisualTokens], limit: int | None
) -> None:
    strange = noise(0, photos[0])
    plain, marked = fitted_codec.encode(strange, max_bytes=limit), measured_stream(fitted_codec, strange, limit)
    assert limit is None or marked.payload_bytes <= limit
    assert len(marked.header) == len(plain.header) + 1
    assert stated_extra(plain.header) == 0
    whole = b"".join(fitted_codec.encode(strange, fineness=marked.header[0] >> 3 & 7).segments)
    assert whole.startswith(b"".join(marked.segments))
    ranges = FittedRanges({"klt": fitted_codec.fitted}) if fitted_codec.fitted else None
    likelihood = stated_likelihood(marked, ranges)
    assert likelihood is not None
    assert likelihood < UNFAMILIAR_BELOW
    assert stated_likelihood(plain, ranges) is None
    restored = [fitted_codec.decode(one.header, one.segments).values for one in (plain, marked)]
    if limit is None:
        assert np.array_equal(*restored)


def test_a_budget_that_holds_the_header_alone_is_kept(fitted_codec: KltCodec, photos: list[VisualTokens]) -> None:
    strange = noise(0, photos[0])
    for limit in (0, 1):
        assert measured_stream(fitted_codec, strange, limit).header == b"\x80"
    assert len(measured_stream(fitted_codec, strange, 2).header) == 2


PARTS = [(0.05, 1), (0.1, 1), (0.1001, 2), (0.11, 2), (0.15, 3), (0.21, 5), (0.3, 6), (0.3001, 7), (0.4, 7)]


@pytest.mark.parametrize(("value", "part"), PARTS)
def test_a_part_ends_at_its_quantile(value: float, part: int) -> None:
    """One more than how many of 0.1, 0.11, 0.15, 0.2, 0.22, 0.3, 0.4 are below."""
    assert RANGE.part_of(value) == part
    assert RANGE.stated(part, 0) == RANGE.quantiles[part - 1]


def test_above_the_range_there_is_no_part_but_a_byte() -> None:
    assert [RANGE.part_of(value) for value in (0.4001, 1.0, 2.0**30)] == [0, 0, 0]
    assert RANGE.stated(0, 0) is None
    assert RANGE.stated(0, 160) == 2.0
    assert RANGE.stated(3, 160) == 2.0  # the byte says more
    assert replace(RANGE, quantiles=(0.2,) * 7).part_of(0.2) == 1


def test_meta_states_a_part_of_its_range_and_klt_its_fineness() -> None:
    ranges = FittedRanges({"meta": RANGE, "klt": RANGE})
    grid = Grid(4, 5)
    header = pack_header(grid, grid, small=6)
    assert stated_likelihood(EncodedImage("meta", header, ()), ranges) == RANGE.likelihood(0.3)
    assert stated_likelihood(EncodedImage("klt", header, ()), ranges) is None  # that is its fineness
    higher = pack_header(grid, grid, extra=misfit_code(1.0))
    for kind in ("meta", "klt"):
        assert stated_likelihood(EncodedImage(kind, higher, ()), ranges) == RANGE.likelihood(1.0)
        assert stated_likelihood(EncodedImage(kind, pack_header(grid, grid), ()), ranges) is None
    assert stated_likelihood(EncodedImage("jpeg", b"", ()), ranges) is None
    assert stated_likelihood(EncodedImage("meta", header, ()), None) is None
    assert stated_likelihood(EncodedImage("meta", b"", ()), ranges) is None


def test_ranges_come_back_from_disk(tmp_path: Path) -> None:
    ranges = FittedRanges({"klt": RANGE, "meta": replace(RANGE, payload_bytes=0)})
    ranges.save(tmp_path / "familiarity.json")
    assert FittedRanges.load(tmp_path / "familiarity.json") == ranges


@pytest.mark.parametrize(
    "change",
    [
        {"payload_bytes": -1},
        {"payload_bytes": 1.5},
        {"payload_bytes": True},
        {"photos": 0},
        {"quantiles": [0.1] * 6},
        {"quantiles": [0.2, 0.1, 0.2, 0.2, 0.2, 0.3, 0.4]},
        {"quantiles": [0.0, 0.1, 0.2, 0.2, 0.2, 0.3, 0.4]},
        {"quantiles": [0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 2.0**40]},
        {"quantiles": "1234567"},
    ],
)
def test_ranges_that_no_fit_writes_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    data = FittedRanges({"klt": RANGE}).to_json()
    data["codecs"]["klt"] |= change
    path = tmp_path / "familiarity.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BundleDamagedError):
        FittedRanges.load(path)
    for other in ({"format": 2, "codecs": {}}, {"format": 1, "codecs": {}}, {"format": 1}):
        path.write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(BundleDamagedError):
            FittedRanges.load(path)
