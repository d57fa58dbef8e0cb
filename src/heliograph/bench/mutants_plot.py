"""The picture of suite ``tests``, drawn from its JSON: how many small wrong changes the tests notice, by room."""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.results import SuiteResult
from heliograph.bench.style import SECOND, picture, reference_line

ROOMS_TABLE = "Mutants by room"
MUST_WORST, AIM_WORST = 0.85, 0.92


def plot_mutants(result: SuiteResult, path: Path) -> bool:
    """A bar a room, beside what every room must reach and what it aims at."""
    body = result.table(ROOMS_TABLE).body
    if not body:
        return False
    shares = [float(row[3]) for row in body]
    whole = sum(int(row[2]) for row in body) / sum(int(row[1]) for row in body)
    message = f"The tests notice {100 * whole:.0f} % of small wrong changes, and {min(shares):.0f} % in the worst room"
    facts = "Sampled changes of one operator, constant, condition or statement; unit tests of the room alone; measured"
    with picture(path, message, facts, size=(7.4, 0.34 * len(body) + 0.9)) as (axes,):
        names = [f"{row[0]} ({row[1]})" for row in body]
        axes.barh(names[::-1], shares[::-1], color=SECOND, height=0.62, zorder=2)
        for row, share in enumerate(shares[::-1]):
            axes.annotate(f"{share:.1f}", (share, row), xytext=(4, -3), textcoords="offset points", fontsize=8)
        reference_line(axes, 100 * MUST_WORST, "must", vertical=True)
        reference_line(axes, 100 * AIM_WORST, "aim", vertical=True)
        axes.set_xlim(min(75.0, *shares) - 1, 101)
        axes.set_xlabel("mutants killed (%)")
    return True


PICTURES = {"mutants.png": plot_mutants}
