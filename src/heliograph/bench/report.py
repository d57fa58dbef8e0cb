"""Writes what a suite found: ``results.json``, ``results.md`` and its pictures; and publishes them under ``docs``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from heliograph.bench.metrics import ALL
from heliograph.bench.numbers import cell_text, crossing_text, interval_text, number_text, verdict_text
from heliograph.bench.plots import USUAL_PICTURES
from heliograph.bench.results import Figure, Row, SuiteResult
from heliograph.bench.stats import Interval


def write_results(result: SuiteResult, folder: Path) -> tuple[Path, ...]:
    """``results.json``, ``results.md`` and the suite's pictures."""
    return _write(result, folder, json_name="results.json", table_name="results.md", plot_prefix="")


def publish(suite_result: SuiteResult, folder: Path) -> tuple[Path, ...]:
    """The same under the suite's name, for ``docs/results``: ``SUITE.json``, ``SUITE.md``, ``SUITE-*.png``."""
    name = suite_result.suite
    return _write(suite_result, folder, json_name=f"{name}.json", table_name=f"{name}.md", plot_prefix=f"{name}-")


def _write(result: SuiteResult, folder: Path, *, json_name: str, table_name: str, plot_prefix: str) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / json_name, folder / table_name]
    result.write_json(written[0])
    plots = draw_pictures(result, folder, plot_prefix)
    for name, draw_into in result.drawings.items():
        plots.append(folder / f"{plot_prefix}{name}")
        draw_into(plots[-1])
    written[1].write_text(markdown(result, [p.name for p in plots]), encoding="utf-8")
    return (*written, *plots)


def draw_pictures(result: SuiteResult, folder: Path, prefix: str = "") -> list[Path]:
    """Every picture that the result alone is enough for; what was written. One with the suite's name has no prefix.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pictures = USUAL_PICTURES if result.pictures is None else result.pictures
    paths = {
        folder / (name if Path(name).stem == result.suite else f"{prefix}{name}"): draw
        for name, draw in pictures.items()
    }
    return [path for path, draw in paths.items() if draw(result, path)]


def markdown(result: SuiteResult, plots: Sequence[str] = ()) -> str:
    """The whole report as Markdown."""
    origin = result.provenance
    parts = [f"# Suite `{result.suite}`", f"Machine: {origin.machine}. Commit: {origin.commit}. Date: {origin.date}."]
    parts += [f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in plots]
    if result.figures:
        parts += ["## Figures", figures_table(result.figures)]
    for table in result.tables:
        parts += [f"## {table.title}", _table(table.head, table.body)]
    if result.b99:
        parts += ["## B99: payload bytes that keep 99 % of the uncompressed path's accuracy", _b99_table(result)]
    headline = [r for r in result.rows if r.task in _headline_tasks(result)]
    if headline:
        parts += ["## Rates: mean over tasks", rates_table(headline, result.consistency_floor)]
    tasks = task_table(result.rows)
    if tasks:
        parts += ["## Accuracy per task", tasks]
    timed = [r for r in result.rows if r.link_mbit is not None]
    if timed:
        parts += ["## Times", times_table(timed)]
    if result.peak_memory_mb:
        memory = [[name, f"{value:,.0f} MB"] for name, value in result.peak_memory_mb.items()]
        parts += ["## Peak memory (measured)", _table(["process", "peak resident memory"], memory)]
    if result.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in result.notes)]
    return "\n\n".join(parts) + "\n"


def unreached_note(figures: Sequence[Figure]) -> tuple[str, ...]:
    """Says of figures that are read where a level is reached why some have no interval; nothing where all have one."""
    names = [figure.name for figure in figures if figure.value is not None and figure.interval is None]
    text = f"No interval, since more than 5 % of the resamples do not reach the level: {'; '.join(names)}."
    return (text,) if names else ()


def figures_table(figures: Sequence[Figure]) -> str:
    """The figures with their bounds and whether they are met."""
    rows = [
        [
            f.name,
            interval_text(f.value, f.interval),
            _bound(f, f.must),
            _bound(f, f.aim),
            verdict_text(f.value, f.interval, f.must, f.aim, at_least=f.at_least),
            f.source,
        ]
        for f in figures
    ]
    return _table(["figure", "value [95 % interval]", "must", "aim", "met", "source"], rows)


def rates_table(rows: Sequence[Row], consistency_floor: float | None = None) -> str:
    """Quality against bytes, without links; beside semantic consistency what unrelated answers have of it."""
    body = [
        [
            r.strategy,
            r.setting,
            f"{r.questions:,}",
            _percent(r.accuracy, r.accuracy_ci),
            _percent(r.agreement, r.agreement_ci),
            _percent(r.sure_agreement, r.sure_agreement_ci),
            "" if r.consistency is None else f"{r.consistency:.3f}",
            _number(r.payload_bytes),
            _number(r.wire_bytes),
            _number(r.encode_ms, 1),
            _number(r.decode_ms, 1),
        ]
        for r in rows
        if r.link_mbit is None
    ]
    consistency = "SC" if consistency_floor is None else f"SC (floor {consistency_floor:.2f})"
    head = ["strategy", "setting", "n", "accuracy %", "agreement %", "agreement of sure answers %", consistency]
    head += ["payload bytes", "wire bytes", "encode ms", "decode ms"]
    sure = head.index("agreement of sure answers %")
    if not any(row[sure] for row in body):  # the suite knows no margins
        head, body = [*head[:sure], *head[sure + 1 :]], [[*row[:sure], *row[sure + 1 :]] for row in body]
    return _table(head, body)


def task_table(rows: Sequence[Row]) -> str:
    """Accuracy per task in percent, one line per strategy and setting; empty where there is only one task."""
    plain = [r for r in rows if r.link_mbit is None and r.accuracy is not None]
    tasks = list(dict.fromkeys(r.task for r in plain))
    if len(tasks) < 2:
        return ""
    counts = {r.task: r.questions for r in plain}
    cells: dict[tuple[str, str], dict[str, Row]] = {}
    for row in plain:
        cells.setdefault((row.strategy, row.setting), {})[row.task] = row
    body = [[*key, *(_percent(found[t].accuracy) if t in found else "" for t in tasks)] for key, found in cells.items()]
    return _table(["strategy", "setting", *(f"{t} (n={counts[t]:,})" for t in tasks)], body)


def times_table(rows: Sequence[Row]) -> str:
    """Time to the first draft and to the final answer per link."""
    body = [
        [
            f"{r.link_mbit:g} Mbit/s, {r.rtt_ms:g} ms",
            r.strategy,
            r.setting,
            f"{r.questions:,}",
            _percent(r.accuracy),
            _number(r.wire_bytes),
            _with_interval(r.draft_ms, r.draft_ms_ci, "{:,.0f}"),
            _with_interval(r.final_ms, r.final_ms_ci, "{:,.0f}"),
            r.source,
        ]
        for r in rows
    ]
    head = ["link", "strategy", "setting", "n", "accuracy %", "wire bytes", "draft ms", "final ms", "source"]
    return _table(head, body)


def _headline_tasks(result: SuiteResult) -> set[str]:
    tasks = {r.task for r in result.rows}
    return {ALL} if ALL in tasks else tasks


def _b99_table(result: SuiteResult) -> str:
    reached = sorted((v, name) for name, v in result.b99.items() if v is not None)
    never = [name for name, v in result.b99.items() if v is None]
    body = [[name, crossing_text(value, result.b99_ci.get(name))] for value, name in reached]
    return _table(["strategy", "B99, bytes [95 % interval]"], body + [[name, "not reached"] for name in never])


def _bound(figure: Figure, value: float | None) -> str:
    return "" if value is None else f"{'≥' if figure.at_least else '≤'} {number_text(value)}"


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None, interval: Interval | None = None) -> str:
    if value is None:
        return ""
    return _with_interval(100 * value, interval and (100 * interval[0], 100 * interval[1]), "{:.1f}")


def _with_interval(value: float | None, interval: Interval | None, form: str) -> str:
    if value is None:
        return "not reached"
    if interval is None:
        return form.format(value)
    return f"{form.format(value)} [{form.format(interval[0])}, {form.format(interval[1])}]"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    line: Callable[[Sequence[str]], str] = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    rows = [[cell_text(cell) for cell in row] for row in body]
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])
