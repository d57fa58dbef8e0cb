"""The convolutional tower goes to devices like any other: traced, compared, one square frame."""

from __future__ import annotations

import numpy as np
from PIL import Image

from heliograph.edge.encoder import open_encoder
from heliograph.edge.preprocessing.frames import open_preprocessor
from heliograph.training.export.encoder_export import export_frames
from heliograph.vlm.opening import open_model
from tiny_field import GRID, SIDE, write_tiny_field


def test_a_device_makes_the_tokens_that_the_model_makes(tmp_path) -> None:
    model = open_model(str(write_tiny_field(tmp_path / "model")))
    made = export_frames(model, tmp_path / "encoder")
    (parity,) = made.parity
    assert parity.size == (SIDE, SIDE)
    assert parity.pixel_error == 0
    device = open_encoder(
        (tmp_path / "encoder").joinpath, open_preprocessor(made.preprocessing), made.grid, made.hidden_size
    )
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    found, expected = device(photo), model.encode_image(photo)
    assert found.grid == expected.grid
    assert found.grid.tokens == GRID**2
    np.testing.assert_allclose(found.values, expected.values, atol=1e-4)
