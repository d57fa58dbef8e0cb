"""Streams that end at a level or a number of latents, and the whole suite on two scenes without opponents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from heliograph.bench.bytes import suite
from heliograph.bench.bytes.photos import levels_between
from heliograph.bench.bytes.plan import BytesPlan
from heliograph.bench.bytes.rates import klt_rates, meta_rates
from heliograph.bench.bytes.suite import BytesSuite
from heliograph.bench.report import publish
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.errors import DataMissingError
from heliograph.types import VisualTokens
from heliograph.vlm.model import VisionLanguageModel

if TYPE_CHECKING:
    from heliograph.serving.cloud import Cloud


@pytest.fixture(scope="module")
def codec(reference_pair: Any) -> KltCodec:
    return KltCodec.load(reference_pair.bundle)


@pytest.fixture(scope="module")
def photos(codec: KltCodec) -> list[VisualTokens]:
    rng = np.random.default_rng(1)
    shape = (2, 1, codec.grid.tokens, codec.components)
    spectra = rng.normal(0, 2, shape).astype(np.float32) / (1 + np.arange(codec.components))
    return [VisualTokens(codec.transform.synthesise(one, codec.grid, True), codec.grid) for one in spectra]


@pytest.mark.parametrize("level", [40, 37, 33, 32])
def test_a_stream_ends_where_its_level_does_and_not_a_byte_later(
    codec: KltCodec, photos: list[VisualTokens], level: int
) -> None:
    (rate,) = klt_rates(codec, photos[:1], [level])
    stream = codec.encode(photos[0], level=level)
    data = b"".join(stream.segments)
    assert rate.payload_bytes.tolist() == [len(stream.header) + len(data)]
    assert codec.level(stream.header, [data]) == level
    assert not data or codec.level(stream.header, [data[:-1]]) != level


def test_finer_levels_take_more_and_err_less(codec: KltCodec, photos: list[VisualTokens]) -> None:
    rates = list(klt_rates(codec, photos, [40, 35, 30]))
    assert [rate.setting for rate in rates] == [{"level": 40}, {"level": 35}, {"level": 30}]
    sizes = np.stack([rate.payload_bytes for rate in rates])
    assert (np.diff(sizes, axis=0) > 0).all()
    wanted = np.stack([one.values for one in photos])
    errors = [float(np.square(rate.tokens - wanted).mean()) for rate in rates]
    assert errors == sorted(errors, reverse=True)
    levels = levels_between(codec, photos, float(sizes[1].mean()), float(sizes[1].mean()))
    assert levels[0] >= 35 >= levels[-1]


def test_latents_end_with_the_whole_stream(reference_pair: Any, photos: list[VisualTokens]) -> None:
    codec = MetaCodec.load(reference_pair.bundle)
    every = codec.tables.latents.latents
    few, whole = meta_rates(codec, photos[:1], [8, every])
    encoded = codec.encode(photos[0])
    assert whole.payload_bytes.tolist() == [encoded.payload_bytes]
    np.testing.assert_array_equal(whole.tokens[0], codec.decode(encoded.header, encoded.segments).values)
    data = b"".join(encoded.segments)[: int(few.payload_bytes[0]) - len(encoded.header)]
    assert codec.decode_integers(codec.grid, [data])[1] == 8
    assert codec.decode_integers(codec.grid, [data[:-1]])[1] < 8


def test_the_plan_has_both_splits_and_a_seed_takes_one() -> None:
    plan = BytesPlan.load()
    assert plan.splits == ((8_150_000, 250), (8_100_000, 320))
    assert BytesPlan.load(9).splits == ((9, 250),)
    items = list(BytesPlan.load(8_150_000).items(3))
    assert sum(len(item.records) for item in items) == 3
    assert list(plan.levels) == sorted(plan.levels, reverse=True)


def test_the_suite_runs_without_opponents_and_writes_its_picture(
    reference_pair: Any, shared_cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = BytesPlan(((8_150_000, 2),), 1, 8_000_000, (36, 28), (10, 50), (), (64,), (50,), ())

    def no_photos(*_: object) -> None:
        raise DataMissingError

    monkeypatch.setattr(BytesPlan, "load", lambda *_: small)
    monkeypatch.setattr(VisionLanguageModel, "load", lambda *_: shared_cloud.model)
    monkeypatch.setattr(suite, "photo_figures", no_photos)
    result = BytesSuite(reference_pair.bundle, tmp_path / "none").run(quiet=True, limit=8)
    settings = {(row.strategy, row.setting) for row in result.rows}
    assert {("klt", "level=36"), ("klt", "level=28"), ("meta", "latents=10"), ("meta", "latents=56")} <= settings
    assert {name for name, _ in settings} >= {"uncompressed", "jpeg-bare", "webp-bare", "avif-bare"}
    whole = next(row for row in result.rows if row.strategy == "uncompressed")
    assert (whole.agreement, whole.payload_bytes) == (1.0, 0.0)
    assert whole.sure_agreement in (1.0, None)  # None: not every task has a sure question
    fine, coarse = (next(r for r in result.rows if r.setting == f"level={level}") for level in (28, 36))
    assert (fine.payload_bytes or 0) > (coarse.payload_bytes or 0) > 0
    assert any(note.startswith("photos left out") for note in result.notes)
    names = {path.name for path in publish(result, tmp_path)}
    assert {"bytes.json", "bytes.md"} <= names
