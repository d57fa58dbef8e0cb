"""Product quantisation with tables made by hand: every bound of them, and the bytes and tokens of small photos."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from heliograph.codec.header import pack_header
from heliograph.codec.product import ProductCodec, ProductTables
from heliograph.errors import BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundleFault, BundlePart, StreamFault
from heliograph.types import Grid, VisualTokens

GRID = Grid(1, 2)


def tables() -> ProductTables:
    """A grid of 1 x 2 tokens of two values, halved on the way to features; centroid c of a subspace is (c, -c).

    One quantiser of one subspace and one of two.
    """
    codes = np.arange(256, dtype=np.float32)
    book = np.stack([codes, -codes], axis=1)
    return ProductTables(
        Grid(1, 2),
        np.array([[10, 20], [30, 40]], np.float32),
        np.eye(2, dtype=np.float32) / 2,
        np.eye(2, dtype=np.float32) * 2,
        np.array([[0, 0], [1, 0]]),
        np.stack([book, book]),
        np.array([0.5, 0.75], np.float32),
    )


def tokens(*values: tuple[float, float], tiles: int = 1) -> VisualTokens:
    return VisualTokens(np.array(values, np.float32), Grid(1, 2, tiles))


def refused(made: ProductTables) -> Any:
    with pytest.raises(BundleDamagedError) as found:
        made.check()
    assert found.value.part is BundlePart.TABLES
    return found.value.fault


ARRAYS = ("mean", "forward", "inverse", "owner", "centroids", "retained")


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_has_its_number_of_dimensions(name: str) -> None:
    tables().check()
    values = getattr(tables(), name)
    for wrong in (values[None], values[0], values.reshape(-1)[0]):
        assert refused(replace(tables(), **{name: np.asarray(wrong)})) is BundleFault.SHAPE


@pytest.mark.parametrize(
    ("name", "axis"), [(name, axis) for name in ARRAYS for axis in range(getattr(tables(), name).ndim)]
)
def test_every_side_of_an_array_counts(name: str, axis: int) -> None:
    values = getattr(tables(), name)
    for wrong in (np.delete(values, 0, axis), np.concatenate([values, values], axis)):
        assert refused(replace(tables(), **{name: wrong})) is BundleFault.SHAPE


@pytest.mark.parametrize(
    ("name", "within", "beyond", "fault"),
    [
        *[(name, 2.0**20 - 1, 2.0**20, BundleFault.RANGE) for name in ("forward", "inverse", "centroids", "retained")],
        *[(name, 0, np.nan, BundleFault.NOT_FINITE) for name in ("forward", "inverse", "centroids", "retained")],
        ("mean", 2.0**29, 2.0**30, BundleFault.RANGE),  # tokens, not weights
        ("mean", 0, np.inf, BundleFault.NOT_FINITE),
        ("owner", 0, -1, BundleFault.RANGE),
        ("owner", 63, 64, BundleFault.RANGE),
    ],
)
def test_bounds_of_values(name: str, within: float, beyond: float, fault: BundleFault) -> None:
    def with_last(value: float) -> ProductTables:
        values = getattr(tables(), name).copy()
        values.flat[-1] = value
        return replace(tables(), **{name: values})

    with_last(within).check()
    assert refused(with_last(beyond)) is fault


def test_quantisers_grow() -> None:
    same, falling = np.array([[0, 0], [0, 0]]), np.array([[1, 0], [0, 0]])
    assert tables().subspaces == [1, 2]
    for owner in (same, falling):
        assert refused(replace(tables(), owner=owner)) is BundleFault.ORDER


def test_a_photo_has_at_most_two_to_the_24_values() -> None:
    """Two tokens a tile of two values each: 4,194,304 tiles are taken, one more is not."""
    replace(tables(), grid=Grid(1, 2, 1 << 22)).check()
    assert refused(replace(tables(), grid=Grid(1, 2, (1 << 22) + 1))) is BundleFault.RANGE
    codec = ProductCodec(tables())
    assert codec._takes(Grid(1, 2, 1 << 22))
    for wrong in (Grid(1, 2, (1 << 22) + 1), Grid(1, 2, 0), Grid(2, 2), Grid(1, 1)):
        assert not codec._takes(wrong)


# ---- numbers -------------------------------------------------------------------------------------------------
def stated(subspaces: int, grid: Grid = GRID) -> bytes:
    return pack_header(grid, Grid(1, 2), extra=subspaces)


PHOTO = tokens((16.2, 13.9), (30, 44))  # features (3.1, -3.05) and (0, 2)


def test_codes_are_the_nearest_centroids() -> None:
    """Of both features together (3, -3) and (0, 0); one by one 3 for 3.1 and, of -c, 3 for -3.05 and 0 for 2.

    The second quantiser's first subspace is the second feature.
    """
    codec = ProductCodec(tables())
    one, two = codec.encode_at(PHOTO, 1), codec.encode_at(PHOTO, 2)
    assert one.segments == (bytes((3, 0)),)
    assert two.segments == (bytes((3, 3, 0, 0)),)
    assert (one.header, two.header) == (stated(1), stated(2))
    assert (one.predicted_quality, two.predicted_quality) == ((0.5,), (0.75,))
    assert one.strategy == "pq"
    restored = codec.decode(two.header, [bytes((1, 2, 5, 7))])
    assert restored.values.tolist() == [[10 + 2 * 2, 20 - 2 * 1], [30 + 2 * 7, 40 - 2 * 5]]
    assert restored.grid == Grid(1, 2)


def test_rows_are_segments_and_every_one_adds_its_share() -> None:
    """Two tiles are two rows of the grid: half of the quantiser's share each."""
    codec = ProductCodec(tables())
    photo = tokens((16.2, 13.9), (30, 44), (10, 20), (32, 38), tiles=2)
    made = codec.encode_at(photo, 2)
    assert made.segments == (bytes((3, 3, 0, 0)), bytes((0, 0, 1, 1)))
    assert made.predicted_quality == (0.375, 0.75)
    assert [codec.retained_energy(made.header, made.segments[:count]) for count in (0, 1, 2)] == [0, 0.375, 0.75]
    assert codec.retained_energy(made.header, [bytes(3)]) == 0.75 * 3 / 8
    assert codec.retained_energy(made.header, [bytes(99)]) == 0.75  # more than there is
    half = codec.decode(made.header, made.segments[:1])
    assert half.values.tolist() == [[16, 14], [30, 40], [10, 20], [30, 40]]


def test_a_budget_is_shared_by_the_tokens_and_the_header() -> None:
    codec = ProductCodec(tables())
    lengths = {most: codec.encode(PHOTO, max_bytes=most).payload_bytes for most in range(10)}
    assert lengths == {0: 2, 1: 2, 2: 2, 3: 2, 4: 4, 5: 4, 6: 6, 7: 6, 8: 6, 9: 6}  # two of header; 2 or 4 of codes
    assert codec.encode(PHOTO) == codec.encode_at(PHOTO, 2) == codec.encode_at(PHOTO, 64)


@pytest.mark.parametrize(
    ("values", "grid", "said"),
    [
        (np.zeros((2, 2)), Grid(2, 1), "none that this codec takes"),
        (np.zeros((2, 3)), Grid(1, 2), "have the shape (2, 2), not (2, 3)"),
        (np.zeros((1, 2)), Grid(1, 2), "have the shape (2, 2), not (1, 2)"),
        (np.array([[0, 0], [0, np.nan]]), Grid(1, 2), "not finite"),
        (np.full((2, 2), 2.0**30), Grid(1, 2), "not finite, or larger"),
    ],
)
def test_photos_that_are_refused_say_why(values: np.ndarray, grid: Grid, said: str) -> None:
    with pytest.raises(ShapeError) as found:
        ProductCodec(tables()).encode(VisualTokens(values.astype(np.float32), grid))
    assert said in " ".join(found.value.__notes__)


@pytest.mark.parametrize(
    ("subspaces", "grid", "data", "fault"),
    [
        (2, Grid(1, 2), bytes(5), StreamFault.LENGTH),  # no whole tokens
        (2, Grid(1, 2), bytes(6), StreamFault.LENGTH),  # more than two tokens
        (1, Grid(1, 2), bytes(3), StreamFault.LENGTH),
        (3, Grid(1, 2), b"", StreamFault.HEADER),
        (0, Grid(1, 2), b"", StreamFault.HEADER),
        (2, Grid(2, 1), b"", StreamFault.GRID),
    ],
)
def test_streams_that_are_refused_say_why(subspaces: int, grid: Grid, data: bytes, fault: StreamFault) -> None:
    with pytest.raises(StreamDamagedError) as found:
        ProductCodec(tables()).decode(stated(subspaces, grid), [data])
    assert found.value.fault is fault
    with pytest.raises(StreamDamagedError) as found:
        ProductCodec(tables()).decode(pack_header(Grid(1, 2), Grid(1, 2), small=1, extra=2), [bytes(4)])
    assert found.value.fault is StreamFault.HEADER
    whole = ProductCodec(tables()).decode(stated(2), [bytes(2), bytes(2)])
    assert whole.values.tolist() == tables().mean.tolist()
