"""Measurements in a Python process of their own, so that nothing of the bench is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

_MAX_S = 600.0


def run_module(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that ``python -m module`` prints as its last line.

    Args:
        module: dotted name; its main prints one JSON object on the last line.
        arguments: of the command line.

    Raises:
        subprocess.SubprocessError: it failed or took longer than ten minutes.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_MAX_S,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
