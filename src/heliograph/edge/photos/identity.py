"""Which photo a file shows: its content, hashed, and nothing that the file system says about it.

A camera that overwrites ``latest.jpg`` may leave name, size and time as they were.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.edge.photos.file import open_photo_file
from heliograph.errors import HeliographError

if TYPE_CHECKING:
    from PIL.Image import Image

_DIGEST_BYTES = 16


def photo_identity(photo: Path | str | Image) -> object:
    """Equal for files with the same content, and for the same picture object as long as it is held.

    Raises:
        PhotoMissingError: no file there, or a folder.
        PhotoForbiddenError: no permission to read it.
        PhotoUnreadableError: the disk fails.
    """
    if not isinstance(photo, str | Path):
        return id(photo)
    with open_photo_file(photo) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).digest()


def still_shows(photo: Path | str | Image, identity: object) -> bool:
    """Whether the photo is what it was when ``identity`` was made; False where it is gone."""
    try:
        return photo_identity(photo) == identity
    except HeliographError:
        return False
