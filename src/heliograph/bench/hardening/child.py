"""Measurements in a Python process of their own, so that nothing of the bench is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

_MOST_S = 600.0


def run_module(module: str, *arguments: str, timeout_s: float = _MOST_S) -> dict[str, Any]:
    """The JSON object that ``python -m module`` prints as its last line.

    Args:
        module: dotted name; its main prints one JSON object on the last line.
        arguments: of the command line.
        timeout_s: the process is killed after this.

    Raises:
        subprocess.SubprocessError: it failed or took too long.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
