"""What is read off real processors gives their pixels back, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.edge.preprocessing.frames import Frame, FramePreprocessor
from heliograph.errors import ModelUnsupportedError
from heliograph.training.export.pixel_reading import read_pixels
from heliograph.types import Grid

BICUBIC = 3
SQUARE = {"height": 56, "width": 56}
PINPOINTS = [[56, 112], [112, 56], [112, 112]]


def qwen(**more: Any) -> Any:
    from transformers import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(size={"shortest_edge": 3136, "longest_edge": 1 << 20}, **more)


def clip() -> Any:
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size=SQUARE)


def siglip() -> Any:
    from transformers import SiglipImageProcessorPil

    return SiglipImageProcessorPil(size=SQUARE)


def llava_next() -> Any:
    from transformers import LlavaNextImageProcessorPil

    return LlavaNextImageProcessorPil(size={"shortest_edge": 56}, crop_size=SQUARE, image_grid_pinpoints=PINPOINTS)


def tiles_and_thumbnail() -> Any:
    from transformers import GotOcr2ImageProcessorPil

    return GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, max_patches=6)


def idefics_tiles() -> Any:
    from transformers import Idefics3ImageProcessorPil

    return Idefics3ImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})


def process_with(processor: Any) -> Callable[[Image.Image], dict[str, Any]]:
    return lambda photo: dict(processor([photo], return_tensors="pt"))


CASES: list[tuple[str, Callable[[], Any], tuple[int, int], int]] = [
    ("llava 1.5", clip, (56, 56), 1),
    ("paligemma, gemma", siglip, (56, 56), 1),
    ("llava next, padded canvas", llava_next, (56, 56), 1),
    ("llava next, two tiles and the whole", llava_next, (112, 56), 2),
    ("internvl", tiles_and_thumbnail, (112, 56), 2),
    ("idefics with tiles", idefics_tiles, (112, 112), 2),
    ("qwen2-vl", lambda: qwen(patch_size=14), (84, 56), 1),
    ("qwen3-vl", lambda: qwen(patch_size=16, image_mean=[0.5] * 3, image_std=[0.5] * 3), (64, 96), 1),
]


@pytest.mark.parametrize(("made", "size", "sources"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_equals_the_processor(made: Callable[[], Any], size: tuple[int, int], sources: int) -> None:
    processor = made()
    process = process_with(processor)
    reading = read_pixels(process, size, int(processor.resample))
    assert len(reading.sources) == sources
    assert (reading.sources[0].width, reading.sources[0].height) == size
    frames = [Frame(Grid(1, 1, 1, *size), reading.sources, "encoder.onnx")]
    config = FramePreprocessor(frames, int(processor.resample), reading.tables).to_config()
    device = FramePreprocessor.from_config(json.loads(json.dumps(config)))
    smooth = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    photos = [
        Image.fromarray(np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)),
        Image.fromarray(smooth).resize(size, Image.Resampling.BICUBIC),
    ]
    for photo in photos:
        expected = process(photo)
        pictures = [torch.from_numpy(one) for one in device(photo).sources]
        for name, layout in reading.layouts.items():
            assert torch.equal(layout(pictures), expected[name])
        for name, value in reading.constants.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(expected[name]))


def test_patches_and_tiles_are_regular() -> None:
    for made, size in ((lambda: qwen(patch_size=14), (84, 56)), (tiles_and_thumbnail, (112, 56)), (clip, (56, 56))):
        reading = read_pixels(process_with(made()), size, BICUBIC)
        assert all(layout._regular() is not None for layout in reading.layouts.values())


@pytest.mark.parametrize(("made", "size"), [(clip, (90, 60)), (lambda: qwen(patch_size=14), (90, 60))])
def test_a_size_that_the_processor_changes_is_refused(made: Callable[[], Any], size: tuple[int, int]) -> None:
    with pytest.raises(ModelUnsupportedError):
        read_pixels(process_with(made()), size, BICUBIC)


def levels(photo: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(photo).astype(np.float32))


@pytest.mark.parametrize(
    "process",
    [
        lambda photo: {"blurred": (levels(photo) + levels(photo).roll(1, 0)) / 2},
        lambda photo: {"curved": levels(photo) ** 2},
        lambda photo: {"mean": levels(photo).mean()[None]},
        lambda photo: {"nothing": torch.zeros(3)},
        lambda photo: {"whole": torch.from_numpy(np.asarray(photo).astype(np.int64))},
        lambda photo: {"pixels": levels(photo), "size": torch.tensor([int(levels(photo)[0, 0, 0])])},
    ],
)
def test_numbers_that_are_no_copies_are_refused(process: Callable[[Image.Image], dict[str, Any]]) -> None:
    with pytest.raises(ModelUnsupportedError):
        read_pixels(process, (16, 16), BICUBIC)
