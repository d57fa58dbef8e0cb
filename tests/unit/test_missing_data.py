"""Data that are not there are named with their path."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.bench.data import data_folder
from heliograph.errors import DataMissingError
from heliograph.reference.easy_vqa import load_easy_vqa
from heliograph.training.fitting.photo_sources import photo_files
from heliograph.training.reference.data import SceneStore


def test_the_note_names_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    (tmp_path / "note.txt.gz").write_bytes(b"")
    gone = tmp_path / "gone"
    calls = {
        f"no folder gone in {tmp_path}: set HELIOGRAPH_DATA to the folder that holds it.": lambda: data_folder("gone"),
        f"{gone} is not there, or is no folder, .zip archive or list (.lst, .txt) of photos.": lambda: [
            *photo_files(gone)
        ],
        f"{tmp_path}: no file in it could be a photo.": lambda: [*photo_files(tmp_path)],
        f"{tmp_path}: there are no scenes-*.npz in it; make them with heliograph train reference.": lambda: SceneStore(
            tmp_path
        ),
        f"{tmp_path / 'easy-vqa'}: test-questions.json and test-images.zip of easy-VQA belong there.": lambda: (
            load_easy_vqa("test", tmp_path)
        ),
    }
    for note, call in calls.items():
        with pytest.raises(DataMissingError) as caught:
            call()
        assert caught.value.__notes__ == [note]
