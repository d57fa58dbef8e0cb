"""The picture of the suite ``street``, drawn from its JSON: agreement against bytes, our codecs and the best pixels."""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.labels import label_series
from heliograph.bench.metrics import ALL
from heliograph.bench.plots import upper_edge
from heliograph.bench.results import SuiteResult
from heliograph.bench.street.names import CHANCE, HEADLINE, OVER_PIXELS, PAYLOAD
from heliograph.bench.style import MAX_SERIES, Points, curve, in_order, log_axis, picture, reference_line

_RATIO = f"{PAYLOAD}, {OVER_PIXELS} at agreement {HEADLINE:.2f}"
_SHOWN = ("meta", "klt", "avif-bare", "webp-bare", "jpeg-bare", "jpeg-progressive")


def plot_street(result: SuiteResult, path: Path) -> bool:
    """Balanced agreement with the uncompressed answers against mean bytes (log). False where nothing is to be drawn."""
    curves = curves_of(result)
    if not curves:
        return False
    with picture(path, message(result), _facts(result)) as (axes,):
        for name, points in curves.items():
            curve(axes, points, name)
        log_axis(axes.xaxis)
        axes.set_xlabel("mean payload per photo (bytes)")
        axes.set_ylabel("agreement with the uncompressed answers (%)")
        reference_line(axes, 100 * HEADLINE, f"{100 * HEADLINE:.0f} %", place=0.9)
        chance = next((one.value for one in result.figures if one.name == CHANCE), None)
        if chance is not None and 100 * chance >= axes.get_ylim()[0]:
            reference_line(axes, 100 * chance, "chance")
        label_series(axes, {name: [(x, y) for x, y, _ in points] for name, points in curves.items()})
    return True


def curves_of(result: SuiteResult) -> dict[str, Points]:
    """(bytes, agreement in percent, its interval) of the better of each codec's settings, by bytes."""
    found: dict[str, list[tuple[float, float, tuple[float, float] | None]]] = {}
    for row in result.rows:
        if row.task == ALL and row.strategy in _SHOWN and row.payload_bytes and row.agreement is not None:
            interval = row.agreement_ci and (100 * row.agreement_ci[0], 100 * row.agreement_ci[1])
            found.setdefault(row.strategy, []).append((row.payload_bytes, 100 * row.agreement, interval))
    return {name: upper_edge(found[name]) for name in in_order(list(found))[:MAX_SERIES]}


def message(result: SuiteResult) -> str:
    """What the picture shows."""
    ratio = next((one.value for one in result.figures if one.name == _RATIO), None)
    if ratio is None:
        return "Real photos, a model of real parts: no two kinds of codec reach 90 % agreement"
    return f"At 90 % agreement coded tokens need {100 * ratio:.0f} % of the bytes of the best picture file"


def _facts(result: SuiteResult) -> str:
    rows = [row for row in result.rows if row.task == ALL]
    return (
        f"Field model, {max(row.questions for row in rows):,} answers about real photos; agreement balanced over "
        "questions whose answers differ between photos; bands: 95 % intervals"
    )


PICTURES = {"agreement.png": plot_street}
