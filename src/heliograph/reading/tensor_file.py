"""The header of a safetensors file, checked before anything is loaded from it.

::

    8 bytes, little endian: length of the header | header, JSON | the tensors' bytes, without gaps

The library checks offsets against the file's size. What it does not bound for its callers is checked here as well: the
header's length and depth, how many tensors there are, of which types and how many dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.errors import FileUnreadableError
from heliograph.reading.files import MakeError, open_regular
from heliograph.reading.json_values import parse_json
from heliograph.reasons import FileFault

METADATA = "__metadata__"
LENGTH_BYTES = 8
_MAX_DIMENSIONS = 8
_MAX_SIDE = 1 << 40


@dataclass(frozen=True)
class TensorPlace:
    """One tensor: its stored type, such as ``F32``, its shape, and (begin, end) of its bytes within the file."""

    dtype: str
    shape: tuple[int, ...]
    place: tuple[int, int]


def read_header(
    path: Path,
    *,
    item_bytes: Mapping[str, int],
    max_header_bytes: int,
    max_tensors: int,
    max_bytes: int,
    error: MakeError = FileUnreadableError,
) -> dict[str, TensorPlace]:
    """Every tensor of a safetensors file by name.

    Args:
        path: its name; no symbolic link.
        item_bytes: bytes of a value, of each type that is allowed.
        max_header_bytes, max_tensors: bounds of the header.
        max_bytes: of the whole file.
        error: makes what is raised of what is wrong.

    Raises:
        error: no such file, or one whose header and size do not agree with each other and with the bounds.
    """
    with open_regular(path, error=error, links=False) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if size > max_bytes or max_header_bytes < length <= size - LENGTH_BYTES:
            raise error(FileFault.TOO_LARGE).noted(f"{path}.")
        if not 2 <= length <= size - LENGTH_BYTES:
            raise error(FileFault.LENGTH).noted(f"{path}.")
        header = parse_json(file.read(length), error=error)
    start = LENGTH_BYTES + length
    if not isinstance(header, dict):
        raise error(FileFault.CONTENT).noted(f"{path}.")
    if len(header) > max_tensors + 1:
        raise error(FileFault.TOO_LARGE).noted(f"{path}.")
    header.pop(METADATA, None)
    try:
        found = {name: _place(entry, start, item_bytes) for name, entry in header.items()}
    except (KeyError, TypeError, ValueError) as cause:
        raise error(FileFault.CONTENT).noted(f"{path}.") from cause
    spans = sorted(one.place for one in found.values())
    ends = [start, *(end for _, end in spans)]
    if [begin for begin, _ in spans] != ends[:-1] or ends[-1] != size:
        raise error(FileFault.LENGTH).noted(f"{path}.")
    return found


def _place(entry: Any, start: int, item_bytes: Mapping[str, int]) -> TensorPlace:
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if len(shape) > _MAX_DIMENSIONS or any(type(number) is not int for number in (*shape, begin, end)):
        raise ValueError
    if not all(0 <= side <= _MAX_SIDE for side in shape):
        raise ValueError
    if begin < 0 or end - begin != math.prod(shape) * item_bytes[entry["dtype"]]:
        raise ValueError
    return TensorPlace(entry["dtype"], tuple(shape), (start + begin, start + end))
