"""Long work shows where it is, also where standard error is a file; quiet work shows nothing."""

from __future__ import annotations

import pytest

from heliograph.bench.progress import Progress


def test_without_a_terminal_there_is_a_line_per_twentieth(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.say("beginning")
        assert list(progress.over(range(40), "photos")) == list(range(40))
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert lines[0] == "beginning"
    assert len(lines) == 21
    assert lines[-1].startswith("photos: 40 of 40, ")
    assert shown.out == ""


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress.say("beginning")
        list(progress.over(range(4), "photos"))
    assert capsys.readouterr() == ("", "")
