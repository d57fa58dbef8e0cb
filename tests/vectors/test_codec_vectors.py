"""Golden vectors: header, codeword and ``.hgs`` file pinned byte for byte. A change here is a wire-format change.

The codec is built from integers alone: identity transform, step 1, tables from small formulas; so are the tokens.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.container import read_stream, write_stream
from heliograph.codec.klt import KltCodec, LayoutTables
from heliograph.codec.range_coder import CostRuns, RunDecoder, RunEncoder
from heliograph.codec.tables import CLASSES, SCORE_BINS, SIGN_BINS, SKEW_BINS, Tables
from heliograph.codec.transform import Transform
from heliograph.types import Grid, VisualTokens

GRID = Grid(2, 3)
POSITIONS, SIZE, PLANES = 6, 4, 5


def integer_codec() -> KltCodec:
    """Every feature on: activity weights, both passes, sign contexts, refinement."""
    classes = np.arange(CLASSES)
    significance = np.clip(40 * 2 ** (classes // 6), 1, 9000)
    cost = np.where(classes < SCORE_BINS, significance, 3000 + 20 * (classes - SCORE_BINS))
    rank = np.where(classes < SCORE_BINS, (SCORE_BINS - 1 - classes) * 2, 2 * (classes - SCORE_BINS) + 1)
    weights = np.array([[100, 40, 70, 46], [90, 30, 80, 56]])
    tables = Tables(
        active=np.array([4, 4, 4, 3, 2]),
        weights=np.repeat(weights[None], PLANES, axis=0),
        split=np.array([30, 30, 31, 32, SCORE_BINS]),
        cost=np.broadcast_to(cost, (PLANES, 2, CLASSES)).copy(),
        rank=np.broadcast_to(rank, (PLANES, 2, CLASSES)).copy(),
        quiet_mean=np.minimum(8 * np.arange(SCORE_BINS) + 8, 512),
        offset=np.stack([20 + np.arange(SCORE_BINS) // 8, 26 + np.arange(SCORE_BINS) // 10]),
        sign_chance=8192 + 4096 * np.add.outer(np.arange(SKEW_BINS), np.arange(SIGN_BINS)),
        energy_unit=400_000,
    )
    tables.check(SIZE)
    scale = np.add.outer(np.arange(POSITIONS) % 3, np.array([24, 16, 10, 2]))
    skew = np.broadcast_to(np.array([4, 2, 6, 4]), scale.shape)
    identity, places = np.eye(SIZE, dtype=np.float32), np.eye(POSITIONS, dtype=np.float32)
    mean = np.zeros((POSITIONS, SIZE), dtype=np.float32)
    transform = Transform("none", 1.0, mean, identity, identity, places, places)
    return KltCodec(GRID, transform, tables, LayoutTables(scale, skew.copy(), scale))


def integer_tokens(factor: int, tiles: int = 1) -> VisualTokens:
    index = np.arange(tiles * POSITIONS * SIZE).reshape(-1, SIZE)
    values = (index * factor) % 23 - 11
    values = values * (np.array([2, 1, 1, 0]) + (index % 5 == 0))
    return VisualTokens(values.astype(np.float32), Grid(2, 3, tiles))


VECTORS = {
    7: ("00902e", "efb109547f45a7e0aeeeca85975d2f"),
    10: ("008d7d", "ee08cdb0100c666c8883995f26286279"),
}
TILED = ("039a0203028005e0030f", "ee3d54d7dcb02a60a9b591c3041be27c8adf801d9c95c3ea0ebd2320d4de10")
HGS_FILE = "484753010101020304050607080300902e0208074aed082fefb109547f45a7e0acaeeeca85975d2fb7"
RUN_WORDS = "86925e686da407"


@pytest.mark.parametrize("factor", VECTORS)
def test_header_and_codeword(factor: int) -> None:
    codec, tokens = integer_codec(), integer_tokens(factor)
    encoded = codec.encode(tokens)
    assert (encoded.header.hex(), b"".join(encoded.segments).hex()) == VECTORS[factor]
    header, codeword = (bytes.fromhex(part) for part in VECTORS[factor])
    limits = np.array([31, 31, 15, 7])  # the planes that each component takes part in
    carried = np.clip(tokens.values.astype(np.int64), -limits, limits)
    assert np.array_equal(codec.decode_integers(header, [codeword])[0], carried)


def test_tiles_and_photo_size() -> None:
    codec, tokens = integer_codec(), integer_tokens(5, tiles=2)
    tokens = VisualTokens(tokens.values, replace(tokens.grid, photo_width=640, photo_height=480))
    encoded = codec.encode(tokens)
    assert (encoded.header.hex(), b"".join(encoded.segments).hex()) == TILED
    assert codec.decode(encoded.header, encoded.segments).grid == tokens.grid


def test_file() -> None:
    encoded = replace(integer_codec().encode(integer_tokens(7)), bundle_hash=bytes.fromhex("0102030405060708"))
    assert write_stream(encoded).hex() == HGS_FILE
    found = read_stream(bytes.fromhex(HGS_FILE))
    assert (found.header, found.segments, found.bundle_hash) == (encoded.header, encoded.segments, encoded.bundle_hash)


def test_run_coder_words() -> None:
    costs = np.array([1, 40, 4096, 900, 20480, 2000, 3, 8192] * 6)
    ones, chances = [2, 4, 11, 12, 29, 47], [0, 32768, 1024, 64512, 0, 20000]
    negative = [False, True, False, True, False, True]
    runs, encoder = CostRuns(np.ones(len(costs), dtype=np.int64), costs), RunEncoder()
    encoder.encode_pass(runs, np.array(ones), chances, negative)
    assert encoder.finish().hex() == RUN_WORDS
    sign = np.zeros(len(costs), dtype=np.int64)
    for position, chance in zip(ones, chances, strict=True):
        sign[position] = chance
    result = RunDecoder(bytes.fromhex(RUN_WORDS)).decode_pass(runs, sign)
    assert (result.ones, result.negative, result.done) == (ones, negative, len(costs))
