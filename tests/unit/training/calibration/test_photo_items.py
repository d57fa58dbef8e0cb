"""Photos without labels: what is no photo is skipped, and a model of any family is asked one by one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.errors import DataMissingError
from heliograph.reference.recipe import build_reference_model
from heliograph.training.calibration.photo_items import FramedModel, photo_items, unknown_right
from heliograph.training.fitting.fit_codec import GENERIC_QUESTIONS
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel


def test_photos_are_taken_in_order_up_to_the_most(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("L", (40, 30), number * 60).save(tmp_path / f"{number}.png")
    (tmp_path / "0-broken.png").write_text("no photo")
    Image.new("RGB", (4, 4)).save(tmp_path / "0-tiny.png")
    found = list(photo_items(tmp_path, 3))
    assert [item.records[0].image_id for item in found] == ["0.png", "1.png", "2.png"]
    assert all(item.photo.mode == "RGB" for item in found)
    assert tuple(record.question for record in found[0].records) == GENERIC_QUESTIONS
    assert math.isnan(unknown_right(found[0].records[0], "red"))


def test_photos_stand_upright_as_the_device_sends_them(tmp_path: Path) -> None:
    sideways = Image.Exif()
    sideways[0x0112] = 6
    Image.new("RGB", (60, 30)).save(tmp_path / "sideways.jpg", exif=sideways)
    assert next(photo_items(tmp_path, 1)).photo.size == (30, 60)


def test_a_source_without_a_readable_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no photo")
    with pytest.raises(DataMissingError):
        list(photo_items(tmp_path, 3))


def test_a_model_of_any_family_is_asked_as_its_devices_send_photos(tmp_path: Path) -> None:
    quick = VisionLanguageModel.load(str(build_reference_model(tmp_path / "model", seed=3)))
    general = GeneralModel("any", quick.torch_model, quick.processor)
    photos = [Image.new("RGB", (200, 100), "red"), Image.new("RGB", (90, 90))]
    for model in (quick, general):
        asked = FramedModel(model, lambda line: None)
        tokens = asked.encode_images(photos)
        for one, photo in zip(tokens, photos, strict=True):
            framed = photo if model is quick else photo.resize((128, 128), Image.Resampling.BICUBIC)
            np.testing.assert_allclose(one.values, model.encode_image(framed).values, atol=1e-5)
        answers = asked.answer_many([("what?", [one]) for one in tokens], max_new_tokens=3)
        assert [one.token_ids for one in answers] == [
            model.answer("what?", [one], max_new_tokens=3).token_ids for one in tokens
        ]
