"""Photos that the field model learns from: some with captions that people wrote, others with nothing beside them.

A folder of captioned photos holds ``captions.jsonl``, a line ``{"photo": NAME, "captions": [TEXT, ...]}`` for each, and
``photos/NAME``. Which of them are held out is decided by the photo's name and a seed, so it does not change when others
are added.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from heliograph.errors import DataMissingError

TRAINING, CHOOSING, TEST = "training", "choosing", "test"
"""Shares of captioned photos: to learn from, to choose settings and steps by, and to report figures on once."""

_TEST_SHARE, _CHOOSING_SHARE = 3, 1  # sixteenths
_FORM = 'A line is {"photo": NAME, "captions": [TEXT, ...]}.'
_SPACE_BEFORE = re.compile(r"\s+([.,!?'])")
_PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp"))


@dataclass(frozen=True)
class Photo:
    """One photo.

    Attributes:
        path: of the file.
        captions: as people write sentences; empty where there are none.
        share: :data:`TRAINING`, :data:`CHOOSING` or :data:`TEST`.
    """

    path: Path
    captions: tuple[str, ...] = ()
    share: str = TRAINING

    @property
    def words(self) -> frozenset[str]:
        """Words of all captions in lower case."""
        return frozenset(re.findall(r"[a-z]+", " ".join(self.captions).lower()))


def captioned_photos(folder: Path) -> list[Photo]:
    """All photos of a folder of captioned photos.

    Raises:
        DataMissingError: there is no such folder, or its list names photos that are not in it, or holds something else.
    """
    lines = _lines(folder / "captions.jsonl")
    made = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            name, captions = str(record["photo"]), [str(one) for one in record["captions"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataMissingError().about(f"{folder}/captions.jsonl, line {number}", _FORM) from error
        path = folder / "photos" / name
        if Path(name).name != name or not path.is_file():
            raise DataMissingError().about(f"{folder}/captions.jsonl, line {number}", "It names no file of photos/.")
        made.append(Photo(path, tuple(tidied(one) for one in captions if one.strip()), share_of(name)))
    return made


def plain_photos(folder: Path) -> list[Photo]:
    """All photos in a folder, in order of their names.

    Raises:
        DataMissingError: there is no such folder, or no photo in it.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES) if folder.is_dir() else []
    if not found:
        raise DataMissingError().about(folder, "Name a folder with photos in it.")
    return [Photo(path) for path in found]


def caption_lines(path: Path) -> list[str]:
    """Captions without photos, one a line.

    Raises:
        DataMissingError: there is no such file.
    """
    return [tidied(line) for line in _lines(path)]


def share_of(name: str) -> str:
    """Which share a photo belongs to.

    >>> [share_of(f"{number:04}.jpg") for number in (0, 1, 6, 9)]
    ['training', 'training', 'choosing', 'test']
    """
    sixteenth = hashlib.blake2b(name.encode(), digest_size=8).digest()[0] % 16
    if sixteenth < _TEST_SHARE:
        return TEST
    return CHOOSING if sixteenth < _TEST_SHARE + _CHOOSING_SHARE else TRAINING


def tidied(caption: str) -> str:
    """A caption as a sentence: a capital, no space before a comma, no full stop.

    >>> tidied("a dog , wet , runs .")
    'A dog, wet, runs'
    """
    text = _SPACE_BEFORE.sub(r"\1", caption.strip()).rstrip(" .")
    return text[:1].upper() + text[1:]


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeError) as error:
        raise DataMissingError().about(path) from error
