"""``feature-video`` on true shapes of another family: any photo's grid, deeper levels beside the tokens."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.header import pack_header
from heliograph.errors import ShapeError
from heliograph.registry import STRATEGIES
from heliograph.serving.cloud import Cloud
from heliograph.types import EncodedImage, Grid
from heliograph.vlm.opening import open_model


def picture(size: tuple[int, int], seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def test_photos_of_any_size_come_back(tiny_qwen3_vl: Path) -> None:
    model: Any = open_model(str(tiny_qwen3_vl))
    fitted = [model.encode_image(picture((320, 224), seed)) for seed in range(10)]
    codec = fit_klt(fitted, modes=("dct",), contexts=False, restore=False, finest_retained=0.9999)
    cloud, strategy = Cloud(model, {"klt": codec}), STRATEGIES.load("feature-video")()
    for size in ((320, 224), (200, 340)):
        tokens = model.encode_image(picture(size, 99))
        tools: Any = SimpleNamespace(codec=lambda kind: codec, encode_tokens=lambda photo, made=tokens: made)
        for setting in ({"components": 0, "quality": 95}, {"components": 60, "quality": 95}):
            encoded = strategy.encode(None, tools, setting)
            restored = cloud.restore(encoded)
            assert restored.grid == tokens.grid
            error = float(np.square(restored.values - tokens.values).sum() / np.square(tokens.values).sum())
            assert error < 0.1, (size, setting, error)
            assert model.answer("what is it?", [restored], max_new_tokens=2).token_ids
    hostile = EncodedImage(encoded.strategy, pack_header(Grid(1, 1 << 14), codec.grid), encoded.segments)
    with pytest.raises(ShapeError):  # before anything is made for so many tokens
        cloud.restore(hostile)
