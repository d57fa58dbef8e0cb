"""The device's preprocessing equals the checkpoint's own processor, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import BundleDamagedError, ModelUnsupportedError

SIZES = [
    (512, 512),
    (128, 128),
    (64, 64),
    (1, 1),
    (1, 900),
    (900, 1),
    (3, 7),
    (127, 129),
    (333, 250),
    (1021, 677),
    (17, 640),
]


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers import Idefics3ImageProcessorPil

    return Idefics3ImageProcessorPil(
        size={"longest_edge": 128},
        max_image_size={"longest_edge": 128},
        do_image_splitting=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def noise(width: int, height: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(width * 7919 + height).integers(0, 256, (height, width, channels), dtype=np.uint8)


def expected(processor: Any, photo: Image.Image) -> np.ndarray:
    return np.asarray(processor([[photo]], return_tensors="np")["pixel_values"])[0]


def test_equals_the_processor_for_any_shape(processor: Any) -> None:
    ours = Preprocessor.from_config(processor.to_dict())
    for size in SIZES:
        photo = Image.fromarray(noise(*size))
        pixels = ours(photo)
        assert pixels.shape == (1, 3, 128, 128)
        assert pixels.dtype == np.float32
        assert np.abs(pixels - expected(processor, photo)).max() == 0


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 400), height=st.integers(1, 400))
def test_equals_the_processor_for_random_shapes(processor: Any, width: int, height: int) -> None:
    photo = Image.fromarray(noise(width, height))
    ours = Preprocessor.from_config(processor.to_dict())
    assert np.abs(ours(photo) - expected(processor, photo)).max() == 0


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "1", "YCbCr"])
def test_equals_the_processor_for_other_modes(processor: Any, mode: str) -> None:
    photo = Image.fromarray(noise(90, 60, 4), "RGBA").convert(mode)
    ours = Preprocessor.from_config(processor.to_dict())
    assert np.abs(ours(photo) - expected(processor, photo)).max() == 0


def test_equals_processors_with_other_numbers() -> None:
    from transformers import Idefics3ImageProcessorPil

    other = Idefics3ImageProcessorPil(
        size={"longest_edge": 300},
        max_image_size={"longest_edge": 96},
        do_image_splitting=False,
        image_mean=[0.48, 0.45, 0.40],
        image_std=[0.26, 0.27, 0.29],
        resample=3,
    )
    photo = Image.fromarray(noise(211, 97))
    pixels = Preprocessor.from_config(other.to_dict())(photo)
    assert pixels.shape == (1, 3, 96, 96)
    assert np.abs(pixels - expected(other, photo)).max() == 0


GOOD: dict[str, Any] = {
    "do_image_splitting": False,
    "size": {"longest_edge": 128},
    "max_image_size": {"longest_edge": 128},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


@pytest.mark.parametrize(
    "change",
    [{"do_image_splitting": True}, {"do_normalize": False}, {"do_resize": False}],
)
def test_refuses_processing_that_it_does_not_do(change: dict[str, Any]) -> None:
    with pytest.raises(ModelUnsupportedError):
        Preprocessor.from_config(GOOD | change)


@pytest.mark.parametrize(
    "change",
    [
        {"size": {}},
        {"size": None},
        {"size": {"longest_edge": 0}},
        {"size": {"longest_edge": 10**9}},
        {"max_image_size": {"longest_edge": "128"}},
        {"resample": 77},
        {"image_mean": [0.5]},
        {"image_std": [0.5, 0.5, "x"]},
        {"image_std": [0.5, 0.0, 0.5]},
        {"image_mean": [float("nan"), 0.5, 0.5]},
        {"rescale_factor": "x"},
        {"rescale_factor": float("inf")},
    ],
)
def test_refuses_damaged_numbers(change: dict[str, Any]) -> None:
    with pytest.raises(BundleDamagedError):
        Preprocessor.from_config(GOOD | change)
