"""Pictures of the families' table: which are drawn of which rows."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from heliograph.bench.families.plots import FRONT_TITLE, PICTURES
from heliograph.bench.metrics import ALL
from heliograph.bench.results import Provenance, Row, SuiteResult, Table


def rows(*strategies: str) -> tuple[Row, ...]:
    settings = [
        Row(
            name,
            f"level={level}",
            ALL,
            40,
            accuracy=0.5 + level / 20,
            accuracy_ci=(0.4, 0.9),
            payload_bytes=50.0 * level,
        )
        for name in strategies
        for level in range(1, 6)
    ]
    return (Row("uncompressed", "", ALL, 40, accuracy=0.8), *settings)


def result(*strategies: str, tables: tuple[Table, ...] = ()) -> SuiteResult:
    b99 = dict.fromkeys(strategies, 120.0)
    return SuiteResult("families", Provenance("machine", "commit", "date"), rows(*strategies), b99, tables=tables)


def drawn(found: SuiteResult, folder: Path) -> set[str]:
    return {name for name, draw in PICTURES.items() if draw(found, folder / name)}


def test_families_that_were_run_have_a_picture_each(tmp_path: Path) -> None:
    assert drawn(result("klt", "divprune", "jpeg-bare", "a plug-in that is gone"), tmp_path) == {
        "all.png",
        "tokens.png",
        "split.png",
        "baseline.png",
    }
    assert all(Image.open(path).width > 600 for path in tmp_path.iterdir())


def test_what_nothing_beats_is_drawn_by_the_devices_work(tmp_path: Path) -> None:
    head = ("strategy", "setting", "payload bytes", "device MMACs", "accuracy %")
    body = (("`klt`", "", "1,100", "115.3", "80.0"), ("`jpeg`", "", "2,000", "0.0", "80.0"))
    assert "front.png" in drawn(result("klt", tables=(Table(FRONT_TITLE, head, body),)), tmp_path)


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert drawn(result(), tmp_path) == set()
    assert list(tmp_path.iterdir()) == []
