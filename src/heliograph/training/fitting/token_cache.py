"""Visual tokens of many photos on disk, made once: float16, memory-mapped, each photo under the hash of its file.

::

    photos --one at a time--> tower --> tokens.f16 (rows of all photos, appended), index.jsonl (a line per photo)

A photo's line is written after its rows, so that a run that was killed leaves nothing but rows without a line; the next
run cuts those off and goes on with the first photo that is not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, overload

import numpy as np
from PIL import Image

from heliograph.errors import (
    AnsweringFailedError,
    CodecNotFittedError,
    FileUnreadableError,
    TokensNotFiniteError,
)
from heliograph.reasons import FileFault
from heliograph.training.files import refusals_named
from heliograph.training.fitting.photo_sources import count_photos, photo_files, readable_photo
from heliograph.training.progress import stage
from heliograph.types import FloatArray, Grid, Reporter, VisualTokens

_TOKENS, _INDEX = "tokens.f16", "index.jsonl"
_FORMAT = 1
_NAMED = 20  # broken files are named, so many of them; all are counted


class PhotoEncoder(Protocol):
    """What makes the tokens."""

    def encode_image(self, photo: Image.Image) -> VisualTokens:
        """(N, D) of one photo."""
        ...


@dataclass(frozen=True)
class CachedPhoto:
    """One line of the index."""

    sha256: str
    name: str
    first_row: int
    grid: Grid


@dataclass
class Extraction:
    """What a run did.

    Attributes:
        made: photos whose tokens it made.
        known: photos that were there already.
        broken: names of files that are no photos, the first ones.
        broken_count: of all of them.
    """

    made: int = 0
    known: int = 0
    broken: list[str] = field(default_factory=list)
    broken_count: int = 0

    @property
    def text(self) -> str:
        """The result in one line."""
        named = f" ({', '.join(self.broken)}{', ...' if self.broken_count > len(self.broken) else ''})"
        skipped = f", {self.broken_count} skipped as unreadable{named}" if self.broken_count else ""
        return f"{self.made} photos encoded, {self.known} there already{skipped}"


class TokenCache:
    """The cache of one model's tokens.

    Args:
        folder: where it lies.
        width: D.
        photos: in the order in which they were encoded.
    """

    def __init__(self, folder: Path, model: str, width: int, photos: list[CachedPhoto]) -> None:
        self._folder, self.model, self.width, self.photos = folder, model, width, photos
        self._by_hash = {photo.sha256: photo for photo in photos}

    @classmethod
    def open(cls, folder: Path, model: str) -> Self:
        """The cache in a folder, empty where there is none; rows and lines that were not finished are cut off.

        Args:
            folder: made if absent.
            model: names model and weights; another name than the cache was made with is refused.

        Raises:
            FileUnreadableError: the folder holds the tokens of another model, or its index is damaged.
            OutputUnwritableError: the disk refuses.
        """
        with refusals_named():
            folder.mkdir(parents=True, exist_ok=True)
            path, index = folder / _TOKENS, folder / _INDEX
            width, photos = _read_index(index, model) if index.exists() else (0, [])
            rows = photos[-1].first_row + photos[-1].grid.tokens if photos else 0
            size = path.stat().st_size if path.exists() else 0
            if size < rows * width * 2:
                raise FileUnreadableError(FileFault.LENGTH).noted(f"{path}.")
            if path.exists():
                os.truncate(path, rows * width * 2)
        return cls(folder, model, width, photos)

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def rows(self) -> int:
        """Tokens of all photos."""
        return self.photos[-1].first_row + self.photos[-1].grid.tokens if self.photos else 0

    def values(self) -> np.memmap[Any, np.dtype[np.float16]]:
        """(rows, D) float16 of all photos, mapped from disk.

        Raises:
            CodecNotFittedError: it holds no photo.
        """
        if not self.photos:
            raise CodecNotFittedError().noted("No photo's tokens are kept.")
        return np.memmap(self._folder / _TOKENS, dtype=np.float16, mode="r", shape=(self.rows, self.width))

    def tokens(self, most: int | None = None) -> CachedTokens:
        """Tokens of the first photos, or of all."""
        return CachedTokens(self.values(), self.photos[:most])

    def extract(self, encoder: PhotoEncoder, source: Path, progress: Reporter, most: int | None = None) -> Extraction:
        """Encode the photos of a source that are not there yet.

        Args:
            encoder: the model.
            source: folder, zip or list, see :func:`heliograph.training.fitting.photo_sources.photo_files`.
            progress: counts photos, and receives a line at the end.
            most: stop after so many readable photos.

        Raises:
            DataMissingError: no photo in the source.
            TokensNotFiniteError: the tower gave NaN, infinity, or more than float16 holds.
            OutputUnwritableError: the disk refuses; what was finished stays.
        """
        done = Extraction()
        seen: set[str] = set()
        advance = stage(progress, min(count_photos(source), most or sys.maxsize), "encoding photos")
        for name, data in photo_files(source):
            if most is not None and done.made + done.known >= most:
                break
            advance(1)
            digest = hashlib.sha256(data).hexdigest()
            if digest in seen:
                continue  # the same file under another name
            if digest in self._by_hash:
                seen.add(digest)
                done.known += 1
                continue
            photo = readable_photo(data)
            if photo is None:
                done.broken_count += 1
                done.broken += [name] if len(done.broken) < _NAMED else []
                continue
            seen.add(digest)
            self._append(digest, name, _encoded(encoder, photo))
            done.made += 1
        progress(done.text)
        return done

    def _append(self, digest: str, name: str, tokens: VisualTokens) -> None:
        values = _half(tokens.values)
        if self.width not in (0, values.shape[1]):
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{self._folder}: it holds tokens of another width.")
        photo = CachedPhoto(digest, name, self.rows, tokens.grid)
        with refusals_named():
            with (self._folder / _TOKENS).open("ab") as file:
                file.write(values.tobytes())
            with (self._folder / _INDEX).open("a", encoding="utf-8") as index:
                if index.tell() == 0:
                    head = {"format": _FORMAT, "model": self.model, "width": int(values.shape[1])}
                    index.write(json.dumps(head) + "\n")
                index.write(json.dumps(_line(photo)) + "\n")
        self.width = int(values.shape[1])
        self.photos.append(photo)
        self._by_hash[digest] = photo


class CachedTokens(Sequence[VisualTokens]):
    """Each photo's tokens, float32, read from disk whenever they are asked for.

    Args:
        values: (rows, D) float16 of all photos.
        photos: where each one's rows are.
    """

    def __init__(self, values: np.memmap[Any, np.dtype[np.float16]], photos: Sequence[CachedPhoto]) -> None:
        self._values, self._photos = values, photos

    @property
    def grids(self) -> list[Grid]:
        """The grid of each photo; nothing is read for it."""
        return [photo.grid for photo in self._photos]

    def __len__(self) -> int:
        return len(self._photos)

    @overload
    def __getitem__(self, place: int) -> VisualTokens: ...
    @overload
    def __getitem__(self, place: slice) -> CachedTokens: ...
    def __getitem__(self, place: int | slice) -> VisualTokens | CachedTokens:
        if isinstance(place, slice):
            return CachedTokens(self._values, self._photos[place])
        photo = self._photos[place]
        part = self._values[photo.first_row : photo.first_row + photo.grid.tokens]
        return VisualTokens(np.asarray(part, dtype=np.float32), photo.grid)


def _encoded(encoder: PhotoEncoder, photo: Image.Image) -> VisualTokens:
    try:
        return encoder.encode_image(photo)
    except AnsweringFailedError as error:  # here it can be said what to do about it
        raise TokensNotFiniteError from error


def _half(values: FloatArray) -> np.ndarray[Any, np.dtype[np.float16]]:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype=np.float16)
    if not np.isfinite(stored).all():
        raise TokensNotFiniteError
    return stored


def _line(photo: CachedPhoto) -> dict[str, Any]:
    grid = photo.grid
    sides = [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height]
    return {"sha256": photo.sha256, "name": photo.name, "first_row": photo.first_row, "grid": sides}


def _read_index(path: Path, model: str) -> tuple[int, list[CachedPhoto]]:
    """Width and photos; a last line without its end is forgotten, on disk too.

    Raises:
        FileUnreadableError: another model's, or no index of this format.
    """
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    try:
        lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
        if not lines:
            path.unlink()
            return 0, []
        if lines[0]["format"] != _FORMAT or lines[0]["model"] != model:
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}: it belongs to another model or version.")
        photos = [CachedPhoto(one["sha256"], one["name"], one["first_row"], Grid(*one["grid"])) for one in lines[1:]]
        rows = 0
        for photo in photos:
            if photo.first_row != rows or photo.grid.tokens < 1:
                raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}.")
            rows += photo.grid.tokens
        return int(lines[0]["width"]), photos
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}.") from error
