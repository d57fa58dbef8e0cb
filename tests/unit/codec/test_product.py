"""Product quantisation: what comes back, at which rate, and what damaged streams and tables meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.header import pack_header
from heliograph.codec.klt import KltCodec
from heliograph.codec.product import ProductCodec, ProductTables
from heliograph.codec.storage import read_arrays, write_arrays
from heliograph.errors import (
    BundleDamagedError,
    CodecNotFittedError,
    HeliographError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
    StreamVersionError,
)
from heliograph.training.fitting.fit_product import allocated, product_tables
from heliograph.types import Grid, VisualTokens

MakeTokens = Callable[..., VisualTokens]
HEADER = 2


@pytest.fixture(scope="module")
def quantiser(codec: KltCodec, make_tokens: MakeTokens) -> ProductCodec:
    said: list[str] = []
    fitting = [make_tokens(seed) for seed in range(48)]
    made = ProductCodec(product_tables(fitting, codec, subspaces=(1, 2, 4), progress=said.append))
    assert said == [f"clustering {48 * 20} tokens in subspaces"]
    return made


def squared_error(restored: VisualTokens, tokens: VisualTokens) -> float:
    return float(np.square(restored.values - tokens.values).sum())


def test_more_bytes_per_token_restore_more(quantiser: ProductCodec, photos: list[VisualTokens]) -> None:
    errors = []
    for token_bytes in (1, 2, 4):
        total = 0.0
        for tokens in photos:
            encoded = quantiser.encode_at(tokens, token_bytes)
            assert encoded.payload_bytes == HEADER + token_bytes * tokens.grid.tokens
            assert len(encoded.segments) == tokens.grid.rows
            total += squared_error(quantiser.decode(encoded.header, encoded.segments), tokens)
        errors.append(total)
    nothing = sum(squared_error(quantiser.decode(encoded.header, ()), tokens) for tokens in photos)
    assert errors[2] < errors[1] < errors[0] < 0.7 * nothing
    assert np.all(np.diff(quantiser.tables.retained) > 0)


def test_each_token_gets_the_nearest_centroid(quantiser: ProductCodec, photos: list[VisualTokens]) -> None:
    encoded = quantiser.encode_at(photos[0], 1)
    restored = quantiser.decode(encoded.header, encoded.segments)
    tables = quantiser.tables
    features = (photos[0].values - tables.mean) @ tables.forward  # (N, R)
    kept = (restored.values - tables.mean) @ tables.forward
    distances = np.square(features[:, None] - tables.centroids[0][None]).sum(-1)  # (N, 256)
    np.testing.assert_allclose(np.square(features - kept).sum(-1), distances.min(-1), rtol=1e-3, atol=1e-4)


def test_any_row_prefix_restores_all_tokens(quantiser: ProductCodec, photos: list[VisualTokens]) -> None:
    tokens = photos[1]
    encoded = quantiser.encode_at(tokens, 2)
    whole = quantiser.decode(encoded.header, encoded.segments)
    part = quantiser.decode(encoded.header, encoded.segments[:2])
    came = 2 * tokens.grid.columns
    np.testing.assert_array_equal(part.values[:came], whole.values[:came])
    np.testing.assert_allclose(part.values[came:], quantiser.tables.mean[came:], atol=1e-6)
    shares = [quantiser.retained_energy(encoded.header, encoded.segments[:k]) for k in range(1, 5)]
    assert shares == pytest.approx(list(encoded.predicted_quality))
    assert quantiser.expect(encoded.header, encoded.segments) is None


def test_a_byte_budget_takes_the_finest_that_fits(quantiser: ProductCodec, photos: list[VisualTokens]) -> None:
    tokens = photos[2]
    count = tokens.grid.tokens
    assert quantiser.encode(tokens) == quantiser.encode_at(tokens, 4)
    assert quantiser.encode(tokens, max_bytes=HEADER + 4 * count - 1) == quantiser.encode_at(tokens, 2)
    cut = quantiser.encode(tokens, max_bytes=HEADER + count - 1)
    assert cut.segments == quantiser.encode_at(tokens, 1).segments[:-1]
    assert quantiser.encode(tokens, max_bytes=0).segments == ()


def test_several_tiles(quantiser: ProductCodec, make_tokens: MakeTokens) -> None:
    tokens = make_tokens(7, tiles=2)
    encoded = quantiser.encode_at(tokens, 4)
    restored = quantiser.decode(encoded.header, encoded.segments)
    assert restored.grid == tokens.grid
    first = VisualTokens(tokens.values[: tokens.grid.tokens // 2], Grid(tokens.grid.rows, tokens.grid.columns))
    alone = quantiser.encode_at(first, 4)
    half = quantiser.decode(alone.header, alone.segments).values
    assert b"".join(alone.segments) == b"".join(encoded.segments)[: first.grid.tokens * 4]
    # The same sums, in an order that the number of rows decides.
    np.testing.assert_allclose(restored.values[: first.grid.tokens], half, rtol=0, atol=1e-6 * np.abs(half).max())


def test_refuses_what_does_not_fit(quantiser: ProductCodec, photos: list[VisualTokens]) -> None:
    tokens = photos[0]
    wrong = tokens.values.copy()
    wrong[0, 0] = np.nan
    for values, grid in ((wrong, tokens.grid), (tokens.values[:, :-1], tokens.grid), (tokens.values, Grid(5, 4))):
        with pytest.raises(ShapeError):
            quantiser.encode(VisualTokens(np.ascontiguousarray(values), grid))
    encoded = quantiser.encode_at(tokens, 2)
    for header in (
        pack_header(tokens.grid, quantiser.grid, extra=3),
        pack_header(tokens.grid, quantiser.grid),
        pack_header(tokens.grid, quantiser.grid, small=1, extra=2),
        pack_header(Grid(5, 4), quantiser.grid, extra=2),
        b"\x82" * 3,
    ):
        with pytest.raises(StreamDamagedError):
            quantiser.decode(header, encoded.segments)
    assert encoded.header == b"\xc0\x02"
    with pytest.raises(StreamTruncatedError):
        quantiser.decode(b"", ())
    with pytest.raises(StreamVersionError):
        quantiser.decode(b"\x00\x02\x5b", ())
    for segments in ([*encoded.segments, b"\x00\x00"], [b"\x00"]):
        with pytest.raises(StreamDamagedError):
            quantiser.decode(encoded.header, segments)


@settings(max_examples=60, deadline=None)
@given(header=st.binary(max_size=20), data=st.binary(max_size=200))
def test_hostile_streams_meet_named_errors(quantiser: ProductCodec, header: bytes, data: bytes) -> None:
    try:
        restored = quantiser.decode(header, [data])
    except HeliographError:
        return
    assert np.all(np.isfinite(restored.values))


def test_saved_tables_code_alike(quantiser: ProductCodec, photos: list[VisualTokens], tmp_path: Path) -> None:
    quantiser.save(tmp_path)
    first = ProductCodec.load(tmp_path)
    first.save(tmp_path / "again")
    second = ProductCodec.load(tmp_path / "again")
    assert all((tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in first.files)
    encoded = first.encode(photos[0])
    assert second.encode(photos[0]) == encoded
    exact = quantiser.encode(photos[0])
    before = squared_error(quantiser.decode(exact.header, exact.segments), photos[0])
    assert squared_error(second.decode(encoded.header, encoded.segments), photos[0]) < 1.05 * before


def test_damaged_tables_are_refused(quantiser: ProductCodec, tmp_path: Path) -> None:
    quantiser.save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "pq")
    for changed in ({**facts, "kind": "klt"}, {**facts, "format": 2}, {}):
        write_arrays(tmp_path, "pq", changed, arrays)
        with pytest.raises(BundleDamagedError):
            ProductCodec.load(tmp_path)
    tables = quantiser.tables
    wrong: list[ProductTables] = [
        dataclasses.replace(tables, mean=tables.mean[:-1]),
        dataclasses.replace(tables, inverse=tables.inverse * np.float32(np.inf)),
        *(
            dataclasses.replace(tables, **{name: spoilt(getattr(tables, name), value)})
            for name in ("mean", "forward", "inverse", "centroids", "retained")
            for value in (np.nan, 3e38, -1e20)
        ),
        dataclasses.replace(tables, owner=tables.owner + 64),
        dataclasses.replace(tables, owner=tables.owner[::-1]),
        dataclasses.replace(tables, retained=tables.retained[None]),
    ]
    for one in wrong:
        with pytest.raises(BundleDamagedError):
            one.check()


def spoilt(values: np.ndarray, value: float) -> np.ndarray:
    """A copy with one other value."""
    made = values.copy()
    made.flat[-1] = value
    return made


def test_variances_are_spread_evenly() -> None:
    variances = np.asarray([64.0, 32, 16, 8, 4, 2, 1.5, 1])
    owner = allocated(variances, 2)
    assert sorted(np.bincount(owner)) == [4, 4]
    sums = [np.log2(variances[owner == s]).sum() for s in range(2)]
    assert abs(sums[0] - sums[1]) < 1.5
    assert list(allocated(variances[:3], 3)) == [0, 1, 2]


def test_too_little_to_cluster_is_a_named_error(codec: KltCodec, make_tokens: MakeTokens) -> None:
    with pytest.raises(CodecNotFittedError):
        product_tables([make_tokens(0)], codec)
    with pytest.raises(CodecNotFittedError):
        product_tables([], codec)
    tokens = [make_tokens(seed) for seed in range(13)]
    with pytest.raises(CodecNotFittedError):
        product_tables(tokens, codec, subspaces=(64,))
    narrow = [VisualTokens(np.ascontiguousarray(one.values[:, :6]), one.grid) for one in tokens]
    with pytest.raises(ShapeError):
        product_tables(narrow, codec)
