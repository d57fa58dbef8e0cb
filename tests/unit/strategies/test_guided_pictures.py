"""Pictures with detail where it matters: what guides, what is taken away elsewhere, and files that anybody reads."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.errors import BundleDamagedError, StreamDamagedError, StreamTruncatedError, UsageError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Family, label
from heliograph.strategies.baseline.pictures import MAX_PICTURE_SIDE
from heliograph.strategies.guided.coefficients import cut_outside, units_of
from heliograph.strategies.guided.relevance import Guide, contrast_map, kept, relevance, spread, token_map
from heliograph.strategies.guided.softening import SIGMA_MIN, blurred_outside, scores, softened
from heliograph.strategies.selection import strategies_with
from heliograph.types import EncodedImage, Grid, VisualTokens
from strategy_tools import Looking, Tools, photo, restored_by

NAMES = strategies_with(family=Family.GUIDED)
PLAIN = {"roi-jpeg": "jpeg-bare", "roi-webp": "webp-bare", "roi-avif": "avif-bare"}
CORNER = Looking.corner
SEEING, BLIND = Tools(), Tools(sight=None)


def grain(width: int, height: int) -> Image.Image:
    """Noise of middle levels, so that nothing is cut off at black or white."""
    noise = np.random.default_rng(5).integers(60, 190, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(name: str, tools: Tools = SEEING, picture: Image.Image | None = None, **setting: Any) -> EncodedImage:
    made: EncodedImage = STRATEGIES.load(name)().encode(picture or photo(), tools, setting)
    return made


# ---- what guides -----------------------------------------------------------------------------------
def test_tokens_guide_where_they_can_be_made_and_contrast_elsewhere() -> None:
    picture, seeing = photo(), SEEING
    by_tokens, by_contrast = token_map(seeing.encode_tokens(picture)), contrast_map(picture)
    assert np.array_equal(relevance(picture, seeing, Guide.AUTO), by_tokens)
    assert np.array_equal(relevance(picture, seeing, Guide.TOKENS), by_tokens)
    assert np.array_equal(relevance(picture, seeing, Guide.CONTRAST), by_contrast)
    for guide in (Guide.AUTO, Guide.CONTRAST, Guide.QUESTION):
        assert np.array_equal(relevance(picture, BLIND, guide), by_contrast)


def test_the_question_guides_where_there_is_one_that_can_be_read() -> None:
    picture = photo()
    by_tokens = token_map(SEEING.encode_tokens(picture))
    asked = replace(SEEING, question="what is on the left?")
    assert np.array_equal(relevance(picture, asked, Guide.QUESTION), CORNER)
    assert np.array_equal(relevance(picture, asked, Guide.AUTO), by_tokens)
    for unasked in (SEEING, replace(SEEING, question="unreadable")):
        assert np.array_equal(relevance(picture, unasked, Guide.QUESTION), by_tokens)


def test_tokens_of_several_tiles_lie_over_no_one_map() -> None:
    class Tiled(Tools):
        def encode_tokens(self, photo: Image.Image) -> VisualTokens:
            return VisualTokens(np.ones((128, 16), np.float32), Grid(8, 8, 2))

    tools = Tiled()
    assert np.array_equal(relevance(photo(), tools, Guide.AUTO), contrast_map(photo()))
    with pytest.raises(UsageError, match="2 tiles"):
        relevance(photo(), tools, Guide.TOKENS)


def test_a_token_stands_out_by_its_distance_from_the_mean() -> None:
    values = np.zeros((6, 2), np.float32)
    values[4] = 3.0, 4.0
    found = token_map(VisualTokens(values, Grid(2, 3)))
    mean = np.array([0.5, 4 / 6])
    assert found.shape == (2, 3)
    assert found[1, 1] == pytest.approx(np.hypot(*(np.array([3, 4]) - mean)))
    assert np.delete(found.ravel(), 4) == pytest.approx(np.hypot(*mean))


def test_contrast_is_where_the_photo_is_not_flat() -> None:
    picture = np.full((256, 256, 3), 90, np.uint8)
    picture[64:80, 128:144] = np.indices((16, 16)).sum(axis=0)[..., None] % 2 * 200
    picture[64:80, 128:136] = 90
    found = contrast_map(Image.fromarray(picture).resize((128, 128), Image.Resampling.NEAREST))
    assert np.argwhere(found > 1).tolist() == [[4, 8]]


def test_a_question_needs_a_stream_of_its_own_only_where_it_guides() -> None:
    for name in NAMES:
        strategy = STRATEGIES.load(name)()
        assert not strategy.asks({})
        if "guide" in strategy.default_setting:
            assert strategy.asks({"guide": "question"})
            assert not strategy.asks({"guide": "contrast"})
            with pytest.raises(UsageError, match="guide is auto, question, tokens, contrast"):
                encoded(name, guide="nobody")


def test_shallow_attention_needs_a_bundle() -> None:
    with pytest.raises(BundleDamagedError):
        encoded("cotam", BLIND, size=32)


# ---- which part ------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_a_map_is_spread_linearly(rows: int, columns: int, width: int, height: int, seed: int) -> None:
    found = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    fine = spread(found, width, height)
    assert fine.shape == (height, width)
    assert found.min() - 1e-6 <= fine.min() <= fine.max() <= found.max() + 1e-6
    ramp = np.arange(columns, dtype=np.float32)[None].repeat(rows, axis=0)
    centres = (np.arange(width) + 0.5) * columns / width - 0.5
    assert spread(ramp, width, height)[0] == pytest.approx(np.clip(centres, 0, columns - 1), abs=1e-4)


def test_the_part_that_stays_is_the_largest_values() -> None:
    found = np.random.default_rng(3).random((8, 8)).astype(np.float32)
    for percent in (1, 10, 37, 90, 100):
        inside = kept(found, 50, 40, percent)
        assert inside.mean() == pytest.approx(percent / 100, abs=0.002)
        fine = spread(found, 50, 40)
        assert inside.all() or fine[inside].min() > fine[~inside].max()
    assert kept(np.full((8, 8), 0.3, np.float32), 50, 40, 10).all()  # nothing stands out: all of it stays
    assert kept(np.zeros((8, 8), np.float32), 50, 40, 10).all()


# ---- coefficients ----------------------------------------------------------------------------------
def luma_coefficients(file: bytes) -> npt.NDArray[np.float64]:
    """(rows, columns, 8, 8) of what a decoder shows of a JPEG's luma, as far as whole blocks go."""
    with Image.open(io.BytesIO(file)) as image:
        image.draft("YCbCr", None)  # type: ignore[arg-type]
        luma = np.asarray(image)[..., 0].astype(np.float64)
    rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
    blocks = luma[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    frequency, place = np.mgrid[:8, :8]
    basis = np.cos((2 * place + 1) * frequency * np.pi / 16) / 2
    basis[0] /= np.sqrt(2)
    return basis @ blocks @ basis.T


ZIGZAG_START = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize("cut", [0, 2, 5])
def test_outside_no_coefficient_above_the_cut_is_left(cut: int) -> None:
    picture = grain(96, 64)
    inside = np.zeros((4, 6), np.bool_)
    inside[1, 2:4] = True
    whole, part = (_jpeg(cut_outside(picture, one, cut, 60)) for one in (np.ones_like(inside), inside))
    assert len(part) < len(whole)
    before, after = luma_coefficients(whole), luma_coefficients(part)
    outside = ~inside.repeat(2, axis=0).repeat(2, axis=1)
    left = np.zeros((8, 8), np.bool_)
    for place in ZIGZAG_START[: cut + 1]:
        left[place] = True
    assert np.abs(after[outside][:, ~left]).max() < 3  # the decoder rounds pixels, and no step is below 8
    assert np.abs(before[outside][:, ~left]).max() > 20
    for one in (after - before)[outside][:, left], (after - before)[~outside]:
        assert (np.abs(one) < 5).mean() > 0.99  # of a flat block all pixels are rounded alike, by half a level


def test_without_an_outside_the_file_is_nearly_the_plain_one() -> None:
    for width, height in ((96, 64), (61, 35), (5, 3)):
        picture = photo(width, height)
        columns, rows = units_of(picture)
        assert (columns, rows) == (-(-width // 16), -(-height // 16))
        whole = cut_outside(picture, np.ones((rows, columns), np.bool_), 0, 60)
        assert whole.size == picture.size
        assert len(_jpeg(whole)) == pytest.approx(len(_jpeg(picture)), rel=0.02)


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=60, subsampling=2)
    return out.getvalue()


# ---- blur ------------------------------------------------------------------------------------------
def test_inside_stays_and_outside_is_smooth() -> None:
    picture = grain(60, 40)
    inside = kept(CORNER, 60, 40, 25)
    made, before = (np.asarray(one, np.float32) for one in (blurred_outside(picture, inside, 4), picture))
    assert np.array_equal(made[inside], before[inside])
    assert np.abs(np.diff(made[30:, 30:], axis=1)).mean() < 0.5 * np.abs(np.diff(before[30:, 30:], axis=1)).mean()
    assert made[30:, 30:].mean() == pytest.approx(before[30:, 30:].mean(), abs=4)


def test_every_pixel_is_blurred_by_its_score() -> None:
    """At the scores of the six levels, against a Gaussian of 11 x 11 taps written out."""
    picture = photo(40, 30)
    padded = np.pad(np.asarray(picture, np.float64), ((5, 5), (5, 5), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (11, 11), axis=(0, 1))
    for step in range(6):
        score = step / 5
        sigma = SIGMA_MIN * (8 / SIGMA_MIN) ** (1 - score)
        taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * sigma**2))
        kernel = np.outer(taps, taps) / taps.sum() ** 2
        made = np.asarray(softened(picture, np.full((30, 40), score, np.float32), 8), np.float64)
        assert np.abs(made - (windows * kernel).sum(axis=(3, 4))).max() <= 0.51
    corner = np.zeros((30, 40), np.float32)
    corner[:8, :8] = 1
    mixed, sharp, soft = (np.asarray(softened(picture, one, 8)) for one in (corner, corner * 0 + 1, corner * 0))
    assert np.array_equal(mixed[:8, :8], sharp[:8, :8])
    assert np.array_equal(mixed[8:], soft[8:])


def test_scores_are_shares_of_attention() -> None:
    found = np.random.default_rng(2).random((6, 7)).astype(np.float32)
    score = scores(found)
    weights = np.exp((found - found.mean()) / found.std())
    assert score == pytest.approx(np.minimum(weights / weights.sum() * found.size, 1), abs=1e-5)
    assert np.array_equal(scores(100 * found + 3).round(4), score.round(4))
    assert np.array_equal(scores(np.full((4, 4), 0.2, np.float32)), np.ones((4, 4)))


# ---- streams ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_detail_lies_where_the_map_says_and_costs_less(name: str) -> None:
    picture = photo(320, 320, seed=8)
    how = {"size": 160, "quality": 60, **STRATEGIES.load(name)().guidance[-1]}
    tools = replace(SEEING, question="what is on the left?")
    if "guide" in STRATEGIES.load(name)().default_setting:
        how["guide"] = "question"
    stream = encoded(name, tools, picture, **how)
    plain = encoded(PLAIN.get(name, "avif-bare"), tools, picture, size=160, quality=60)
    assert stream.strategy == name
    assert stream.payload_bytes < 0.9 * plain.payload_bytes
    shown, whole = (np.asarray(restored_by(one).image, np.float32) for one in (stream, plain))
    assert shown.shape == whole.shape == (160, 160, 3)
    lost = np.abs(shown - whole).mean(axis=2)
    corners = lost[:24, :24].mean(), lost[-24:, -24:].mean()
    assert min(corners) * 2 < max(corners)
    assert (corners[0] < corners[1]) == ("guide" in how)  # of cotam's map the other corner


@pytest.mark.parametrize("name", PLAIN)
def test_the_stream_is_that_of_the_bare_codec(name: str) -> None:
    """So any receiver of the bare codec reads it, and the file is one that any decoder reads."""
    stream = encoded(name, size=64, quality=40)
    renamed = replace(stream, strategy=PLAIN[name])
    assert np.array_equal(np.asarray(restored_by(stream).image), np.asarray(restored_by(renamed).image))
    assert stream.header[0] & 1, "it travels bare"
    file = STRATEGIES.load(name)()._file_of(stream)
    with Image.open(io.BytesIO(file)) as image:
        assert image.format == name.partition("-")[2].upper()
        image.load()
        assert image.size == restored_by(stream).image.size


@pytest.mark.parametrize("name", NAMES)
def test_every_guidance_of_the_sweep_encodes_and_is_another(name: str) -> None:
    strategy = STRATEGIES.load(name)()
    sizes = {label(one): encoded(name, size=96, quality=50, **one).payload_bytes for one in strategy.guidance}
    assert len(sizes) == len(set(sizes.values())) == len(strategy.guidance)


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_a_stream_are_named(name: str) -> None:
    stream = encoded(name, picture=photo(400, 400), size=400, quality=85)
    assert len(stream.segments) > 1
    with pytest.raises(StreamTruncatedError):
        restored_by(stream.prefix(0))
    if name != "roi-jpeg":  # a progressive one shows what is there
        with pytest.raises(StreamTruncatedError):
            restored_by(stream.prefix(len(stream.segments) - 1))
    with pytest.raises(StreamDamagedError):
        restored_by(replace(stream, segments=(*stream.segments, b"x")))
    with pytest.raises(StreamDamagedError):
        restored_by(replace(stream, header=b""))


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_damage_gives_a_picture_or_a_named_error(name: str, data: st.DataObject) -> None:
    stream = STREAMS.setdefault(name, encoded(name, size=48, quality=30))
    header, body = bytearray(stream.header), bytearray(b"".join(stream.segments))
    for part in (header, body):
        for _ in range(data.draw(st.integers(0, 2))):
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    try:
        picture = restored_by(EncodedImage(name, bytes(header), (bytes(body[:cut]),))).image
    except (StreamDamagedError, StreamTruncatedError):
        return
    assert max(picture.size) <= MAX_PICTURE_SIDE


STREAMS = dict[str, EncodedImage]()


GOLDEN = {
    "roi-jpeg": (
        "01280f0f",
        "e520535a502f4aaf043d38ad2822e9c57442261391",
        "867a2e5addaa274fb8b25daa7a27f4efa3d84df9307a4e754f445f6cf0451ed8",
    ),
    "roi-webp": (
        "050f0f0f",
        "03805a25a80274010efe74a0d80000fef88b76d6dc376a56a8dabb21048a678a00",
        "f538b445c59b37e31f17a1c19b9b0a4affe4892e03424eb1c7c7f7fe1f6098d5",
    ),
    "roi-avif": (
        "790f0f",
        "acc00028705000757a0275dd48dce61ecbd74fdbc495d4457d",
        "f653bccf92994a0d9e1160bc36fb7b8d3782577456d2284aff515984aad5d29c",
    ),
    "prefilter": (
        "790f0f",
        "acc00028210000757a0275936711ea127ac9a0aaec3eff42",
        "294f0cfeb22cfdfd2c663da5cac3b28be0ac17746d940dbc1e95457d91915a98",
    ),
    "cotam": (
        "790f0f",
        "acc00028700000757a0275b7509a6b9bfb316b77d7e3dc57c0",
        "57921596aef5026c3a9d7593019584784bc0f2d5bed2d5557fa9644749920d7d",
    ),
}
"""Header and segments in hex, and the SHA-256 of the file that every version must rebuild of them."""


def test_golden_streams_give_their_files() -> None:
    for name, (header, body, digest) in GOLDEN.items():
        stream = EncodedImage(name, bytes.fromhex(header), (bytes.fromhex(body),))
        file = STRATEGIES.load(name)()._file_of(stream)
        assert hashlib.sha256(file).hexdigest() == digest
        assert restored_by(stream).image.size == (16, 16)
