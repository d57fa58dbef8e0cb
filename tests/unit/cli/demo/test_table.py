"""The demo's table stays within 100 columns and says who was first, and why."""

from __future__ import annotations

from dataclasses import replace

from heliograph.cli.demo.show import Row
from heliograph.cli.demo.table import COLUMNS, OverLink, first_sentences, links_table
from heliograph.cli.text import display_width

LONG = "a sign K52 top right, an orange cross middle left, a purple square middle center, a green heart middle right."
ROWS = (
    Row("meta", "latents=0,max_bytes=0", 142, 778, 20, 300, 500, LONG, 0.98),
    Row("webp", "size=128,quality=50", 1_212, 1_744, 30, 900, 900, LONG, 0.99),
    Row("rgb", "size=128", 65_538, 66_760, 5, 29_000, 29_000, LONG, 0.99),
    Row("pq", "planes=2", 131, 646, 20, 400, 400, "another one, and a long one as well, so that it has to be cut", 0.5),
    Row("avif", "size=128,quality=50", error="stream-damaged"),
)


def over(link: str = "20kbit,200ms", rate: float = 20_000, **times: float) -> OverLink:
    rows = tuple(replace(row, final_ms=times.get(row.strategy, row.final_ms)) for row in ROWS)
    return OverLink(link, rate, rows)


def test_every_line_fits_and_every_link_has_its_times() -> None:
    lines = links_table([over(), over("1mbit,50ms", 1e6, meta=91)]).splitlines()
    assert max(map(display_width, lines)) <= COLUMNS
    assert "20kbit ms" in lines[0]
    assert "1mbit ms" in lines[0]
    meta = next(line for line in lines if line.startswith("meta"))
    assert " 500 " in meta
    assert " 91 " in meta


def test_answers_are_told_apart_from_the_uncompressed_one() -> None:
    lines = links_table([over()]).splitlines()
    assert next(line for line in lines if line.startswith("webp")).endswith("the same")
    assert "another one" in next(line for line in lines if line.startswith("pq"))
    assert "failed: stream" in next(line for line in lines if line.startswith("avif"))


def test_where_a_picture_file_wins_it_is_said_and_the_bytes_are_priced() -> None:
    thin, quick = first_sentences([over(), over("1mbit,50ms", 1e6, meta=120, webp=100)])
    assert thin == "Over 20kbit,200ms coded tokens are quicker: meta 500 ms, webp size=128,quality=50 900 ms."
    assert quick.startswith("Over 1mbit,50ms a picture file is quicker: meta 120 ms, webp size=128,quality=50 100 ms.")
    assert f"take {8000 * (1_744 - 778) / 1e6:.0f} ms there" in quick


def test_nothing_is_claimed_without_the_uncompressed_answer() -> None:
    assert first_sentences([OverLink("1mbit", 1e6, ROWS[:2])]) == []
