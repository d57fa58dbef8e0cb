"""Published pictures and tables are drawn from the published JSON alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from heliograph.bench.loop.times_plot import link_words
from heliograph.bench.redraw import read_result, redraw
from heliograph.bench.report import draw_pictures, markdown
from heliograph.bench.results import SuiteResult

RESULTS = Path(__file__).parents[3] / "docs" / "results"
SUITES = sorted(p.stem for p in RESULTS.glob("*.json") if "suite" in json.loads(p.read_text(encoding="utf-8")))


def published(suite: str) -> SuiteResult:
    return read_result(json.loads((RESULTS / f"{suite}.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("suite", SUITES)
def test_json_read_and_written_is_the_same(suite: str) -> None:
    facts = json.loads((RESULTS / f"{suite}.json").read_text(encoding="utf-8"))
    again = SuiteResult.from_json(facts).to_json()
    lists = ("figures", "rows")
    for name in lists:
        for read, written in zip(again[name], facts[name], strict=True):
            assert {key: read[key] for key in written} == written  # older files lack a key
    assert {key: again[key] for key in facts if key not in lists} == {k: v for k, v in facts.items() if k not in lists}


@pytest.mark.parametrize("suite", SUITES)
def test_the_published_table_is_that_of_the_json(suite: str) -> None:
    text = (RESULTS / f"{suite}.md").read_text(encoding="utf-8")
    plots = [line[line.index("](") + 2 : -1] for line in text.splitlines() if line.startswith("![")]
    assert text == markdown(published(suite), plots)
    assert all((RESULTS / name).is_file() for name in plots)


def test_pictures_without_a_suite_and_those_of_one_are_drawn(tmp_path: Path) -> None:
    for name in ("foresight.json", "region.json"):
        shutil.copy(RESULTS / name, tmp_path)
    shutil.copy(RESULTS / "region-photos.png", tmp_path)
    kept = (tmp_path / "region-photos.png").read_bytes()
    before = (tmp_path / "region.json").read_bytes()
    names = {path.name for path in redraw(tmp_path)}
    assert names == {"foresight.png", "region-policies.png", "region.md", "error-head.png"}
    for name in names - {"region.md"}:
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 1000
    assert (tmp_path / "region.json").read_bytes() == before
    assert (tmp_path / "region-photos.png").read_bytes() == kept
    assert "](region-photos.png)" in (tmp_path / "region.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("suite", ["hardening", "loop", "planner", "unfamiliar"])
def test_every_suite_with_pictures_of_its_own_draws_what_its_page_shows(suite: str, tmp_path: Path) -> None:
    drawn = {path.name for path in draw_pictures(published(suite), tmp_path, f"{suite}-")}
    text = (RESULTS / f"{suite}.md").read_text(encoding="utf-8")
    assert drawn == {line[line.index("](") + 2 : -1] for line in text.splitlines() if line.startswith("![")}


def test_links_are_written_out() -> None:
    assert link_words("20kbit,100ms") == "20 kbit/s, 100 ms round trip"
    assert link_words("1mbit") == "1 Mbit/s"
