"""Long work says how far it is, also where standard error is a file; quiet work says nothing."""

from __future__ import annotations

import pytest

from heliograph.training.progress import Progress, progress_text, rate_text, stage


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_there_is_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(clock=clock) as progress:
        progress("beginning")
        advance = stage(progress, 40, "photos")
        for _ in range(40):
            clock.now += 1
            advance(1)
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "beginning",
        "photos: 10 of 40, 1.0 a second, 30 s left",
        "photos: 20 of 40, 1.0 a second, 20 s left",
        "photos: 30 of 40, 1.0 a second, 10 s left",
        "photos: 40 of 40, 1.0 a second, took 40 s",
    ]
    assert shown.out == ""


def test_the_end_of_a_quick_stage_is_said_too(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(clock=Clock()) as progress:
        assert list(progress.over(range(3), "photos")) == [0, 1, 2]
    assert capsys.readouterr().err == "photos: 3 of 3, took 0 s\n"


def test_lines_are_whole_and_made_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[bold]" + "x" * 300 + "\x1b"
    with Progress(clean=lambda text: text.replace("\x1b", "?")) as progress:
        progress.say(line)
    assert capsys.readouterr().err == line.replace("\x1b", "?") + "\n"


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress.say("beginning")
        list(progress.over(range(4), "photos"))
    assert capsys.readouterr() == ("", "")


def test_any_function_hears_that_a_stage_begins() -> None:
    heard: list[str] = []
    advance = stage(heard.append, 4, "photos")
    advance(1)
    assert heard == ["photos"]


def test_rates_and_times_have_units() -> None:
    assert [rate_text(rate) for rate in (0, 0.05, 2.25)] == ["", "3.0 a minute", "2.2 a second"]
    assert progress_text(1, 101, 60) == "1 of 101, 1.0 a minute, 100 min left"
    assert progress_text(0, 5, 3) == "0 of 5, time left unknown"
