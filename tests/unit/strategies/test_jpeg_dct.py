"""``jpeg-dct``: coefficients come back, any prefix shows something, strangers' bytes end in a named error."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.errors import BudgetTooSmallError, ShapeError, StreamDamagedError
from heliograph.registry import STRATEGIES
from heliograph.strategies.compressed_domain import jpeg_dct
from heliograph.strategies.compressed_domain.coefficients import COMPONENTS, Coefficients, PictureShape, quantised
from heliograph.strategies.compressed_domain.contexts import SHAPES, items_of, shipped_tables
from heliograph.strategies.compressed_domain.fields import GROUPS, Blocks, Means
from heliograph.strategies.compressed_domain.scan import Scan
from heliograph.strategies.compressed_domain.stream import decode, encode
from heliograph.types import EncodedImage
from strategy_tools import PATCHES, Tools, encoded_by, photo, restored_by


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def board(width: int, height: int) -> Image.Image:
    """Black and white blocks: the largest means and the largest details of means."""
    cells = (np.indices((-(-height // 8), -(-width // 8))).sum(axis=0) % 2 * 255).astype(np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.NEAREST).convert("RGB")


def decoded_again(coefficients: tuple[Coefficients, ...]) -> tuple[Coefficients, ...]:
    grade, whole = encode(coefficients, shipped_tables())
    shapes = [one.shape for one in coefficients]
    return decode(shapes, coefficients[0].quality, grade, whole, shipped_tables())


def assert_equal(found: tuple[Coefficients, ...], expected: tuple[Coefficients, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.shape, one.quality) == (other.shape, other.quality)
        for component in range(COMPONENTS):
            np.testing.assert_array_equal(one.levels[component], other.levels[component])


# ---- the codeword ----------------------------------------------------------------------------------
@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 100), st.booleans(), st.sampled_from([photo, noise, board])
)
@example(1, 1, 1, True, noise)
@example(40, 33, 100, True, board)
@example(40, 40, 100, False, noise)
def test_coefficients_come_back_as_they_were(width: int, height: int, quality: int, halved: bool, kind: Any) -> None:
    coefficients = (quantised(kind(width, height), quality, halved),)
    assert_equal(decoded_again(coefficients), coefficients)


def test_several_pictures_share_a_codeword() -> None:
    coefficients = tuple(quantised(photo(*size), 40, True) for size in ((48, 32), (16, 16)))
    assert_equal(decoded_again(coefficients), coefficients)


def test_a_grey_picture_takes_no_bytes() -> None:
    coefficients = (quantised(Image.new("RGB", (32, 32), (128, 128, 128)), 50, True),)
    assert encode(coefficients, shipped_tables()) == (0, b"")
    assert_equal(decoded_again(coefficients), coefficients)


@pytest.mark.parametrize("halved", [True, False])
def test_every_prefix_decodes_and_more_bytes_are_never_much_worse(halved: bool) -> None:
    picture = quantised(photo(48, 32), 70, halved)
    grade, whole = encode((picture,), shipped_tables())
    errors = []
    for length in [*range(0, 40, 3), *range(40, len(whole), 41), len(whole)]:
        found = decode([picture.shape], 70, grade, whole[:length], shipped_tables())[0]
        amplitudes = [found.amplitudes(c) - picture.amplitudes(c) for c in range(COMPONENTS)]
        errors.append(float(sum(np.square(one).sum() for one in amplitudes)))
    assert errors[-1] == 0
    assert all(later <= 1.05 * earlier for earlier, later in pairwise(errors))
    assert errors[len(errors) // 2] < 0.3 * errors[0]


def test_known_coefficients_are_within_their_interval() -> None:
    """Whatever a prefix tells is true: no magnitude is below what is known of it, or beyond its interval."""
    coefficients = quantised(photo(64, 64), 80, True)
    grade, whole = encode((coefficients,), shipped_tables())
    for length in (20, 200, 700):
        found = decode([coefficients.shape], 80, grade, whole[:length], shipped_tables())[0]
        for component in range(COMPONENTS):
            told, true = (one.levels[component][:, :, 1:, :] for one in (found, coefficients))
            known = told != 0
            assert (np.sign(told[known]) == np.sign(true[known])).all()
            assert (np.abs(true[known]) >= 0.6 * np.abs(told[known])).all()
            assert (np.abs(true[known]) <= 2 * np.abs(told[known])).all()


def test_the_first_bytes_show_the_coarsest() -> None:
    scan = Scan([PictureShape(64, 64, True)], 50)
    passes = scan.passes()
    assert [one.worth for one in passes] == sorted((one.worth for one in passes), reverse=True)
    assert isinstance(scan.field(passes[0]), Means)
    assert isinstance(scan.field(passes[-1]), Blocks)
    assert passes[-1].plane == 0
    assert all(earlier.grade >= later.grade for earlier, later in pairwise(passes))
    coded_cells = [len(items_of(scan, one, shipped_tables()).cells) for one in passes if one.plane == 0]
    assert sum(coded_cells) == 64 * (64 + 16 + 16) - 96 + 96  # 63 frequencies and a mean of each block


def test_tables_have_their_shapes_and_costs_that_a_coder_takes() -> None:
    tables = shipped_tables()
    for name, shape in SHAPES.items():
        values = getattr(tables, name)
        assert values.shape == shape
        assert (values >= (0 if "weights" in name else 1)).all()
    assert tables.block_costs.max() <= 5 * 4096
    assert len(GROUPS) == 7
    assert sorted(sum(GROUPS, ())) == list(range(1, 15))


# ---- the strategy ----------------------------------------------------------------------------------
def test_header() -> None:
    encoded = encoded_by("jpeg-dct", quality=35)
    assert encoded.header[0] == 35
    assert encoded.header[2:] == b"\x7f\x7f"
    assert encoded_by("jpeg-dct", quality=35, chroma=1).header[0] == 35 + 128
    assert encoded.payload_bytes < encoded_by("jpeg-dct", quality=35, chroma=1).payload_bytes


def test_pictures_of_other_sides_are_stated() -> None:
    class Tiles(Tools):
        def pictures(self, picture: Image.Image) -> tuple[Image.Image, ...]:
            return picture.resize((300, 200)), picture.resize((16, 16))

    encoded = STRATEGIES.load("jpeg-dct")().encode(photo(), Tiles(), {"quality": 5})
    assert encoded.header[2:] == bytes([0xAB, 2, 0xC7, 1, 15, 15])


def test_bytes_are_bounded_and_a_bound_is_a_prefix() -> None:
    whole = encoded_by("jpeg-dct", quality=50)
    for bound in (5, 40, 300, whole.payload_bytes, whole.payload_bytes + 5):
        cut = encoded_by("jpeg-dct", quality=50, max_bytes=bound)
        assert cut.payload_bytes == min(bound, whole.payload_bytes)
        assert cut.header == whole.header
        assert b"".join(whole.segments).startswith(b"".join(cut.segments))
    for bound in (1, 4):
        with pytest.raises(BudgetTooSmallError):
            encoded_by("jpeg-dct", max_bytes=bound)


def test_restores_from_any_prefix_what_the_tower_makes_of_the_photo() -> None:
    """Its tower is one affine map, so tokens are those of the pixels, up to what JPEG loses."""
    picture = photo(128, 128)
    pixels = np.asarray(picture, np.float64).reshape(8, 16, 8, 16, 3)
    expected = np.einsum("dcyx,iyjxc->ijd", PATCHES.weight, pixels).reshape(64, -1) + PATCHES.bias
    encoded = encoded_by("jpeg-dct", picture, quality=95, chroma=1)
    errors = []
    for count in (0, 5, 40, len(encoded.segments)):
        tokens = restored_by(encoded.prefix(count)).tokens
        assert tokens.values.shape == (64, 16)
        errors.append(float(np.square(tokens.values - expected).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3 * errors[0]


def test_segments_may_be_cut_anywhere() -> None:
    encoded = encoded_by("jpeg-dct", quality=40)
    data = b"".join(encoded.segments)
    other = replace(encoded, segments=tuple(data[at : at + 100] for at in range(0, len(data), 100)))
    np.testing.assert_array_equal(restored_by(other).tokens.values, restored_by(encoded).tokens.values)


# ---- what strangers send ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x32",
        b"\x32\x20",
        b"\x32\x20\x7f",
        b"\x32\x20\x7f\x7f\x7f",
        b"\x32\x20\x7f\xff",
        b"\x32\x20\x7f\xff\x00",  # a needless zero
        b"\x32\x20\x7f\x80\x20",  # 4097 pixels
        b"\x32\x20\x7f\x80\x80\x01",  # three bytes
        b"\x00\x20\x7f\x7f",
        b"\x65\x20\x7f\x7f",
        b"\x80\x20\x7f\x7f",
        b"\x32\x20" + b"\x01" * 8,
    ],
)
def test_a_header_that_no_device_writes(header: bytes) -> None:
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage("jpeg-dct", header, (b"body",)))


def test_pictures_that_the_model_does_not_read_are_refused_before_any_is_made() -> None:
    for sides in (b"\xff\x1f\xff\x1f", b"\x7f\x7e", b"\x7f\x7f\x7f\x7f"):
        with pytest.raises(ShapeError):
            restored_by(EncodedImage("jpeg-dct", b"\x32\x20" + sides, (b"body",)))


def test_lengths_are_looked_at_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes of every pixel, two blocks more each way; noise has fewer."""
    header, most = b"\x32\x00\x7f\x7f", 4 * 144 * 144
    restored_by(EncodedImage("jpeg-dct", header, (bytes(most),)))
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage("jpeg-dct", header, (bytes(most), b"x")))
    extreme = Image.fromarray(np.random.default_rng(0).integers(0, 2, (16, 16, 3), dtype=np.uint8) * 255)
    assert len(encode((quantised(extreme, 100, False),), shipped_tables())[1]) < 4 * 16 * 16
    monkeypatch.setattr(jpeg_dct, "MAX_STREAM_BYTES", 59)
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage("jpeg-dct", b"\x32\x20\x7f\x7f", (b"x" * 60,)))


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=60), st.integers(0, 255), st.integers(1, 100))
def test_any_bytes_give_tokens(body: bytes, grade: int, quality: int) -> None:
    encoded = EncodedImage("jpeg-dct", bytes([quality, grade, 127, 127]), (body,))
    assert np.isfinite(restored_by(encoded).tokens.values).all()


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_damage_gives_tokens_or_a_named_error(data: st.DataObject) -> None:
    encoded = encoded_by("jpeg-dct", quality=20, max_bytes=300)
    header, body = bytearray(encoded.header), bytearray(b"".join(encoded.segments))
    for part in (header, body):
        for _ in range(data.draw(st.integers(0, 2))):
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    try:
        tokens = restored_by(EncodedImage("jpeg-dct", bytes(header), (bytes(body),))).tokens
    except (StreamDamagedError, ShapeError):
        return
    assert np.isfinite(tokens.values).all()
