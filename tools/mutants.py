"""How much of the behaviour the tests protect: ``make mutants``, outside continuous integration.

Samples small wrong changes (:mod:`mutation_operators`) over the rooms named below, runs the room's tests that reach the
changed line, and prints what was killed and what survived. ``tools/equivalent_mutants.json`` names changes that change
nothing, each with its reason; they are not counted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from mutation_operators import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/heliograph"
EQUIVALENT = ROOT / "tools" / "equivalent_mutants.json"
_LEAST_S, _FACTOR = 30.0, 6.0
_WHOLE_ROOM = ""


@dataclass(frozen=True)
class Room:
    """A part of the package and the tests that are to protect it."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = (
    Room("codec", ("codec/*.py",), ("tests/unit/codec", "tests/vectors")),
    Room("protocol", ("protocol/*.py",), ("tests/unit/protocol",)),
    Room("controllers", ("controllers/*.py",), ("tests/unit/controllers",)),
    Room("serving", ("serving/*.py",), ("tests/unit/serving",)),
    Room("edge", ("edge/*.py",), ("tests/unit/edge",)),
    Room(
        "bench statistics",
        ("bench/stats.py", "bench/metrics.py", "bench/scores.py", "bench/exchange_model.py", "bench/loop_curves.py"),
        ("tests/unit/bench",),
    ),
    Room("vlm", ("vlm/*.py",), ("tests/unit/vlm",)),
)


@dataclass
class Baseline:
    """A room's tests without any change.

    Attributes:
        seconds: per test.
        reaching: tests by (path, line); the empty name stands for what runs on import.
    """

    seconds: dict[str, float]
    reaching: dict[tuple[str, int], set[str]]


@dataclass
class Tally:
    """What became of a room's mutants."""

    killed: int = 0
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Killed, of all that were run."""
        return self.killed / max(1, self.killed + len(self.survivors))


def main() -> int:
    """See the module."""
    arguments = _arguments()
    rooms = [room for room in ROOMS if not arguments.room or room.name in arguments.room]
    equivalent = _equivalent()
    randomness = random.Random(arguments.seed)
    print(f"seed {arguments.seed}, {arguments.count} mutants in {len(rooms)} rooms", flush=True)
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder:
        copies = [_copy(Path(folder) / str(number)) for number in range(arguments.processes)]
        for number, room in enumerate(rooms):
            share = arguments.count * (number + 1) // len(rooms) - arguments.count * number // len(rooms)
            chosen = _sampled(room, share, randomness, equivalent)
            tallies[room.name] = _run_room(room, chosen, copies)
    _report(tallies)
    if arguments.json:
        _write(arguments.json, tallies, arguments.seed)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    today = int(datetime.date.today().strftime("%Y%m%d"))
    parser.add_argument("--seed", type=int, default=today, help="of the sample (default: today's date)")
    parser.add_argument("--count", type=int, default=315, help="mutants in all (default: 315)")
    parser.add_argument("--room", action="append", help="only this room; may be repeated")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures there, in the schema of the suites")
    return parser.parse_args()


def _sampled(room: Room, count: int, randomness: random.Random, equivalent: set[tuple[str, str, str]]) -> list[Mutant]:
    every = []
    for path in _sources(room):
        source = (ROOT / path).read_text(encoding="utf-8")
        every += [m for m in mutants_of(path, source) if _identity(m, source) not in equivalent]
    return sorted(randomness.sample(every, min(count, len(every))))


def _sources(room: Room) -> list[str]:
    found = [path for pattern in room.sources for path in (ROOT / PACKAGE).glob(pattern)]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def _identity(mutant: Mutant, source: str) -> tuple[str, str, str]:
    """File, line before and line after, which outlive changes elsewhere in the file."""
    return mutant.path, *_before_and_after(mutant, source)


def _before_and_after(mutant: Mutant, source: str) -> tuple[str, str]:
    changed = mutant.applied(source)
    first = source.rfind("\n", 0, mutant.start) + 1
    old_end = source.find("\n", mutant.end)
    new_end = changed.find("\n", mutant.start + len(mutant.text))
    return source[first:old_end].strip(), changed[first:new_end].strip()


def _equivalent() -> set[tuple[str, str, str]]:
    if not EQUIVALENT.is_file():
        return set()
    return {(e["path"], e["before"], e["after"]) for e in json.loads(EQUIVALENT.read_text(encoding="utf-8"))}


def _copy(folder: Path) -> Path:
    """The tracked files, so that the checkout itself is never changed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


def _run_room(room: Room, chosen: Sequence[Mutant], copies: Sequence[Path]) -> Tally:
    baseline = _baseline(room, copies[0])
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)
    tally, began = Tally(), time.monotonic()

    def judge(mutant: Mutant) -> tuple[Mutant, bool]:
        copy = free.get()
        try:
            return mutant, _is_killed(mutant, baseline, room, copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for done, (mutant, killed) in enumerate(pool.map(judge, chosen), start=1):
            tally.killed += killed
            if not killed:
                tally.survivors.append(mutant)
                print(_described(mutant), flush=True)
            left_s = (time.monotonic() - began) / done * (len(chosen) - done)
            print(
                f"{room.name}: {done} of {len(chosen)}, {tally.killed} killed, {left_s / 60:.0f} min left", flush=True
            )
    return tally


def _baseline(room: Room, copy: Path) -> Baseline:
    """Runs the room's tests once with coverage, and keeps which test reaches which line."""
    from coverage import CoverageData

    facts, junit = copy / ".coverage", copy / "junit.xml"
    facts.unlink(missing_ok=True)
    options = [
        f"--cov={PACKAGE}",
        "--cov-context=test",
        "--cov-report=",
        f"--junit-xml={junit}",
        "-o",
        "junit_family=xunit1",
    ]
    done = _pytest(copy, [*options, *room.tests], timeout_s=3600)
    if done != 0:
        raise SystemExit(f"the tests of {room.name} fail without any change: pytest ended with {done}")
    data = CoverageData(basename=str(facts))
    data.read()
    reaching: dict[tuple[str, int], set[str]] = {}
    for path in _sources(room):
        for line, contexts in data.contexts_by_lineno(str(copy / path)).items():
            reaching[path, line] = {context.removesuffix("|run").split("|")[0] for context in contexts}
    return Baseline(_seconds(junit), reaching)


def _seconds(junit: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        found[f"{case.get('file')}::{case.get('name')}"] = float(case.get("time") or 0)
    return found


def _is_killed(mutant: Mutant, baseline: Baseline, room: Room, copy: Path) -> bool:
    target = copy / mutant.path
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    tests = baseline.reaching.get((mutant.path, mutant.line), set())
    if not tests or _WHOLE_ROOM in tests:
        chosen, usual_s = list(room.tests), sum(baseline.seconds.values())
    else:
        chosen = sorted(tests, key=lambda test: baseline.seconds.get(test, 0.0))
        usual_s = sum(baseline.seconds.get(test, 1.0) for test in chosen)
    try:
        target.write_text(mutant.applied(source), encoding="utf-8")
        return _pytest(copy, ["-x", *chosen], timeout_s=_LEAST_S + _FACTOR * usual_s) != 0
    finally:
        target.write_text(source, encoding="utf-8")


def _pytest(copy: Path, arguments: Sequence[str], timeout_s: float) -> int:
    """Its exit code; a run that takes too long counts as failed, and its children end with it."""
    listed = copy / "arguments.txt"
    listed.write_text("\n".join(arguments), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", f"@{listed}"],
        cwd=copy,
        env={
            **os.environ,
            "PYTHONPATH": str(copy / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "HELIOGRAPH_DATA": os.environ.get("HELIOGRAPH_DATA", str(ROOT.parent / "shared" / "data")),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return 1
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


def _described(mutant: Mutant) -> str:
    before, after = _before_and_after(mutant, (ROOT / mutant.path).read_text(encoding="utf-8"))
    return f"SURVIVED {mutant.path}:{mutant.line} ({mutant.kind})\n    - {before}\n    + {after}"


def _report(tallies: dict[str, Tally]) -> None:
    print(f"\n{'room':18} {'mutants':>8} {'killed':>8} {'share':>7}")
    for name, tally in tallies.items():
        print(f"{name:18} {tally.killed + len(tally.survivors):8} {tally.killed:8} {tally.share:7.1%}")
    killed = sum(t.killed for t in tallies.values())
    every = killed + sum(len(t.survivors) for t in tallies.values())
    print(f"{'all':18} {every:8} {killed:8} {killed / max(1, every):7.1%}")


def _write(path: Path, tallies: dict[str, Tally], seed: int) -> None:
    from heliograph.bench.results import Figure, Provenance, SuiteResult, Table
    from heliograph.bench.stats import wilson_interval

    killed = sum(t.killed for t in tallies.values())
    every = killed + sum(len(t.survivors) for t in tallies.values())
    worst = min(tallies.values(), key=lambda tally: tally.share)
    figures = (
        Figure(
            "non-equivalent mutants killed", killed / every, wilson_interval(killed, every), 0.92, 0.97, at_least=True
        ),
        Figure("the same, worst room", worst.share, None, 0.85, 0.92, at_least=True),
    )
    body = tuple(
        (n, str(t.killed + len(t.survivors)), str(t.killed), f"{100 * t.share:.1f}") for n, t in tallies.items()
    )
    table = Table("Mutants by room", ("room", "mutants", "killed", "%"), body)
    notes = (f"{every} mutants, sampled with seed {seed}.",)
    SuiteResult("tests", Provenance.now(), (), {}, figures=figures, tables=(table,), notes=notes).write_json(path)


if __name__ == "__main__":
    sys.exit(main())
