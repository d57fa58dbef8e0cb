"""Photos from a folder, a zip archive or a list of files, one at a time: hundreds of thousands need no memory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from heliograph.edge.photos.file import load_photo
from heliograph.errors import (
    DataMissingError,
    FileUnreadableError,
    HeliographError,
    MissingExtraError,
    PhotoForbiddenError,
)
from heliograph.reading.files import read_bytes, read_text
from heliograph.reasons import FileFault

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".heic", ".heif"}
)
_LIST_SUFFIXES = frozenset({".txt", ".lst"})
MAX_FILE_BYTES = 1 << 28
_MAX_LIST_BYTES = 1 << 26

PhotoFile = tuple[str, bytes]
"""Name within the source, and the file's content; empty where it cannot be read."""


def photo_files(source: Path) -> Iterator[PhotoFile]:
    """Every photo file of a source, by name.

    Args:
        source: a folder (searched through and through), a ``.zip``, or a text file with one path per line, relative
            ones from the list's own folder; blank lines and those that begin with ``#`` are left out.

    Raises:
        DataMissingError: nothing is there, or no file that could be a photo.
        FileUnreadableError: the archive or the list is damaged.
        PhotoForbiddenError: no permission to look into the folder.
    """
    try:
        files = _of(source)
    except PermissionError as error:
        raise PhotoForbiddenError().noted(f"{source}.") from error
    found = False
    for file in files:
        found = True
        yield file
    if not found:
        raise DataMissingError().noted(f"{source}: no file in it could be a photo.")


def count_photos(source: Path) -> int:
    """How many photo files a source names; 0 where nobody can tell, which :func:`photo_files` raises about."""
    try:
        if source.suffix.lower() == ".zip" and source.is_file():
            with zipfile.ZipFile(source) as opened:
                return sum(PurePosixPath(name).suffix.lower() in SUFFIXES for name in opened.namelist())
        if source.is_dir():
            return sum(path.suffix.lower() in SUFFIXES for path in source.rglob("*"))
        lines = read_text(source, max_bytes=_MAX_LIST_BYTES).splitlines()
        return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)
    except (OSError, zipfile.BadZipFile, FileUnreadableError):
        return 0


def readable_photo(content: bytes) -> Image | None:
    """The photo in a file's content, or None where it is none.

    Raises:
        MissingExtraError: it is one, and what reads it is not installed.
    """
    try:
        return load_photo(content)
    except MissingExtraError:
        raise
    except HeliographError:
        return None


def _of(source: Path) -> Iterator[PhotoFile]:
    if source.is_dir():
        os.scandir(source).close()  # rglob passes over a folder that it may not read
        return _of_folder(source)
    if source.is_file() and source.suffix.lower() == ".zip":
        return _of_zip(source)
    if source.is_file() and source.suffix.lower() in _LIST_SUFFIXES:
        return _of_list(source)
    raise DataMissingError().noted(
        f"{source} is not there, or is no folder, .zip archive or list ({', '.join(sorted(_LIST_SUFFIXES))}) of photos."
    )


def _of_folder(folder: Path) -> Iterator[PhotoFile]:
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
        yield path.relative_to(folder).as_posix(), _content(path)


def _of_zip(archive: Path) -> Iterator[PhotoFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in sorted(opened.infolist(), key=lambda entry: entry.filename):
                if PurePosixPath(entry.filename).suffix.lower() in SUFFIXES and not entry.is_dir():
                    yield entry.filename, _entry_content(opened, entry)
    except (OSError, zipfile.BadZipFile) as error:
        raise FileUnreadableError(FileFault.CONTENT).noted(f"{archive}.") from error


def _entry_content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Empty where one entry is damaged or unfolds to more than a photo can be."""
    if entry.file_size > MAX_FILE_BYTES:
        return b""
    try:
        with opened.open(entry) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, ValueError):
        return b""
    return data if len(data) <= MAX_FILE_BYTES else b""


def _of_list(path: Path) -> Iterator[PhotoFile]:
    lines = read_text(path, max_bytes=_MAX_LIST_BYTES).splitlines()
    for line in lines:
        name = line.strip()
        if name and not name.startswith("#"):
            yield name, _content(path.parent / name)


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, max_bytes=MAX_FILE_BYTES)
    except FileUnreadableError:
        return b""
