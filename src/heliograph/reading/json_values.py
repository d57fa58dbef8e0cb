"""JSON from strangers: bounded in size and depth, and with no value that surprises whoever uses it.

Python's parser takes more than JSON is (``NaN``, ``Infinity``), makes an infinity of ``1e999``, keeps the last of two
equal keys where another reader keeps the first, and goes as deep as the text does. All of that is refused here.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from heliograph.errors import FileUnreadableError, HeliographError
from heliograph.reading.files import MakeError, read_bytes
from heliograph.reasons import FileFault

MAX_DEPTH = 32
_LARGEST_WHOLE = 1 << 64
_MAX_DIGITS = 20
# A string is passed over as a whole, one that never ends up to the end of the text: the search stays linear.
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(
    path: Path, *, max_bytes: int, error: MakeError = FileUnreadableError, links: bool = True, depth: int = MAX_DEPTH
) -> Any:
    """The value in a JSON file.

    Args:
        path: its name.
        max_bytes: bytes that it may have.
        error: makes what is raised of what is wrong.
        links: whether the last part of ``path`` may be a symbolic link.
        depth: lists and objects within each other, at most.

    Raises:
        error: as :func:`heliograph.reading.files.read_bytes` and :func:`parse_json`.
    """

    def about(fault: FileFault) -> HeliographError:
        return error(fault).noted(f"{path}.")

    return parse_json(read_bytes(path, max_bytes=max_bytes, error=error, links=links), error=about, depth=depth)


def read_json_object(
    path: Path, *, max_bytes: int, error: MakeError = FileUnreadableError, links: bool = True
) -> dict[str, Any]:
    """Like :func:`read_json`; ``error`` also where the value is no object."""
    found = read_json(path, max_bytes=max_bytes, error=error, links=links)
    if not isinstance(found, dict):
        raise error(FileFault.CONTENT).noted(f"{path}.")
    return found


def parse_lenient_json(data: bytes, *, error: MakeError = FileUnreadableError, depth: int = MAX_DEPTH) -> Any:
    """What Python's own parser makes of JSON whose depth is bounded: for the configurations of other programs, which do
    write down infinities and equal keys.

    Raises:
        error: no JSON, or nested deeper than ``depth``.
    """
    if _depth(data, depth) > depth:
        raise error(FileFault.NOT_JSON)
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as cause:
        raise error(FileFault.NOT_JSON) from cause


def parse_json(data: bytes, *, error: MakeError = FileUnreadableError, depth: int = MAX_DEPTH) -> Any:
    """The value that ``data`` writes down in UTF-8: every number is finite, whole ones lie within +-2**64.

    Raises:
        error: no JSON, nested deeper than ``depth``, a number that is none or too large, an object that names a key
            twice, or half a character (a lone surrogate) in a string.
    """
    if _depth(data, depth) > depth:
        raise error(FileFault.NOT_JSON)
    try:
        found = json.loads(
            data.decode("utf-8"),
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=_refused,
            object_pairs_hook=_unique,
        )
        if _HALF_CHARACTER.search(data):
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as cause:
        raise error(FileFault.NOT_JSON) from cause
    return found


def _depth(data: bytes, max_depth: int) -> int:
    """How deep it goes; counting ends beyond ``max_depth``."""
    deepest = now = 0
    for found in _BRACKETS.finditer(data):
        sign = found[0]
        if sign in b"[{":
            now += 1
            deepest = max(deepest, now)
            if now > max_depth:
                break
        elif sign in b"]}":
            now -= 1
    return deepest


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS + 1:
        raise ValueError
    value = int(text)
    if abs(value) > _LARGEST_WHOLE:
        raise ValueError
    return value


def _refused(_: str) -> Any:
    raise ValueError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made
