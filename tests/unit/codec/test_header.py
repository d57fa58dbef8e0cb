"""The stream header: size, round trip, what is read off it, and damage of every kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.codec.header import (
    MAX_TOKENS,
    Header,
    marked_as_fallback,
    pack_header,
    parse_header,
    read_varint,
    stated_extra,
    stated_small,
    unmarked,
    with_extra,
    write_varint,
)
from heliograph.errors import ShapeError, StreamDamagedError, StreamTruncatedError, StreamVersionError
from heliograph.types import Grid

FITTED = Grid(8, 8)
SIZED = [Grid(7, 7), Grid(8, 8, 3), Grid(8, 8, 1, 640, 480), Grid(128, 128, 1, 2_097_151, 2_097_151)]
GRIDS = [FITTED, *SIZED]
REFUSED = (StreamDamagedError, StreamTruncatedError, StreamVersionError)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("small", "extra"), [(0, 0), (7, 0), (0, 1), (5, 255)])
def test_round_trip_within_sixteen_bytes(grid: Grid, small: int, extra: int) -> None:
    header = pack_header(grid, FITTED, small=small, extra=extra)
    assert len(header) <= MAX_HEADER_BYTES
    assert parse_header(header, FITTED) == Header(small, extra, grid)
    assert (stated_small(header), stated_extra(header)) == (small, extra)
    if grid == FITTED:
        assert len(header) == (2 if extra else 1)


@given(
    st.integers(1, 128), st.integers(1, 128), st.integers(0, 2**21 - 1), st.integers(0, 2**21 - 1), st.integers(0, 255)
)
def test_any_allowed_grid_round_trips(rows: int, columns: int, width: int, height: int, extra: int) -> None:
    grid = Grid(rows, columns, MAX_TOKENS // (rows * columns), width, height)
    header = pack_header(grid, FITTED, small=extra % 8, extra=extra)
    assert len(header) <= MAX_HEADER_BYTES
    assert parse_header(header, FITTED) == Header(extra % 8, extra, grid)


@pytest.mark.parametrize("grid", [Grid(0, 8), Grid(8, 8, 257), Grid(1 << 40, 1), Grid(8, 8, 1, 1 << 21, 1)])
def test_grids_that_no_stream_can_state_are_refused(grid: Grid) -> None:
    with pytest.raises(ShapeError):
        pack_header(grid, FITTED)


@pytest.mark.parametrize("extra", [0, 77])
@pytest.mark.parametrize("grid", SIZED)
def test_every_flip_of_a_byte_and_every_cut_of_sizes_is_detected(grid: Grid, extra: int) -> None:
    header = pack_header(grid, FITTED, small=3, extra=extra)
    for position in range(len(header)):
        for flip in range(1, 256):
            damaged = bytearray(header)
            damaged[position] ^= flip
            with pytest.raises(REFUSED):
                parse_header(bytes(damaged), FITTED)
            assert unmarked(bytes(damaged)) is None or position == 0
    for cut in range(len(header)):
        with pytest.raises(REFUSED):
            parse_header(header[:cut], FITTED)
    with pytest.raises(StreamTruncatedError):
        parse_header(header[:1], FITTED)


@pytest.mark.parametrize("grid", GRIDS)
def test_an_extra_byte_costs_one_byte_and_changes_nothing_else(grid: Grid) -> None:
    plain = pack_header(grid, FITTED, small=6)
    header = with_extra(plain, 200)
    assert header == pack_header(grid, FITTED, small=6, extra=200)
    assert (len(header), header[0]) == (len(plain) + 1, plain[0] | 0x40)
    assert unmarked(marked_as_fallback(header)) == header


def test_what_a_damaged_header_states_is_not_believed() -> None:
    damaged = bytearray(pack_header(Grid(7, 7), FITTED, small=5, extra=200))
    damaged[-2] ^= 1
    assert (stated_small(bytes(damaged)), stated_extra(bytes(damaged))) == (0, 0)
    for header in (b"", b"\xc0", b"\x81", b"\x38", b"\x78\x09"):  # empty, cut, cut, and of versions 0 and 1
        assert (stated_small(header), stated_extra(header), unmarked(header)) == (0, 0, None)


@given(st.integers(0, 2**35 - 1))
def test_varints_round_trip(value: int) -> None:
    data = write_varint(value)
    assert read_varint(data, 0, 5) == (value, len(data))
    with pytest.raises(StreamTruncatedError):
        read_varint(data[:-1], 0, 5)
