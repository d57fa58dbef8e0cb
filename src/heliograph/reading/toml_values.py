"""TOML files that a person writes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from heliograph.errors import FileUnreadableError
from heliograph.reading.files import MakeError, read_text
from heliograph.reasons import FileFault


def read_toml(path: Path, *, max_bytes: int, error: MakeError = FileUnreadableError) -> dict[str, Any]:
    """A whole TOML file.

    Args:
        path: its name; a pipe will do.
        max_bytes: bytes that it may have.
        error: makes what is raised of what is wrong.

    Raises:
        error: not there, not readable, not text, over ``max_bytes``, or no TOML; a note says in which line.
    """
    text = read_text(path, max_bytes=max_bytes, error=error, pipes=True)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise error(FileFault.CONTENT).noted(f"{path}: no TOML: {cause}.") from cause
    except RecursionError as cause:
        raise error(FileFault.CONTENT).noted(f"{path}: no TOML: it nests too deeply.") from cause
