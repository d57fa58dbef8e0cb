"""Identity is content: the file system may say what it likes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from heliograph.edge.photos.identity import photo_identity, still_shows
from heliograph.errors import PhotoMissingError

TIME_NS = 1_700_000_000_000_000_000


def bitmap(path: Path, colour: tuple[int, int, int]) -> Path:
    """Files of one size, whatever the colour."""
    Image.new("RGB", (8, 8), colour).save(path, "BMP")
    os.utime(path, ns=(TIME_NS, TIME_NS))
    return path


def test_another_photo_of_the_same_name_size_and_time(tmp_path: Path) -> None:
    path = bitmap(tmp_path / "latest.bmp", (255, 0, 0))
    before, red = path.stat(), photo_identity(path)
    bitmap(path, (0, 0, 255))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert photo_identity(path) != red
    assert not still_shows(path, red)
    os.replace(bitmap(tmp_path / "next.bmp", (255, 0, 0)), path)
    assert photo_identity(str(path)) == red
    assert still_shows(path, red)


def test_the_same_photo_elsewhere_and_at_another_time(tmp_path: Path) -> None:
    one, two = bitmap(tmp_path / "one.bmp", (1, 2, 3)), bitmap(tmp_path / "two.bmp", (1, 2, 3))
    os.utime(two)
    assert photo_identity(one) == photo_identity(two)


def test_gone(tmp_path: Path) -> None:
    path = bitmap(tmp_path / "photo.bmp", (1, 2, 3))
    identity = photo_identity(path)
    path.unlink()
    assert not still_shows(path, identity)
    with pytest.raises(PhotoMissingError):
        photo_identity(path)
