"""What a file is by its first bytes: for the person who named the wrong one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from heliograph.errors import HeliographError
from heliograph.reading.files import open_regular

HEAD_BYTES = 512

_STREAM = "a .hgs stream of Heliograph"
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"HGS", _STREAM),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
)
_BRANDS = {
    b"avif": "an AVIF picture",
    b"avis": "an AVIF picture",
    b"heic": "a HEIC picture",
    b"heix": "a HEIC picture",
    b"mif1": "a HEIF picture",
}
"""Of ISO base media files, at byte 8; any other brand is a film."""


def kind_of(head: bytes) -> str:
    """What a file is that begins with ``head``; empty where its bytes say nothing.

    >>> kind_of(b"%PDF-1.7"), kind_of(b"[1, 2]"), kind_of(bytes(8))
    ('a PDF document', 'text', '')
    """
    if not head:
        return "an empty file"
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a film")
    return "text" if _is_text(head) else ""


def file_kind(path: Path) -> str:
    """The same of the file at ``path``; empty as well where it cannot be read."""
    with contextlib.suppress(HeliographError), open_regular(path) as file:
        return kind_of(file.read(HEAD_BYTES))
    return ""


def is_stream(kind: str) -> bool:
    """Whether :func:`kind_of` said that it is one of ours."""
    return kind == _STREAM


def is_picture(kind: str) -> bool:
    """Whether :func:`kind_of` said that it is a picture."""
    return kind.endswith("picture")


def _is_text(head: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        # A character may be cut at the end of what was read.
        text = head.decode("utf-8", errors="strict" if len(head) < HEAD_BYTES else "ignore")
        return all(character.isprintable() or character in "\n\r\t" for character in text)
    return False
