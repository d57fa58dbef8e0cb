"""The cloud's guess at what was not sent: it helps on unseen photos, never touches integers, and survives the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.restoration import Restoration
from heliograph.codec.storage import read_arrays, write_arrays
from heliograph.errors import BundleDamagedError
from heliograph.types import Grid, VisualTokens

MakeTokens = Callable[..., VisualTokens]


@pytest.fixture(scope="module")
def many(make_tokens: MakeTokens) -> KltCodec:
    sets = [make_tokens(seed) for seed in range(160)]
    return fit_klt(sets, finest_retained=0.995, modes=("none",), contexts=False)


def without(codec: KltCodec) -> KltCodec:
    return KltCodec(codec.grid, codec.transform, codec.tables, codec.layouts, codec.contexts)


def total_error(codec: KltCodec, photos: list[VisualTokens], share: float) -> float:
    total = 0.0
    for tokens in photos:
        encoded = codec.encode(tokens)
        stream = b"".join(encoded.segments)
        restored = codec.decode(encoded.header, [stream[: round(share * len(stream))]])
        total += float(((restored.values - tokens.values) ** 2).sum())
    return total


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_unseen_photos_are_restored_better(many: KltCodec, photos: list[VisualTokens], share: float) -> None:
    assert many.restoration is not None
    assert total_error(many, photos, share) < 0.95 * total_error(without(many), photos, share)


def test_whole_streams_lose_nothing(many: KltCodec, photos: list[VisualTokens]) -> None:
    assert total_error(many, photos, 1.0) < 1.02 * total_error(without(many), photos, 1.0)


def test_integers_and_stream_do_not_depend_on_it(many: KltCodec, photos: list[VisualTokens]) -> None:
    plain = without(many)
    for tokens in photos[:4]:
        first, second = many.encode(tokens), plain.encode(tokens)
        assert first == second
        cut = [b"".join(first.segments)[:20]]
        assert np.array_equal(many.decode_integers(first.header, cut), plain.decode_integers(first.header, cut))
        assert many.retained_energy(first.header, cut) == plain.retained_energy(first.header, cut)


@pytest.mark.parametrize("fineness", [0, 1, 7])
def test_nothing_is_guessed_from_nothing(many: KltCodec, photos: list[VisualTokens], fineness: int) -> None:
    header = many.encode(photos[0], fineness=fineness).header
    assert np.array_equal(many.decode(header, []).values, without(many).decode(header, []).values)


@pytest.mark.parametrize("fineness", [0, 7])
def test_planes_fall_with_every_byte(many: KltCodec, photos: list[VisualTokens], fineness: int) -> None:
    stream = b"".join(many.encode(photos[0], fineness=fineness).segments)
    planes = [many.decode_state(many.grid, stream[:cut], fineness).planes for cut in range(len(stream) + 1)]
    assert planes[0] == many.tables.planes
    assert planes[-1] == 0
    assert planes == sorted(planes, reverse=True)


@pytest.mark.parametrize("fineness", [0, 3, 7])
def test_the_guess_is_that_of_the_level(
    many: KltCodec, photos: list[VisualTokens], fineness: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After plane p the thresholds are as far down as after p - k / 8 of fineness 0; at the start nothing is known."""
    asked: list[float] = []

    def apply(self: Restoration, spectrum: np.ndarray, sides: tuple[int, int], level: float) -> np.ndarray:
        asked.append(level)
        return spectrum

    monkeypatch.setattr(Restoration, "apply", apply)
    encoded = many.encode(photos[0], fineness=fineness)
    stream, planes = b"".join(encoded.segments), many.tables.planes
    for cut in range(len(stream) + 1):
        many.decode(encoded.header, [stream[:cut]])
        known = many.decode_state(many.grid, stream[:cut], fineness).planes
        if known <= planes - 1:
            assert asked[-1] == known - fineness / 8
    assert (asked[0], asked[-1]) == (planes, -fineness / 8)
    assert asked == sorted(asked, reverse=True)


def test_between_two_planes_the_weights_are_blended() -> None:
    random = np.random.default_rng(5)
    made = Restoration(
        random.normal(size=(9, 4)).astype(np.float32),
        random.normal(size=4).astype(np.float32),
        random.normal(size=(2, 13, 3)).astype(np.float32),
    )
    spectrum = random.normal(size=(2, 6, 5)).astype(np.float32)
    fine, coarse, top = (made.apply(spectrum, (2, 3), level) for level in (0.0, 1.0, 2.0))
    assert np.array_equal(top, spectrum)
    assert np.allclose(made.apply(spectrum, (2, 3), 0.25), 0.75 * fine + 0.25 * coarse, atol=1e-4)
    assert np.allclose(made.apply(spectrum, (2, 3), 1.5), 0.5 * coarse + 0.5 * spectrum, atol=1e-4)
    assert np.array_equal(fine[:, :, 3:], spectrum[:, :, 3:])


def test_tiles_do_not_look_at_each_other(many: KltCodec, make_tokens: MakeTokens) -> None:
    assert many.restoration is not None
    two = make_tokens(9, tiles=2)
    spectrum = many.transform.channels(two.values.reshape(2, 20, 12))
    sides = (many.grid.rows, many.grid.columns)
    together = many.restoration.apply(spectrum, sides, 2.0)
    apart = [many.restoration.apply(spectrum[i : i + 1], sides, 2.0) for i in range(2)]
    assert np.allclose(together, np.concatenate(apart), atol=1e-4)


def test_other_grids_are_restored_too(many: KltCodec, make_tokens: MakeTokens) -> None:
    other = [make_tokens(seed, rows=6, columns=3) for seed in range(1000, 1012)]
    assert other[0].grid == Grid(6, 3)
    assert total_error(many, other, 0.6) < total_error(without(many), other, 0.6)


def test_the_disk_keeps_it_exactly(many: KltCodec, photos: list[VisualTokens], tmp_path: Path) -> None:
    many.save(tmp_path)
    loaded = KltCodec.load(tmp_path)
    encoded = many.encode(photos[0], max_bytes=40)
    first, second = (codec.decode(encoded.header, encoded.segments).values for codec in (many, loaded))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("damage", ["shape", "nan", "missing"])
def test_damaged_tables_are_refused(many: KltCodec, tmp_path: Path, damage: str) -> None:
    many.save(tmp_path)
    facts, arrays = read_arrays(tmp_path, "klt")
    weights = arrays.pop("restoration.weights")
    if damage == "shape":
        arrays["restoration.weights"] = weights.transpose(1, 0, 2)
    elif damage == "nan":
        arrays["restoration.weights"] = np.where(weights == weights.max(), np.float16(np.nan), weights)
    write_arrays(tmp_path, "klt", facts, arrays)
    with pytest.raises(BundleDamagedError):
        KltCodec.load(tmp_path)


@pytest.mark.parametrize(("components", "looked_at"), [(3, 3), (96, 96), (97, 96), (500, 96)])
def test_so_many_leading_components_are_looked_at(components: int, looked_at: int) -> None:
    def stored(count: int) -> dict[str, np.ndarray]:
        shapes = {"projection": (3 * count, 1), "phase": (1,), "weights": (2, 3 * count + 1, count)}
        return {name: np.zeros(shape, dtype=np.float16) for name, shape in shapes.items()}

    assert Restoration.from_stored(stored(looked_at), components, 2).weights.shape[2] == looked_at
    for other in (looked_at - 1, looked_at + 1):
        with pytest.raises(BundleDamagedError):
            Restoration.from_stored(stored(other), components, 2)


def test_a_fit_may_leave_it_out(make_tokens: MakeTokens, tmp_path: Path) -> None:
    codec = fit_klt([make_tokens(seed) for seed in range(16)], modes=("none",), restore=False)
    assert codec.restoration is None
    codec.save(tmp_path)
    assert KltCodec.load(tmp_path).restoration is None
