"""Tokens as one grey picture: what comes back, how ranges are told, what is left out, what damage meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.codec.header import pack_header
from heliograph.errors import ShapeError, StreamDamagedError, StreamTruncatedError, StreamVersionError, UsageError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Restored
from heliograph.strategies.baseline.bare_avif import rebuilt_avif, stripped_avif
from heliograph.strategies.baseline.pixels import saved
from heliograph.strategies.split.feature_ranges import SCALINGS, from_grey, read_ranges, to_grey, written_ranges
from heliograph.types import EncodedImage, Grid, VisualTokens
from strategy_tools import GRID, WIDTH, Tools, encoded_by, photo, restored_by

NAME = "feature-video"
TILED = Grid(4, 5, 2, 640, 480)


@dataclass(frozen=True)
class OtherGrid(Tools):
    """Tools of a model whose photos have other grids, tokens in two tiles."""

    grid: Grid = TILED

    def encode_tokens(self, picture: Any) -> VisualTokens:
        values = np.random.default_rng(3).normal(0, 2, (self.grid.tokens, WIDTH))
        return VisualTokens(values.astype(np.float32), self.grid)


def spans(values: np.ndarray, scaling: str) -> Any:
    ranges = read_ranges(written_ranges(values[None], SCALINGS.index(scaling)), SCALINGS.index(scaling), WIDTH)
    return ranges.span


@pytest.mark.parametrize("scaling", ["shared", "minmax"])
@pytest.mark.parametrize("components", [0, 16])
def test_a_lossless_picture_is_within_half_a_grey_level(scaling: str, components: int) -> None:
    tokens = Tools().encode_tokens(photo()).values
    found = restored_by(encoded_by(NAME, components=components, quality=100, scaling=scaling)).tokens
    assert found.grid == GRID
    # 255 levels over each range; the stand-in's steps change no ratio
    assert (np.abs(found.values - tokens) <= spans(tokens, scaling) / 255 * 0.501).all()


def test_robust_scaling_cuts_off_what_is_outside() -> None:
    tokens = Tools().encode_tokens(photo()).values
    found = restored_by(encoded_by(NAME, components=16, quality=100, scaling="robust")).tokens.values
    low, high = np.percentile(tokens, [2.5, 97.5], axis=0)
    inside = (tokens > low) & (tokens < high)
    assert 0.9 < inside.mean() < 0.96
    assert (np.abs(found - tokens) <= spans(tokens, "robust") / 255 * 0.501)[inside].all()
    assert np.abs(found).max() < np.abs(tokens).max()


def test_components_that_are_not_sent_are_those_of_the_mean() -> None:
    found = restored_by(encoded_by(NAME, components=5, quality=100)).tokens.values
    assert np.abs(found[:, :5]).max() > 1
    assert not found[:, 5:].any()


def test_tiles_and_other_grids_travel_in_the_header() -> None:
    strategy, tools = STRATEGIES.load(NAME)(), OtherGrid()
    for components in (0, 3, 16):
        encoded = strategy.encode(photo(), tools, {"components": components, "quality": 100, "scaling": "minmax"})
        assert encoded.header == pack_header(tools.grid, GRID, small=1, extra=components)
        found = strategy.restore(encoded, tools).tokens
        assert found.grid == tools.grid
        kept = components or WIDTH
        wanted = tools.encode_tokens(photo()).values[:, :kept]
        assert np.abs(found.values[:, :kept] - wanted).max() < 0.05
        with pytest.raises(ShapeError):
            restored_by(encoded)  # a model without such photos


def test_dearer_settings_are_nearer() -> None:
    tokens, errors, sizes = Tools().encode_tokens(photo()).values, [], []
    for quality in (10, 40, 70, 95):
        encoded = encoded_by(NAME, components=16, quality=quality)
        errors.append(np.square(restored_by(encoded).tokens.values - tokens).mean())
        sizes.append(encoded.payload_bytes)
    assert errors == sorted(errors, reverse=True)
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("setting", [{"scaling": "zscore"}, {"components": 256}, {"quality": 0}, {"quality": 101}])
def test_knobs_have_bounds(setting: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        encoded_by(NAME, **setting)


def test_a_picture_larger_than_any_that_is_sent_is_refused_with_what_helps() -> None:
    strategy = STRATEGIES.load(NAME)()
    wide = OtherGrid(grid=Grid(1, 4097))
    with pytest.raises(ShapeError) as caught:
        strategy.encode(photo(), wide, {})
    assert "take fewer" in "".join(caught.value.__notes__)


# ---- the container ------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=25)
@given(st.integers(1, 300), st.integers(1, 200), st.integers(0, 100), st.integers(1, 8), st.integers(0, 99))
def test_a_grey_avif_comes_back_byte_for_byte(width: int, height: int, quality: int, cell: int, seed: int) -> None:
    small = np.random.default_rng(seed).normal(128, 30, (-(-height // cell), -(-width // cell))).clip(0, 255)
    picture = Image.fromarray(np.kron(small, np.ones((cell, cell)))[:height, :width].astype(np.uint8))
    options = {"quality": quality, "speed": 6, "subsampling": "4:0:0", "max_threads": 1, "advanced": {"tune": "psnr"}}
    file = saved(picture, "AVIF", **options)
    bare = stripped_avif(file, grey=True)
    assert bare is not None
    assert bare.numbers == (width - 1, height - 1)
    assert len(file) - len(bare.body) >= 280
    assert rebuilt_avif(bare, grey=True) == file
    assert stripped_avif(file) is None  # no picture of colour


def test_a_file_that_cannot_be_rebuilt_travels_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.strategies.split import feature_video

    plain = encoded_by(NAME)
    monkeypatch.setattr(feature_video, "stripped_avif", lambda file, grey: None)
    whole = encoded_by(NAME)
    assert whole.payload_bytes > plain.payload_bytes + 250
    assert b"".join(whole.segments)[1] == 64
    assert np.array_equal(restored_by(whole).tokens.values, restored_by(plain).tokens.values)


# ---- ranges ---------------------------------------------------------------------------------------------
finite = st.floats(-16384, 16384, width=32)


@settings(deadline=None)
@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=6), st.sampled_from([0, 1]))
def test_ranges_hold_what_they_are_made_of(columns: list[tuple[float, float]], scaling: int) -> None:
    values = np.array(columns, np.float32).T[None]  # (1, 2, K)
    data = written_ranges(values, scaling)
    ranges = read_ranges(data, scaling, len(columns))
    assert (ranges.low <= values.min(axis=(0, 1)) + 1e-4).all()
    assert (ranges.low + ranges.span >= values.max(axis=(0, 1)) - 1e-4).all()
    widest = np.abs(values).max(axis=(0, 1)) * (2 if scaling else 2.2)
    if scaling:  # at most a quarter octave of the low end and an eighth of the span are lost
        assert (ranges.span <= (np.ptp(values, axis=1)[0] + 0.2 * widest) * 1.1 + 1e-4).all()
    levels = to_grey(values, ranges)
    assert (np.abs(from_grey(levels, ranges) - values) <= ranges.span / 255 * 0.51 + 1e-4).all()


def test_range_bytes_are_pinned() -> None:
    values = np.array([[[-1.0, 0.0, 3.0], [2.0, 0.0, 4.0]]], np.float32)
    assert written_ranges(values, 0).hex() == "90"  # 2 ** ((144 - 128) / 8) is 4
    assert written_ranges(values, 1).hex() == "c08d00004682"
    assert read_ranges(bytes.fromhex("c08d00004682"), 1, 3).low.tolist() == [-1.0, 0.0, 2 ** (6 / 4)]


# ---- what strangers send -------------------------------------------------------------------------------
def test_no_part_of_a_picture_is_enough() -> None:
    encoded = encoded_by(NAME, components=16, quality=80)
    data = b"".join(encoded.segments)
    for length in range(len(data)):
        with pytest.raises((StreamTruncatedError, StreamDamagedError)):
            restored_by(EncodedImage(NAME, encoded.header, (data[:length],)))
    for length in (0, 1, 2):
        with pytest.raises(StreamTruncatedError):
            restored_by(EncodedImage(NAME, encoded.header, (data[:length],)))


HEADER = pack_header(GRID, GRID, extra=16)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (pack_header(GRID, GRID, extra=17), b"\x80\x00xx"),  # more components than there are
        (pack_header(GRID, GRID, small=3, extra=1), b"\x80\x00xx"),  # no such scaling
        (HEADER, b"\x80\x20\x80xx"),  # a flag that no picture has
        (HEADER, b"\x80\x40nothing"),  # a whole file that is none
        (HEADER, b"\x80\x0f"),  # a head that is announced and not there
    ],
)
def test_damage_has_a_name(header: bytes, body: bytes) -> None:
    with pytest.raises((StreamDamagedError, StreamTruncatedError)):
        restored_by(EncodedImage(NAME, header, (body,)))


def test_a_picture_of_another_size_is_damage() -> None:
    file = saved(Image.new("L", (40, 40), 90), "AVIF", quality=50)
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage(NAME, HEADER, (b"\x80\x40", file)))


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_any_change_gives_tokens_or_a_named_error(data: st.DataObject) -> None:
    encoded = encoded_by(NAME, components=4, quality=30, scaling="minmax")
    header, body = bytearray(encoded.header), bytearray(b"".join(encoded.segments))
    for part in (header, body):
        for _ in range(data.draw(st.integers(0, 3))):
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        found: Restored = restored_by(EncodedImage(NAME, bytes(header), (bytes(body[:cut]),)))
    except (StreamDamagedError, StreamTruncatedError, StreamVersionError, ShapeError):
        return
    assert found.tokens.values.shape == (GRID.tokens, WIDTH)
    assert np.isfinite(found.tokens.values).all()
