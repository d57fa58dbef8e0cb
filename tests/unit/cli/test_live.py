"""Drafts on a terminal and anywhere else."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest

from heliograph.cli.live import DraftDisplay, draft_line, progress_line, written_for
from heliograph.edge.progress import SendingProgress
from heliograph.edge.report import Draft

DRAFT = Draft(t_ms=840.2, payload_bytes=1234, confidence=0.52, text="red \x1b[31m\n[bold]star[/bold]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_line_holds_bytes_confidence_and_a_harmless_answer() -> None:
    line = draft_line(DRAFT)
    assert line.split() == ["840", "ms", "1,234", "B", "█████░░░░░", "52%", "red", "\\x1b[31m\\n[bold]star[/bold]"]


def test_plain_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with DraftDisplay() as display:
        display.on_draft(DRAFT)
    assert capsys.readouterr() == ("", draft_line(DRAFT) + "\n")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with DraftDisplay(quiet=True) as display:
        display.on_draft(DRAFT)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (SendingProgress(True, True), "connecting, encoding"),
        (SendingProgress(False, True), "encoding"),
        (SendingProgress(True, False, 3, 142), "connecting"),  # sent over a connection that is gone
        (SendingProgress(False, False), "connected"),
        (SendingProgress(False, False, 83, 142), "██████░░░░ sent 83 of 142 B"),
        (SendingProgress(False, False, 142, 142), "██████████ sent 142 of 142 B"),
    ],
)
def test_how_far_it_is(progress: SendingProgress, shown: str) -> None:
    assert progress_line(840.4, progress) == f"   840 ms  {shown}"


def test_plain_lines_say_what_is_new_until_there_is_a_draft(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [(0, True, True, 0), (100, True, True, 0), (300, False, True, 0), (400, False, False, 3)]
    steps += [(500, False, False, 30), (1500, False, False, 83)]
    with DraftDisplay() as display:
        for t_ms, connecting, encoding, left in steps:
            display.on_progress(t_ms, SendingProgress(connecting, encoding, left, None if encoding else 142))
        display.on_draft(DRAFT)
        display.on_progress(9000, SendingProgress(False, False, 142, 142))
    lines = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert [line.partition("ms")[2].strip() for line in lines[:4]] == [
        "connecting, encoding",
        "encoding",
        "░░░░░░░░░░ sent 3 of 142 B",
        "██████░░░░ sent 83 of 142 B",
    ]
    assert len(lines) == 5


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_moves_no_cursor_gets_plain_lines(
    term: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", term)
    with DraftDisplay() as display:
        display.on_draft(DRAFT)
    assert terminal.getvalue() == ""
    assert capsys.readouterr().err == draft_line(DRAFT) + "\n"


@pytest.mark.parametrize(
    ("encoding", "bar"), [("ascii", "#####-----"), ("latin-1", "#####-----"), ("utf-8", "█████░░░░░")]
)
def test_bars_are_of_what_the_locale_has(encoding: str, bar: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert bar in written_for(stream, draft_line(DRAFT))


class AsciiTerminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_a_terminal_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", AsciiTerminal(written, encoding="ascii", write_through=True))
    monkeypatch.setenv("TERM", "xterm")
    with DraftDisplay() as display:
        display.on_progress(10, SendingProgress(False, False, 83, 142))
        display.on_draft(replace(DRAFT, text="red " * 99))
    assert b"######---- sent 83 of 142 B" in written.getvalue()
    assert b"#####-----" in written.getvalue()


@pytest.mark.parametrize("keep", [False, True])
def test_terminal_shows_answers_as_text(keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with DraftDisplay(keep=keep) as display:
        display.on_draft(DRAFT)
    shown = terminal.getvalue()
    assert "1,234 B" in shown
    assert "\x1b[31m\n" not in shown
    assert "[bold]" in shown
