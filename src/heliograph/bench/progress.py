"""Progress on the terminal, or nothing: one bar per stage, on standard error so that ``--json`` stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_T = TypeVar("_T")


class Progress:
    """A context manager; ``over`` and ``say`` show where a long run is.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
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
        if not self._bars.disable:
            self._bars.console.print(text)

    def over(self, items: Sequence[_T], text: str) -> Iterator[_T]:
        """The items, with a bar."""
        advance = self.bar(len(items), text)
        for item in items:
            yield item
            advance(1)

    def bar(self, total: int, text: str) -> Callable[[int], None]:
        """A bar of ``total`` steps; the returned function moves it on."""
        task = self._bars.add_task(text, total=total)
        return lambda steps: self._bars.advance(task, steps)
