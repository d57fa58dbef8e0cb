"""The demo's picture: the photo that was sent, and every strategy's bytes on the wire beside its times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from heliograph.bench.style import GREY, LIGHT, OTHER, OURS, log_axis, picture, plain
from heliograph.cli.demo.table import OverLink, uncompressed_answer
from heliograph.cli.text import shortened
from heliograph.errors import OutputUnwritableError
from heliograph.strategies.base import Kind
from heliograph.strategies.selection import strategy_class

if TYPE_CHECKING:
    from heliograph.cli.demo.show import Row

_LOCAL, _TEAL = "#B8A800", "#44AA99"
_CODED, _FILE, _PLAIN, _OWN = "codes tokens", "sends a picture file", "sends plain tokens", "answers on the device"
_WORDS = "sends words"
_KINDS = {_CODED: OURS, _FILE: OTHER, _PLAIN: GREY, _WORDS: _TEAL, _OWN: _LOCAL}
_LINK_MARKERS = ("o", "D", "^", "v")
_PHOTO_PIXELS = 240
_COLOURS = 256  # a third of the size, and nothing to be seen of it
_MAX_QUESTION = 40


def draw(found: Sequence[OverLink], photo: Path, question: str, path: Path) -> None:
    """Write ``path`` as PNG.

    Args:
        found: the strategies over each link, the thinnest first.
        photo: that was sent.
        question: that was asked.
        path: PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputUnwritableError: the disk refuses.
        HeliographError: of the photo.
    """
    from heliograph.edge.photos.file import load_photo

    pixels = load_photo(photo)
    pixels.thumbnail((_PHOTO_PIXELS, _PHOTO_PIXELS))
    order = sorted(
        (place for place, row in enumerate(found[0].rows) if row.error is None),
        key=lambda place: found[0].rows[place].wire_bytes,
    )
    facts = (
        "one photo, one question, each strategy the median of its exchanges; measured on loopback over imitated links; "
        "wire bytes include opening the connection; hollow: another answer than from the uncompressed photo"
    )
    size, widths = (12.4, 0.27 * len(order) + 1.1), (1.15, 1.3, 1.3)
    try:
        with picture(path, _message(found), facts, columns=3, size=size, widths=widths) as (left, middle, right):
            left.imshow(pixels)
            left.set_axis_off()
            left.set_title(plain(shortened(question, _MAX_QUESTION)))
            _draw_bytes(middle, [found[0].rows[place] for place in order], uncompressed_answer(found[0].rows))
            _draw_times(right, found, order)
        with Image.open(path) as drawn:
            few_colours = drawn.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
        few_colours.save(path, optimize=True)
    except OSError as error:
        raise OutputUnwritableError from error


def _message(found: Sequence[OverLink]) -> str:
    """Fewest bytes with the uncompressed photo's answer, of coded streams and of picture files."""
    wanted = uncompressed_answer(found[0].rows)
    right = [row for row in found[0].rows if row.error is None and row.answer == wanted and row.wire_bytes]
    coded = [row for row in right if _kind(row) == _CODED]
    pictures = [row for row in right if _kind(row) == _FILE]
    if not coded or not pictures:
        return "Every strategy on one photo and question"
    ours, rival = (min(rows, key=lambda row: row.wire_bytes) for rows in (coded, pictures))
    return (
        f"The same answer for {ours.wire_bytes:,} bytes on the wire ({ours.strategy}) "
        f"as for {rival.wire_bytes:,} (the smallest picture file, {rival.strategy})"
    )


def _kind(row: Row) -> str:
    strategy = strategy_class(row.strategy)
    if strategy.kind is Kind.LOCAL:
        return _OWN
    if strategy.kind is Kind.TEXT:
        return _WORDS
    if strategy.codec:
        return _CODED
    return _FILE if strategy.kind is Kind.PICTURE else _PLAIN


def _draw_bytes(axes: Any, rows: Sequence[Row], wanted: str | None) -> None:
    least = min(row.wire_bytes for row in rows if row.wire_bytes) / 3
    for height, row in enumerate(rows):
        colour, x = _KINDS[_kind(row)], max(row.wire_bytes, least)
        axes.hlines(height, least, x, color=LIGHT, linewidth=1.6, zorder=1)
        fill = colour if row.answer == wanted else "white"
        axes.scatter([x], [height], s=42, edgecolor=colour, facecolor=fill, linewidth=1.4, zorder=3)
        spot = {"textcoords": "offset points", "fontsize": 8, "color": colour}
        axes.annotate(f"{row.wire_bytes:,}", (x, height), xytext=(7, -3), **spot)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(least, 6 * max(row.wire_bytes for row in rows))
    log_axis(axes.xaxis)
    axes.set_xlabel("bytes on the wire, both directions (log)")
    shown = dict.fromkeys(_kind(row) for row in rows)
    handles = [axes.scatter([], [], s=42, color=_KINDS[kind], label=kind) for kind in _KINDS if kind in shown]
    axes.legend(handles=handles, loc="lower right", fontsize=8)


def _draw_times(axes: Any, found: Sequence[OverLink], order: Sequence[int]) -> None:
    handles = []
    for over, marker in zip(found, _LINK_MARKERS, strict=False):
        wanted = uncompressed_answer(over.rows)
        for height, place in enumerate(order):
            row = over.rows[place]
            if row.error is not None:
                continue
            colour = _KINDS[_kind(row)]
            fill = colour if row.answer == wanted else "white"
            axes.scatter(
                [row.final_ms], [height], s=38, marker=marker, edgecolor=colour, facecolor=fill, linewidth=1.4, zorder=3
            )
        handles.append(axes.scatter([], [], s=38, marker=marker, color=GREY, label=plain(over.link)))
    axes.set_yticks(range(len(order)), [""] * len(order))
    axes.set_ylim(-0.7, len(order) - 0.3)
    log_axis(axes.xaxis)
    axes.set_xlabel("time to the final answer (ms, log)")
    axes.legend(handles=handles, loc="lower right", fontsize=8)
