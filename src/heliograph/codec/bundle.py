"""The bundle: one folder with everything a device needs, named and hashed in ``manifest.json``.

``codec.json``, ``codec.bin``
    frozen tables of the codec ``klt``; every other kind of codec has files of its own names.
``encoder.onnx``
    the vision encoder, photo pixels to visual tokens.
``preprocessing.json``
    what the VLM's image processor does, as data.
``language_model.onnx`` and what it needs beside it
    only where the device shall answer without the cloud.

The manifest holds the SHA-256 of every file. The bundle's hash, which both ends must share, is that of the manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from heliograph.codec.base import Codec
from heliograph.codec.header import check_grid
from heliograph.errors import BundleDamagedError, CodecMissingError, ShapeError, UnknownNameError
from heliograph.registry import CODECS
from heliograph.types import Grid

FORMAT = 2
HASH_BYTES = 8
MANIFEST = "manifest.json"
ENCODER = "encoder.onnx"
PREPROCESSING = "preprocessing.json"
LOCAL_MODEL = "language_model.onnx"

_LEARNED = "meta"
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_PREPROCESSING_BYTES = 1 << 20
_MAX_FILES, _MAX_CODECS = 64, 8
_MAX_HIDDEN = 1 << 16
_CHUNK = 1 << 20
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Bundle:
    """A verified bundle folder. Make one with :meth:`load`.

    Attributes:
        folder: where it lies.
        hash: 8 bytes, first of the manifest's SHA-256.
        codec_kinds: of the codecs it holds, at least one.
        grid, hidden_size: of the visual tokens its encoder makes, (N, D) with D = hidden_size.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], digest: bytes) -> None:
        self.folder, self.hash = folder, digest
        self._files: Mapping[str, str] = manifest["files"]
        self.codec_kinds: tuple[str, ...] = tuple(manifest["codecs"])
        self._codecs: dict[str, Codec] = {}
        self.grid = Grid(*manifest["grid"])
        self.hidden_size: int = manifest["hidden_size"]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest and verify every file it names.

        Raises:
            BundleDamagedError: a file is missing, leaves the folder, or does not match its hash; the manifest has
                another format.
        """
        folder = Path(folder)
        try:
            text = _read_bounded(folder / MANIFEST, _MAX_MANIFEST_BYTES)
            manifest = json.loads(text)
            _check_manifest(manifest)
            for name, digest in manifest["files"].items():
                if _file_digest(folder / name) != digest:
                    raise BundleDamagedError
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BundleDamagedError from error
        return cls(folder, manifest, hashlib.sha256(text).digest()[:HASH_BYTES])

    def codec(self, kind: str) -> Codec:
        """One of its codecs, loaded when first asked for.

        Raises:
            CodecMissingError: the bundle has none of this kind.
            BundleDamagedError: its tables are damaged or of an unknown kind.
        """
        if kind not in self.codec_kinds:
            raise CodecMissingError
        if kind not in self._codecs:
            try:
                self._codecs[kind] = CODECS.load(kind).load(self.folder)
            except UnknownNameError as error:
                raise BundleDamagedError from error
        return self._codecs[kind]

    @property
    def preferred_codec(self) -> str:
        """The kind that strategies take where none is named: the learned codec, else the first one."""
        return _LEARNED if _LEARNED in self.codec_kinds else self.codec_kinds[0]

    @property
    def codecs(self) -> dict[str, Codec]:
        """All of its codecs by kind.

        Raises:
            BundleDamagedError: as ``codec``.
        """
        return {kind: self.codec(kind) for kind in self.codec_kinds}

    @property
    def encoder_path(self) -> Path:
        """The ONNX vision encoder.

        Raises:
            BundleDamagedError: this bundle holds only a codec.
        """
        if ENCODER not in self._files:
            raise BundleDamagedError
        return self.folder / ENCODER

    @property
    def local_model_path(self) -> Path | None:
        """The ONNX language model, or None where the device cannot answer by itself."""
        return self.folder / LOCAL_MODEL if LOCAL_MODEL in self._files else None

    @cached_property
    def preprocessing(self) -> dict[str, Any]:
        """What the image processor does.

        Raises:
            BundleDamagedError: the bundle has none, or it is not a JSON object.
        """
        if PREPROCESSING not in self._files:
            raise BundleDamagedError
        try:
            loaded = json.loads(_read_bounded(self.folder / PREPROCESSING, _MAX_PREPROCESSING_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise BundleDamagedError from error
        if not isinstance(loaded, dict):
            raise BundleDamagedError
        return loaded


def write_bundle(
    folder: Path,
    *,
    codecs: Sequence[Codec],
    grid: Grid,
    hidden_size: int,
    preprocessing: Mapping[str, Any] | None = None,
    encoder: Path | None = None,
    extra_files: Sequence[Path] = (),
) -> Bundle:
    """Write a bundle and load it back.

    Args:
        folder: made if absent; files of the same names are replaced.
        codecs: saved into the folder, at least one, of different kinds.
        grid, hidden_size: of the visual tokens.
        preprocessing: JSON values.
        encoder: ONNX file, stored as ``encoder.onnx``.
        extra_files: stored under their own names; ``language_model.onnx`` among them makes the local model.

    Raises:
        BundleDamagedError: a name is not allowed.
        OSError: the disk refuses.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    for codec in codecs:
        codec.save(folder)
        names.update(codec.files)
    if preprocessing is not None:
        text = json.dumps(dict(preprocessing), indent=1, sort_keys=True)
        (folder / PREPROCESSING).write_text(text + "\n", encoding="utf-8")
        names.add(PREPROCESSING)
    for source, name in [*([(encoder, ENCODER)] if encoder else []), *((path, path.name) for path in extra_files)]:
        if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise BundleDamagedError
        if source.resolve() != (folder / name).resolve():
            shutil.copyfile(source, folder / name)
        names.add(name)
    manifest = {
        "format": FORMAT,
        "codecs": [codec.kind for codec in codecs],
        "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
        "hidden_size": hidden_size,
        "files": {name: _file_digest(folder / name) for name in sorted(names)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return Bundle.load(folder)


def _check_manifest(manifest: Any) -> None:
    """Refuse what this version does not write; nothing is read from disk on behalf of the manifest before."""
    files, sides, codecs = manifest["files"], manifest["grid"], manifest["codecs"]
    if manifest["format"] != FORMAT or not isinstance(codecs, list) or len(files) > _MAX_FILES:
        raise BundleDamagedError
    if not 1 <= len(codecs) <= _MAX_CODECS or not all(isinstance(kind, str) for kind in codecs):
        raise BundleDamagedError
    for name, digest in files.items():
        if not _FILE_NAME.fullmatch(name) or name == MANIFEST or not _DIGEST.fullmatch(digest):
            raise BundleDamagedError
    if len(sides) != 5 or any(type(side) is not int for side in [*sides, manifest["hidden_size"]]):
        raise BundleDamagedError
    if not 1 <= manifest["hidden_size"] <= _MAX_HIDDEN:
        raise BundleDamagedError
    try:
        check_grid(Grid(*sides))
    except ShapeError as error:
        raise BundleDamagedError from error


def _file_digest(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise BundleDamagedError
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _read_bounded(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BundleDamagedError
    return data
