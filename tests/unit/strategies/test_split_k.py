"""``split-k``: states come back within half a step, any prefix shows something, damage ends in a named error."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec import state_planes
from heliograph.codec.state_planes import MAX_MAGNITUDE, decode_states, encode_states
from heliograph.errors import HeliographError, ModelUnsupportedError, ShapeError, StreamDamagedError, UsageError
from heliograph.registry import STRATEGIES
from heliograph.strategies.split import split_k
from heliograph.types import EncodedImage
from strategy_tools import Blocks, encoded_by, photo, restored_by


def states() -> np.ndarray:
    return Blocks().states(photo(), 2)


def found(encoded: EncodedImage) -> np.ndarray:
    tokens = restored_by(encoded).tokens
    assert tokens is not None
    return tokens.values


# ---- the coder -------------------------------------------------------------------------------------------
def integers(shape: tuple[int, int, int], seed: int, scale: float = 2.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    scales = scale * np.exp(random.normal(size=shape[2]))
    return np.rint(random.laplace(size=shape) * scales).astype(np.int64)


@pytest.mark.parametrize(("tiles", "rows", "columns"), [(1, 8, 8), (3, 2, 5), (1, 1, 1), (2, 5, 1)])
def test_integers_come_back_and_every_prefix_is_a_part_of_them(tiles: int, rows: int, columns: int) -> None:
    given = integers((tiles, rows * columns, 7), seed=rows)
    data = encode_states(given, (rows, columns))
    whole, count = decode_states(data, given.shape, (rows, columns))
    assert whole == given.reshape(-1).tolist()
    assert count == given.size
    counts = []
    for length in range(len(data)):
        part, count = decode_states(data[:length], given.shape, (rows, columns))
        assert part == whole[:count]
        counts.append(count)
    assert counts == sorted(counts)


def test_large_magnitudes_come_back() -> None:
    given = np.array([0, 13, 14, -15, 100, -(MAX_MAGNITUDE - 1), MAX_MAGNITUDE - 1, 1], np.int64).reshape(1, 4, 2)
    assert decode_states(encode_states(given, (2, 2)), given.shape, (2, 2))[0] == given.reshape(-1).tolist()


def test_scales_of_channels_are_found_without_being_sent() -> None:
    """Against the entropy of the same integers if the scale of each channel were known: a tenth more at most."""
    random = np.random.default_rng(1)
    scales = np.exp(random.normal(size=64))
    given = np.rint(random.laplace(size=(1, 256, 64)) * scales).astype(np.int64)
    edges = np.arange(-400, 401)
    chances = [np.diff(_laplace((np.append(edges, 401) - 0.5) / scale)) for scale in scales]
    bits = sum(-np.log2(chances[c][given[0, :, c] + 400]).sum() for c in range(64))
    assert bits / 8 < len(encode_states(given, (16, 16))) < 1.1 * bits / 8


def _laplace(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, 0.5 * np.exp(np.minimum(x, 0)), 1 - 0.5 * np.exp(-np.maximum(x, 0)))


# ---- streams ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("level", [0, 16, 24])
def test_states_come_back_within_half_a_step(level: int) -> None:
    encoded = encoded_by("split-k", block=2, level=level)
    assert encoded.header == bytes([2, level, 127])
    assert np.abs(found(encoded) - states()).max() <= 0.5001 * 2 ** (level / 4) / 64


def test_coarser_steps_take_fewer_bytes() -> None:
    sizes = [encoded_by("split-k", level=level).payload_bytes for level in (4, 12, 20, 28)]
    assert sizes == sorted(sizes, reverse=True)
    assert len({*sizes}) == 4


def test_any_prefix_holds_the_first_patches_and_grey_elsewhere() -> None:
    encoded = encoded_by("split-k", level=6)
    grey = Blocks().grey_states(2)
    counts = []
    for segments in range(len(encoded.segments) + 1):
        near = np.abs(found(encoded.prefix(segments)) - states()).max(axis=1) < 0.03
        counts.append(int(near.cumprod().sum()))
        assert np.allclose(found(encoded.prefix(segments))[counts[-1] + 1 :], grey[counts[-1] + 1 :])
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 64)


def test_settings_span_rates_and_blocks() -> None:
    settings = STRATEGIES.load("split-k")().settings()
    assert len(settings) >= 5
    assert {one["block"] for one in settings} == {1, 2, 4}


# ---- refusals --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "header",
    [b"", b"\x02", b"\x02\x1a", b"\x00\x1a\x7f", b"\x02\x40\x7f", b"\x02\x1a\x7f\x00", b"\x02\x1a\xff\xff\x01"],
)
def test_a_damaged_header_has_a_name(header: bytes) -> None:
    with pytest.raises(StreamDamagedError):
        found(EncodedImage("split-k", header, (b"body",)))


def test_other_blocks_and_other_sides_are_refused_by_name() -> None:
    encoded = encoded_by("split-k")
    with pytest.raises(ModelUnsupportedError):
        found(EncodedImage("split-k", b"\x04" + encoded.header[1:], encoded.segments))
    with pytest.raises(ShapeError):
        found(EncodedImage("split-k", encoded.header[:2] + b"\x7e", encoded.segments))
    for setting in ({"block": 0}, {"level": 64}, {"block": 256}):
        with pytest.raises(UsageError):
            encoded_by("split-k", **setting)


def test_more_bytes_than_states_can_take_are_refused() -> None:
    encoded = encoded_by("split-k")
    most = 6 * 64 * 16
    assert np.isfinite(found(EncodedImage("split-k", encoded.header, (bytes(most),)))).all()
    with pytest.raises(StreamDamagedError):
        found(EncodedImage("split-k", encoded.header, (bytes(most), b"x")))


def test_more_states_than_a_stream_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encoded_by("split-k")
    monkeypatch.setattr(split_k, "MAX_STATES", 64 * 16 - 1)
    with pytest.raises(ShapeError, match=r"1023 states, not 1024"):
        encoded_by("split-k")
    with pytest.raises(ShapeError):
        found(encoded)
    assert state_planes.MAX_STATES == 1 << 20


@pytest.mark.parametrize("seed", range(12))
def test_noise_restores_something_or_has_a_name(seed: int) -> None:
    random, encoded = np.random.default_rng(seed), encoded_by("split-k", level=int(seed) * 3)
    data = bytearray(b"".join(encoded.segments))
    for _ in range(4):
        data[random.integers(len(data))] ^= int(random.integers(1, 256))
    try:
        values = found(EncodedImage("split-k", encoded.header, (bytes(data),)))
    except HeliographError:
        return
    assert np.isfinite(values).all()
