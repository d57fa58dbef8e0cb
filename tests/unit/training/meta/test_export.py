"""A network exported as the codec ``meta`` does what the network did, from every prefix; damage is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.expectation import ErrorHead, feature_count
from heliograph.codec.familiarity import FittedRange, misfit, misfit_code
from heliograph.codec.header import pack_header
from heliograph.codec.meta import DECODER, ENCODER, SHARE_ONE, MetaCodec
from heliograph.codec.storage import read_arrays, write_arrays
from heliograph.errors import (
    AnsweringFailedError,
    BundleDamagedError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
)
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.export import export_meta
from heliograph.training.meta.network import MetaDecoder, MetaEncoder, MetaSizes, RateModel, TokenSpace
from heliograph.training.meta.start import start_from_components
from heliograph.types import Grid, VisualTokens

SIZES = MetaSizes(2, 3, 5, latents=6, channels=2, width=16, encoder_layers=1, decoder_layers=1, heads=2, reach=7)
HIDDEN = 8
Parts = tuple[TokenSpace, MetaEncoder, MetaDecoder]


def pictures(count: int, seed: int) -> torch.Tensor:
    """(I, 6, 8) tokens of low rank, so that a few latents say much."""
    basis = torch.randn(5, 6 * HIDDEN, generator=torch.Generator().manual_seed(0))
    random = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, 5, generator=random) * torch.tensor([5.0, 3, 2, 1, 1]) @ basis
    return (mixed + 0.1 * torch.randn(count, 6 * HIDDEN, generator=random)).reshape(count, 6, HIDDEN)


@pytest.fixture(scope="module")
def parts() -> Parts:
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(HIDDEN, HIDDEN))[0][:, : SIZES.features]
    space = TokenSpace(torch.zeros(6, HIDDEN), basis, basis.T)
    encoder, decoder = MetaEncoder(SIZES).eval(), MetaDecoder(SIZES).eval()
    start_from_components(encoder, decoder, RateModel(SIZES), space.features(pictures(200, 1)), 0.36)
    for layer in (encoder.leave, decoder.leave):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return space, encoder, decoder


def head() -> ErrorHead:
    rng = np.random.default_rng(6)
    shapes = [(feature_count(SIZES.latents), 4), (4,), (4, 2), (2,)]
    return ErrorHead(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


@pytest.fixture(scope="module")
def codec(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> MetaCodec:
    data = [MetaData(pictures(count, seed), [[]] * count, Grid(2, 3)) for count, seed in ((200, 1), (40, 2))]
    return export_meta(*parts, head(), *data, tmp_path_factory.mktemp("codec"))


def tokens_of(seed: int, tiles: int = 1) -> VisualTokens:
    return VisualTokens(pictures(tiles, seed).reshape(-1, HIDDEN).numpy(), Grid(2, 3, tiles))


@pytest.mark.parametrize("tiles", [1, 3])
def test_every_prefix_restores_what_the_network_would(codec: MetaCodec, parts: Parts, tiles: int) -> None:
    space, encoder, decoder = parts
    tokens = tokens_of(7, tiles)
    with torch.no_grad():
        batch = torch.from_numpy(tokens.values).reshape(tiles, 6, HIDDEN)
        integers = encoder(space.features(batch)).round()
    assert np.array_equal(codec.latents(tokens), integers.numpy())
    encoded = codec.encode(tokens)
    assert len(encoded.header) <= MAX_HEADER_BYTES
    whole = b"".join(encoded.segments)
    for cut in range(len(whole) + 1):
        found, count = codec.decode_integers(tokens.grid, [whole[:cut]])
        known = torch.tensor([[k * tiles + t < count for k in range(SIZES.latents)] for t in range(tiles)])
        assert np.array_equal(found[known], integers.numpy().astype(np.int64)[known])
        with torch.no_grad():
            wanted = space.tokens(decoder(integers, known)).reshape(-1, HIDDEN)
        restored = codec.decode(encoded.header, [whole[:cut]])
        assert restored.grid == tokens.grid
        np.testing.assert_allclose(restored.values, wanted.numpy(), rtol=1e-4, atol=1e-4)
    assert count == tiles * SIZES.latents


def test_photos_of_another_kind_are_noticed(codec: MetaCodec) -> None:
    encoded, unusual = codec.encode_watchfully(tokens_of(7))
    assert (encoded, unusual) == (codec.encode(tokens_of(7)), False)
    other = np.random.default_rng(5).normal(size=(6, HIDDEN)).astype(np.float32) * 4
    assert codec.encode_watchfully(VisualTokens(other, Grid(2, 3)))[1]
    mixed = np.concatenate([tokens_of(7).values, other])  # one strange tile is enough
    assert codec.encode_watchfully(VisualTokens(mixed, Grid(2, 3, 2)))[1]


def test_both_ends_foresee_the_same_quality_and_it_grows(codec: MetaCodec) -> None:
    encoded = codec.encode(tokens_of(8, 2))
    seen = [
        codec.retained_energy(encoded.header, encoded.segments[:count]) for count in range(1, len(encoded.segments) + 1)
    ]
    assert encoded.predicted_quality == tuple(seen)
    assert seen == sorted(seen)
    assert 0.5 < seen[-1] <= 1
    assert codec.tables.retained[0] < codec.tables.retained[-1] <= SHARE_ONE


@pytest.mark.parametrize("tiles", [1, 2])
def test_the_header_states_the_misfit_of_the_whole_stream(codec: MetaCodec, tiles: int) -> None:
    tokens = tokens_of(7, tiles)
    plain = codec.encode(tokens)
    assert plain.header == pack_header(tokens.grid, codec.grid)  # nothing is measured without a range
    found = misfit(tokens.values, codec.decode(plain.header, plain.segments).values)
    quantiles = tuple(share * found for share in (0.25, 0.5, 0.9, 1.1, 2, 3, 4))
    watchful = MetaCodec(codec.tables, codec._folder)
    watchful.fitted = FittedRange(0, quantiles, 9)
    within = watchful.encode(tokens)
    assert within.header == pack_header(tokens.grid, codec.grid, small=4)  # three quantiles are below it
    assert within.header[0] & 0x38 == 4 << 3
    assert (within.segments, within.predicted_quality) == (plain.segments, plain.predicted_quality)
    watchful.fitted = FittedRange(0, (found / 2,) * 7, 9)
    above = watchful.encode(tokens)
    assert above.header == pack_header(tokens.grid, codec.grid, extra=misfit_code(found))
    assert above.segments == plain.segments
    lowered = [
        watchful.retained_energy(above.header, above.segments[:count]) for count in range(1, len(above.segments) + 1)
    ]
    assert above.predicted_quality == tuple(lowered)
    assert lowered[-1] < plain.predicted_quality[-1]
    assert watchful.encode(tokens, max_bytes=len(above.header) + 1).payload_bytes == len(above.header) + 1


def test_a_budget_cuts_the_stream(codec: MetaCodec) -> None:
    tokens = tokens_of(9)
    whole = codec.encode(tokens)
    for budget in (1, len(whole.header), len(whole.header) + 2):
        short = codec.encode(tokens, max_bytes=budget)
        data = b"".join(short.segments)
        assert len(data) == max(0, budget - len(whole.header))
        assert b"".join(whole.segments).startswith(data)


def test_it_loads_as_saved_and_travels_in_a_bundle(codec: MetaCodec, tmp_path: Path) -> None:
    codec.save(tmp_path / "copy")
    tokens = tokens_of(10)
    assert MetaCodec.load(tmp_path / "copy").encode(tokens) == codec.encode(tokens)
    write_bundle(tmp_path / "bundle", codecs=[codec], grid=codec.grid, hidden_size=HIDDEN)
    assert Bundle.load(tmp_path / "bundle").codec("meta").encode(tokens) == codec.encode(tokens)


def test_tokens_of_another_shape_are_refused(codec: MetaCodec) -> None:
    values = tokens_of(1).values
    wrong = [
        VisualTokens(values[:, :-1], Grid(2, 3)),
        VisualTokens(values, Grid(3, 2)),
        VisualTokens(values, Grid(2, 3, 2)),
        VisualTokens(np.full_like(values, np.nan), Grid(2, 3)),
        VisualTokens(np.full_like(values, 1e35), Grid(2, 3)),
    ]
    for tokens in wrong:
        with pytest.raises(ShapeError):
            codec.encode(tokens)


def test_headers_of_another_grid_or_cut_short_are_refused(codec: MetaCodec) -> None:
    for grid in (Grid(3, 2), Grid(2, 3, 2**14 // 6)):
        header = pack_header(grid, codec.grid)
        if grid.rows == 3:
            with pytest.raises(StreamDamagedError):
                codec.decode(header, ())
        else:  # many tiles are fine as long as their tokens fit
            assert codec.decode(header, ()).values.shape == (grid.tokens, HIDDEN)
    with pytest.raises(StreamTruncatedError):
        codec.decode(b"", ())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_restore_something(codec: MetaCodec, data: bytes) -> None:
    restored = codec.decode(pack_header(codec.grid, codec.grid), [data])
    assert np.isfinite(restored.values).all()


def test_damaged_folders_are_refused(codec: MetaCodec, tmp_path: Path) -> None:
    codec.save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "meta_tables")
    for changed in ({**facts, "kind": "klt"}, {**facts, "format": 2}, {**facts, "hidden_size": 0}, {}):
        write_arrays(tmp_path, "meta_tables", changed, arrays)
        with pytest.raises(BundleDamagedError):
            MetaCodec.load(tmp_path)
    write_arrays(tmp_path, "meta_tables", facts, arrays)
    (tmp_path / ENCODER).write_bytes(b"no network")
    with pytest.raises(BundleDamagedError):
        MetaCodec.load(tmp_path).encode(tokens_of(1))
    (tmp_path / DECODER).unlink()
    with pytest.raises(BundleDamagedError):
        MetaCodec.load(tmp_path)


@pytest.mark.parametrize(
    "retained", [[0, 5, 4, 6, 7, 8, 9], [0] * 6, [-1, 0, 0, 0, 0, 0, 0], [0] * 6 + [SHARE_ONE + 1]]
)
def test_impossible_shares_are_refused(codec: MetaCodec, retained: list[int]) -> None:
    with pytest.raises(BundleDamagedError):
        dataclasses.replace(codec.tables, retained=np.array(retained)).check()


class FakeNetwork:
    """Gives one value that is no number, in one of its outputs."""

    def __init__(self, real: Any, output: int, value: float) -> None:
        self.real, self.output, self.value = real, output, value

    def run(self, names: Any, given: Any) -> Any:
        made = [np.array(one, copy=True) for one in self.real.run(names, given)]
        made[self.output].reshape(-1)[0] = self.value
        return made


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("output", [0, 1])
def test_an_encoder_that_gives_no_numbers_sends_nothing(codec: MetaCodec, output: int, value: float) -> None:
    broken = MetaCodec(codec.tables, codec._folder)
    vars(broken)["_encoder"] = FakeNetwork(codec._encoder, output, value)
    with pytest.raises(AnsweringFailedError):
        broken.encode(tokens_of(1))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_decoder_that_gives_no_numbers_restores_nothing(codec: MetaCodec, value: float) -> None:
    encoded = codec.encode(tokens_of(1))
    broken = MetaCodec(codec.tables, codec._folder)
    vars(broken)["_decoder"] = FakeNetwork(codec._decoder, 0, value)
    with pytest.raises(AnsweringFailedError):
        broken.decode(encoded.header, encoded.segments)


def test_an_error_head_whose_sums_overflow_predicts_nothing(codec: MetaCodec) -> None:
    encoded = codec.encode(tokens_of(1))
    loud = ErrorHead(*(np.full_like(getattr(codec.tables.head, name), 3e38) for name in ErrorHead.ARRAYS))
    with pytest.raises(BundleDamagedError):
        loud.check(SIZES.latents)  # each weight is a number, and no bundle with them is read
    tables = dataclasses.replace(codec.tables, head=loud)
    with pytest.raises(AnsweringFailedError):
        MetaCodec(tables, codec._folder).expect(encoded.header, encoded.segments, "what is it?")


def test_a_header_tells_its_grid_before_anything_is_decoded(codec: MetaCodec) -> None:
    encoded = codec.encode(tokens_of(1, tiles=3))
    assert codec.stated_grid(encoded.header) == Grid(2, 3, 3)
    with pytest.raises(StreamTruncatedError):
        codec.stated_grid(b"")
