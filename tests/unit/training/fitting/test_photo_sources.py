"""Folders of photos: what is one, and what cannot be looked into."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from heliograph.errors import DataMissingError, MissingExtraError, PhotoForbiddenError
from heliograph.training.fitting.photo_sources import photo_files, readable_photo


def test_what_phones_write_is_a_photo(tmp_path: Path) -> None:
    for name in ("IMG_1.HEIC", "b.heif", "c.jpg", "d.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert sorted(name for name, _ in photo_files(tmp_path)) == ["IMG_1.HEIC", "b.heif", "c.jpg"]


def test_a_forbidden_folder_is_not_taken_for_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataMissingError):
        list(photo_files(tmp_path))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PhotoForbiddenError):
        list(photo_files(tmp_path))


def test_what_is_no_photo_is_passed_over_and_a_missing_reader_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    Image.new("RGB", (4, 3)).save(out, "PNG")
    found = readable_photo(out.getvalue())
    assert found is not None
    assert found.size == (4, 3)
    assert readable_photo(b"nothing") is None
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError):
        readable_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
