"""Suite ``tests``: what mutants and the coverage of decisions say of the tests, in the schema of the other suites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mutation_verdicts import Tally

from heliograph.bench.mutants_plot import AIM_WORST, MUST_WORST, PICTURES, ROOMS_TABLE
from heliograph.bench.report import publish
from heliograph.bench.results import Figure, Provenance, SuiteResult, Table
from heliograph.bench.stats import wilson_interval

MUST, AIM = 0.92, 0.97
MUST_REACHED = 0.95


def suite_result(tallies: Mapping[str, Tally], seed: int, decisions: Path | None) -> SuiteResult:
    """Figures and tables.

    Args:
        tallies: by room.
        seed: of the sample.
        decisions: what ``tools/decision_coverage.py --json`` wrote; None leaves its figure out.
    """
    whole = whole_of(tallies)
    worst = min(tallies.values(), key=lambda tally: tally.share)
    figures = [
        Figure(
            "non-equivalent mutants killed",
            whole.share,
            wilson_interval(whole.killed, whole.count),
            MUST,
            AIM,
            at_least=True,
        ),
        Figure("the same, worst room", worst.share, None, MUST_WORST, AIM_WORST, at_least=True),
    ]
    body = tuple((n, str(t.count), str(t.killed), f"{100 * t.share:.1f}") for n, t in tallies.items())
    tables = [Table(ROOMS_TABLE, ("room", "mutants", "killed", "%"), body)]
    notes = [f"{whole.count} mutants, sampled with seed {seed}; equivalent ones are named in tools/ and not counted."]
    if decisions is not None:
        modules = json.loads(decisions.read_text(encoding="utf-8"))
        lines, missed = sum(m["lines"] for m in modules), sum(len(m["missed"]) for m in modules)
        name = "lines of serving/ and edge/ decisions reached without a socket"
        figures.append(Figure(name, 1 - missed / lines, None, MUST_REACHED, at_least=True))
        rows = tuple((m["module"], str(m["lines"]), str(len(m["missed"]))) for m in modules)
        tables.append(Table("Lines of decisions", ("module", "lines", "not reached"), rows))
        notes.append("Modules of serving/ and edge/ that do I/O or compute pixels are left out, each with its reason.")
    return SuiteResult(
        "tests",
        Provenance.now(),
        (),
        {},
        figures=tuple(figures),
        tables=tuple(tables),
        notes=tuple(notes),
        pictures=PICTURES,
    )


def whole_of(tallies: Mapping[str, Tally]) -> Tally:
    """The whole over all rooms."""
    parts = tallies.values()
    return Tally(sum(t.killed for t in parts), tuple(mutant for t in parts for mutant in t.survivors))


def published(result: SuiteResult, folder: Path) -> None:
    """``tests.json``, ``tests.md`` and the picture."""
    for path in publish(result, folder):
        print(path)
