"""The easy-VQA loader gives the same records as the scenes, or says that the data is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.errors import DataMissingError
from heliograph.reference.easy_vqa import data_folder, load_easy_vqa


def test_absent_data_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError):
        load_easy_vqa("test", tmp_path)


def test_records_point_at_their_pictures() -> None:
    if not (data_folder() / "easy-vqa").is_dir():
        pytest.skip("the easy-VQA data folder is not beside this checkout")
    data = load_easy_vqa("test")
    assert len(data.images) == 1000
    assert len(data.records) == 9673
    assert {record.image_id for record in data.records} <= set(data.images)
    assert all(image.size == (64, 64) for image in data.images.values())
