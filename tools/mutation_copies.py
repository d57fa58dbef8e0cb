"""Copies of the checkout, each with a pytest that forks: mutants are run there, and the checkout stays as it is."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutation_operators import Mutant

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/heliograph"


@functools.cache
def tracked_files() -> tuple[str, ...]:
    """Paths below the root of every file that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in listed.split("\0") if name and (ROOT / name).is_file())


class Copy:
    """The tracked files in a folder of their own, and a forking pytest.

    Compiled files are written where nothing is changed, and only read by mutants' runs: they stay true for every file
    but the changed one, whose time tells it apart.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.scratch = folder
        self.coverage = folder / ".coverage"
        self._imported = folder / "imported.txt"
        self._server: subprocess.Popen[str] | None = None
        for name in tracked_files():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)

    def start(self, modules: Sequence[str], *, compiles: bool = False) -> None:
        """A fresh server with these modules in memory; ``compiles``: its runs write what they compile."""
        self.stop()
        names = self.scratch / "modules.txt"
        names.write_text("\n".join(modules), encoding="utf-8")
        self._server = subprocess.Popen(
            [sys.executable, str(ROOT / "tools" / "forked_pytest.py"), str(names)],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder / "src"),
                "PYTHONDONTWRITEBYTECODE": "" if compiles else "1",
                "OMP_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "COVERAGE_FILE": str(self.coverage),
                "HELIOGRAPH_DATA": os.environ.get("HELIOGRAPH_DATA", str(ROOT.parent / "shared" / "data")),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def stop(self) -> None:
        """The server ends, and a run of its with it."""
        if self._server is not None:
            assert self._server.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._server.stdin.close()
            self._server.terminate()
            self._server.wait()
            self._server = None

    def run(self, arguments: Sequence[str], timeout_s: float) -> int | None:
        """pytest's exit code; None where it took too long.

        Raises:
            SystemExit: the server is gone.
        """
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        usual = ["-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={self.scratch / 'temporary'}"]
        wanted = {"arguments": [*usual, *arguments], "timeout_s": timeout_s, "imported": str(self._imported)}
        print(json.dumps(wanted), file=self._server.stdin, flush=True)
        answer = self._server.stdout.readline()
        if not answer:
            raise SystemExit("the forking pytest has ended")
        code = json.loads(answer)["code"]
        return None if code is None else int(code)

    def imported(self) -> list[str]:
        """Installed modules that the last run has imported, in that order."""
        return self._imported.read_text(encoding="utf-8").split()

    def adopt_compiled(self, other: Copy) -> None:
        """What another copy has compiled: the files and their times are the same."""
        for cache in list(other.folder.rglob("__pycache__")):
            shutil.copytree(cache, self.folder / cache.relative_to(other.folder), dirs_exist_ok=True)

    @contextlib.contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """The mutant's file is wrong for as long as this lasts."""
        target = self.folder / mutant.path
        before = target.stat()
        source = target.read_text(encoding="utf-8")
        try:
            target.write_text(mutant.applied(source), encoding="utf-8")
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns + 2_000_000_000))
            yield
        finally:
            target.write_text(source, encoding="utf-8")
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
