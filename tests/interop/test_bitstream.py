"""docs/bitstream.md tells enough to encode: an encoder in another language writes the bytes that ours does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from heliograph.codec.bundle import Bundle
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.latents import encode_latents
from heliograph.codec.meta import MetaCodec
from heliograph.codec.quantize import quantize, scaled
from heliograph.codec.transform import MODES
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.types import Grid, VisualTokens
from integer_codec import integer_codec, integer_tokens, made_up_contexts

Node = Callable[..., Any]


@pytest.fixture(scope="module")
def folder() -> Path:
    return shipped_bundle_folder()


@pytest.fixture(scope="module")
def klt(folder: Path) -> KltCodec:
    return KltCodec.load(folder)


FINENESSES = (0, 3, 7)


def on_grid(klt: KltCodec, grid: Grid, seed: int, fineness: int = 0) -> VisualTokens:
    """Tokens whose coefficients lie half way between two integers of a stream: no float's last bit decides one."""
    random = np.random.default_rng(seed)
    positions, bound = grid.rows * grid.columns, np.minimum(klt.magnitude_limits - 1, 40)
    scale = 12 * np.exp(-np.arange(klt.components) / 9)
    whole = np.minimum(np.floor(np.abs(random.laplace(0, scale, (grid.tiles, positions, klt.components)))), bound)
    signed = np.sign(random.normal(size=whole.shape)) * (whole + 0.5)
    coefficients = (signed * 2 ** (-fineness / 8)).astype(np.float32)
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
    cases = [(on_grid(klt, grid, seed, fineness), fineness) for seed, fineness in enumerate(FINENESSES)]
    assert klt.transform.mode == "none"
    given = [{"tokens": t.values.reshape(-1).tolist(), "grid": listed(grid), "fineness": k} for t, k in cases]
    for (one, fineness), stranger in zip(cases, written(node, folder, given), strict=True):
        ours = klt.encode(one, fineness=fineness)
        assert stranger["header"] == ours.header.hex()
        assert stranger["codeword"] == b"".join(ours.segments).hex()
        assert ours.payload_bytes > 300 * grid.tiles


@pytest.mark.parametrize("contexts", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_klt_of_every_mode(node: Node, tmp_path: Path, mode: str, contexts: bool) -> None:
    """Small codecs, fitted here; neighbours and transforms differ between the modes."""
    random = np.random.default_rng(7)
    mixing = random.normal(size=(6, 16))
    sets = []
    for _ in range(60):
        smooth = random.normal(size=(5, 5, 6)).cumsum(axis=0).cumsum(axis=1)[1:, :4].reshape(16, 6)
        sets.append(VisualTokens((smooth @ mixing + random.normal(size=(16, 16)) / 9).astype(np.float32), Grid(4, 4)))
    klt = fit_klt(sets, modes=[mode], contexts=False, restore=False)
    klt.contexts = made_up_contexts(klt.tables.planes, klt.components) if contexts else None
    klt.save(tmp_path)
    klt = KltCodec.load(tmp_path)
    assert (klt.transform.mode, klt.contexts is not None) == (mode, contexts)
    cases = [
        (on_grid(klt, grid, 3, k), k)
        for k in FINENESSES
        for grid in (Grid(4, 4), Grid(4, 4, 2), Grid(3, 6), Grid(1, 1))
    ]
    given = [{"tokens": t.values.reshape(-1).tolist(), "grid": listed(t.grid), "fineness": k} for t, k in cases]
    made = node("encode.js", {"klt": str(tmp_path / "klt.safetensors"), "photos": given})
    for (one, fineness), stranger in zip(cases, made, strict=True):
        ours = klt.encode(one, fineness=fineness)
        assert stranger == {"header": ours.header.hex(), "codeword": b"".join(ours.segments).hex()}


@pytest.mark.parametrize("tiles", [1, 2])
def test_klt_of_integers(node: Node, tmp_path: Path, tiles: int) -> None:
    """The codec of the golden vectors, at every fineness."""
    codec = integer_codec()
    codec.save(tmp_path)
    photos = [(integer_tokens(factor, tiles), fineness) for factor in (1, 7, 10, 11) for fineness in range(8)]
    given = [{"tokens": t.values.reshape(-1).tolist(), "grid": listed(t.grid), "fineness": k} for t, k in photos]
    made = node("encode.js", {"klt": str(tmp_path / "klt.safetensors"), "photos": given})
    for (tokens, fineness), stranger in zip(photos, made, strict=True):
        ours = codec.encode(tokens, fineness=fineness)
        assert stranger == {"header": ours.header.hex(), "codeword": b"".join(ours.segments).hex()}
    for number, (tokens, fineness) in enumerate(photos):
        if fineness == 0:  # a bound cuts the stream of the fineness that it gets
            short = codec.encode(tokens, max_bytes=len(ours.header) + 9)
            whole = bytes.fromhex(made[number + (short.header[0] >> 3 & 7)]["codeword"])
            assert b"".join(short.segments) == whole[:9]


def test_klt_of_a_real_photo(node: Node, folder: Path, klt: KltCodec) -> None:
    """From its integers: the floats before them may differ in the last bits."""
    tokens = Device(Bundle.load(folder)).encode_tokens(load_photo(demo_photo_path()))
    short = klt.encode(tokens, max_bytes=96)
    for fineness in sorted({*FINENESSES, short.header[0] >> 3 & 7}):
        magnitude, negative = quantize(scaled(klt.analyse(tokens), fineness), klt.magnitude_limits)
        integers = {"magnitudes": magnitude.tolist(), "negative": negative.tolist()}
        (made,) = written(node, folder, [{**integers, "grid": listed(tokens.grid), "fineness": fineness}])
        assert made["codeword"] == b"".join(klt.encode(tokens, fineness=fineness).segments).hex()
        if fineness == short.header[0] >> 3 & 7:
            assert made["codeword"].startswith(b"".join(short.segments).hex())


@pytest.mark.parametrize("fineness", FINENESSES)
def test_klt_of_nothing_and_of_the_largest(node: Node, folder: Path, klt: KltCodec, fineness: int) -> None:
    limits = np.broadcast_to(klt.magnitude_limits, (64, klt.components)).reshape(-1)
    more = {"grid": listed(klt.grid), "fineness": fineness}
    photos = [
        {"magnitudes": (0 * limits).tolist(), "negative": [False] * limits.size, **more},
        {"magnitudes": limits.tolist(), "negative": [True] * limits.size, **more},
    ]
    made = written(node, folder, photos)
    for photo, one in zip(photos, made, strict=True):
        sign = np.where(photo["negative"], -1, 1)
        coefficients = (sign * np.asarray(photo["magnitudes"])).astype(np.float32).reshape(1, 64, -1)  # capped again
        assert one["codeword"] == klt.encode_coefficients(coefficients, klt.grid, fineness=fineness).data.hex()


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


def page_rows() -> list[list[str]]:
    """Name, type and shape of every array of ``klt.safetensors`` on the page."""
    page = (Path(__file__).parents[2] / "docs" / "bitstream.md").read_text(encoding="utf-8")
    types = ("float32", "int8", "int16", "int32")
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    return [[row[0].strip("`"), *row[1:3]] for row in rows if row[1] in types]


def check_tables(klt: KltCodec, folder: Path) -> None:
    contexts = klt.contexts
    sizes = {"P": klt.grid.rows * klt.grid.columns, "R": klt.components, "D": klt.hidden_size, "B": klt.tables.planes}
    sizes |= {"9 C": 9 * contexts.looked_at, "3 C": 3 * contexts.looked_at, "H": 64} if contexts else {}
    rows = page_rows()
    assert len(rows) == 20
    with safe_open(folder / "klt.safetensors", framework="numpy") as file:
        for name, kind, shape in rows:
            if contexts is None and name.startswith("contexts."):
                continue
            array = file.get_tensor(name)
            assert str(array.dtype) == kind
            assert array.shape == tuple(sizes.get(side, 0) or int(side) for side in shape.split(", "))
        others = {name.partition(".")[0] for name in file.keys()} - {name.partition(".")[0] for name, *_ in rows}  # noqa: SIM118
    assert others <= {"inverse", "grid_inverse", "restoration", "quiet_square"}


def test_tables_are_those_that_the_page_names(folder: Path, klt: KltCodec) -> None:
    """Names, types and shapes of the page against the shipped file."""
    check_tables(klt, folder)


def test_tables_of_any_codec_are_those_that_the_page_names(tmp_path: Path) -> None:
    codec = integer_codec()
    codec.save(tmp_path)
    check_tables(codec, tmp_path)
