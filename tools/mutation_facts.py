"""Which test reaches which line of a room, and how long it takes: measured once without any change.

Facts are kept by test file. They hold for as long as that file and everything but the other test files stay the same,
so that after a change to one test file only that one is measured again.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mutation_copies import PACKAGE, ROOT, Copy, tracked_files
from mutation_operators import Mutant

_LONGEST_S = 7200.0
_ON_IMPORT = ""
# In memory before the first run of a room; what else its tests import is known from then on.
_USUAL_MODULES = (
    *("pytest", "hypothesis", "hypothesis.strategies", "coverage", "pytest_cov", "numpy", "PIL.Image", "onnxruntime"),
    *("torch", "transformers", "websockets", "starlette.applications", "uvicorn"),
)


@dataclass(frozen=True)
class Room:
    """A part of the package and the tests that are to protect it, as folders or patterns of files."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self) -> list[str]:
        """The room's source files, below the root."""
        found = [path for pattern in self.sources for path in (ROOT / PACKAGE).glob(pattern)]
        return sorted(path.relative_to(ROOT).as_posix() for path in found)

    def test_files(self) -> list[str]:
        """The room's test files, below the root."""
        return [
            name
            for name in tracked_files()
            if _is_test_file(name)
            and any(name.startswith(f"{part}/") or fnmatch.fnmatchcase(name, part) for part in self.tests)
        ]


@dataclass
class Facts:
    """Facts about some tests.

    Attributes:
        seconds: per test.
        reaching: tests by source file and line (as text, for JSON).
        shared: lines by source file that run on import or in a set-up, from which other tests may profit.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    reaching: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    shared: dict[str, list[int]] = field(default_factory=dict)

    def add(self, other: Facts) -> None:
        """Add the facts about further tests."""
        self.seconds.update(other.seconds)
        for path, lines in other.reaching.items():
            mine = self.reaching.setdefault(path, {})
            for line, tests in lines.items():
                mine.setdefault(line, []).extend(tests)
        for path, numbers in other.shared.items():
            self.shared[path] = sorted({*self.shared.get(path, ()), *numbers})

    def of_file(self, test_file: str) -> Facts:
        """Facts about one file's tests."""
        mine: Callable[[str], bool] = lambda test: test.split("::")[0] == test_file  # noqa: E731
        return Facts(
            {test: seconds for test, seconds in self.seconds.items() if mine(test)},
            {
                path: {line: kept for line, tests in lines.items() if (kept := [t for t in tests if mine(t)])}
                for path, lines in self.reaching.items()
            },
            self.shared,
        )

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Tests that may notice a mutant: those that reach its line first, and of these the fastest first."""
        found = set(self.reaching.get(mutant.path, {}).get(str(mutant.line), ()))
        first = sorted(found, key=self._usual)
        if found and mutant.line not in self.shared.get(mutant.path, ()):
            return first
        return first + sorted(self.seconds.keys() - found, key=self._usual)

    def usual_s(self, tests: Sequence[str]) -> float:
        """How long they take without any change."""
        return sum(self._usual(test) for test in tests)

    def _usual(self, test: str) -> float:
        return self.seconds.get(test, 1.0)


def prepare(room: Room, copies: Sequence[Copy], folder: Path) -> Facts:
    """Measures what is not known yet, and leaves every copy ready for mutants; what was measured goes into ``folder``.

    The measuring run has the same modules in memory as the mutants' runs will: what fails for that fails here.

    Raises:
        SystemExit: the tests do not pass without any change.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, kept = copies[0], _kept_paths(room, folder)
    remembered = folder / f"modules-{room.name.replace(' ', '-')}.txt"
    modules = remembered.read_text(encoding="utf-8").split() if remembered.is_file() else list(_USUAL_MODULES)
    stale = [test_file for test_file, path in kept.items() if not path.is_file()]
    if stale:
        print(f"{room.name}: {len(stale)} of {len(kept)} test files to be measured first", flush=True)
        first.start(modules, compiles=True)
        measured = _measured(room, first, stale)
        for test_file in stale:
            text = json.dumps(dataclasses.asdict(measured.of_file(test_file)))
            kept[test_file].write_text(text, encoding="utf-8")
        remembered.write_text("\n".join(dict.fromkeys([*modules, *first.imported()])), encoding="utf-8")
    for other in copies[1:]:
        other.adopt_compiled(first)
    for copy in copies:
        copy.start(modules)
    facts = Facts()
    for path in kept.values():
        facts.add(Facts(**json.loads(path.read_text(encoding="utf-8"))))
    return facts


def _kept_paths(room: Room, folder: Path) -> Mapping[str, Path]:
    """Where the facts of each test file are, or will be: under a name made of everything that they hang on."""
    common = hashlib.sha256(room.name.encode())
    for name in tracked_files():
        if name.startswith(("src/", "tests/", "benchmarks/", "pyproject.toml")) and not _is_test_file(name):
            common.update(name.encode())
            common.update((ROOT / name).read_bytes())
    paths = {}
    for test_file in room.test_files():
        own = common.copy()
        own.update(test_file.encode() + (ROOT / test_file).read_bytes())
        paths[test_file] = folder / f"{own.hexdigest()[:20]}.json"
    return paths


def _is_test_file(name: str) -> bool:
    return name.endswith(".py") and name.rpartition("/")[2].startswith("test_")


def _measured(room: Room, copy: Copy, test_files: Sequence[str]) -> Facts:
    from coverage import CoverageData

    junit = copy.scratch / "junit.xml"
    copy.coverage.unlink(missing_ok=True)
    report = ["-o", "junit_family=xunit1", f"--junit-xml={junit}"]
    measure = [f"--cov={copy.folder / PACKAGE}", "--cov-context=test", "--cov-report="]
    code = copy.run([*report, *measure, *test_files], _LONGEST_S)
    if code != 0:
        raise SystemExit(f"the tests of {room.name} fail without any change: pytest ended with {code}")
    data = CoverageData(basename=str(copy.coverage))
    data.read()
    facts = Facts(_seconds(junit))
    for path in room.files():
        reaching = facts.reaching.setdefault(path, {})
        shared = facts.shared.setdefault(path, [])
        for line, contexts in data.contexts_by_lineno(str(copy.folder / path)).items():
            reaching[str(line)] = sorted({context.rpartition("|")[0] for context in contexts} - {_ON_IMPORT})
            if any(context == _ON_IMPORT or context.endswith("|setup") for context in contexts):
                shared.append(line)
    return facts


def _seconds(junit: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        found[f"{case.get('file')}::{case.get('name')}"] = float(case.get("time") or 0)
    return found
