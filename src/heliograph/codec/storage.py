"""Tables on disk: one safetensors file, whose metadata holds the facts beside the arrays. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from heliograph.codec.header import check_grid
from heliograph.errors import BundleDamagedError, ShapeError
from heliograph.reading.json_values import parse_json
from heliograph.reading.tensor_file import read_header
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.types import Grid

_DTYPES = ("float16", "float32", "float64", "int16", "int32", "int64", "uint8", "int8")
_ITEM_BYTES = {"F16": 2, "F32": 4, "F64": 8, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U8": 1}
_MAX_FILE_BYTES = 1 << 30
_MAX_HEADER_BYTES, _MAX_TENSORS = 1 << 22, 1 << 12
_MAX_DIMENSIONS = 4
_FACTS = "heliograph"
_READABLE = 0o644  # safetensors keeps its files to their owner

_damaged = partial(BundleDamagedError, BundlePart.TABLES)
Arrays = dict[str, npt.NDArray[Any]]


def file_names(stem: str) -> tuple[str]:
    """Name of the file that ``write_arrays`` writes."""
    return (f"{stem}.safetensors",)


def write_arrays(folder: Path, stem: str, facts: dict[str, Any], arrays: Arrays) -> None:
    """Write ``facts`` (JSON values) and ``arrays`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    strange = {str(array.dtype) for array in arrays.values()} - set(_DTYPES)
    if strange:
        raise TypeError(f"no stored form for {strange}")
    path = folder / file_names(stem)[0]
    stored = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(stored, str(path), metadata={_FACTS: json.dumps(facts, sort_keys=True)})
    path.chmod(_READABLE)


def read_arrays(folder: Path, stem: str) -> tuple[dict[str, Any], Arrays]:
    """What ``write_arrays`` wrote.

    Raises:
        BundleDamagedError: the file is missing, too large, or not one of these.
    """
    path = folder / file_names(stem)[0]
    read_header(
        path,
        item_bytes=_ITEM_BYTES,
        max_header_bytes=_MAX_HEADER_BYTES,
        max_tensors=_MAX_TENSORS,
        max_bytes=_MAX_FILE_BYTES,
        error=_damaged,
    )
    try:
        with safe_open(path, framework="numpy") as file:
            facts = parse_json((file.metadata() or {})[_FACTS].encode(), error=_damaged)
            arrays = {name: _checked(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(FileFault.CONTENT).noted(f"{path}.") from error
    if not isinstance(facts, dict):
        raise _damaged(FileFault.CONTENT).noted(f"{path}.")
    return facts, arrays


def arrays_of(arrays: Arrays, prefix: str, names: Sequence[str], part: BundlePart) -> Arrays | None:
    """The arrays of one part of the codec; None where it has none.

    Raises:
        BundleDamagedError: some are missing, or there are others.
    """
    found = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    if found and set(found) != set(names):
        raise BundleDamagedError(part, FileFault.CONTENT)
    return found or None


def stored_grid(facts: Mapping[str, Any]) -> Grid:
    """The fact ``grid``: rows, columns, tiles, photo width and height.

    Raises:
        BundleDamagedError: not five whole numbers, or a grid that no stream can state.
    """
    sides = facts.get("grid")
    if not isinstance(sides, list) or len(sides) != 5 or any(type(side) is not int for side in sides):
        raise _damaged(FileFault.CONTENT)
    grid = Grid(*sides)
    try:
        check_grid(grid)
    except ShapeError as error:
        raise _damaged(BundleFault.RANGE) from error
    return grid


def _checked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if str(array.dtype) not in _DTYPES or array.ndim > _MAX_DIMENSIONS or not array.size:
        raise BundleDamagedError(BundlePart.TABLES, BundleFault.SHAPE)
    return array
