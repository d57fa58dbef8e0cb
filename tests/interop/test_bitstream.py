"""docs/bitstream.md tells enough to encode: an encoder in another language writes the bytes that ours does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.codec.bundle import Bundle
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.latents import encode_latents
from heliograph.codec.meta import MetaCodec
from heliograph.codec.quantize import quantize
from heliograph.codec.transform import MODES
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.types import Grid, VisualTokens

Node = Callable[..., Any]


@pytest.fixture(scope="module")
def folder() -> Path:
    return shipped_bundle_folder()


@pytest.fixture(scope="module")
def klt(folder: Path) -> KltCodec:
    return KltCodec.load(folder)


def on_grid(klt: KltCodec, grid: Grid, seed: int) -> VisualTokens:
    """Tokens whose coefficients lie half way between two integers: no float's last bit decides one."""
    random = np.random.default_rng(seed)
    positions, bound = grid.rows * grid.columns, np.minimum(klt.magnitude_limits - 1, 40)
    scale = 12 * np.exp(-np.arange(klt.components) / 9)
    whole = np.minimum(np.floor(np.abs(random.laplace(0, scale, (grid.tiles, positions, klt.components)))), bound)
    coefficients = (np.sign(random.normal(size=whole.shape)) * (whole + 0.5)).astype(np.float32)
    fitted = (grid.rows, grid.columns) == (klt.grid.rows, klt.grid.columns)
    spectrum = klt.transform.over_channels(coefficients, grid, fitted)
    return VisualTokens(klt.transform.synthesise(spectrum, grid, fitted), grid)


def listed(grid: Grid) -> list[int]:
    return [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height]


def written(node: Node, folder: Path, photos: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    given = {"klt": str(folder / "klt.safetensors"), "meta": str(folder / "meta_tables.safetensors"), "photos": photos}
    made: list[dict[str, str]] = node("encode.js", given)
    return made


@pytest.mark.parametrize(
    "grid", [Grid(8, 8), Grid(8, 8, 3), Grid(5, 9, 2, 640, 480)], ids=["fitted", "three tiles", "another grid"]
)
def test_klt_of_tokens(node: Node, folder: Path, klt: KltCodec, grid: Grid) -> None:
    tokens = [on_grid(klt, grid, seed) for seed in range(2)]
    assert klt.transform.mode == "none"
    made = written(node, folder, [{"tokens": t.values.reshape(-1).tolist(), "grid": listed(grid)} for t in tokens])
    for one, stranger in zip(tokens, made, strict=True):
        ours = klt.encode(one)
        assert stranger["header"] == ours.header.hex()
        assert stranger["codeword"] == b"".join(ours.segments).hex()
        assert ours.payload_bytes > 300 * grid.tiles


@pytest.mark.parametrize("mode", MODES)
def test_klt_of_every_mode(node: Node, tmp_path: Path, mode: str) -> None:
    """Small codecs, fitted here; contexts and transforms differ between the modes."""
    random = np.random.default_rng(7)
    mixing = random.normal(size=(6, 16))
    sets = []
    for _ in range(60):
        smooth = random.normal(size=(5, 5, 6)).cumsum(axis=0).cumsum(axis=1)[1:, :4].reshape(16, 6)
        sets.append(VisualTokens((smooth @ mixing + random.normal(size=(16, 16)) / 9).astype(np.float32), Grid(4, 4)))
    klt = fit_klt(sets, modes=[mode])
    klt.save(tmp_path)
    klt = KltCodec.load(tmp_path)
    assert klt.transform.mode == mode
    tokens = [on_grid(klt, grid, 3) for grid in (Grid(4, 4), Grid(4, 4, 2), Grid(3, 6), Grid(1, 1))]
    given = [{"tokens": t.values.reshape(-1).tolist(), "grid": listed(t.grid)} for t in tokens]
    made = node("encode.js", {"klt": str(tmp_path / "klt.safetensors"), "photos": given})
    for one, stranger in zip(tokens, made, strict=True):
        ours = klt.encode(one)
        assert stranger == {"header": ours.header.hex(), "codeword": b"".join(ours.segments).hex()}


def test_klt_of_a_real_photo(node: Node, folder: Path, klt: KltCodec) -> None:
    """From its integers: the floats before them may differ in the last bits."""
    tokens = Device(Bundle.load(folder)).encode_tokens(load_photo(demo_photo_path()))
    magnitude, negative = quantize(klt._analyse(tokens), klt.magnitude_limits)
    (made,) = written(
        node,
        folder,
        [{"magnitudes": magnitude.tolist(), "negative": negative.tolist(), "grid": listed(tokens.grid)}],
    )
    ours = klt.encode(tokens)
    assert made["codeword"] == b"".join(ours.segments).hex()
    short = klt.encode(tokens, max_bytes=96)
    assert made["codeword"].startswith(b"".join(short.segments).hex())


def test_klt_of_nothing_and_of_the_largest(node: Node, folder: Path, klt: KltCodec) -> None:
    limits = np.broadcast_to(klt.magnitude_limits, (64, klt.components)).reshape(-1)
    photos = [
        {"magnitudes": (0 * limits).tolist(), "negative": [False] * limits.size, "grid": listed(klt.grid)},
        {"magnitudes": limits.tolist(), "negative": [True] * limits.size, "grid": listed(klt.grid)},
    ]
    made = written(node, folder, photos)
    for photo, one in zip(photos, made, strict=True):
        sign = np.where(photo["negative"], -1, 1)
        coefficients = (sign * np.asarray(photo["magnitudes"])).astype(np.float32).reshape(1, 64, -1)
        assert one["codeword"] == klt.encode_coefficients(coefficients, klt.grid).data.hex()


@pytest.mark.parametrize("tiles", [1, 3])
def test_meta_of_its_integers(node: Node, folder: Path, tiles: int) -> None:
    tables = MetaCodec.load(folder).tables.latents
    random = np.random.default_rng(tiles)
    photos = []
    for spread in (0.5, 3.0, 40.0):
        drawn = random.normal(0, spread, (tiles, tables.latents, tables.channels))
        photos.append(np.clip(np.rint(drawn), -tables.reach, tables.reach).astype(np.int64))
    made = written(node, folder, [{"latents": one.reshape(-1).tolist(), "tiles": tiles} for one in photos])
    for one, stranger in zip(photos, made, strict=True):
        assert stranger["codeword"] == encode_latents(one, tables)[0].hex()


def test_tables_are_those_that_the_page_names(folder: Path) -> None:
    """Names, types and shapes of the page against the shipped file."""
    from safetensors import safe_open

    page = (Path(__file__).parents[2] / "docs" / "bitstream.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    klt = KltCodec.load(folder)
    sizes = {
        "P": klt.grid.rows * klt.grid.columns,
        "R": klt.components,
        "D": klt.hidden_size,
        "B": klt.tables.planes,
    }
    assert len(rows) == 14
    with safe_open(folder / "klt.safetensors", framework="numpy") as file:
        for name, kind, shape, *_ in rows:
            array = file.get_tensor(name.strip("`"))
            assert str(array.dtype) == kind
            assert array.shape == tuple(sizes.get(side, 0) or int(side) for side in shape.split(", "))
