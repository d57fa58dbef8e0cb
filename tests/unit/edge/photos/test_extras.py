"""Bounds on what a photo file carries beside its picture; the bounds are made small here, and the files stay small."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from heliograph.edge.photos import extras as photo_extras
from heliograph.edge.photos.extras import check_extras
from heliograph.edge.photos.file import load_photo
from heliograph.errors import PhotoTooLargeError

PICTURE = Image.effect_noise((90, 60), 50.0).convert("RGB")
TEXT = "x" * 5000


def jpeg(comment: str) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, "JPEG", comment=comment.encode())
    return file.getvalue()


def png(text: str) -> bytes:
    file, facts = io.BytesIO(), PngImagePlugin.PngInfo()
    facts.add_text("note", text)
    PICTURE.save(file, "PNG", pnginfo=facts)
    return file.getvalue()


def tiff(text: str, big: bool = False) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, "TIFF", description=text, big_tiff=big)
    return file.getvalue()


def big_tiff(text: str) -> bytes:
    return tiff(text, big=True)


@pytest.mark.parametrize("make", [jpeg, png, tiff, big_tiff])
def test_extras_are_counted_before_a_reader_opens_the_file(
    make: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert callable(make)
    monkeypatch.setattr(photo_extras, "MAX_EXTRA_BYTES", 4000)
    little, much = make("a note"), make(TEXT)
    assert load_photo(little).size == PICTURE.size
    with pytest.raises(PhotoTooLargeError):
        load_photo(much)
    (tmp_path / "photo").write_bytes(much)
    with pytest.raises(PhotoTooLargeError):
        load_photo(tmp_path / "photo")
    monkeypatch.setattr(photo_extras, "MAX_EXTRA_BYTES", 8000)
    assert load_photo(much).size == PICTURE.size


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "GIF"])
def test_formats_that_are_read_whole_have_a_bound_on_the_file(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    PICTURE.save(file, form)
    data = file.getvalue()
    monkeypatch.setattr(photo_extras, "MAX_FILE_BYTES", len(data))
    assert load_photo(data).size == PICTURE.size
    with pytest.raises(PhotoTooLargeError):
        load_photo(data + b"\0")


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"II*\0", b"MM\0+" + bytes(40), b"\x89PNG\r\n\x1a\n\0"]
)
def test_beginnings_of_files_are_left_to_the_readers(data: bytes) -> None:
    file = io.BytesIO(data)
    check_extras(file, len(data))
    assert file.tell() == 0


def test_a_directory_that_leads_back_to_itself_ends() -> None:
    entry = b"\x0e\x01\x02\x00\x04\x00\x00\x00abcd"  # a description of four bytes
    data = b"II*\0\x08\x00\x00\x00" + b"\x01\x00" + entry + b"\x08\x00\x00\x00"
    file = io.BytesIO(data)
    check_extras(file, len(data))
    assert file.tell() == 0
