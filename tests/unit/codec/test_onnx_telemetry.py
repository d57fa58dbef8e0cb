"""ONNX Runtime keeps to itself: it writes no identifier and has nobody to report to."""

from __future__ import annotations

import os
from pathlib import Path

from heliograph.reference.assets import shipped_bundle_folder
from processes import environment, run_python

SWITCH = "ORT_DISABLE_TELEMETRY"
OPEN = """
import os, sys
from pathlib import Path
from heliograph.codec.onnx_session import open_session
open_session(Path(sys.argv[1]))
print(os.environ.get("ORT_DISABLE_TELEMETRY"))
"""


def empty_home(folder: Path, **more: str) -> dict[str, str]:
    """An environment as users have it, with an empty home folder."""
    usual = {name: value for name, value in environment().items() if name != SWITCH and not name.startswith("XDG_")}
    return {**usual, "HOME": os.fspath(folder), **more}


def test_a_session_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    network = shipped_bundle_folder() / "meta_decoder.onnx"
    done = run_python("-c", OPEN, network, env=empty_home(tmp_path))
    assert (done.stdout.strip(), done.stderr) == ("1", "")
    assert list(tmp_path.iterdir()) == []


def test_what_the_environment_says_already_stays(tmp_path: Path) -> None:
    code = f"import heliograph, os; print(os.environ['{SWITCH}'])"
    assert run_python("-c", code, env=empty_home(tmp_path, **{SWITCH: "0"})).stdout.strip() == "0"
