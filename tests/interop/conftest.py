"""Runs the JavaScript in this folder where there is a ``node``."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes import run as run_command

FOLDER = Path(__file__).parent
_BUILT_IN_WEBSOCKET = 22
"""Version of node from which WebSocket needs no flag."""

Node = Callable[..., Any]


@pytest.fixture(scope="session")
def node() -> Node:
    """Runs a script with a JSON value on standard input; gives the JSON value on its standard output."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node on this machine")
    shown = run_command((program, "--version")).stdout
    version = int(re.match(r"v(\d+)", shown)[1])  # type: ignore[index]
    if version < 20:
        pytest.skip("this node has no WebSocket")
    flags = [] if version >= _BUILT_IN_WEBSOCKET else ["--experimental-websocket"]

    def run(script: str, given: Any) -> Any:
        return json.loads(run_command((program, *flags, FOLDER / script), given=json.dumps(given)).stdout)

    return run
