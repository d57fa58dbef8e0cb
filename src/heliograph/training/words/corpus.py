"""Lines of text to fit the text coder on, each with a weight: what a reader finds in photos, above all.

A file of what was read is JSON, an object a photo and line: ``{"photo": NAME, "lines": [[text, left, top, right,
bottom, height, score], ...]}``, as :func:`read_photos` writes it; a file of plain text has a line of text a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from heliograph.edge.photos.file import load_photo
from heliograph.edge.reader import Reader
from heliograph.strategies.perception import ReadLine


@dataclass(frozen=True)
class Source:
    """Lines that go together, as those of a photo do.

    Attributes:
        lines: each without its end.
        weight: how much they count.
    """

    lines: tuple[str, ...]
    weight: float = 1.0


def read_photos(folder: Path, out: Path, most: int) -> None:
    """Add what a reader finds in the photos of a folder to a file; those that are in it are passed over.

    Raises:
        MissingExtraError: the extra ``ocr`` is not installed.
    """
    known = {name for name, _ in found_in(out)} if out.exists() else set()
    reader = Reader()
    with out.open("a", encoding="utf-8") as file:
        for path in sorted(folder.iterdir())[:most]:
            if path.name not in known:
                photo = load_photo(path)
                lines = [astuple(one.within(photo.size)) for one in reader.lines(photo)]
                file.write(json.dumps({"photo": path.name, "lines": lines}) + "\n")
                file.flush()


def found_in(path: Path) -> Iterator[tuple[str, list[ReadLine]]]:
    """Photos and their lines, as :func:`read_photos` wrote them."""
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        yield one["photo"], [ReadLine(*found) for found in one["lines"]]


def answers_in(path: Path) -> list[str]:
    """What people answered in a file of TextVQA's questions, an object a line; answers are often text in the photo."""
    asked = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    given = [one for question in asked for one in question["answers"]]
    return [one if isinstance(one, str) else one["answer"] for one in given]


def plain_lines(lines: Iterable[str], weight: float) -> Iterator[Source]:
    """Lines that are not empty, each by itself: as it is, in capitals, and with capital initials, which are what signs
    are written in."""
    for line in lines:
        if text := line.strip():
            yield from (Source((one,), weight) for one in dict.fromkeys((text, text.upper(), text.title())))
