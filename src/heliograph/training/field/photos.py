"""Photos that the field model learns from: some with captions that people wrote, others with nothing beside them.

A folder of captioned photos holds ``captions.jsonl``, a line ``{"photo": NAME, "captions": [TEXT, ...]}`` for each, and
``photos/NAME``. Which of them are held out is decided by the photo's name alone, so it does not change when others are
added.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from heliograph.errors import DataMissingError

TRAINING, CHOOSING, TEST = "training", "choosing", "test"
"""Shares of captioned photos: to learn from, to choose settings and steps by, and to report figures on once."""

_TEST_SHARE, _CHOOSING_SHARE = 3, 1  # sixteenths
_FORM = 'A line is {"photo": NAME, "captions": [TEXT, ...]}.'
_SPACE_BEFORE = re.compile(r"\s+([.,!?]|'(?=s\b|\s|$))")  # "dog 's", and not the quotation mark in "says 'stop'"
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

    @cached_property
    def words(self) -> frozenset[str]:
        """Words of all captions in lower case, and pairs of words that follow each other, such as ``traffic light``."""
        made: set[str] = set()
        for caption in self.captions:
            words = re.findall(r"[a-z]+", caption.lower())
            made.update(words, map(" ".join, pairwise(words)))
        return frozenset(made)


def captioned_photos(folder: Path) -> list[Photo]:
    """All photos of a folder of captioned photos, each with one caption at least, in the order of its list.

    Raises:
        DataMissingError: there is no such folder, or its list names photos that are not in it, or photos without a
            caption, or holds something else.
    """
    made = []
    for number, line in _lines(folder / "captions.jsonl"):
        try:
            name, captions = _captioned(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DataMissingError().about(f"{folder}/captions.jsonl, line {number}", _FORM) from error
        path = folder / "photos" / name
        if Path(name).name != name or not path.is_file():
            raise DataMissingError().about(f"{folder}/captions.jsonl, line {number}", "It names no file of photos/.")
        made.append(Photo(path, captions, share_of(name)))
    return made


def _captioned(record: Any) -> tuple[str, tuple[str, ...]]:
    """Name and captions of one line; a ValueError, KeyError or TypeError if it holds something else."""
    name, captions = record["photo"], record["captions"]
    if not isinstance(captions, list) or not all(isinstance(one, str) for one in (name, *captions)):
        raise TypeError
    kept = tuple(text for one in captions if (text := tidied(one)))
    if not kept:
        raise ValueError
    return name, kept


def plain_photos(folder: Path) -> list[Photo]:
    """All photos in a folder, in order of their names.

    Raises:
        DataMissingError: there is no such folder, or no photo in it.
    """
    inside = folder.iterdir() if folder.is_dir() else ()
    found = sorted(path for path in inside if path.suffix.lower() in _PICTURES and path.is_file())
    if not found:
        raise DataMissingError().about(folder, "Name a folder with photos in it.")
    return [Photo(path) for path in found]


def read_photo(path: Path) -> Image.Image:
    """The photo in RGB.

    Raises:
        DataMissingError: it cannot be read.
    """
    try:
        with Image.open(path) as photo:
            return photo.convert("RGB")
    except OSError as error:
        raise DataMissingError().about(path, "It is no photo that can be read: take it out.") from error


def share_of(name: str) -> str:
    """Which share a photo of this name belongs to: three sixteenths are :data:`TEST`, one is :data:`CHOOSING`.

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


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that hold something, with their numbers from 1; what else Unicode calls a line break may be in a text."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeError) as error:
        raise DataMissingError().about(path) from error
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
