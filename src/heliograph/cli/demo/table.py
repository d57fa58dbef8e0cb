"""What ``heliograph demo`` prints: one table over every link within 100 columns, and who was first on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph.cli.text import display_width, milliseconds, printable, shortened, table
from heliograph.strategies.base import Kind
from heliograph.strategies.selection import strategy_class

if TYPE_CHECKING:
    from heliograph.cli.demo.show import Row

COLUMNS = 100
_UNCOMPRESSED = "rgb"
_MIN_ANSWER = 12
_SAME = "the same"


@dataclass(frozen=True)
class OverLink:
    """Every strategy's exchange over one link.

    Attributes:
        link: as it was described on the command line.
        up_bit_s: its uplink's rate.
        rows: in the order they were run, the same strategies on every link.
    """

    link: str
    up_bit_s: float
    rows: tuple[Row, ...]


def uncompressed_answer(rows: Sequence[Row]) -> str | None:
    """The answer from pixels without loss; None where that exchange failed."""
    return next((row.answer for row in rows if row.strategy == _UNCOMPRESSED and row.error is None), None)


def links_table(found: Sequence[OverLink]) -> str:
    """Bytes and confidence of the first link's exchanges, times to the final answer over each link, and the answer."""
    first = found[0].rows
    wanted = uncompressed_answer(first)
    head = ["strategy", "payload B", "wire B", *(f"{_rate(one.link)} ms" for one in found), "sure", "answer"]
    body = [_line(place, found, wanted) for place in range(len(first))]
    left = max(COLUMNS - _width_without_answer(head, body), _MIN_ANSWER)
    body = [[*line[:-1], shortened(line[-1], left)] for line in body]
    return table(head, body, left=(0, len(head) - 1))


def _line(place: int, found: Sequence[OverLink], wanted: str | None) -> list[str]:
    row = found[0].rows[place]
    if row.error is not None:
        return [row.label, *[""] * (3 + len(found)), f"failed: {row.error}"]
    times = [_time(one.rows[place]) for one in found]
    answer = _SAME if row.answer == wanted and row.strategy != _UNCOMPRESSED else printable(row.answer)
    return [row.label, f"{row.payload_bytes:,}", f"{row.wire_bytes:,}", *times, f"{row.confidence:.0%}", answer]


def _time(row: Row) -> str:
    return row.error or f"{row.final_ms:,.0f}"


def _width_without_answer(head: Sequence[str], body: Sequence[Sequence[str]]) -> int:
    columns = list(zip(*(line[:-1] for line in (head, *body)), strict=True))
    return sum(max(map(display_width, column)) + 2 for column in columns)


def _rate(link: str) -> str:
    """``20kbit`` of ``20kbit,200ms``; of a trace its file's name."""
    return shortened(printable(link.partition(",")[0].rpartition("/")[2]), _MIN_ANSWER)


def first_sentences(found: Sequence[OverLink]) -> list[str]:
    """The smallest coded stream and the quickest picture file on each link, of those with the uncompressed answer."""
    return [sentence for one in found if (sentence := _first(one)) is not None]


def _first(over: OverLink) -> str | None:
    wanted = uncompressed_answer(over.rows)
    right = [row for row in over.rows if row.error is None and row.answer == wanted and row.wire_bytes]
    coded = [row for row in right if strategy_class(row.strategy).codec]
    pictures = [row for row in right if strategy_class(row.strategy).kind is Kind.PICTURE]
    if not coded or not pictures:
        return None
    ours, rival = min(coded, key=_wire_bytes), min(pictures, key=_final_ms)
    times = f"{ours.label} {milliseconds(ours.final_ms)}, {rival.label} {milliseconds(rival.final_ms)}"
    if ours.final_ms <= rival.final_ms:
        return f"Over {printable(over.link)} coded tokens are quicker: {times}."
    more_ms = max(0.0, 8000 * (rival.wire_bytes - ours.wire_bytes) / over.up_bit_s)
    return (
        f"Over {printable(over.link)} a picture file is quicker: {times}.\n"
        f"Its additional bytes take {more_ms:,.0f} ms there, less than coding tokens and answering drafts cost here;\n"
        "a model as small as this one encodes a picture in the cloud in milliseconds."
    )


def _final_ms(row: Row) -> float:
    return row.final_ms


def _wire_bytes(row: Row) -> int:
    return row.wire_bytes
