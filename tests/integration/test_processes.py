"""The commands as processes: what a shell sees."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.reference.assets import demo_photo_path
from heliograph.serving.child import CloudProcess
from heliograph.strategies.selection import strategies_for
from processes import HELIOGRAPH, ended, run, serving


def test_serve_and_ask_then_ctrl_c(reference_pair: Any) -> None:
    where = ("--model", str(reference_pair.model), "--bundle", str(reference_pair.bundle))
    with serving(*where) as (url, server):
        busy = run((*HELIOGRAPH, "serve", "--port", url.rpartition(":")[2], *where), check=False)
        question = ("ask", demo_photo_path(), "what?", "--server", url, "--bundle", where[3], "--json")
        asked = run((*HELIOGRAPH, *question), check=False)
        rest, said = ended(server, signal.SIGINT)
    assert (busy.returncode, busy.stdout) == (4, "")
    assert busy.stderr.startswith("heliograph: port-busy: ")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert json.loads(asked.stdout)["payload_bytes"] > 0
    assert server.returncode == 130
    assert json.loads(rest) == {"error": "interrupted", "message": "Stopped by Ctrl-C.", "exit_code": 130}
    assert said == ""


def test_cloud_that_cannot_start_is_named(tmp_path: Path, capfd: Any) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--model", str(tmp_path), "--bundle", str(tmp_path)]) == 3
    said = capfd.readouterr().err
    assert said.startswith("heliograph: model-unavailable: ")
    assert str(tmp_path) in said


def test_demo_writes_its_table_and_picture(reference_pair: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "demo"
    where = ("--model", str(reference_pair.model), "--bundle", str(reference_pair.bundle))
    links = ("--link", "20mbit,10ms", "--link", "50mbit,5ms")
    asked = ("--question", "describe the picture.", "--question", "how many signs are there?")
    assert main(["demo", "--out", str(out), *links, *asked, "--repeat", "1", *where]) == 0
    shown = capsys.readouterr()
    written = json.loads((out / "demo.json").read_text())
    assert [one["link"] for one in written["links"]] == ["20mbit,10ms", "50mbit,5ms"]
    rows = [row for one in written["links"] for row in one["rows"]]
    held = Bundle.load(reference_pair.bundle).codec_kinds
    wanted = set(strategies_for(held))
    assert {row["strategy"] for row in rows} == wanted
    for row in rows:
        assert row["error"] is None, row
        assert 0 < row["draft_ms"] <= row["final_ms"]
        assert row["wire_bytes"] > row["payload_bytes"] > 0 or row["strategy"] == "local"
        assert row["strategy"] in shown.out
    assert max(map(len, shown.out.splitlines()[: len(rows) // 2 + 2])) <= 100
    stream = written["stream"]
    assert [d["payload_bytes"] for d in stream] == sorted(d["payload_bytes"] for d in stream)
    cuts = [cut["payload_bytes"] for cut in written["cuts"]]
    assert len(cuts) > 3
    assert cuts == sorted(set(cuts))
    assert cuts[-1] < stream[-1]["payload_bytes"]
    (other,) = written["other_questions"]
    assert (written["question"], other["question"]) == asked[1::2]
    assert other["stream"][-1]["payload_bytes"] == stream[-1]["payload_bytes"]
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_cloud_process_leaves_nothing_behind(reference_pair: Any) -> None:
    with CloudProcess(str(reference_pair.model), reference_pair.bundle) as cloud:
        assert cloud.url.startswith("ws://127.0.0.1:")
        assert cloud._process is not None
        number = cloud._process.pid
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return
    raise AssertionError("the process still runs")
