"""The picture of suite ``bytes``, drawn from its JSON: agreement against bytes of every codec of tokens."""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.bytes.opponents import AVIF_TILES, NNC, OLDER
from heliograph.bench.labels import label_series
from heliograph.bench.metrics import ALL
from heliograph.bench.results import SuiteResult
from heliograph.bench.style import Points, curve, in_order, log_axis, picture, reference_line

AGREEMENT_FIGURE = "at agreement 0.95, scenes"
_SHOWN = ("meta", "klt", OLDER, NNC, AVIF_TILES)
_NAMES = {
    OLDER: "klt, older build",
    NNC: "KLT + MPEG NNC, bare",
    AVIF_TILES: "KLT tiles in AVIF, bare",
}
_MIN_AGREEMENT = 70.0


def plot_agreement(result: SuiteResult, path: Path) -> bool:
    """Agreement with the uncompressed answers against mean bytes (log). False where there is nothing to draw."""
    curves = curves_of(result)
    if not curves:
        return False
    rows = [row for row in result.rows if row.task == ALL]
    facts = (
        f"Generated scenes, {max(row.questions for row in rows):,} questions; agreement with uncompressed answers; "
        "bands: 95 % intervals"
    )
    with picture(path, _message(result), facts) as (axes,):
        for name, points in curves.items():
            curve(axes, points, name)
        log_axis(axes.xaxis)
        axes.set_xlabel("mean payload per photo (bytes)")
        axes.set_ylabel("agreement with the uncompressed answers (%)")
        for level in (85, 90, 95):
            reference_line(axes, level, f"{level} %")
        label_series(axes, {name: [(x, y) for x, y, _ in points] for name, points in curves.items()}, _NAMES)
    return True


def curves_of(result: SuiteResult) -> dict[str, Points]:
    """(bytes, agreement in percent, its interval) of the better of a codec's settings, by bytes."""
    found: dict[str, list[tuple[float, float, tuple[float, float] | None]]] = {}
    rows = [row for row in result.rows if row.task == ALL and row.strategy in _SHOWN]
    for row in sorted(rows, key=lambda one: one.payload_bytes or 0.0):
        if row.agreement is None or row.payload_bytes is None or 100 * row.agreement < _MIN_AGREEMENT:
            continue
        points = found.setdefault(row.strategy, [])
        if points and 100 * row.agreement <= points[-1][1]:
            continue
        interval = row.agreement_ci and (100 * row.agreement_ci[0], 100 * row.agreement_ci[1])
        points.append((row.payload_bytes, 100 * row.agreement, interval))
    return {name: found[name] for name in in_order(list(found))}


def _message(result: SuiteResult) -> str:
    wanted = f'bytes of klt / "KLT + NNC" bare {AGREEMENT_FIGURE}'
    ratio = next((one.value for one in result.figures if one.name == wanted), None)
    if ratio is None:
        return "What the same answers cost in bytes, by what follows the transform"
    return f"At 95 % agreement klt needs {100 * ratio:.0f} % of the bytes of KLT + MPEG NNC"


PICTURES = {"agreement.png": plot_agreement}
