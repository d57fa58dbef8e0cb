"""How many lines of the decisions in ``serving/`` and ``edge/`` the unit tests reach without a socket.

Runs the tests of ``tests/unit/serving`` and ``tests/unit/edge`` where no network socket can be made. What a test
reaches counts where the test passes all the same. Every module of the two packages counts but ``__init__`` and
those named here. ``make decisions`` prints the figure and the lines that are missed; ``--json`` writes them for
``tools/tests_suite.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "heliograph"
TESTS = ("tests/unit/serving", "tests/unit/edge")

LEFT_OUT = {
    "serving/web/accepting.py": "I/O: accepts connections for uvicorn",
    "serving/web/application.py": "I/O: the ASGI application, routes and the websocket's life",
    "serving/web/asgi_connection.py": "I/O: a websocket behind an ASGI server",
    "serving/child.py": "I/O: a server in a process of its own",
    "serving/connection.py": "I/O: pumps bytes between a transport and the session",
    "serving/admission/guest.py": "I/O: what a connection tells the door",
    "serving/web/listening.py": "I/O: binds ports, raises the limit of open files",
    "serving/web/runner.py": "I/O: TLS files, ports and the model's folder at the start",
    "serving/web/websocket.py": "I/O: uvicorn's websocket with bounds",
    "serving/writing.py": "I/O: what is queued goes to the socket",
    "edge/device.py": "loads: the bundle's parts when first needed",
    "edge/encoder.py": "computes: pixels to tokens through ONNX Runtime",
    "edge/link.py": "I/O: the asyncio shell around the protocol",
    "edge/local/model.py": "computes: the language model on the device",
    "edge/local/prompt.py": "computes: the local model's prompt",
    "edge/photos/file.py": "computes: from a file to pixels",
    "edge/photos/colour.py": "computes: from a file to pixels",
    "edge/photos/extras.py": "computes: from a file to pixels",
    "edge/photos/heif.py": "computes: from a file to pixels",
    "edge/photos/identity.py": "computes: from a file to its digest",
    "edge/photos/jpeg.py": "computes: from a file to pixels",
    "edge/photos/pillow.py": "computes: from a file to pixels",
    "edge/photos/png.py": "computes: from a file to pixels",
    "edge/photos/rows.py": "computes: from a file to pixels",
    "edge/photos/turn.py": "computes: from a file to pixels",
    "edge/photos/webp.py": "computes: from a file to pixels",
    "edge/preprocessing/square.py": "computes: pixels to the model's input",
    "edge/preprocessing/checks.py": "computes: pixels to the model's input",
    "edge/preprocessing/frames.py": "computes: pixels to the model's input",
    "edge/processor.py": "reads what this machine's processor can do",
}
"""Module -> why its lines are no decisions."""


@dataclass(frozen=True)
class Reached:
    """One module.

    Attributes:
        module: its path below the package.
        lines: that can be run.
        missed: numbers of those that no passing test has run.
    """

    module: str
    lines: int
    missed: list[int]


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", default=TESTS, help="files or folders, for a look at a part")
    parser.add_argument("--json", type=Path, help="write the lines of every module there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = _measured(Path(folder), arguments.tests)
    lines, missed = sum(r.lines for r in found), sum(len(r.missed) for r in found)
    for reached in found:
        numbers = ", ".join(map(str, reached.missed))
        print(f"{reached.module:28} {reached.lines:5} {len(reached.missed):5}  {numbers}")
    print(f"{'all':28} {lines:5} {missed:5}  {1 - missed / lines:.1%} reached")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps([asdict(r) for r in found], indent=1) + "\n", encoding="utf-8")
    return 0


def decision_modules() -> list[str]:
    """Paths below the package.

    Raises:
        SystemExit: a module that is left out is not there any more.
    """
    files = [path for part in ("serving", "edge") for path in (PACKAGE / part).rglob("*.py")]
    every = {path.relative_to(PACKAGE).as_posix() for path in files if path.name != "__init__.py"}
    gone = sorted(LEFT_OUT.keys() - every)
    if gone:
        raise SystemExit(f"left out, but not there: {', '.join(gone)}")
    return sorted(every - LEFT_OUT.keys())


def _measured(folder: Path, tests: Sequence[str]) -> list[Reached]:
    from coverage import Coverage

    failed = folder / "failed.txt"
    modules = decision_modules()
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "without_sockets", "-p", "no:xdist", "-p", "no:cacheprovider"),
            *(f"--cov={PACKAGE}", "--cov-context=test", "--cov-report=", "--tb=no", *tests),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tools'}",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "COVERAGE_FILE": str(folder / ".coverage"),
            "HELIOGRAPH_FAILED": str(failed),
        },
        stdout=subprocess.DEVNULL,
        check=False,  # tests that need a socket fail here
    )
    unpassed = set(failed.read_text(encoding="utf-8").splitlines())
    coverage = Coverage(data_file=str(folder / ".coverage"))
    coverage.load()
    return [_reached(coverage, module, unpassed) for module in modules]


def _reached(coverage: object, module: str, unpassed: set[str]) -> Reached:
    path = str(PACKAGE / module)
    _, statements, _, _, _ = coverage.analysis2(path)  # type: ignore[attr-defined]
    contexts = coverage.get_data().contexts_by_lineno(path)  # type: ignore[attr-defined]
    missed = [
        line for line in statements if not any(c.rpartition("|")[0] not in unpassed for c in contexts.get(line, ()))
    ]
    return Reached(module, len(statements), missed)


if __name__ == "__main__":
    sys.exit(main())
