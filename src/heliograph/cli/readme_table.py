"""Fills a page's results section: ``python -m heliograph.cli.readme_table docs/results/README.md docs/results``.

A page with the markers of the whole section gets every suite's figures, one with those of the summary a few of them.

Only what a suite wrote gets in; the section says which day, machine and commit the figures come from.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliograph.bench.numbers import crossing_text, interval_text, number_text, verdict_text
from heliograph.bench.summary import street_summary, summary
from heliograph.strategies.selection import LOCAL

START, END = "<!-- results:start -->", "<!-- results:end -->"
SUMMARY_START, SUMMARY_END = "<!-- summary:start -->", "<!-- summary:end -->"
STREET_START, STREET_END = "<!-- street:start -->", "<!-- street:end -->"
NOTHING_YET = "No suite has been published yet; `make results` runs them and fills this section."
_B99 = "B99: mean payload bytes that keep 99 % of the uncompressed path's accuracy."
_LOCAL_NOTE = (
    " `local` is the device answering by itself and sending nothing: the reference model is so small that the bundle "
    "holds it whole."
)
_TITLES = {
    "reference": "Reference task (scenes of the test split, every strategy)",
    "bytes": "Bytes at equal answers, beside other codecs and an older build",
    "street": "Real photos, a model of real parts (the field model)",
    "photos": "Real network, real photos (MobileNetV2 split after its last bottleneck)",
    "loop": "The closed loop: when what has arrived is enough",
    "region": "Looking again: crops of what the question is about",
    "second-look": "The second look on real text: is the answer legible in what has arrived",
    "families": "Six families of compression in one table",
    "planner": "The planner: what to send over replayed links",
    "hardening": "Hardening: strangers, forgetful networks, odd files",
    "unfamiliar": "Photos that a codec was not made for, and how sure drafts say they are",
    "tests": "The tests: which small wrong changes they notice",
}


def fill(readme: str, results: Sequence[dict[str, Any]], folder: str = "docs/results", here: Path = Path()) -> str:
    """The page with its results section replaced.

    Args:
        readme: text that holds both markers once.
        results: parsed ``SUITE.json`` files.
        folder: where tables and plots lie, as the page links to them: ``.`` is the page's own folder.
        here: the page's folder; plots that are not below it are left out.

    Raises:
        ValueError: the markers are not there, or in the wrong order.
    """
    body = "\n\n".join(_suite(result, folder, here) for result in results) or NOTHING_YET
    return _between(readme, START, END, body)


def fill_summary(readme: str, results: Sequence[dict[str, Any]]) -> str:
    """The page with its summary replaced.

    Args:
        readme: text that holds both markers of the summary once.
        results: parsed ``SUITE.json`` files.

    Raises:
        ValueError: the markers are not there, or in the wrong order.
    """
    return _between(readme, SUMMARY_START, SUMMARY_END, summary(results) or NOTHING_YET)


def fill_street(readme: str, results: Sequence[dict[str, Any]]) -> str:
    """The page with its picture of real photos replaced; nothing stands there until the suite is published.

    Args:
        readme: text that holds both markers once.
        results: parsed ``SUITE.json`` files.

    Raises:
        ValueError: the markers are not there, or in the wrong order.
    """
    return _between(readme, STREET_START, STREET_END, street_summary(results))


def _between(page: str, start: str, end: str, body: str) -> str:
    before, found_start, rest = page.partition(start)
    _, found_end, after = rest.partition(end)
    if not found_start or not found_end:
        raise ValueError(f"the README needs {start} before {end}")
    inside = f"\n{body}\n" if body else "\n"
    return f"{before}{start}{inside}{end}{after}"


def load_results(folder: Path) -> list[dict[str, Any]]:
    """Every published suite, ``reference`` first; other files beside them are left alone."""
    order = list(_TITLES)
    every = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    found = [result for result in every if "suite" in result]
    return sorted(found, key=lambda r: order.index(r["suite"]) if r["suite"] in order else len(order))


def _suite(result: dict[str, Any], folder: str, here: Path) -> str:
    name, prefix = result["suite"], "" if folder == "." else f"{folder}/"
    parts = [f"### {_TITLES.get(name, f'Suite `{name}`')}", _provenance(result, prefix)]
    if result["b99"]:
        parts += [f"{_B99}{_LOCAL_NOTE if LOCAL in result['b99'] else ''}", _b99(result)]
    if result.get("figures"):
        parts.append(_figures(result["figures"]))
    if (here / folder / f"{name}-rate_accuracy.png").exists():
        parts.append(f"![accuracy against bytes, suite {name}]({prefix}{name}-rate_accuracy.png)")
    return "\n\n".join(parts)


def _provenance(result: dict[str, Any], prefix: str) -> str:
    name, commit = result["suite"], result["commit"]
    asked = max((row["questions"] for row in result["rows"] if row["task"] in ("all", "top1")), default=0)
    source = f"{result['date']}, {result['machine']}, commit {commit}"
    counted = f"{asked:,} questions or photos; " if asked else ""
    return f"{counted}{source}. All rows: [{name}.md]({prefix}{name}.md)."


def _b99(result: dict[str, Any]) -> str:
    intervals = result.get("b99_ci", {})
    reached = sorted((v, name) for name, v in result["b99"].items() if v is not None)
    rows = [[f"`{name}`", crossing_text(value, intervals.get(name))] for value, name in reached]
    rows += [[f"`{name}`", "not reached at any setting"] for name, v in result["b99"].items() if v is None]
    return _markdown(["strategy", "B99, bytes [95 % interval]"], rows)


def _figures(figures: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            figure["name"],
            interval_text(figure["value"], figure["interval"]),
            _bound(figure, figure["must"]),
            _bound(figure, figure["aim"]),
            _verdict(figure),
            figure["source"],
        ]
        for figure in figures
    ]
    return _markdown(["figure", "value [95 % interval]", "must", "aim", "met", "source"], rows)


def _verdict(figure: dict[str, Any]) -> str:
    bounds = figure["must"], figure["aim"]
    found = verdict_text(figure["value"], figure["interval"], *bounds, at_least=bool(figure.get("at_least")))
    return f"**{found}**" if found == "no" else found


def _bound(figure: dict[str, Any], value: float | None) -> str:
    return "" if value is None else f"{'≥' if figure.get('at_least') else '≤'} {number_text(value)}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(page: Path, results: Path) -> None:
    """Rewrite the file."""
    text, found = page.read_text(encoding="utf-8"), load_results(results)
    if SUMMARY_START in text:
        text = fill_street(fill_summary(text, found), found)
    else:
        text = fill(text, found, Path(os.path.relpath(results, page.parent)).as_posix(), page.parent)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
