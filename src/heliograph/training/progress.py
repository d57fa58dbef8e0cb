"""How far a long run is, on standard error and never in ``--json``: stage, count, rate and time left.

On a terminal a bar for each stage; elsewhere, as in a log, a line every ten seconds and one at the end of a stage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from heliograph.clock import now_s
from heliograph.types import Reporter

_T = TypeVar("_T")
_LINE_EVERY_S = 10.0

Advance = Callable[[int], None]


class Progress:
    """A context manager. Calling it, or ``say``, prints a line; ``over`` and ``bar`` count the steps of a stage.

    Args:
        quiet: show nothing.
        clean: makes a line harmless for a terminal; files of strangers are named in some.
        clock: seconds, ascending.
    """

    def __init__(
        self, quiet: bool = False, clean: Callable[[str], str] = str, clock: Callable[[], float] = now_s
    ) -> None:
        self._quiet, self._clean = quiet, clean
        self._clock = clock
        console = Console(stderr=True, soft_wrap=True)
        self._lines = not quiet and not (console.is_terminal and not console.is_dumb_terminal)
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or self._lines,
        )

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, text: str) -> None:
        """Same as :meth:`say`: a progress is a :data:`heliograph.types.Reporter`."""
        self.say(text)

    def say(self, text: str) -> None:
        """One line, such as about the stage that begins."""
        if self._quiet:
            return
        text = self._clean(text)
        if self._lines:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bars.console.print(text, markup=False, highlight=False)

    def over(self, items: Sequence[_T], text: str) -> Iterator[_T]:
        """The items, counted."""
        advance = self.bar(len(items), text)
        for item in items:
            yield item
            advance(1)

    def bar(self, total: int, text: str) -> Advance:
        """A stage of ``total`` steps; the returned function counts so many more."""
        if self._quiet:
            return lambda steps: None
        if self._lines:
            return self._in_lines(total, text)
        task = self._bars.add_task(text, total=total)
        return lambda steps: self._bars.advance(task, steps)

    def _in_lines(self, total: int, text: str) -> Advance:
        began = shown = self._clock()
        done = 0

        def advance(steps: int) -> None:
            nonlocal done, shown
            done, now = done + steps, self._clock()
            if now - shown >= _LINE_EVERY_S or done >= total > done - steps:
                shown = now
                self.say(f"{text}: {progress_text(done, total, now - began)}")

        return advance


class _Rate(ProgressColumn):
    """Steps a second or a minute."""

    def render(self, task: Task) -> Text:
        """See rich."""
        return Text(rate_text(task.speed or 0.0))


def progress_text(done: int, total: int, spent_s: float) -> str:
    """Count, rate and time left.

    >>> progress_text(5, 20, 10.0), progress_text(20, 20, 75.0)
    ('5 of 20, 30.0 a minute, 30 s left', '20 of 20, 16.0 a minute, took 75 s')
    """
    rate = done / spent_s if spent_s > 0 else 0.0
    if done >= total:
        end = f"took {_time_text(spent_s)}"
    else:
        end = f"{_time_text((total - done) / rate)} left" if rate else "time left unknown"
    return ", ".join(part for part in (f"{done:,} of {total:,}", rate_text(rate), end) if part)


def rate_text(per_second: float) -> str:
    """A rate in the unit that gives it a number above one; nothing where it is not known."""
    if per_second <= 0:
        return ""
    return f"{per_second:,.1f} a second" if per_second >= 1 else f"{60 * per_second:,.1f} a minute"


def _time_text(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def stage(reporter: Reporter, total: int, text: str) -> Advance:
    """A stage of a long run: counted where the reporter is a :class:`Progress`, else one line that it begins.

    Args:
        reporter: of the run.
        total: steps.
        text: what is being done, such as ``encoding photos``.
    """
    if isinstance(reporter, Progress):
        return reporter.bar(total, text)
    reporter(text)
    return lambda steps: None
