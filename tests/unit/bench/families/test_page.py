"""The page "what to use when": every sentence with figures has its row in the published table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "what-to-use.md").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("cited", sorted(set(CITED.findall(PAGE))))
def test_figures_are_those_of_the_rows(cited: tuple[str, str, str, str]) -> None:
    strategy, setting, size, accuracy = cited
    row = row_of(strategy, setting or "default")
    assert float(size.replace(",", "")) == pytest.approx(row["payload_bytes"], abs=0.5)
    assert float(accuracy) == pytest.approx(100 * row["accuracy"], abs=0.05)
