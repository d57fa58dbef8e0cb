"""The learned codec around its networks, in whose place stand sums that can be followed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.codec.expectation import ErrorHead, feature_count
from heliograph.codec.familiarity import FittedRange
from heliograph.codec.header import pack_header
from heliograph.codec.latents import LatentTables
from heliograph.codec.meta import MetaCodec, MetaTables
from heliograph.errors import BundleDamagedError, ShapeError, StreamDamagedError
from heliograph.reasons import BundleFault, BundlePart, StreamFault
from heliograph.types import Grid, VisualTokens

FITTED = Grid(1, 2)


def tables(grid: Grid = FITTED) -> MetaTables:
    """Two latents of one integer, -2 to 2, all equally likely; the first restores a quarter of the energy."""
    borders = np.broadcast_to(np.array([0, 13107, 26214, 39321, 52428, 65536]), (2, 1, 3, 6))
    shapes = ((feature_count(2), 1), (1,), (1, 2), (2,))
    head = ErrorHead(*(np.zeros(shape, np.float32) for shape in shapes))
    return MetaTables(
        grid, 3, LatentTables(borders, np.zeros((2, 2), np.int64)), np.array([0, 16384, 65536]), head, 0.5
    )


def encoder(names: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """(T, 2, 3) tokens: the first value of each is its latent, the second one of the first token what is missed."""
    (values,) = given.values()
    assert list(given) == ["tokens"]
    return [values[:, :, :1], values[:, 0, 1]]


def decoder(names: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Latents, -1 where unknown, as first values."""
    assert set(given) == {"latents", "known"}
    assert given["latents"].dtype == np.float32
    made = np.zeros((*given["known"].shape, 3), np.float32)
    made[:, :, 0] = np.where(given["known"], given["latents"][:, :, 0], -1)
    return [made]


def codec(grid: Grid = FITTED, folder: Path = Path(), **changes: Any) -> MetaCodec:
    made = MetaCodec(replace(tables(grid), **changes), folder)
    made.__dict__.update(_encoder=SimpleNamespace(run=encoder), _decoder=SimpleNamespace(run=decoder))
    return made


def tokens(*latents: float, missed: tuple[float, ...] = (0.0,)) -> VisualTokens:
    values = np.zeros((len(latents), 3), np.float32)
    values[:, 0] = latents
    values[::2, 1] = missed
    return VisualTokens(values, Grid(1, 2, len(latents) // 2))


# ---- encode --------------------------------------------------------------------------------------------------
def test_latents_are_rounded_and_kept_in_reach() -> None:
    photo = tokens(1.4, -0.6, 2.6, -9.0, missed=(0.0, 0.0))
    assert codec().latents(photo).tolist() == [[[1], [-1]], [[2], [-2]]]
    encoded = codec().encode(photo)
    assert encoded.strategy == "meta"
    assert encoded.header == pack_header(photo.grid, FITTED)
    restored = codec().decode(encoded.header, encoded.segments)
    assert restored.grid == photo.grid
    assert restored.values.tolist() == [[1, 0, 0], [-1, 0, 0], [2, 0, 0], [-2, 0, 0]]


SIXTEEN = Grid(1, 2, 16)
PHOTO = tokens(*np.random.default_rng(1).integers(-2, 3, 32).tolist(), missed=(0.0,) * 16)


def test_every_prefix_tells_leading_latents_of_all_tiles_in_turn() -> None:
    """32 integers of 2.3 bits are ten bytes: segments of eight and of the rest."""
    made = codec(SIXTEEN)
    encoded = made.encode(PHOTO)
    assert [len(segment) for segment in encoded.segments] == [8, 2]
    in_order = PHOTO.values[:, 0].reshape(16, 2).T.reshape(-1)  # the first of every tile, then the second
    counts = []
    for segments in ((), encoded.segments[:1], encoded.segments):
        found = made.decode(encoded.header, segments).values[:, 0].reshape(16, 2).T.reshape(-1)
        integers, count = made.decode_integers(SIXTEEN, segments)
        np.testing.assert_array_equal(found, [*in_order[:count], *[-1] * (32 - count)])
        np.testing.assert_array_equal(integers[:, :, 0].T.reshape(-1), [*in_order[:count], *[0] * (32 - count)])
        counts.append(count)
    assert counts[0] == 0
    assert 16 < counts[1] < 32 == counts[2]
    first = (16384 * 16 + 49152 * (counts[1] - 16)) / (16 * 65536)
    assert encoded.predicted_quality == pytest.approx((first, 1.0))
    assert made.retained_energy(encoded.header, encoded.segments[:1]) == pytest.approx(first)


def test_a_budget_holds_the_header_too() -> None:
    made = codec(SIXTEEN)
    whole = b"".join(made.encode(PHOTO).segments)
    for most in (0, 1, 2, 9, 10, 11, 99):
        cut = made.encode(PHOTO, max_bytes=most)
        assert b"".join(cut.segments) == whole[: max(most - 1, 0)]
        assert cut.header == pack_header(SIXTEEN, SIXTEEN)
        assert len(cut.predicted_quality) == len(cut.segments)


def test_the_misfit_of_the_whole_stream_is_stated_where_a_range_is_known() -> None:
    """Latents 2 and -2, the second at -4: an error of 4 of 18, which vary by 3 about -1. 128 + 32 log2(2/9) = 58.6."""
    photo = tokens(2.0, -4.0)
    made = codec()
    assert made.encode(photo).header == pack_header(photo.grid, FITTED)
    made.fitted = FittedRange(0, (0.05,) * 7, 9)
    for most in (None, 3):
        encoded = made.encode(photo, max_bytes=most)
        assert encoded.header == pack_header(photo.grid, FITTED, extra=59)
    share = (1 - 2 ** ((59 - 128) / 32)) / (1 - 0.05)  # of what was restored of the worst held-out photo
    assert made.encode(photo).predicted_quality == pytest.approx((share,))
    assert made.retained_energy(pack_header(FITTED, FITTED, extra=59), made.encode(photo).segments) == pytest.approx(
        share
    )


def test_every_latent_of_every_tile_counts_for_the_misfit() -> None:
    """Three tiles as before: the same error of the same variance."""
    photo = tokens(2.0, -4.0, 2.0, -4.0, 2.0, -4.0, missed=(0.0, 0.0, 0.0))
    made = codec()
    made.fitted = FittedRange(0, (0.05,) * 7, 9)
    assert made.encode(photo).header == pack_header(photo.grid, FITTED, extra=59)


@pytest.mark.parametrize(("missed", "strange"), [((0.0, 0.5), False), ((0.0, 0.51), True), ((0.6, 0.0), True)])
def test_a_photo_is_strange_where_one_tile_misses_more_than_any_did(missed: tuple[float, float], strange: bool) -> None:
    encoded, found = codec().encode_watchfully(tokens(0, 0, 0, 0, missed=missed))
    assert found is strange
    assert encoded == codec().encode(tokens(0, 0, 0, 0, missed=(0.0, 0.0)))


@pytest.mark.parametrize(
    ("values", "grid", "said"),
    [
        (np.zeros((2, 3)), Grid(2, 1), "none that this codec takes"),
        (np.zeros((2, 4)), FITTED, "have the shape (2, 3), not (2, 4)"),
        (np.zeros((4, 3)), FITTED, "have the shape (2, 3), not (4, 3)"),
        (np.full((2, 3), np.inf), FITTED, "not finite"),
        (np.full((2, 3), 2.0**30), FITTED, "larger than a vision tower makes"),
    ],
)
def test_photos_that_are_refused_say_why(values: np.ndarray, grid: Grid, said: str) -> None:
    photo = VisualTokens(values.astype(np.float32), grid)
    for use in (codec().encode, codec().latents):
        with pytest.raises(ShapeError) as refused:
            use(photo)
        assert said in " ".join(refused.value.__notes__)


def test_networks_of_other_borders() -> None:
    right = [np.zeros((1, 2, 1)), np.zeros(1)]
    for wrong in ([np.zeros((1, 1, 1)), right[1]], [np.zeros((1, 2, 2)), right[1]], [right[0], np.zeros((1, 1))]):
        made = codec()
        made.__dict__["_encoder"] = SimpleNamespace(run=lambda names, given, wrong=wrong: wrong)
        with pytest.raises(BundleDamagedError) as found:
            made.encode(tokens(0, 0))
        assert (found.value.part, found.value.fault) == (BundlePart.NETWORK, BundleFault.BORDER)
        assert found.value.__notes__ == ["meta_encoder.onnx."]
    made = codec()
    made.__dict__["_decoder"] = SimpleNamespace(run=lambda names, given: [np.zeros((1, 2, 2))])
    with pytest.raises(BundleDamagedError) as found:
        made.decode(pack_header(FITTED, FITTED), ())
    assert (found.value.part, found.value.fault) == (BundlePart.NETWORK, BundleFault.BORDER)
    assert found.value.__notes__ == ["meta_decoder.onnx."]


# ---- decode --------------------------------------------------------------------------------------------------
def test_headers_state_grids_of_the_learned_sides() -> None:
    assert codec().stated_grid(pack_header(Grid(1, 2, 5), FITTED)) == Grid(1, 2, 5)
    for use in (codec().stated_grid, lambda header: codec().decode(header, ()), lambda h: codec().expect(h, ())):
        with pytest.raises(StreamDamagedError) as found:
            use(pack_header(Grid(2, 1), FITTED))
        assert found.value.fault is StreamFault.GRID


def test_the_head_sees_the_integers_their_number_and_the_question() -> None:
    asked: list[Any] = []
    made = codec(head=SimpleNamespace(expect=lambda *what: asked.append(what) or "expectation"))
    encoded = made.encode(tokens(2.0, -1.0))
    assert made.expect(encoded.header, encoded.segments, "how many?") == "expectation"
    made.expect(encoded.header, ())
    assert [(integers.tolist(), count, question) for integers, count, question in asked] == [
        ([[[2], [-1]]], 2, "how many?"),
        ([[[0], [0]]], 0, ""),
    ]


# ---- disk ----------------------------------------------------------------------------------------------------
def test_it_is_saved_with_its_networks(tmp_path: Path) -> None:
    names = ("meta_encoder.onnx", "meta_decoder.onnx", "meta.safetensors")
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    grid = Grid(1, 2, 3, 640, 480)
    made = codec(grid, tmp_path)
    for folder in (tmp_path / "a" / "b", tmp_path / "a" / "b", tmp_path):  # a new one, one that is there, its own
        made.save(folder)
        assert [(folder / name).read_bytes() for name in names] == [name.encode() for name in names]
        again = MetaCodec.load(folder).tables
        assert (again.grid, again.hidden_size, again.most_missed) == (grid, 3, 0.5)
        assert again.retained.tolist() == [0, 16384, 65536]
        np.testing.assert_array_equal(again.latents.borders, made.tables.latents.borders)
