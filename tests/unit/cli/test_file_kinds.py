"""What a file is, by its first bytes: of files that other programs write."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from heliograph.cli.file_kinds import HEAD_BYTES, file_kind, is_picture, is_stream, kind_of


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "AVIF"])
def test_pictures_as_pillow_writes_them(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 40, 40)).save(buffer, kind)
    found = kind_of(buffer.getvalue()[:HEAD_BYTES])
    assert found.endswith(f"{kind} picture")
    assert is_picture(found)
    assert not is_stream(found)


def test_archives_and_text() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("photo.jpg", b"")
    assert kind_of(buffer.getvalue()) == "a ZIP archive"
    assert kind_of(gzip.compress(b"x")) == "a gzip archive"
    assert kind_of(b"") == "an empty file"
    assert kind_of(("ä" * HEAD_BYTES).encode()[: HEAD_BYTES - 1] + b"\xc3") == "text"  # a character is cut
    assert kind_of(bytes(range(256))) == ""


def test_a_file_that_cannot_be_read_is_of_no_kind(tmp_path: Path) -> None:
    assert file_kind(tmp_path / "none") == file_kind(tmp_path) == ""
    (tmp_path / "out.hgs").write_bytes(b"HGS\x01")
    assert is_stream(file_kind(tmp_path / "out.hgs"))
