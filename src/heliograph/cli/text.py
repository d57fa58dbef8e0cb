"""Text for terminals: nothing that came over the wire may move the cursor, and tables line up."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

_ESCAPED_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
_WIDE = ("W", "F")


def printable(text: str) -> str:
    """``text`` on one line with every control, format, surrogate and line-separating character written out.

    Answers come from a model that reads strangers' photos: an escape sequence in one could recolour, retitle or
    overwrite the terminal, and a bidirectional override could show another answer than was given.

    >>> printable("K52\\x1b[2J")
    'K52\\\\x1b[2J'
    """
    return "".join(_escaped(c) if unicodedata.category(c) in _ESCAPED_CATEGORIES else c for c in text)


def answer_text(text: str, photo_seen: bool) -> str:
    """An answer for people, printable; one that the photo has no part in says so.

    >>> answer_text("red", photo_seen=False)
    'not enough received (without the photo: red)'
    """
    return printable(text) if photo_seen else f"not enough received (without the photo: {printable(text)})"


def _escaped(character: str) -> str:
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def json_text(data: Any) -> str:
    """``data`` as JSON in ASCII, so that no control character reaches a terminal."""
    return json.dumps(data, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Rows under a head, in columns as wide as they need; columns in ``left`` are left-aligned, numbers right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(_width, column)) for column in columns]
    lines = [_line(head, widths, left), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, left) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[int]) -> str:
    parts = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        padding = " " * (width - _width(cell))
        parts.append(cell + padding if column in left else padding + cell)
    return "  ".join(parts)


def _width(text: str) -> int:
    """Terminal columns: wide characters take two, combining ones none."""
    return sum(2 if unicodedata.east_asian_width(c) in _WIDE else 0 if unicodedata.combining(c) else 1 for c in text)


def shortened(text: str, most: int) -> str:
    """``text`` cut to ``most`` characters, the last one an ellipsis where something was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def byte_count(count: int) -> str:
    """Bytes with thousands separated: ``12,345 B``."""
    return f"{count:,} B"


def milliseconds(ms: float) -> str:
    """``840 ms`` below ten seconds, ``12.3 s`` from there on."""
    return f"{ms:,.0f} ms" if ms < 10_000 else f"{ms / 1000:,.1f} s"
