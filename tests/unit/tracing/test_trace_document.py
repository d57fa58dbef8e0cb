"""``docs/trace.md`` says of every event, frame and field what the program says."""

from pathlib import Path

from heliograph.tracing.table import EVENTS, FIELDS, FRAMES, HEADER

DOCUMENT = Path(__file__).parents[3] / "docs" / "trace.md"


def rows(title: str) -> list[list[str]]:
    section = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in found[2:]]


def names(fields: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in fields)


def test_the_header() -> None:
    assert rows("Header") == [[f"`{name}`", one.kind.value[0], one.text] for name, one in HEADER.items()]


def test_the_events() -> None:
    assert rows("Events") == [
        [f"`{name}`", ", ".join(one.written_by), one.text, names(one.fields)] for name, one in EVENTS.items()
    ]


def test_the_frames() -> None:
    assert rows("Frames") == [[name, names(fields)] for name, fields in FRAMES.items()]


def test_the_fields() -> None:
    assert rows("Fields") == [
        [f"`{name}`", one.kind.value[0], one.text, "yes" if one.content else ""] for name, one in sorted(FIELDS.items())
    ]
