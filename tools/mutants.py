"""How much of the behaviour the tests protect: ``make mutants``, outside continuous integration.

Samples small wrong changes (:mod:`mutation_operators`) over the rooms named below, runs the room's tests that reach the
changed line, and prints what was killed and what survived. ``tools/equivalent_mutants.json`` names changes that change
nothing, each with its reason; they are not counted.

Verdicts are kept under ``runs/mutants`` by commit, seed and number: with ``--resume`` a run goes on where it was cut
short. A room alone draws the mutants that it has in a run of all of them, so ``--room codec --count 45 --resume`` and
so on for every room, and then ``--resume`` with the same seed, spread one run over several sittings.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from mutation_copies import ROOT, Copy
from mutation_facts import Facts, Room, prepare
from mutation_operators import Mutant, mutants_of
from mutation_verdicts import Tally, Verdicts, state_of_the_code

EQUIVALENT = ROOT / "tools" / "equivalent_mutants.json"
_MIN_S, _FACTOR = 30.0, 6.0
_NO_SUCH_TEST, _NO_TESTS = 4, 5

ROOMS = (
    Room("codec", ("codec/**/*.py",), ("tests/unit/codec", "tests/vectors")),
    Room("protocol", ("protocol/**/*.py",), ("tests/unit/protocol",)),
    Room("controllers", ("controllers/**/*.py",), ("tests/unit/controllers",)),
    Room("serving", ("serving/**/*.py",), ("tests/unit/serving",)),
    Room("edge", ("edge/**/*.py",), ("tests/unit/edge",)),
    Room(
        "bench statistics",
        ("bench/stats.py", "bench/metrics.py", "bench/scores.py", "bench/exchange_model.py", "bench/loop/curves.py"),
        (
            *(f"tests/unit/bench/test_{name}*.py" for name in ("stats", "metrics", "scores", "exchange")),
            "tests/unit/bench/loop",
        ),
    ),
    Room("vlm", ("vlm/*.py", "vlm/checkpoint/*.py"), ("tests/unit/vlm",)),
)


def main() -> int:
    """See the module."""
    arguments = _arguments()
    rooms = [room for room in ROOMS if not arguments.room or room.name in arguments.room]
    equivalent = _equivalent()
    folder = arguments.parts / f"{state_of_the_code()}-{arguments.seed}"
    print(f"seed {arguments.seed}, {arguments.count} mutants in {len(rooms)} rooms; verdicts in {folder}", flush=True)
    tallies: dict[str, Tally] = {}
    for number, room in enumerate(rooms):
        share = arguments.count * (number + 1) // len(rooms) - arguments.count * number // len(rooms)
        chosen = _sampled(room, share, arguments.seed, equivalent)
        verdicts = Verdicts(folder, room.name, resume=arguments.resume)
        _judge(room, verdicts.open(chosen), verdicts, arguments)
        tallies[room.name] = verdicts.tally(chosen)
    _report(tallies)
    if arguments.json or arguments.publish:
        _publish(arguments, tallies)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    today = int(datetime.date.today().strftime("%Y%m%d"))
    parser.add_argument("--seed", type=int, default=today, help="of the sample (default: today's date)")
    parser.add_argument("--count", type=int, default=315, help="mutants in all, equally many a room (default: 315)")
    parser.add_argument("--room", action="append", help="only this room; may be repeated")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="keep the verdicts of an earlier run of the same sample")
    parser.add_argument("--parts", type=Path, default=ROOT / "runs" / "mutants", help="where verdicts are kept")
    parser.add_argument("--json", type=Path, help="write the figures there, in the schema of the suites")
    parser.add_argument("--decisions", type=Path, help="what tools/decision_coverage.py wrote: a figure beside these")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="tests.json, tests.md and the picture there")
    return parser.parse_args()


def _sampled(room: Room, count: int, seed: int, equivalent: set[tuple[str, str, str]]) -> list[Mutant]:
    every = []
    for path in room.files():
        source = (ROOT / path).read_text(encoding="utf-8")
        every += [m for m in mutants_of(path, source) if _identity(m, source) not in equivalent]
    return sorted(random.Random(f"{seed} {room.name}").sample(every, min(count, len(every))))


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


def _judge(room: Room, wanted: Sequence[Mutant], verdicts: Verdicts, arguments: argparse.Namespace) -> None:
    """Runs these mutants, as many at a time as there are processes."""
    if not wanted:
        return
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Copy(Path(folder) / str(number)) for number in range(arguments.processes)]
        try:
            _judge_on(copies, prepare(room, copies, arguments.parts / "facts"), room, wanted, verdicts)
        finally:
            for copy in copies:
                copy.stop()


def _judge_on(copies: Sequence[Copy], facts: Facts, room: Room, wanted: Sequence[Mutant], verdicts: Verdicts) -> None:
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judged(mutant: Mutant) -> tuple[Mutant, bool]:
        copy = free.get()
        try:
            return mutant, _is_killed(mutant, facts, copy)
        finally:
            free.put(copy)

    survived, began = 0, time.monotonic()
    with ThreadPoolExecutor(len(copies)) as pool:
        for done, (mutant, killed) in enumerate(pool.map(judged, wanted), start=1):
            verdicts.add(mutant, killed=killed)
            if not killed:
                survived += 1
                print(_described(mutant), flush=True)
            left_s = (time.monotonic() - began) / done * (len(wanted) - done)
            progress = f"{done} of {len(wanted)}, {done - survived} killed, {left_s / 60:.0f} min left"
            print(f"{room.name}: {progress}", flush=True)


def _is_killed(mutant: Mutant, facts: Facts, copy: Copy) -> bool:
    """Whether a test fails, or takes far longer than usual, with the mutant in place."""
    tests = facts.tests_for(mutant)
    with copy.changed(mutant):
        code = copy.run(["-x", *tests], _MIN_S + _FACTOR * facts.usual_s(tests))
        if code in (_NO_SUCH_TEST, _NO_TESTS):  # a table that names the tests has changed, which alone proves nothing
            files = list(dict.fromkeys(test.split("::")[0] for test in tests))
            code = copy.run(["-x", *files], _MIN_S + _FACTOR * facts.usual_s(list(facts.seconds)))
    return code not in (0, _NO_TESTS)


def _described(mutant: Mutant) -> str:
    before, after = _before_and_after(mutant, (ROOT / mutant.path).read_text(encoding="utf-8"))
    return f"SURVIVED {mutant.path}:{mutant.line} ({mutant.kind})\n    - {before}\n    + {after}"


def _report(tallies: dict[str, Tally]) -> None:
    print(f"\n{'room':18} {'mutants':>8} {'killed':>8} {'share':>7}")
    for name, tally in tallies.items():
        print(f"{name:18} {tally.count:8} {tally.killed:8} {tally.share:7.1%}")
    whole = Tally(sum(t.killed for t in tallies.values()), tuple(m for t in tallies.values() for m in t.survivors))
    print(f"{'all':18} {whole.count:8} {whole.killed:8} {whole.share:7.1%}")


def _publish(arguments: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    """Needs heliograph and, for the picture, its extra ``bench``; mutants alone need neither."""
    from tests_suite import published, suite_result

    result = suite_result(tallies, arguments.seed, arguments.decisions)
    if arguments.json:
        result.write_json(arguments.json)
    if arguments.publish:
        published(result, arguments.publish)


if __name__ == "__main__":
    sys.exit(main())
