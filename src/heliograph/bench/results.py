"""The one shape of every suite's results, and its JSON (schema 2)."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from heliograph.bench.stats import Interval

SCHEMA = 2
Source = Literal["measured", "modelled"]


@dataclass(frozen=True)
class Row:
    """One strategy at one setting on one task, means over questions.

    Attributes:
        strategy, setting, task: names; ``setting`` is a printable label, ``task`` is "all" for the mean over tasks.
        questions: sample count.
        accuracy: share of right answers; None where no right answer is known.
        agreement: share of answers equal to the uncompressed path's.
        sure_agreement: the same of questions whose uncompressed answer leads by a margin that the suite states, so that
            ties do not count; None where the suite knows no margins.
        payload_bytes, wire_bytes: codec output; that plus everything else on the connection, both directions.
        encode_ms, decode_ms: processor time on this machine, device side and cloud side.
        link_mbit, rtt_ms, draft_ms, final_ms: the link, and the time from the question to the first draft and to the
            final answer; None in rows that no link belongs to.
        source: whether ``wire_bytes``, ``draft_ms`` and ``final_ms`` were measured on a socket or computed from the
            link model. All other figures are always measured.
        consistency: semantic consistency, the cosine of MiniLM embeddings with the uncompressed path's answer; None
            where the extra ``sc`` is not installed.
    """

    strategy: str
    setting: str
    task: str
    questions: int
    accuracy: float | None = None
    accuracy_ci: Interval | None = None
    agreement: float | None = None
    agreement_ci: Interval | None = None
    payload_bytes: float | None = None
    payload_bytes_ci: Interval | None = None
    wire_bytes: float | None = None
    wire_bytes_ci: Interval | None = None
    encode_ms: float | None = None
    encode_ms_ci: Interval | None = None
    decode_ms: float | None = None
    decode_ms_ci: Interval | None = None
    link_mbit: float | None = None
    rtt_ms: float | None = None
    draft_ms: float | None = None
    draft_ms_ci: Interval | None = None
    final_ms: float | None = None
    final_ms_ci: Interval | None = None
    source: Source = "measured"
    consistency: float | None = None
    consistency_ci: Interval | None = None
    sure_agreement: float | None = None
    sure_agreement_ci: Interval | None = None


@dataclass(frozen=True)
class Figure:
    """One number that the project set itself, with its bounds (None where there is none).

    Attributes:
        at_least: the bounds are lower ones.
    """

    name: str
    value: float | None
    interval: Interval | None = None
    must: float | None = None
    aim: float | None = None
    source: Source = "measured"
    at_least: bool = False


@dataclass(frozen=True)
class Provenance:
    """Where a run's figures come from. Taken when the run starts: a checkout may move on while it lasts."""

    machine: str
    commit: str
    date: str

    @classmethod
    def now(cls) -> Provenance:
        """The provenance of a run on this machine, from this checkout, today."""
        return cls(machine_description(), current_commit(), datetime.date.today().isoformat())


@dataclass(frozen=True)
class Table:
    """A table of a suite's own, as printable cells.

    Attributes:
        title: its heading.
        head: the columns' names.
        body: rows of cells.
    """

    title: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class SuiteResult:
    """Everything that one run of a suite found.

    Attributes:
        pictures: by file name; each is drawn from this result alone into a path, or says False and leaves no file. None
            means quality against bytes and against time.
        drawings: by file name, what needs more than the JSON holds; each is drawn into a path.
        tables: of the suite's own, below its figures.
        consistency_floor: semantic consistency of unrelated answers, below which it says nothing; None where it was
            not measured.
    """

    suite: str
    provenance: Provenance
    rows: tuple[Row, ...]
    b99: dict[str, float | None]
    b99_ci: dict[str, Interval | None] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    peak_memory_mb: dict[str, float] = field(default_factory=dict)
    pictures: Mapping[str, Callable[[SuiteResult, Path], bool]] | None = None
    drawings: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    consistency_floor: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The schema of ``results.json``."""
        return {
            "schema": SCHEMA,
            "suite": self.suite,
            "machine": self.provenance.machine,
            "commit": self.provenance.commit,
            "date": self.provenance.date,
            "rows": [_rounded(row) for row in self.rows],
            "b99": {name: _round(value) for name, value in self.b99.items()},
            "b99_ci": {name: _round(value) for name, value in self.b99_ci.items()},
            "figures": [_rounded(figure) for figure in self.figures],
            "consistency_floor": _round(self.consistency_floor),
            "peak_memory_mb": {name: _round(value) for name, value in self.peak_memory_mb.items()},
            "notes": list(self.notes),
            "tables": [{"title": t.title, "head": list(t.head), "body": list(map(list, t.body))} for t in self.tables],
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> SuiteResult:
        """What :meth:`to_json` gave, without pictures and drawings, floats to six digits."""
        return cls(
            suite=facts["suite"],
            provenance=Provenance(facts["machine"], facts["commit"], facts["date"]),
            rows=tuple(Row(**_restored(row)) for row in facts["rows"]),
            b99=dict(facts["b99"]),
            b99_ci={name: value and (value[0], value[1]) for name, value in facts["b99_ci"].items()},
            figures=tuple(Figure(**_restored(figure)) for figure in facts["figures"]),
            notes=tuple(facts["notes"]),
            peak_memory_mb=dict(facts["peak_memory_mb"]),
            tables=tuple(
                Table(one["title"], tuple(one["head"]), tuple(map(tuple, one["body"])))
                for one in facts.get("tables", ())
            ),
            consistency_floor=facts.get("consistency_floor"),
        )

    def table(self, title_start: str) -> Table:
        """The suite's own table whose title begins so.

        Raises:
            KeyError: there is none.
        """
        for one in self.tables:
            if one.title.startswith(title_start):
                return one
        raise KeyError(title_start)

    def write_json(self, path: Path) -> None:
        """Writes ``results.json``."""
        path.write_text(_in_lines(self.to_json()), encoding="utf-8")


def _in_lines(facts: Mapping[str, Any]) -> str:
    """JSON with a line for each entry of each list: a run has thousands of rows, whose numbers belong together."""
    entries = []
    for name, value in facts.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(json.dumps(one, allow_nan=False) for one in value) + "\n ]"
        entries.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _rounded(item: Row | Figure) -> dict[str, Any]:
    return {f.name: _round(getattr(item, f.name)) for f in fields(item)}


def _restored(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if isfinite(value) else None
    if isinstance(value, tuple):
        return [_round(v) for v in value]
    return value


def machine_description() -> str:
    """Processor model, usable cores and Python version; no host name."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass  # not Linux: the general name has to do
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, Python {platform.python_version()}"


def current_commit() -> str:
    """The checkout's commit, with ``+`` where tracked files were changed; "unknown" outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = _git(here, "rev-parse", "--short=12", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", str(here.parent))
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
