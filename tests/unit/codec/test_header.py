"""The stream header: size, round trip, and every kind of damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec.base import MAX_HEADER_BYTES
from heliograph.codec.header import (
    MAX_TOKENS,
    add_misfit,
    crc8,
    marked_as_fallback,
    pack_header,
    parse_header,
    read_varint,
    stated_misfit,
    unmarked,
    write_varint,
)
from heliograph.errors import ShapeError, StreamDamagedError, StreamTruncatedError, StreamVersionError
from heliograph.types import Grid

FITTED = Grid(8, 8)
GRIDS = [FITTED, Grid(7, 7), Grid(8, 8, 3), Grid(8, 8, 1, 640, 480), Grid(128, 128, 1, 2_097_151, 2_097_151)]


@pytest.mark.parametrize("grid", GRIDS)
def test_round_trip_within_sixteen_bytes(grid: Grid) -> None:
    header = pack_header(200, grid, FITTED)
    assert len(header) <= MAX_HEADER_BYTES
    assert parse_header(header, FITTED) == (200, grid)


@given(st.integers(1, 128), st.integers(1, 128), st.integers(0, 2**21 - 1), st.integers(0, 2**21 - 1))
def test_any_allowed_grid_round_trips(rows: int, columns: int, width: int, height: int) -> None:
    grid = Grid(rows, columns, MAX_TOKENS // (rows * columns), width, height)
    header = pack_header(0, grid, FITTED)
    assert len(header) <= MAX_HEADER_BYTES
    assert parse_header(header, FITTED) == (0, grid)


@pytest.mark.parametrize("grid", [Grid(0, 8), Grid(8, 8, 257), Grid(1 << 40, 1), Grid(8, 8, 1, 1 << 21, 1)])
def test_grids_that_no_stream_can_state_are_refused(grid: Grid) -> None:
    with pytest.raises(ShapeError):
        pack_header(1, grid, FITTED)


@pytest.mark.parametrize("grid", GRIDS)
def test_every_flip_of_a_byte_and_every_cut_is_detected(grid: Grid) -> None:
    header = pack_header(77, grid, FITTED)
    for position in range(len(header)):
        for flip in range(1, 256):
            damaged = bytearray(header)
            damaged[position] ^= flip
            with pytest.raises(StreamDamagedError):
                parse_header(bytes(damaged), FITTED)
    for cut in range(3):
        with pytest.raises(StreamTruncatedError):
            parse_header(header[:cut], FITTED)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_misfit_costs_one_byte_and_changes_nothing_else(grid: Grid) -> None:
    plain = pack_header(77, grid, FITTED)
    header = add_misfit(plain, 200)
    assert header[0] == plain[0] | 0x40
    assert header[1:-2] == plain[1:-1]
    assert len(header) <= MAX_HEADER_BYTES
    assert (header[-2], header[-1]) == (200, crc8(header[:-1]))
    assert parse_header(header, FITTED) == (77, grid)
    assert (stated_misfit(header), stated_misfit(plain)) == (200, 0)
    assert unmarked(marked_as_fallback(header)) == header


def test_a_misfit_is_never_missing_or_zero_in_version_one() -> None:
    for body in (bytes((0x40, 9)), bytes((0x40, 9, 0))):
        with pytest.raises(StreamDamagedError):
            parse_header(body + bytes((crc8(body),)), FITTED)
    damaged = bytearray(add_misfit(pack_header(77, FITTED, FITTED), 200))
    damaged[-2] ^= 1
    assert stated_misfit(bytes(damaged)) == 0
    with pytest.raises(StreamDamagedError):
        parse_header(bytes(damaged), FITTED)


def test_intact_header_of_another_version_says_so() -> None:
    body = bytes((0x80, 9))
    with pytest.raises(StreamVersionError):
        parse_header(body + bytes((crc8(body),)), FITTED)


@pytest.mark.parametrize(
    "body",
    [
        bytes((0x04, 9)),  # unknown flag
        bytes((0x00, 9, 1)),  # bytes that no flag announces
        bytes((0x01, 9, 8, 8)),  # tiles missing
        bytes((0x01, 9, 0, 8, 1)),  # no rows
        bytes((0x01, 9, 0x88, 0x00, 8, 1)),  # needless zero byte
        bytes((0x01, 9)) + write_varint(1 << 20) + write_varint(1) + write_varint(1),  # too many tokens
        bytes((0x01, 9)) + b"\xff" * 9 + b"\x01",  # a number without end
    ],
)
def test_well_sealed_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises((StreamDamagedError, StreamTruncatedError)):
        parse_header(body + bytes((crc8(body),)), FITTED)


@given(st.integers(0, 2**35 - 1))
def test_varints_round_trip(value: int) -> None:
    data = write_varint(value)
    assert read_varint(data, 0, 5) == (value, len(data))
    with pytest.raises(StreamTruncatedError):
        read_varint(data[:-1], 0, 5)
