"""Wrong input in large numbers: frames, files, streams and headers; nothing but a named error may come of it.

``python -m heliograph.bench.hardening.fuzzing OUT.json [--runs 1000000] [--seed 1]``

::

    seed, target, number --random source--> one case --both sessions, loaders, codecs, the cloud--> taken | named error

A case can be made again from the three numbers that a failure is reported with. Memory is looked at twice: how far the
process grew while a target ran, and, at every five-hundredth case, what Python allocated at most for it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from heliograph.bench.device.process import peak_memory_mb
from heliograph.bench.hardening.fuzz_targets import Target, every_target
from heliograph.bench.results import Provenance
from heliograph.errors import HeliographError
from heliograph.training.progress import Progress

RUNS = 1_000_000
SEED = 1
_SAMPLED = 500
_BATCH = 200
_MAX_FAILURES = 20
MAX_GROWTH_MB = 256.0
MAX_CASE_MB = 64.0


@dataclass
class TargetResult:
    """What one target gave.

    Attributes:
        runs: cases.
        named: that ended with a named error, or closed the session with one; the others were taken.
        errors: how often each was named.
        failures: ``(number, what happened)`` of cases that raised something else, or broke a bound.
        seconds: wall time.
        growth_mb: of the process' peak memory.
        case_mb: most that Python allocated for one of the sampled cases.
    """

    runs: int = 0
    named: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0
    growth_mb: float = 0.0
    case_mb: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether only named errors were raised, and memory stayed within its bounds."""
        return not self.failures and self.growth_mb <= MAX_GROWTH_MB and self.case_mb <= MAX_CASE_MB


def run_target(
    target: Target, runs: int, seed: int, advance: Callable[[int], None] = lambda steps: None
) -> TargetResult:
    """Run cases 0 to ``runs`` - 1 of one target; never raises for what a case does.

    Args:
        target: what is tried.
        runs: how many cases.
        seed: of all of them.
        advance: gets how many more are done, now and then.
    """
    result = TargetResult()
    before_mb, started = peak_memory_mb(), time.monotonic()
    for number in range(runs):
        if number % _SAMPLED == _SAMPLED - 1:
            _sampled(target, seed, number, result)
        else:
            _one(target, seed, number, result)
        if number % _BATCH == _BATCH - 1:
            advance(_BATCH)
    advance(runs % _BATCH)
    result.runs, result.seconds = runs, time.monotonic() - started
    result.growth_mb = max(0.0, peak_memory_mb() - before_mb)
    return result


def _sampled(target: Target, seed: int, number: int, result: TargetResult) -> None:
    tracemalloc.start()
    try:
        _one(target, seed, number, result)
        result.case_mb = max(result.case_mb, tracemalloc.get_traced_memory()[1] / 1e6)
    finally:
        tracemalloc.stop()


def _one(target: Target, seed: int, number: int, result: TargetResult) -> None:
    try:
        named = target.run(case_source(target.name, seed, number))
    except HeliographError as error:
        named = error.name
    except Exception as error:  # this is what is looked for
        named = None
        if len(result.failures) < _MAX_FAILURES:
            result.failures.append((number, f"{type(error).__name__}: {error}"[:200]))
    if named:
        result.named += 1
        result.errors[named] = result.errors.get(named, 0) + 1


def case_source(name: str, seed: int, number: int) -> random.Random:
    """The random source of one case."""
    return random.Random(f"{name} {seed} {number}")


def run_all(targets: Sequence[Target], runs: int, seed: int, progress: Progress) -> dict[str, TargetResult]:
    """``runs`` cases in all, shared out as the targets want them."""
    whole = sum(target.share for target in targets)
    found: dict[str, TargetResult] = {}
    for target in targets:
        count = max(1, round(runs * target.share / whole))
        found[target.name] = run_target(target, count, seed, progress.bar(count, target.name))
    return found


def report(found: Mapping[str, TargetResult], seed: int, provenance: Provenance) -> dict[str, Any]:
    """The result as JSON values."""
    return {
        "provenance": asdict(provenance),
        "seed": seed,
        "runs": sum(one.runs for one in found.values()),
        "failures": sum(len(one.failures) for one in found.values()),
        "seconds": round(sum(one.seconds for one in found.values()), 1),
        "passed": all(one.passed for one in found.values()),
        "targets": {name: {**asdict(one), "passed": one.passed} for name, one in found.items()},
    }


def main() -> None:
    """See the module; ends with 1 where something else than a named error came of a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    provenance = Provenance.now()
    with tempfile.TemporaryDirectory() as folder, Progress(quiet=False) as progress:
        targets = every_target(Path(folder))
        found = run_all(targets, arguments.runs, arguments.seed, progress)
    text = report(found, arguments.seed, provenance)
    arguments.out.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    for name, one in found.items():
        rate = one.runs / max(one.seconds, 1e-9)
        print(f"{name}: {one.runs:,} runs, {one.named:,} named, {len(one.failures)} failures, {rate:,.0f} a second")
    sys.exit(0 if text["passed"] else 1)


if __name__ == "__main__":
    main()
