"""``manifest.json`` of a bundle, ``config.json`` of a codec folder: names the files, with the SHA-256 of each.

What it says is checked before anything is read from disk on its behalf.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from heliograph.codec.calibration import CALIBRATION
from heliograph.codec.familiarity import FAMILIARITY
from heliograph.codec.header import check_grid
from heliograph.codec.levels import LEVELS
from heliograph.errors import BundleDamagedError, ShapeError
from heliograph.reading.files import open_regular
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.registry import CODECS
from heliograph.types import Grid

FORMAT = 3
HASH_BYTES = 8
MANIFEST, CONFIG = "manifest.json", "config.json"
ENCODER = "encoder.onnx"
PREPROCESSING = "preprocessing.json"
LOCAL_MODEL = "language_model.onnx"
CURVES, REGION = "curves.json", "region.json"
MEASURED = (CALIBRATION, CURVES, FAMILIARITY, LEVELS, REGION)
"""Files with what was measured of a model and its codecs: they go where the codecs go; both ends may differ in them."""
CARD = "README.md"
UNKNOWN_MODEL = ""

_MAX_MANIFEST_BYTES = 1 << 20
_MAX_FILE_BYTES = 1 << 34
_MAX_FILES, _MAX_CODECS = 64, 8
_MAX_HIDDEN = 1 << 16
_CHUNK = 1 << 20
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

_manifest_damaged = partial(BundleDamagedError, BundlePart.MANIFEST)
_file_damaged = partial(BundleDamagedError, BundlePart.FILE)


def index_path(folder: Path) -> Path:
    """Where the manifest of this folder is, or would have to be."""
    return folder / (MANIFEST if (folder / MANIFEST).exists() else CONFIG)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, checked.

    Raises:
        BundleDamagedError: missing, no JSON object, of another format, or it says what this version does not write.
    """
    try:
        manifest = read_json_object(
            index_path(folder), max_bytes=_MAX_MANIFEST_BYTES, error=_manifest_damaged, links=False
        )
        _check_manifest(manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _manifest_damaged(FileFault.CONTENT) from error
    return manifest


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest as JSON with sorted keys, so that equal manifests are equal files.

    Raises:
        OSError: the disk refuses.
    """
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def shared_hash(manifest: Mapping[str, Any]) -> bytes:
    """8 bytes over what both ends must have in common."""
    kinds = [kind for kind in manifest["codecs"] if kind in CODECS.names()]
    names = sorted({name for kind in kinds for name in CODECS.load(kind).files})
    shared = {
        "codecs": sorted(manifest["codecs"]),
        "files": {name: manifest["files"].get(name) for name in names},
        "model": manifest["model"],
    }
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).digest()[:HASH_BYTES]


def _check_manifest(manifest: Any) -> None:
    """Refuse what this version does not write; nothing is read from disk on behalf of the manifest before."""
    if manifest["format"] != FORMAT:
        raise _manifest_damaged(BundleFault.FORMAT)
    files, sides, codecs = manifest["files"], manifest["grid"], manifest["codecs"]
    if not isinstance(codecs, list) or not codecs or not all(isinstance(kind, str) for kind in codecs):
        raise _manifest_damaged(FileFault.CONTENT)
    if len(files) > _MAX_FILES or len(codecs) > _MAX_CODECS:
        raise _manifest_damaged(BundleFault.TOO_MANY)
    for name, digest in files.items():
        if not may_name_file(name):
            raise _manifest_damaged(BundleFault.NAME)
        if not _DIGEST.fullmatch(digest):
            raise _manifest_damaged(FileFault.CONTENT)
    if len(sides) != 5 or any(type(side) is not int for side in [*sides, manifest["hidden_size"]]):
        raise _manifest_damaged(FileFault.CONTENT)
    if not 1 <= manifest["hidden_size"] <= _MAX_HIDDEN:
        raise _manifest_damaged(BundleFault.RANGE)
    model, name = manifest["model"], manifest["model_name"]
    if not isinstance(name, str) or not (model == UNKNOWN_MODEL or _DIGEST.fullmatch(model)):
        raise _manifest_damaged(FileFault.CONTENT)
    try:
        check_grid(Grid(*sides))
    except ShapeError as error:
        raise _manifest_damaged(BundleFault.RANGE) from error


def may_name_file(name: str) -> bool:
    """Whether a manifest may hold a file of this name: plain, in the folder itself, and not the manifest."""
    return _FILE_NAME.fullmatch(name) is not None and name not in (MANIFEST, CONFIG)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        BundleDamagedError: missing, no regular file, or too large.
    """
    digest, left = hashlib.sha256(), _MAX_FILE_BYTES
    with open_regular(path, error=_file_damaged, links=False) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            left -= len(chunk)
            if left < 0:
                raise _file_damaged(FileFault.TOO_LARGE).noted(f"{path}.")
    return digest.hexdigest()
