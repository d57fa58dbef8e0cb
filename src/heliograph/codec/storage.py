"""Tables on disk: one JSON file that names dtypes and shapes, one flat little-endian binary file. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.errors import BundleDamagedError

_DTYPES = ("<f2", "<f4", "<f8", "<i2", "<i4", "<i8", "|u1", "|i1")
_MAX_JSON_BYTES = 1 << 20
_MAX_BINARY_BYTES = 1 << 30
_MAX_DIMENSIONS = 4

Arrays = dict[str, npt.NDArray[Any]]


def file_names(stem: str) -> tuple[str, str]:
    """Of the two files that ``write_arrays`` writes."""
    return f"{stem}.json", f"{stem}.bin"


def write_arrays(folder: Path, stem: str, facts: dict[str, Any], arrays: Arrays) -> None:
    """Write ``facts`` (JSON values) and ``arrays`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    index, chunks = [], []
    for name, array in arrays.items():
        stored = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
        if stored.dtype.str not in _DTYPES:
            raise TypeError(f"no stored form for {stored.dtype.str}")
        index.append({"name": name, "dtype": stored.dtype.str, "shape": list(stored.shape)})
        chunks.append(stored.tobytes())
    json_name, binary_name = file_names(stem)
    (folder / binary_name).write_bytes(b"".join(chunks))
    text = json.dumps({**facts, "arrays": index}, indent=1, sort_keys=True)
    (folder / json_name).write_text(text + "\n", encoding="utf-8")


def read_arrays(folder: Path, stem: str) -> tuple[dict[str, Any], Arrays]:
    """What ``write_arrays`` wrote.

    Raises:
        BundleDamagedError: a file is missing, too large, or its size is not that of the stated arrays.
    """
    json_name, binary_name = file_names(stem)
    try:
        facts = json.loads(_read_bounded(folder / json_name, _MAX_JSON_BYTES))
        entries = facts.pop("arrays")
        data = _read_bounded(folder / binary_name, _MAX_BINARY_BYTES)
        return facts, _cut(data, entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleDamagedError from error


def _read_bounded(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BundleDamagedError
    return data


def _cut(data: bytes, entries: list[dict[str, Any]]) -> Arrays:
    arrays: Arrays = {}
    position = 0
    for entry in entries:
        shape = tuple(entry["shape"])
        if entry["dtype"] not in _DTYPES or len(shape) > _MAX_DIMENSIONS:
            raise BundleDamagedError
        count = 1
        for side in shape:
            if type(side) is not int or not 0 < side <= _MAX_BINARY_BYTES:
                raise BundleDamagedError
            count *= side
        dtype = np.dtype(entry["dtype"])
        if count * dtype.itemsize > len(data) - position:
            raise BundleDamagedError
        array = np.frombuffer(data, dtype=dtype, count=count, offset=position).reshape(shape)
        arrays[str(entry["name"])] = array.astype(dtype.newbyteorder("="))
        position += count * dtype.itemsize
    if position != len(data):
        raise BundleDamagedError
    return arrays
