"""Text for terminals: nothing that came over the wire may move the cursor, and tables line up."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

UNFAMILIAR_NOTE = (
    "this photo is unlike anything that the codec and the model's calibration were fitted on: the answer is a guess"
)
"""For a photo whose header says so; see :mod:`heliograph.codec.familiarity`."""

_ESCAPED_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
_WIDE = ("W", "F")
_NO_WIDTH_CATEGORIES = ("Mn", "Me", "Cf")
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_EMOJI_STYLE = "\ufe0f"
_BETWEEN_PICTURES = _EMOJI_STYLE + "".join(map(chr, range(0x1F3FB, 0x1F400)))  # and the five tones of skin
_ARROWS = ("\u2194",)  # the one part of an emoji that counts as a mathematical sign
_VIRAMA = 9  # canonical combining class of the sign that takes a consonant's vowel away
_ARABIC = "AL"


def printable(text: str) -> str:
    """``text`` on one line with every control, format, surrogate and line-separating character written out.

    Only the two joiners (U+200C, U+200D) stay, where they do what they are for: inside words of scripts that need them
    and inside emoji that are made of several.

    Answers come from a model that reads strangers' photos: an escape sequence in one could recolour, retitle or
    overwrite the terminal, and a bidirectional override could show another answer than was given.

    >>> printable("K52\\x1b[2J")
    'K52\\\\x1b[2J'
    """
    return "".join(
        _escaped(c) if unicodedata.category(c) in _ESCAPED_CATEGORIES and not _joins(text, place) else c
        for place, c in enumerate(text)
    )


def _joins(text: str, place: int) -> bool:
    """Whether the character at ``place`` is a joiner with something to join."""
    if text[place] not in (_NON_JOINER, _JOINER):
        return False
    before, after = text[:place][-3:], text[place + 1 : place + 2]
    if not before:
        return False
    if unicodedata.combining(before[-1]) == _VIRAMA:  # decides the form of the consonant before, at a word's end too
        return True
    if _is_letter(before[-1]) and before[-1] != _EMOJI_STYLE and after and _is_letter(after):
        return True
    if text[place] == _NON_JOINER:
        return False
    if unicodedata.bidirectional(before[-1]) == _ARABIC and after not in (_NON_JOINER, _JOINER):
        return True  # shows the joined form of a letter that stands alone, in abbreviations
    return _is_picture(before.rstrip(_BETWEEN_PICTURES)[-1:]) and (_is_picture(after) or after in _ARROWS)


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _is_picture(character: str) -> bool:
    return bool(character) and unicodedata.category(character) == "So"


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
    widths = [max(map(display_width, column)) for column in columns]
    lines = [_line(head, widths, left), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, left) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[int]) -> str:
    parts = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        padding = " " * (width - display_width(cell))
        parts.append(cell + padding if column in left else padding + cell)
    return "  ".join(parts)


def display_width(text: str) -> int:
    """Terminal columns: wide characters take two, marks and joiners none."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in _NO_WIDTH_CATEGORIES:
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def shortened(text: str, most: int) -> str:
    """``text`` cut to ``most`` characters, the last one an ellipsis where something was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def byte_count(count: int) -> str:
    """Bytes with thousands separated: ``12,345 B``."""
    return f"{count:,} B"


def milliseconds(ms: float) -> str:
    """``840 ms`` below ten seconds, ``12.3 s`` from there on."""
    return f"{ms:,.0f} ms" if ms < 10_000 else f"{ms / 1000:,.1f} s"
