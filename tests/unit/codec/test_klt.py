"""The codec as its users see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.codec.cuts import segment_ends
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.header import pack_header
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.codec.planes import PlaneState
from heliograph.codec.quantize import quantize
from heliograph.codec.range_coder import COST_UNIT
from heliograph.codec.storage import read_arrays, write_arrays
from heliograph.codec.tables import RUNGS
from heliograph.errors import (
    BundleDamagedError,
    CodecNotFittedError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
    StreamVersionError,
)
from heliograph.types import Grid, VisualTokens

MakeTokens = Callable[..., VisualTokens]


def squared_error(codec: KltCodec, tokens: VisualTokens, segments: list[bytes], header: bytes) -> float:
    return float(((codec.decode(header, segments).values - tokens.values) ** 2).sum())


def test_every_byte_prefix_restores_all_tokens_and_error_falls_on_average(
    codec: KltCodec, photos: list[VisualTokens]
) -> None:
    shares = np.linspace(0, 1, 9)
    errors = np.zeros(len(shares))
    for tokens in photos:
        encoded = codec.encode(tokens)
        stream = b"".join(encoded.segments)
        for column, share in enumerate(shares):
            restored = codec.decode(encoded.header, [stream[: round(share * len(stream))]])
            assert restored.values.shape == tokens.values.shape
            assert restored.values.dtype == np.float32
            assert restored.grid == tokens.grid
            errors[column] += float(((restored.values - tokens.values) ** 2).sum())
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 0.05 * errors[0]


def test_every_byte_cut_decodes_and_known_magnitudes_never_shrink(codec: KltCodec, photos: list[VisualTokens]) -> None:
    encoded = codec.encode(photos[0])
    stream = b"".join(encoded.segments)
    final = codec.decode_integers(encoded.header, [stream])
    before = np.zeros_like(final)
    for cut in range(len(stream) + 1):
        known = codec.decode_integers(encoded.header, [stream[:cut]])
        assert np.all(np.abs(known) >= np.abs(before))
        assert np.all((np.sign(known) == np.sign(final)) | (known == 0))
        before = known


def test_stream_is_an_exact_inverse_of_the_integers(codec: KltCodec, photos: list[VisualTokens]) -> None:
    for tokens in photos[:8]:
        coefficients = codec.transform.analyse(tokens.values, tokens.grid, fitted=True)
        magnitude, negative = quantize(coefficients, codec.magnitude_limits)
        encoded = codec.encode(tokens)
        decoded = codec.decode_integers(encoded.header, encoded.segments)
        assert np.array_equal(decoded.reshape(-1), np.where(negative, -magnitude, magnitude))


def test_a_budget_cuts_the_stream_of_its_fineness_earlier(codec: KltCodec, photos: list[VisualTokens]) -> None:
    for tokens in photos[:2]:
        streams = [codec.encode(tokens, fineness=fineness) for fineness in range(FINENESSES)]
        most = streams[0].payload_bytes
        for budget in (*range(1, most, 7), most, most + 8):
            cut = codec.encode(tokens, max_bytes=budget)
            whole = streams[cut.header[0] >> 3 & 7]
            assert cut.header == whole.header
            assert b"".join(cut.segments) == b"".join(whole.segments)[: budget - len(cut.header)]
        assert (cut.header, b"".join(cut.segments)) == (streams[0].header, b"".join(streams[0].segments))


def test_no_bytes_at_all_restore_the_mean(codec: KltCodec, photos: list[VisualTokens]) -> None:
    encoded = codec.encode(photos[0])
    assert np.allclose(codec.decode(encoded.header, []).values, codec.transform.mean, atol=1e-5)


def test_energy_is_the_same_on_both_ends_and_never_falls(codec: KltCodec, photos: list[VisualTokens]) -> None:
    for tokens in photos[:6]:
        encoded = codec.encode(tokens)
        assert len(encoded.predicted_quality) == len(encoded.segments)
        received = [
            codec.retained_energy(encoded.header, encoded.segments[:k]) for k in range(len(encoded.segments) + 1)
        ]
        assert received[0] == 0
        assert tuple(received[1:]) == encoded.predicted_quality
        assert received == sorted(received)
        assert 0.9 < received[-1] <= 1


def test_predicted_energy_is_near_the_true_share(codec: KltCodec, photos: list[VisualTokens]) -> None:
    gaps = []
    for tokens in photos:
        encoded = codec.encode(tokens, max_bytes=40)
        centred = tokens.values - codec.transform.mean
        error = codec.decode(encoded.header, encoded.segments).values - tokens.values
        true = 1 - float((error**2).sum() / (centred**2).sum())
        gaps.append(encoded.predicted_quality[-1] - true)
    assert abs(np.mean(gaps)) < 0.05


def test_real_bytes_are_within_two_percent_of_the_models_entropy(codec: KltCodec, photos: list[VisualTokens]) -> None:
    real, ideal = 0, 0.0
    for tokens in photos:
        real += sum(len(segment) for segment in codec.encode(tokens).segments)
        ideal += model_bits(codec, tokens) / 8
    assert real <= 1.02 * ideal
    assert real >= ideal


def model_bits(codec: KltCodec, tokens: VisualTokens) -> float:
    """-log2 of what the frozen tables say of every decision."""
    coefficients = codec.transform.analyse(tokens.values, tokens.grid, fitted=True)
    magnitude, negative = quantize(coefficients, codec.magnitude_limits)
    state = PlaneState(codec.model_for(tokens.grid), tokens.grid.tiles)
    bits = 0.0
    for plane, part in state.passes():
        items = state.items(plane, part)
        one = ((magnitude[items.index] >> plane) & 1).astype(bool)
        minus = negative[items.index]
        zero = 2.0 ** (-codec.tables.cost[items.keys % RUNGS] / COST_UNIT)
        bits -= float(np.log2(np.where(one, 1 - zero, zero)).sum())
        chance = state.sign_chance(items, one) / 65536
        signed = chance > 0
        bits -= float(np.log2(np.where(minus[one], chance, 1 - chance)[signed]).sum())
        ones = np.flatnonzero(one)
        state.apply(items, ones, minus[ones], len(one))
    return bits


def test_coding_stops_soon_after_the_budget(codec: KltCodec, photos: list[VisualTokens]) -> None:
    """8 bytes for carries, and the words of the step in which they were reached."""
    coefficients = codec.analyse(photos[1])
    for budget in (0, 10, 30):
        assert len(codec.encode_coefficients(coefficients, photos[1].grid, budget).data) <= budget + 8 + 8


@pytest.mark.parametrize("limit", [0, 1, 2, 11, 12, 30, 64, 10_000])
def test_max_bytes_is_kept_and_cuts_a_whole_stream(codec: KltCodec, photos: list[VisualTokens], limit: int) -> None:
    cut = codec.encode(photos[1], max_bytes=limit)
    whole = codec.encode(photos[1], fineness=cut.header[0] >> 3 & 7)
    assert cut.payload_bytes == min(max(limit, len(cut.header)), whole.payload_bytes)
    shared = sum(map(len, cut.segments))
    same = codec.decode_integers(whole.header, [b"".join(whole.segments)[:shared]])
    assert np.array_equal(codec.decode_integers(cut.header, cut.segments), same)


def test_header_is_one_byte_on_the_fitted_grid_and_at_most_sixteen(codec: KltCodec, make_tokens: MakeTokens) -> None:
    assert len(codec.encode(make_tokens(5)).header) == 1
    assert len(codec.encode(make_tokens(5), max_bytes=20).header) == 1
    other = make_tokens(5, rows=3, columns=7, tiles=2)
    grid = Grid(3, 7, 2, photo_width=1_999_999, photo_height=1_500_000)
    encoded = codec.encode(VisualTokens(other.values, grid))
    assert len(encoded.header) <= MAX_HEADER_BYTES
    assert codec.decode(encoded.header, encoded.segments).grid == grid


@pytest.mark.parametrize(("rows", "columns", "tiles"), [(4, 5, 3), (1, 1, 1), (2, 9, 1), (8, 10, 2)])
def test_other_grids_round_trip(codec: KltCodec, make_tokens: MakeTokens, rows: int, columns: int, tiles: int) -> None:
    tokens = make_tokens(77, rows=rows, columns=columns, tiles=tiles)
    encoded = codec.encode(tokens)
    empty = squared_error(codec, tokens, [], encoded.header)
    assert squared_error(codec, tokens, list(encoded.segments), encoded.header) < 0.2 * empty


@pytest.mark.parametrize("mode", ["none", "dct", "learned"])
def test_each_mode_round_trips(make_tokens: MakeTokens, photos: list[VisualTokens], mode: str) -> None:
    codec = fit_klt([make_tokens(seed) for seed in range(24)], modes=(mode,), restore=mode == "none")
    assert codec.transform.mode == mode
    for tokens in [photos[0], make_tokens(3, rows=6, columns=3)]:
        encoded = codec.encode(tokens)
        empty = squared_error(codec, tokens, [], encoded.header)
        assert squared_error(codec, tokens, list(encoded.segments), encoded.header) < 0.25 * empty


def test_sensitivity_moves_error_to_where_it_matters_less(make_tokens: MakeTokens, photos: list[VisualTokens]) -> None:
    sets = [make_tokens(seed) for seed in range(24)]
    weight = np.where(np.arange(12) < 6, 10.0, 0.1).astype(np.float32)
    plain, weighted = (fit_klt(sets, sensitivity=one, modes=("dct",), restore=False) for one in (None, weight))

    def important_error(codec: KltCodec) -> float:
        total = 0.0
        for tokens in photos:
            encoded = codec.encode(tokens, max_bytes=30)
            error = codec.decode(encoded.header, encoded.segments).values - tokens.values
            total += float((error[:, :6] ** 2).sum())
        return total

    assert important_error(weighted) < 0.9 * important_error(plain)


def test_sensitivity_may_be_a_matrix_or_one_per_frequency(make_tokens: MakeTokens, photos: list[VisualTokens]) -> None:
    sets = [make_tokens(seed) for seed in range(16)]
    matrix = np.diag(np.linspace(3, 0.1, 12)).astype(np.float32)
    frequency = np.stack([matrix * (5.0 if f == 0 else 0.5) for f in range(20)])
    for options in ({"sensitivity": matrix}, {"sensitivity": frequency}, {"grid_sensitivity": np.eye(20)}):
        codec = fit_klt(sets, modes=("dct",), restore=False, **options)
        encoded = codec.encode(photos[0])
        empty = squared_error(codec, photos[0], [], encoded.header)
        assert squared_error(codec, photos[0], list(encoded.segments), encoded.header) < 0.5 * empty
    for wrong in (np.ones(11), np.ones((20, 11, 11)), np.full(12, np.nan), np.zeros(12)):
        with pytest.raises(ShapeError):
            fit_klt(sets, sensitivity=wrong.astype(np.float32))


def test_outliers_are_clipped_and_not_lost(codec: KltCodec, photos: list[VisualTokens]) -> None:
    wild = VisualTokens(photos[0].values * np.float32(1e6), photos[0].grid)
    encoded = codec.encode(wild)
    assert np.all(np.isfinite(codec.decode(encoded.header, encoded.segments).values))
    assert 0 <= encoded.predicted_quality[-1] <= 1


def test_constant_mean_tokens_need_almost_nothing(codec: KltCodec) -> None:
    codec = KltCodec(codec.grid, codec.transform, codec.tables, codec.layouts)  # no guess at what was not sent
    encoded = codec.encode(VisualTokens(codec.transform.mean.copy(), codec.grid))
    assert encoded.payload_bytes < 24
    assert np.allclose(codec.decode(encoded.header, encoded.segments).values, codec.transform.mean, atol=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((20, 11), np.float32),
        np.zeros((19, 12), np.float32),
        np.zeros(240, np.float32),
        np.full((20, 12), np.nan, np.float32),
        np.full((20, 12), np.inf, np.float32),
        np.full((20, 12), 2.0**30, np.float32),
    ],
)
def test_tokens_of_another_shape_or_not_finite_are_refused(codec: KltCodec, values: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        codec.encode(VisualTokens(values, Grid(4, 5)))


def test_too_little_or_unlike_data_cannot_be_fitted(make_tokens: MakeTokens) -> None:
    sets = [make_tokens(seed) for seed in range(16)]
    with pytest.raises(CodecNotFittedError):
        fit_klt(sets[:7])
    with pytest.raises(CodecNotFittedError):
        fit_klt([sets[0]] * 16)
    with pytest.raises(ShapeError):
        fit_klt([*sets, VisualTokens(sets[0].values[:, :-1], sets[0].grid)])
    with pytest.raises(ShapeError):
        fit_klt(sets, modes=("wavelet",))


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 40), st.integers(0, 7))
def test_any_bytes_as_segments_decode_to_finite_tokens(codec: KltCodec, data: bytes, cut: int, fineness: int) -> None:
    header = pack_header(codec.grid, codec.grid, small=fineness)
    segments = [data[i : i + cut] for i in range(0, len(data), cut)]
    try:
        tokens = codec.decode(header, segments)
    except StreamDamagedError:
        return
    assert np.all(np.isfinite(tokens.values))
    assert 0 <= codec.retained_energy(header, segments) <= 1


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=20))
def test_any_bytes_as_header_meet_a_named_error_or_decode(codec: KltCodec, header: bytes) -> None:
    try:
        tokens = codec.decode(header, [])
    except (StreamTruncatedError, StreamDamagedError, StreamVersionError):
        return
    assert np.all(np.isfinite(tokens.values))


def test_segments_grow_slowly_from_eight_bytes() -> None:
    ends = segment_ends(4000)
    sizes = np.diff([0, *ends])
    assert ends[-1] == 4000
    assert sizes[0] == 8
    assert np.all(np.diff(sizes[:-1]) >= 0)
    assert len(ends) > 60
    assert segment_ends(0) == []


def test_saved_codec_is_the_same_codec(codec: KltCodec, photos: list[VisualTokens], tmp_path: Path) -> None:
    codec.save(tmp_path)
    again = KltCodec.load(tmp_path)
    for tokens in photos[:3]:
        encoded = codec.encode(tokens)
        assert again.encode(tokens) == encoded
        assert np.array_equal(
            again.decode(encoded.header, encoded.segments).values, codec.decode(encoded.header, encoded.segments).values
        )


def test_damaged_tables_are_refused(codec: KltCodec, tmp_path: Path) -> None:
    codec.save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "klt")
    mean = arrays["mean"]
    changes = [
        ({**facts, "kind": "meta"}, arrays),
        ({**facts, "format": 3}, arrays),
        ({**facts, "format": 5}, arrays),
        ({**facts, "mode": "xdct"}, arrays),
        ({**facts, "step": 0}, arrays),
        ({**facts, "step": 1e-30}, arrays),
        ({**facts, "step": 1e30}, arrays),
        ({**facts, "grid": [8, 8]}, arrays),
        ({}, arrays),
        (facts, {name: array for name, array in arrays.items() if name != "mean"}),
        (facts, {**arrays, "mean": mean[:-1]}),
        (facts, {**arrays, "mean": mean * np.float32(np.nan)}),
        (facts, {**arrays, "mean": mean[:, :, None, None, None]}),
    ]
    for name in ("mean", "forward", "inverse", "grid_forward", "grid_inverse"):
        for value in (np.nan, -np.inf, 3e38, -1e20):  # the last two are numbers, whose squares float32 does not hold
            one = arrays[name].copy()
            one.flat[1] = value
            changes.append((facts, {**arrays, name: one}))
    for changed_facts, changed_arrays in changes:
        write_arrays(tmp_path, "klt", changed_facts, changed_arrays)
        with pytest.raises(BundleDamagedError):
            KltCodec.load(tmp_path)


def test_the_largest_tokens_and_tables_that_are_read_overflow_nowhere(
    codec: KltCodec, photos: list[VisualTokens], tmp_path: Path
) -> None:
    codec.save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "klt")
    most = np.nextafter(np.float32(2.0**20), np.float32(0))
    for name in ("forward", "inverse", "grid_forward", "grid_inverse"):
        arrays[name] = np.full_like(arrays[name], most)
    arrays["mean"] = np.full_like(arrays["mean"], -np.nextafter(np.float32(2.0**30), np.float32(0)))
    for step in (2.0**-20, float(most)):
        write_arrays(tmp_path, "klt", {**facts, "step": step}, arrays)
        extreme = KltCodec.load(tmp_path)
        with np.errstate(all="raise", under="ignore"):
            for fineness in (0, 7):
                encoded = extreme.encode(VisualTokens(-arrays["mean"], photos[0].grid), fineness=fineness)
                restored = extreme.decode(encoded.header, encoded.segments)
                assert np.isfinite(restored.values).all()


def test_damaged_files_are_refused(codec: KltCodec, tmp_path: Path) -> None:
    codec.save(tmp_path)
    path = tmp_path / "klt.safetensors"
    data = path.read_bytes()
    for changed in (data[:-1], data + b"\0", data[:40], b"", b"\xff" * 16, data[:8] + b"[" * 100_000):
        path.write_bytes(changed)
        with pytest.raises(BundleDamagedError):
            KltCodec.load(tmp_path)
    path.unlink()
    with pytest.raises(BundleDamagedError):
        KltCodec.load(tmp_path)


def test_ranks_that_are_no_order_are_refused(codec: KltCodec) -> None:
    rank = codec.tables.rank.copy()
    rank[1] = rank[0]
    with pytest.raises(BundleDamagedError):
        dataclasses.replace(codec.tables, rank=rank).check(codec.components)
