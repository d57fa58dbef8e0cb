"""Drafts on a terminal and anywhere else."""

from __future__ import annotations

import io
import sys

import pytest

from heliograph.cli.live import DraftDisplay, draft_line
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
