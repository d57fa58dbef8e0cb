"""How far a question is, and its drafts as they arrive: lines that change on a terminal, plain ones anywhere else."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from heliograph.cli.text import answer_text, byte_count, milliseconds, shortened

if TYPE_CHECKING:
    from heliograph.edge.progress import SendingProgress
    from heliograph.edge.report import Draft

_BAR_CELLS = 10
_FULL, _EMPTY, _ELLIPSIS = "█", "░", "…"
_ASCII = str.maketrans({_FULL: "#", _EMPTY: "-", _ELLIPSIS: "."})
_MAX_CHARACTERS = 400
_PLAIN_EVERY_MS = 1000.0


def draft_line(draft: Draft) -> str:
    """Time, bytes so far, confidence as a bar and in percent, answer."""
    text = shortened(answer_text(draft.text, draft.photo_seen), _MAX_CHARACTERS)
    bar = _bar(draft.confidence)
    return (
        f"{milliseconds(draft.t_ms):>9}  {byte_count(draft.payload_bytes):>10}  {bar} {draft.confidence:4.0%}  {text}"
    )


def progress_line(t_ms: float, progress: SendingProgress) -> str:
    """Time, and what is being done: ``connecting, encoding``, or ``sent 83 of 142 B``."""
    doing = [name for name, true in (("connecting", progress.connecting), ("encoding", progress.encoding)) if true]
    if progress.total_bytes and not progress.connecting:
        share = min(progress.left_bytes / progress.total_bytes, 1.0)
        doing.append(f"{_bar(share)} sent {progress.left_bytes:,} of {byte_count(progress.total_bytes)}")
    return f"{milliseconds(t_ms):>9}  {', '.join(doing) or 'connected'}"


def _bar(share: float) -> str:
    cells = round(share * _BAR_CELLS)
    return _FULL * cells + _EMPTY * (_BAR_CELLS - cells)


def written_for(stream: IO[str], line: str) -> str:
    """A line as a stream can show it: bars of ``#`` and ``-`` where its encoding has no others.

    An answer is left as it is; what the encoding lacks of it, the stream writes out.
    """
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        (_FULL + _EMPTY + _ELLIPSIS).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return line.translate(_ASCII)
    return line


def _can_redraw() -> bool:
    """Whether standard output is a terminal that moves its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown", "")


class DraftDisplay:
    """Context manager; give ``on_draft`` and ``on_progress`` to the client.

    Args:
        quiet: show nothing.
        keep: on a terminal, leave every draft on the screen instead of the newest alone.
    """

    def __init__(self, quiet: bool = False, keep: bool = False) -> None:
        self._quiet = quiet
        self._keep = keep
        self._live: Any = None
        self._console: Any = None
        self._stream = sys.stdout
        self._draft = self._progress = ""
        self._plain_from_ms = 0.0
        self._stage: tuple[bool, bool] | None = None

    def __enter__(self) -> Self:
        if not self._quiet and _can_redraw():
            from rich.console import Console
            from rich.live import Live

            self._stream = sys.stdout  # before Live puts its own stream there
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
        self._draft = draft_line(draft)
        if self._live is None:
            self._print(self._draft)
            return
        if self._keep:
            self._console.print(self._text(self._draft))
        self._redraw()

    def on_progress(self, t_ms: float, progress: SendingProgress) -> None:
        """Show how far it is; in plain lines what is new, and bytes once a second, until there is a draft."""
        if self._quiet:
            return
        self._progress = progress_line(t_ms, progress)
        if self._live is not None:
            self._redraw()
            return
        stage = progress.connecting, progress.encoding
        if not self._draft and (stage != self._stage or t_ms >= self._plain_from_ms):
            self._stage, self._plain_from_ms = stage, t_ms + _PLAIN_EVERY_MS
            self._print(self._progress)

    def _print(self, line: str) -> None:
        print(written_for(sys.stderr, line), file=sys.stderr, flush=True)

    def _redraw(self) -> None:
        from rich.console import Group

        lines = [self._text(line, style) for line, style in ((self._draft, "bold"), (self._progress, "dim")) if line]
        self._live.update(Group(*lines))

    def _text(self, line: str, style: str = "") -> Any:
        from rich.text import Text  # plain text: an answer is no markup

        written = written_for(self._stream, line)
        if written_for(self._stream, _ELLIPSIS) == _ELLIPSIS:
            return Text(written, style=style, no_wrap=True, overflow="ellipsis")
        return Text(written, style=style, no_wrap=True, overflow="crop")
