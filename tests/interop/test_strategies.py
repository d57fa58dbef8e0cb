"""What docs/protocol.md says of the plain strategies' bytes, read once more by a decoder written from the page."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.codec.product import ProductCodec
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.registry import STRATEGIES
from heliograph.types import EncodedImage, Grid, VisualTokens

GRID, HIDDEN = Grid(4, 6, 2), 5
TOKENS = VisualTokens(np.random.default_rng(5).normal(0, 3, (48, HIDDEN)).astype(np.float32), GRID)
PHOTO = Image.fromarray(np.random.default_rng(6).integers(0, 255, (20, 30, 3), dtype=np.uint8))


def sent(strategy: str, **setting: Any) -> EncodedImage:
    tools = SimpleNamespace(encode_tokens=lambda photo: TOKENS, input_size=12)
    return STRATEGIES.load(strategy)().encode(PHOTO, tools, setting)


def restored(encoded: EncodedImage) -> Any:
    tools = SimpleNamespace(grid=GRID, hidden_size=HIDDEN)
    return STRATEGIES.load(encoded.strategy)().restore(encoded, tools)


def records(data: bytes, bits: int) -> list[list[float]]:
    size = 2 + (HIDDEN if bits == 8 else math.ceil(HIDDEN / 2))
    assert len(data) % size == 0
    rows = []
    for at in range(0, len(data), size):
        scale = float(np.frombuffer(data[at : at + 2], dtype="<f2")[0])
        body = data[at + 2 : at + size]
        if bits == 8:
            levels = [byte - 256 if byte > 127 else byte for byte in body]
        else:
            nibbles = [nibble for byte in body for nibble in (byte & 15, byte >> 4)]
            assert nibbles[HIDDEN:] == [0]
            levels = [nibble - 16 if nibble > 7 else nibble for nibble in nibbles[:HIDDEN]]
        rows.append([scale * level for level in levels])
    return rows


@pytest.mark.parametrize(("strategy", "bits", "largest"), [("int8", 8, 127), ("int4", 4, 7)])
def test_records(strategy: str, bits: int, largest: int) -> None:
    encoded = sent(strategy)
    assert encoded.header == b""
    rows = np.asarray(records(b"".join(encoded.segments), bits))
    assert rows.shape == (48, HIDDEN)
    scales = np.abs(TOKENS.values).max(axis=1, keepdims=True) / largest
    assert np.all(np.abs(rows - TOKENS.values) <= 0.501 * scales + largest * 0.001 * scales)
    assert np.allclose(restored(encoded).tokens.values, rows, rtol=1e-6)
    part = EncodedImage(strategy, b"", encoded.segments[:3])
    expected = np.tile(rows[:3].mean(axis=0), (48, 1))
    expected[:3] = rows[:3]
    assert np.allclose(restored(part).tokens.values, expected, rtol=1e-5, atol=1e-6)


def test_random_drop() -> None:
    encoded = sent("random-drop", keep=7, seed=3)
    state, order, word = int.from_bytes(encoded.header, "big"), list(range(48)), (1 << 64) - 1
    for last in range(47, 0, -1):
        state = state + 0x9E3779B97F4A7C15 & word
        w = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & word
        w = (w ^ w >> 27) * 0x94D049BB133111EB & word
        other = (w ^ w >> 31) % (last + 1)
        order[last], order[other] = order[other], order[last]
    rows = records(b"".join(encoded.segments), 8)
    assert len(rows) == 7
    scales = np.abs(TOKENS.values[order[:7]]).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(np.asarray(rows) - TOKENS.values[order[:7]]) <= 0.7 * scales)


def test_downsample() -> None:
    encoded = sent("downsample", side=5)
    assert encoded.header == b"\x05"
    rows = np.asarray(records(b"".join(encoded.segments), 8))
    assert len(rows) == 2 * 4 * 5  # g is cut at the grid's own rows
    cells = TOKENS.values.reshape(2, 4, 6, HIDDEN).astype(np.float64)
    for tile in range(2):
        for row in range(4):
            for column in range(5):
                left, right = column * 6 / 5, (column + 1) * 6 / 5
                shares = [max(0.0, min(right, c + 1) - max(left, c)) for c in range(6)]
                mean = sum(share * cells[tile, row, c] for c, share in enumerate(shares)) / (6 / 5)
                found = rows[(tile * 4 + row) * 5 + column]
                assert np.all(np.abs(found - mean) <= 0.7 * np.abs(mean).max() / 127)


def test_rgb() -> None:
    encoded = sent("rgb")
    assert encoded.header == b"\x00\x0c"
    pixels = base64.standard_b64decode(b"".join(encoded.segments))
    assert len(pixels) == 12 * 12 * 3
    assert restored(encoded).image.tobytes() == pixels


@pytest.mark.parametrize(("strategy", "start"), [("jpeg", b"\xff\xd8"), ("webp", b"RIFF"), ("avif", b"\x00\x00\x00")])
def test_pictures_are_files(strategy: str, start: bytes) -> None:
    encoded = sent(strategy)
    data = b"".join(encoded.segments)
    assert encoded.header == b""
    assert data.startswith(start)
    assert strategy != "webp" or data[8:16] == b"WEBPVP8 "
    cut_elsewhere = EncodedImage(strategy, b"", tuple(data[at : at + 100] for at in range(0, len(data), 100)))
    assert restored(cut_elsewhere).image.tobytes() == restored(encoded).image.tobytes()


def test_pq() -> None:
    codec = ProductCodec.load(Path(shipped_bundle_folder()))
    tables = codec.tables
    random = np.random.default_rng(8)
    tokens = VisualTokens(tables.mean + random.normal(0, 1, tables.mean.shape).astype(np.float32), codec.grid)
    features = (tokens.values - tables.mean) @ tables.forward
    for q, owner in enumerate(tables.owner):
        m = int(owner.max()) + 1
        encoded = codec.encode_at(tokens, m)
        assert encoded.header[1] == m
        codes = np.frombuffer(b"".join(encoded.segments), dtype=np.uint8).reshape(64, m)
        for s in range(m):
            book = tables.centroids[q][:, owner == s]
            distance = np.square(features[:, owner == s][:, None] - book[None]).sum(axis=2)
            nearest = distance.min(axis=1)
            assert np.allclose(distance[np.arange(64), codes[:, s]], nearest, rtol=1e-3, atol=1e-4)
