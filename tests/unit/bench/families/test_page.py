"""The pages "what to use when" and "what the papers say": figures of settings have their rows in the table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from heliograph.strategies.base import Family

ROOT = Path(__file__).parents[4]
PAGE, PAPERS = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("what-to-use.md", "papers.md"))
RESULT = json.loads((ROOT / "docs" / "results" / "families.json").read_text(encoding="utf-8"))
CITED = re.compile(r"`([\w-]+)(?: ([^`]+))?`, ([\d,.]+) B, ([\d.]+) %")


def row_of(strategy: str, setting: str) -> Any:
    found = [
        row
        for row in RESULT["rows"]
        if (row["strategy"], row["setting"], row["task"], row["link_mbit"]) == (strategy, setting, "all", None)
    ]
    assert found, f"{strategy} {setting} is not in the table"
    return found[0]


def test_every_family_has_its_paragraph_and_every_paragraph_its_rows() -> None:
    paragraphs = PAGE.split("\n## ")[1:]
    assert len(paragraphs) == 7  # six families, and what they are measured against
    assert all(CITED.search(one) for one in paragraphs)


def test_papers_are_compared_family_by_family() -> None:
    paragraphs = PAPERS.split("\n## ")[1:]
    assert [one.splitlines()[0].lower() for one in paragraphs] == [
        one.lower() for one in Family if one != Family.BASELINE
    ]
    assert all(CITED.search(one) for one in paragraphs)


@pytest.mark.parametrize("cited", sorted({*CITED.findall(PAGE), *CITED.findall(PAPERS)}))
def test_figures_are_those_of_the_rows(cited: tuple[str, str, str, str]) -> None:
    strategy, setting, size, accuracy = cited
    row = row_of(strategy, setting or "default")
    assert float(size.replace(",", "")) == pytest.approx(row["payload_bytes"], abs=0.5)
    assert float(accuracy) == pytest.approx(100 * row["accuracy"], abs=0.05)
