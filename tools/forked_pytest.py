"""pytest, many times over, from one process that has the outside libraries in memory already.

Importing torch and transformers takes longer than most tests. This process imports what it is told to once, and forks
for every run before anything of heliograph or of its tests is imported, so that each run sees the files as they are.
It reads one JSON object a line, ``{"arguments": [...], "timeout_s": 60, "imported": null}``, and answers each with
``{"code": 0}``: pytest's exit code, or null where the run took too long. ``imported`` names a file that is to receive
the names of the installed modules that the run imported.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

# libvips starts threads as it is loaded, and threads do not outlive a fork.
_NOT_BEFORE_A_FORK = ("pyvips", "_libvips")
_POLL_S = 0.02
_INTERNAL_ERROR = 3


def main() -> None:
    """See the module. The one argument is a file of module names, one a line."""
    for name in Path(sys.argv[1]).read_text(encoding="utf-8").split():
        with contextlib.suppress(Exception):  # made by another module, not a file: the run finds it where it always did
            importlib.import_module(name)
    signal.signal(signal.SIGTERM, _end)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        wanted = json.loads(line)
        print(json.dumps({"code": _run(**wanted)}), file=answers, flush=True)


def _end(_number: int, _frame: object) -> None:
    """A run that is under way ends with this process."""
    sys.exit()  # which _run's ``finally`` hears


def _run(arguments: list[str], timeout_s: float, imported: str | None) -> int | None:
    child = os.fork()
    if child == 0:
        _become_pytest(arguments, imported)
    try:
        return _waited(child, timeout_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what it started ends with it


def _waited(child: int, timeout_s: float) -> int | None:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL_S)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _become_pytest(arguments: list[str], imported: str | None) -> None:
    code = _INTERNAL_ERROR
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        import pytest

        code = int(pytest.main(arguments))
        if imported:
            Path(imported).write_text("\n".join(_installed_modules()), encoding="utf-8")
    finally:
        os._exit(code)  # nothing of the parent's is tidied away


def _installed_modules() -> list[str]:
    """Modules in the order of their import."""
    return [
        name
        for name, module in list(sys.modules.items())
        if "site-packages" in (getattr(module, "__file__", None) or "") and not name.startswith(_NOT_BEFORE_A_FORK)
    ]


if __name__ == "__main__":
    main()
