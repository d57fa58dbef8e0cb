"""Draft answers as they arrive: one line that changes on a terminal, one line per draft anywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from heliograph.cli.text import answer_text, byte_count, milliseconds, shortened

if TYPE_CHECKING:
    from heliograph.edge.report import Draft

_BAR_CELLS = 10
_MAX_CHARACTERS = 400


def draft_line(draft: Draft) -> str:
    """Time, bytes so far, confidence as a bar and in percent, answer."""
    cells = round(draft.confidence * _BAR_CELLS)
    bar = "█" * cells + "░" * (_BAR_CELLS - cells)
    text = shortened(answer_text(draft.text, draft.photo_seen), _MAX_CHARACTERS)
    return (
        f"{milliseconds(draft.t_ms):>9}  {byte_count(draft.payload_bytes):>10}  {bar} {draft.confidence:4.0%}  {text}"
    )


class DraftDisplay:
    """Context manager; give ``on_draft`` to the client.

    Args:
        quiet: show nothing.
        keep: on a terminal, leave every draft on the screen instead of the newest alone.
    """

    def __init__(self, quiet: bool = False, keep: bool = False) -> None:
        self._quiet = quiet
        self._keep = keep
        self._live: Any = None
        self._console: Any = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            self._console = Console()
            self._live = Live(console=self._console, refresh_per_second=20, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def on_draft(self, draft: Draft) -> None:
        """Show one draft."""
        if self._quiet:
            return
        if self._live is None:
            print(draft_line(draft), file=sys.stderr, flush=True)
            return
        from rich.text import Text  # plain text: an answer is no markup

        if self._keep:
            self._console.print(Text(draft_line(draft), no_wrap=True, overflow="ellipsis"))
        self._live.update(Text(draft_line(draft), style="bold", no_wrap=True, overflow="ellipsis"))
