"""What the command line says of an error with several causes: which one it was, of what, on one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.cli.main import main
from heliograph.reference.assets import demo_photo_path


def message_of(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert main([*map(str, argv)]) in (1, 2, 3)
    shown = capsys.readouterr()
    return shown.err or shown.out


def test_a_photo_is_no_stream(capsys: pytest.CaptureFixture[str]) -> None:
    photo = demo_photo_path()
    for argv in (("inspect", photo), ("answer", photo, "what?")):
        assert message_of(capsys, *argv) == (
            f"heliograph: stream-damaged: {photo} is no .hgs file but a JPEG picture. "
            f"heliograph encode {photo} -o out.hgs makes one.\n"
        )


def test_a_stream_is_no_photo(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "photo.hgs"
    path.write_bytes(b"HGS\x01" + bytes(40))
    line = message_of(capsys, "encode", path, "-o", tmp_path / "out.hgs")
    assert line.startswith(f"heliograph: photo-unreadable: {path}: ")
    assert "heliograph inspect read it" in line
    path.write_text("What is on the sign?")
    assert "It is text. Give a picture." in message_of(capsys, "encode", path, "-o", tmp_path / "out.hgs")


def test_a_server_that_the_environment_names_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_SERVER", "ws://127.0.0.1:9")
    assert main(["ask", str(demo_photo_path()), "what?", "--strategy", "webp", "--json"]) == 4
    message = json.loads(capsys.readouterr().out)["message"]
    assert message.startswith("ws://127.0.0.1:9: The connection was refused")
    assert "Start one with heliograph serve" in message


def test_a_stream_that_was_cut_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "cut.hgs"
    path.write_bytes(b"HGS\x01")
    capsys.readouterr()
    assert main(["inspect", str(path)]) == 6
    assert capsys.readouterr().err.startswith(f"heliograph: stream-truncated: {path}: ")
    path.write_bytes(b"HGS\x02" + bytes(40))
    assert message_of(capsys, "inspect", path).startswith("heliograph: stream-version: ")


@pytest.mark.parametrize(
    ("link", "part", "reason"),
    [
        ("fast", "'fast'", "neither a rate such as 1mbit or 250kbit nor the name of a trace file"),
        ("1mbit,fast", "'fast'", "a round trip is a number with ms or s, up to 60s"),
        ("1mbit,61s", "'61s'", "up to 60s"),
        ("1mbit,loss=51%", "'loss=51%'", "from 0% to 50%"),
        ("1mbit,down=0bit", "'down=0bit'", "a rate is a number above 0"),
        ("1mbit,burst=x", "'burst=x'", "a burst is a number of bytes"),
        ("1mbit,speed=1", "'speed=1'", "each at most once"),
        ("1mbit,seed=1,seed=2", "'seed=2'", "each at most once"),
    ],
)
def test_a_link_says_which_part_is_wrong(capsys: pytest.CaptureFixture[str], link: str, part: str, reason: str) -> None:
    line = message_of(capsys, "ask", demo_photo_path(), "what?", "--link", link)
    assert line.startswith("heliograph: link-trace: ")
    assert part in line
    assert reason in line


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("0 fast", "two numbers within bounds"),
        ("0 1\n0 1", "do not rise"),
        ("0 0", "never carries anything"),
        ("", "no line"),
    ],
)
def test_a_trace_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(content)
    assert reason in message_of(capsys, "ask", demo_photo_path(), "what?", "--link", path)


def test_an_output_says_where_and_why(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "none" / "out.hgs"
    line = message_of(capsys, "encode", demo_photo_path(), "-o", out)
    assert line.startswith("heliograph: output-unwritable: ")
    assert f"{out}: No such file or directory." in line


def test_a_bundle_says_which_file_and_what_next(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    photo, out = demo_photo_path(), tmp_path / "out.hgs"
    line = message_of(capsys, "encode", photo, "-o", out, "--bundle", tmp_path)
    assert line.startswith("heliograph: bundle-damaged: The bundle is incomplete or damaged: the manifest ")
    assert "is not there; copy the folder again." in line
    assert str(tmp_path) in line
    (tmp_path / "manifest.json").write_text("{")
    assert "is not valid JSON" in message_of(capsys, "encode", photo, "-o", out, "--bundle", tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    assert "upgrade Heliograph" in message_of(capsys, "encode", photo, "-o", out, "--bundle", tmp_path)
    shown = message_of(capsys, "doctor", "--port", "0", "--bundle", tmp_path)
    assert "the manifest (manifest.json or config.json) has a format that this version does not read" in shown
