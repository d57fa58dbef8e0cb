"""The README's results section says what the published files say, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heliograph.cli.readme_table import END, NOTHING_YET, START, fill, load_results, main

README = f"# Title\n\nbefore\n\n{START}\nold | table\n{END}\n\nafter\n"


def result(suite: str = "reference") -> dict[str, Any]:
    figure = {"interval": [0.1, 0.3], "must": 0.25, "aim": 0.1, "source": "measured"}
    return {
        "schema": 1,
        "suite": suite,
        "machine": "a machine, 2 cores",
        "commit": "abc123+",
        "date": "2026-11-21",
        "rows": [{"task": "all", "questions": 2345}, {"task": "count", "questions": 9999}],
        "b99": {"webp": 800.4, "klt": 121.6, "rgb": None},
        "b99_ci": {"klt": [110.0, 130.0], "webp": None},
        "figures": [
            {"name": "reached", "value": 0.2, **figure},
            {"name": "aimed", "value": 0.05, **figure, "interval": [0.02, 0.1]},
            {"name": "met", "value": 0.2, **figure, "interval": [0.1, 0.24]},
            {"name": "missed", "value": 0.4, **figure},
            {"name": "never", **figure, "value": None, "interval": None},
            {"name": "free", "value": 3.0, "interval": None, "must": None, "aim": None, "source": "modelled"},
        ],
    }


def test_fills_between_the_markers_and_nowhere_else() -> None:
    made = fill(README, [result()])
    assert made.startswith(f"# Title\n\nbefore\n\n{START}\n### ")
    assert made.endswith(f"\n{END}\n\nafter\n")
    assert "old | table" not in made
    assert fill(made, [result()]) == made


def test_says_where_the_figures_come_from() -> None:
    made = fill(README, [result()])
    assert "2,345 questions" in made
    assert "2026-11-21, a machine, 2 cores, commit abc123+." in made
    assert "(docs/results/reference.md)" in made


def test_b99_is_sorted_and_says_what_was_not_reached() -> None:
    lines = fill(README, [result()]).splitlines()
    assert "| `klt` | 122 [110, 130] |" in lines
    assert lines.index("| `klt` | 122 [110, 130] |") < lines.index(
        "| `webp` | 800 (no interval: over 5 % of resamples never reach it) |"
    )
    assert "| `rgb` | not reached at any setting |" in lines


def test_figures_say_whether_they_are_met() -> None:
    lines = fill(README, [result()]).splitlines()
    assert "| reached | 0.2 [0.1, 0.3] | ≤ 0.25 | ≤ 0.1 | value alone | measured |" in lines
    assert "| met | 0.2 [0.1, 0.24] | ≤ 0.25 | ≤ 0.1 | must | measured |" in lines
    assert "| aimed | 0.05 [0.02, 0.1] | ≤ 0.25 | ≤ 0.1 | aim | measured |" in lines
    assert "| missed | 0.4 [0.1, 0.3] | ≤ 0.25 | ≤ 0.1 | **no** | measured |" in lines
    assert "| never | not reached | ≤ 0.25 | ≤ 0.1 | **no** | measured |" in lines
    assert "| free | 3 |  |  |  | modelled |" in lines


def test_without_results_it_says_so() -> None:
    assert NOTHING_YET in fill(README, [])


@pytest.mark.parametrize("text", ["", START, END, f"{END}{START}"])
def test_readme_without_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="README"):
        fill(text, [])


def test_files_reference_first(tmp_path: Path) -> None:
    for suite in ("photos", "other", "reference"):
        (tmp_path / f"{suite}.json").write_text(json.dumps(result(suite)))
    assert [one["suite"] for one in load_results(tmp_path)] == ["reference", "photos", "other"]
    readme = tmp_path / "README.md"
    readme.write_text(README)
    main(readme, tmp_path)
    assert readme.read_text().count("### ") == 3


def test_a_page_beside_the_results_links_to_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "reference.json").write_text(json.dumps(result()))
    (tmp_path / "reference-rate_accuracy.png").touch()
    for page, prefix in ((tmp_path / "README.md", ""), (tmp_path.parent / "page.md", f"{tmp_path.name}/")):
        page.write_text(README)
        main(page, tmp_path)
        assert f"[reference.md]({prefix}reference.md)" in page.read_text()
        assert f"]({prefix}reference-rate_accuracy.png)" in page.read_text()


def test_other_files_beside_the_suites_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "reference.json").write_text(json.dumps(result()))
    (tmp_path / "foresight.json").write_text('{"prefixes": []}')
    assert [one["suite"] for one in load_results(tmp_path)] == ["reference"]
