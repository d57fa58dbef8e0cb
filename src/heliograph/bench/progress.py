"""Progress on standard error, never in ``--json``: a bar per stage on a terminal, else a line per twentieth of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_T = TypeVar("_T")
_LINES = 20


class Progress:
    """A context manager; ``over`` and ``say`` show where a long run is.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        console = Console(stderr=True)
        self._lines = not quiet and not console.is_terminal  # a log file shows no bar until its stage is over
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
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

    def say(self, text: str) -> None:
        """One line about the stage that begins."""
        if not self._quiet:
            self._bars.console.print(text)

    def over(self, items: Sequence[_T], text: str) -> Iterator[_T]:
        """The items, with a bar."""
        advance = self.bar(len(items), text)
        for item in items:
            yield item
            advance(1)

    def bar(self, total: int, text: str) -> Callable[[int], None]:
        """A bar of ``total`` steps; the returned function moves it on."""
        if self._lines:
            return self._line_by_line(total, text)
        task = self._bars.add_task(text, total=total)
        return lambda steps: self._bars.advance(task, steps)

    def _line_by_line(self, total: int, text: str) -> Callable[[int], None]:
        done, began = 0, time.monotonic()

        def advance(steps: int) -> None:
            nonlocal done
            before, done = done, done + steps
            if total and before * _LINES // total < done * _LINES // total:
                minutes = (time.monotonic() - began) / 60
                left = minutes * (total - done) / done
                self._bars.console.print(f"{text}: {done} of {total}, {minutes:.1f} min, {left:.1f} min left")

        return advance
