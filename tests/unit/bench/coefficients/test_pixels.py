"""The bench's decoder in floats against scipy and Pillow, its JPEG files, and what its reports say."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coefficient_pictures import decoded_pixels, float_pixels, reader
from coefficient_pictures import embedded_pixels as embedded_one_by_one
from heliograph.bench.coefficients import answers, errors
from heliograph.bench.coefficients.jpeg_file import jpeg_file
from heliograph.bench.coefficients.pixels import Decoder, embedded_pixels
from heliograph.strategies.compressed_domain.coefficients import quantised
from heliograph.strategies.jpeg_quantisers import quantisers
from strategy_tools import photo

CASES = [((48, 32), 60, True), ((37, 21), 90, True), ((24, 24), 30, False)]


@pytest.mark.parametrize(("size", "quality", "halved"), CASES)
def test_the_decoder_is_scipys_transform_and_nearly_libjpeg(size: tuple[int, int], quality: int, halved: bool) -> None:
    coefficients = quantised(photo(*size), quality, halved)
    np.testing.assert_allclose(Decoder()(coefficients), float_pixels(coefficients), atol=1e-5)
    nearest = float_pixels(coefficients, lambda plane: plane.repeat(2, axis=0))
    np.testing.assert_allclose(Decoder(smooth=False)(coefficients), nearest, atol=1e-5)
    whole = Decoder(rounds=True, clips=True)(coefficients)
    decoded = decoded_pixels(coefficients)
    assert np.abs(whole - decoded).max() <= 3
    assert np.abs(whole - decoded).mean() < 0.2
    assert np.abs(Decoder(clips=True)(coefficients) - decoded).mean() < 0.6


def test_clipping_keeps_to_the_range_and_rounding_to_whole_numbers() -> None:
    coefficients = quantised(photo(32, 32), 8, True)
    assert Decoder()(coefficients).max() > 255
    clipped, rounded = Decoder(clips=True)(coefficients), Decoder(rounds=True)(coefficients)
    assert 0 <= clipped.min() < clipped.max() <= 255
    assert rounded.max() > 255
    assert np.array_equal(rounded, np.rint(rounded))


@pytest.mark.parametrize(("size", "quality", "halved"), CASES)
def test_a_file_has_the_size_the_sampling_and_the_quantisers(size: tuple[int, int], quality: int, halved: bool) -> None:
    file = Image.open(io.BytesIO(jpeg_file(quantised(photo(*size), quality, halved))))
    assert (file.format, file.size, file.mode) == ("JPEG", size, "RGB")
    assert [tuple(steps) for steps in file.quantization.values()] == list(quantisers(quality))
    assert [layer[1:3] for layer in file.layer] == [(2, 2) if halved else (1, 1), (1, 1), (1, 1)]


def test_embedded_pixels_are_the_map_patch_by_patch() -> None:
    tower = reader([(50, 34)], [(0, 0, 0)], (2, 3), 16)
    pixels = np.random.default_rng(1).uniform(0, 255, (34, 50, 3))
    np.testing.assert_allclose(
        embedded_pixels(tower, pixels), embedded_one_by_one(tower, [pixels]), rtol=1e-5, atol=1e-5
    )


# ---- errors ----------------------------------------------------------------------------------------
def test_errors_of_a_photo(reference_pair: Any) -> None:
    model = errors.one_frame_model(str(reference_pair.model))
    found = errors.errors_of(model, photo(200, 150), 90, True, list(errors.STEPS))
    assert set(found["errors"]) == {"coefficients", *errors.STEPS}
    assert 0 < found["errors"]["coefficients"] < 0.02 * found["norm"]
    assert found["errors"]["nearest chroma"] > found["errors"]["coefficients"]
    assert (len(found["mean"]), found["tokens"]) == (128, 64)
    (line,) = errors.summary([{"photo": "a", "quality": 90, "halved": True, **found, "errors": {"coefficients": 1.0}}])
    assert line.startswith("quality 90 4:2:0 coefficients")
    assert f"largest {100 / found['norm']:.2f} %" in line


def test_what_varies_is_what_is_left_of_tokens_less_their_mean() -> None:
    tokens = np.random.default_rng(0).normal(3, 1, (5, 4, 6))  # photos, tokens, channels
    mean = tokens.mean(axis=(0, 1))
    for one in tokens:
        row = {"norm": float(np.linalg.norm(one)), "mean": one.mean(axis=0).tolist(), "tokens": 4}
        assert errors._varying(row, mean) == pytest.approx(np.linalg.norm(one - mean))


# ---- answers ---------------------------------------------------------------------------------------
def row(scene: str, way: str, texts: list[str], right: list[float]) -> dict[str, Any]:
    return {
        "scene": scene,
        "way": way,
        "bytes": 100,
        "encode_ms": 1.0,
        "restore_ms": 2.0,
        "error": 0.25,
        "answers": texts,
        "right": right,
        "agrees": right,
    }


def test_answers_of_coefficients_are_compared_with_those_of_the_pixels() -> None:
    rows = [
        row("a", "jpeg-dct quality=90", ["red", "two"], [1, 0]),
        row("a", "pixels quality=90", ["red", "one"], [1, 0]),
        row("b", "jpeg-dct quality=90", ["blue", "no"], [1, 1]),
        row("b", "pixels quality=90", ["blue", "no"], [1, 1]),
    ]
    coefficients, pixels = answers.summary(rows)
    assert "right 0.75" in coefficients
    assert "; as from pixels 0.75" in coefficients
    assert "as from pixels" not in pixels
    assert "100 B, token error 0.250" in pixels


def test_what_is_done_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Item:
        image_id = "scene"

    monkeypatch.setattr(answers, "ways", lambda ends: [("one", None), ("other", None)])
    ends: Any = None
    item: Any = Item()
    assert list(answers.measured(ends, item, {("scene", "one"), ("scene", "other")})) == []
