"""The commands end to end: a real websocket on this machine, real files, a real model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_output import messages
from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.errors import BudgetTooSmallError, all_errors
from heliograph.reference.assets import MODEL_NOTE, demo_photo_path
from heliograph.registry import CODECS, STRATEGIES
from heliograph.strategies.selection import missing, strategy_class

PHOTO = str(demo_photo_path())
QUESTION = "how many objects are there?"
pytestmark = pytest.mark.usefixtures("pair_as_default")

Run = Callable[..., dict[str, Any]]

EXIT_CODES = {error.name: error.exit_code for error in (*all_errors().values(), BudgetTooSmallError)}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A command with --json: exit code 0, nothing on standard error, its object."""

    def run_it(*argv: str | Path, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*map(str, argv), "--json"]) == code
        shown = capsys.readouterr()
        assert shown.err == ""
        parsed: dict[str, Any] = json.loads(shown.out)
        return parsed

    return run_it


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A command that fails: its error's exit code, one line on standard error; gives the error's name."""

    def fail_it(*argv: str | Path) -> str:
        capsys.readouterr()
        code = main([*map(str, argv)])
        shown = capsys.readouterr()
        assert shown.out == ""
        (line,) = messages(shown.err)
        program, name, text = line.split(": ", 2)
        assert program == "heliograph"
        assert code == EXIT_CODES[name]
        assert text.strip()
        return name

    return fail_it


@pytest.mark.parametrize("strategy", STRATEGIES.names())
def test_every_strategy_answers(strategy: str, run: Run, fail: Callable[..., str], pair_as_default: Any) -> None:
    if strategy in CODECS.names() and strategy not in Bundle.load(pair_as_default.bundle).codec_kinds:
        assert fail("ask", PHOTO, QUESTION, "--strategy", strategy) == "codec-missing"
        return
    if missing(strategy_class(strategy)):
        assert fail("ask", PHOTO, QUESTION, "--strategy", strategy) == "missing-extra"
        return
    report = run("ask", PHOTO, QUESTION, "--strategy", strategy)
    assert report["strategy"] == strategy
    assert report["answer"] == report["answer"].strip() != ""
    assert 0 < report["confidence"] <= 1
    assert 0 < report["first_draft_ms"] <= report["final_ms"]
    assert report["wire_bytes"] == report["wire_bytes_up"] + report["wire_bytes_down"]
    if strategy == "local":
        assert report["wire_bytes"] == report["payload_bytes"] == 0
    else:
        assert report["wire_bytes_up"] > report["payload_bytes"] > 0


def test_stream_and_file_give_the_same_answer(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.hgs"
    written = run("encode", PHOTO, "-o", path, "--budget", "90")
    assert path.stat().st_size == written["file_bytes"] > written["payload_bytes"]
    assert 40 < written["payload_bytes"] <= 90
    asked = run("ask", PHOTO, QUESTION, "--budget", "90")
    assert asked["payload_bytes"] == written["payload_bytes"]
    answered = run("answer", path, QUESTION)
    assert answered["answer"] == asked["answer"]
    # drafts on the way that said the same are evidence, which an answer from a file goes without
    assert 0 < answered["confidence"] <= asked["confidence"] + 1 / 255


def test_cut_file_answers_from_its_whole_segments(run: Run, fail: Callable[..., str], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.hgs", tmp_path / "cut.hgs"
    run("encode", PHOTO, "-o", whole, "--budget", "300")
    data = whole.read_bytes()
    prefixes = run("inspect", whole)["prefixes"]
    body_bytes = sum(one["segment_bytes"] + 1 for one in prefixes[1:])  # each segment and its checksum
    seen = set()
    for length in range(0, len(data), 17):
        cut.write_bytes(data[:length])
        if length < len(data) - body_bytes:  # inside header and table of contents
            assert fail("inspect", cut) == "stream-truncated"
            continue
        found = run("inspect", cut)["prefixes"]
        assert found == prefixes[: len(found)]
        seen.add(len(found))
    assert len(seen) > 5
    cut.write_bytes(data[: len(data) - 100])
    assert run("answer", cut, QUESTION)["segments"] < len(prefixes) - 1


def test_an_answer_without_the_photo_says_so(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.hgs"
    run("encode", PHOTO, "-o", path, "--budget", "100")
    assert run("answer", path, QUESTION)["photo_seen"]
    answered = run("answer", path, QUESTION, "--segments", "0", code=6)
    assert (answered["error"], answered["exit_code"], answered["photo_seen"]) == ("not-enough-received", 6, False)
    capsys.readouterr()
    assert main(["answer", str(path), QUESTION, "--segments", "0"]) == 6
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1].startswith(f"heliograph: not-enough-received: {path}: ")


def test_flipped_bytes_are_named_or_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Run) -> None:
    path = tmp_path / "out.hgs"
    run("encode", PHOTO, "-o", path, "--budget", "120")
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :])
        assert main(["inspect", str(path)]) in (0, 3, 6)
        assert "Traceback" not in capsys.readouterr().err


def test_inspect_counts_bytes_and_predicts_quality(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.hgs"
    written = run("encode", PHOTO, "-o", path, "--budget", "200")
    shown = run("inspect", path)
    prefixes = shown["prefixes"]
    assert [one["segments"] for one in prefixes] == list(range(written["segments"] + 1))
    assert prefixes[0]["payload_bytes"] == len(shown["header"]) // 2
    for before, after in itertools.pairwise(prefixes):
        assert after["payload_bytes"] == before["payload_bytes"] + after["segment_bytes"]
        assert after["typical_quality"] >= before["typical_quality"]
        assert after["predicted_quality"] is None  # what held-out photos retained is not told as if it were this one's
    assert prefixes[-1]["payload_bytes"] == written["payload_bytes"] == shown["payload_bytes"]
    assert prefixes[-1]["typical_quality"] == pytest.approx(written["typical_quality"], abs=1e-4)
    assert shown["restored"] == written["restored"]
    assert 0.7 < shown["restored"] < 0.95  # a scene, which meta leaves 0.1 to 0.25 of
    assert not shown["unfamiliar"]
    assert shown["grid"]["tokens"] == 64


@pytest.mark.parametrize(("strategy", "setting", "level"), [("klt", "level=27", 27), ("meta", "latents=30", 30)])
def test_inspect_tells_level_and_expected_agreement(
    strategy: str, setting: str, level: int, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "out.hgs"
    run("encode", PHOTO, "-o", path, "--strategy", strategy, "--setting", setting)
    shown = run("inspect", path)
    assert shown["level"] == level
    assert 0.5 < shown["agreement"] < 1
    run("encode", PHOTO, "-o", path, "--strategy", "webp")
    assert (run("inspect", path)["level"], run("inspect", path)["agreement"]) == (None, None)


def test_inspect_needs_no_bundle_for_pictures(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.hgs"
    run("encode", PHOTO, "-o", path, "--strategy", "webp", "--setting", "size=64,quality=20")
    shown = run("inspect", path)
    assert (shown["strategy"], shown["bundle"], shown["grid"]) == ("webp", None, None)
    assert all(one["predicted_quality"] is one["typical_quality"] is None for one in shown["prefixes"])


def test_budget_picks_the_largest_picture_that_fits(run: Run, fail: Callable[..., str]) -> None:
    report = run("ask", PHOTO, QUESTION, "--strategy", "jpeg", "--budget", "2000")
    assert 1000 < report["payload_bytes"] <= 2000
    assert fail("ask", PHOTO, QUESTION, "--strategy", "jpeg", "--budget", "20") == "budget-too-small"
    assert fail("ask", PHOTO, QUESTION, "--budget", "1") == "budget-too-small"
    assert fail("ask", PHOTO, QUESTION, "--strategy", "jpeg", "--budget", "2000", "--setting", "size=64") == "usage"


def test_target_sends_no_more_than_it_needs(run: Run) -> None:
    less = run("ask", PHOTO, QUESTION, "--controller", "energy", "--target", "0.3")
    more = run("ask", PHOTO, QUESTION, "--controller", "energy", "--target", "0.8")
    assert 0 < less["payload_bytes"] < more["payload_bytes"]
    assert less["stopped_early"]


def test_shaped_link_takes_its_time(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text("0 0.02\n1 0.02\n")
    setting = ("--strategy", "webp", "--setting", "size=64,quality=20", "--link")
    for link in ("20kbit,400ms", str(trace)):
        report = run("ask", PHOTO, QUESTION, *setting, link)
        assert report["final_ms"] >= report["payload_bytes"] * 8 / 20  # 20 bits a millisecond


def test_bad_arguments_name_themselves(fail: Callable[..., str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(Path(PHOTO).read_bytes()[:500])
    token = tmp_path / "token"
    token.write_text("")
    for name, argv in {
        "photo-missing": ("ask", tmp_path / "none.jpg", QUESTION),
        "photo-unreadable": ("ask", broken, QUESTION),
        "question-empty": ("ask", PHOTO, ""),
        "question-too-long": ("ask", PHOTO, "x" * 100_000),
        "unknown-name": ("ask", PHOTO, QUESTION, "--strategy", "smoke-signals"),
        "usage": ("ask", PHOTO, QUESTION, "--setting", "size=96"),
        "link-trace": ("ask", PHOTO, QUESTION, "--link", "fast"),
        "token-file": ("ask", PHOTO, QUESTION, "--token-file", token),
        "bundle-damaged": ("ask", PHOTO, QUESTION, "--bundle", tmp_path),
        "server-unreachable": ("ask", PHOTO, QUESTION, "--server", "ws://127.0.0.1:9"),
        "output-unwritable": ("encode", PHOTO, "-o", tmp_path / "no" / "out.hgs"),
        "file-unreadable": ("inspect", tmp_path / "none.hgs"),
        "stream-damaged": ("inspect", PHOTO),
        "model-unavailable": ("serve", "--port", "0", "--model", tmp_path),
    }.items():
        assert fail(*argv) == name, argv
    assert fail("ask", tmp_path, QUESTION) == "photo-missing"
    assert fail("encode", PHOTO, "-o", tmp_path / "x.hgs", "--strategy", "local") == "usage"


def test_control_token_in_a_question_is_text(run: Run) -> None:
    assert run("ask", PHOTO, "<image><image> what?", "--budget", "60")["payload_bytes"] <= 60


def test_answer_stands_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", PHOTO, QUESTION]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1
    assert "payload" in shown.err.splitlines()[-1]


def test_the_reference_model_says_once_that_it_is_a_toy(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "out.hgs"
    run("encode", PHOTO, "-o", path)
    asked = ("ask", PHOTO, QUESTION)
    for argv in (asked, (*asked, "--strategy", "webp"), (*asked, "--strategy", "local"), ("answer", path, QUESTION)):
        assert run(*argv)["model_note"] == MODEL_NOTE
        capsys.readouterr()
        assert main([*map(str, argv)]) == 0
        shown = capsys.readouterr()
        assert shown.err.count(MODEL_NOTE) == 1
        assert MODEL_NOTE not in shown.out


def test_doctor_is_content(run: Run) -> None:
    report = run("doctor", "--port", "0")
    assert report["healthy"]
    found = {check["name"]: check["status"] for check in report["checks"]}
    assert found["bundle"] == found["encoding a photo"] == found["numpy"] == "ok"
    able = {ability["name"]: ability["works"] for ability in report["abilities"]}
    assert able["encode a photo"] is able["reach a server"] is able["serve a model"] is True


def test_doctor_tells_what_keeps_it_from_a_server(run: Run) -> None:
    report = run("doctor", "--port", "0", "--server", "ws://127.0.0.1:9", code=4)
    assert report["healthy"]
    reach = next(ability for ability in report["abilities"] if ability["name"] == "reach a server")
    assert reach["works"] is False
    assert reach["found"].startswith("server-unreachable: ws://127.0.0.1:9: The connection was refused")


def test_doctor_finds_a_damaged_bundle(run: Run, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    report = run("doctor", "--bundle", tmp_path, code=1)
    assert not report["healthy"]
    assert {c["name"] for c in report["checks"] if c["status"] == "broken"} >= {"bundle", "encoding a photo"}
