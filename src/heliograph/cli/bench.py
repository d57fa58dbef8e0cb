"""``heliograph bench``: runs a suite and writes what it found; ``--publish`` makes it the documented result."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from heliograph.cli.command import EXIT_DONE, Command, positive_int, say, whole_number
from heliograph.cli.files import make_folder
from heliograph.registry import SUITES


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(SUITES.names())
    parser.add_argument("--suite", metavar="NAME", default="smoke", help=f"one of {names} (default: smoke)")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="for results.json, results.md and plots (default: runs/bench/NAME)",
    )
    parser.add_argument("--limit", metavar="N", type=positive_int, help="stop after N questions or photos")
    parser.add_argument(
        "--seed-start", metavar="N", type=whole_number, help="seed of the first scene (default: the suite's split)"
    )
    parser.add_argument(
        "--publish", metavar="DIR", type=Path, help="also write SUITE.json, table and plots there (make results does)"
    )


def _run(arguments: argparse.Namespace) -> int:
    suite = SUITES.load(arguments.suite)()
    out = make_folder(arguments.out or Path("runs") / "bench" / suite.name)
    from heliograph.bench.report import markdown, publish, write_results

    result = suite.run(limit=arguments.limit, seed_start=arguments.seed_start)
    written = list(write_results(result, out))
    if arguments.publish is not None:
        written += publish(result, make_folder(arguments.publish))
    facts: dict[str, Any] = {**result.to_json(), "files": [str(path) for path in written]}
    say(arguments, markdown(result) + "\n" + "\n".join(str(path) for path in written), facts)
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description="Measure every strategy at every setting of a suite: accuracy, agreement, bytes and times.",
    examples=(
        "heliograph bench --suite smoke --out runs/smoke",
        "heliograph bench --suite reference --out runs/reference --limit 200 --seed-start 9000000",
        "heliograph bench --suite photos --out runs/photos",
    ),
)
