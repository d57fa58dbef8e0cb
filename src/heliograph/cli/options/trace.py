"""``--trace`` of ``ask`` and ``serve``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.command import warn
from heliograph.cli.text import printable
from heliograph.errors import UsageError

if TYPE_CHECKING:
    from heliograph.tracing.table import TraceSink

DEVICE, CLOUD = "device", "cloud"
"""Vantage points of :mod:`heliograph.tracing.table`, which help does without."""


def add_trace_options(parser: argparse.ArgumentParser) -> None:
    """--trace and --trace-without-content."""
    parser.add_argument(
        "--trace",
        metavar="FILE",
        type=Path,
        help="record every event for heliograph trace, photos, questions and answers included",
    )
    parser.add_argument(
        "--trace-without-content",
        action="store_true",
        help="leave photos, questions and answers out of the trace; nothing can be replayed from it then",
    )


@contextlib.contextmanager
def trace_sink(arguments: argparse.Namespace, vantage_point: str) -> Iterator[TraceSink | None]:
    """What takes the events while the command runs; None without --trace.

    Raises:
        UsageError: --trace-without-content, and no trace.
        OutputUnwritableError: the file cannot be made, or holds something else.
    """
    if arguments.trace is None:
        if arguments.trace_without_content:
            raise UsageError().noted("--trace-without-content needs --trace.")
        yield None
        return
    from heliograph.tracing.writing import TraceWriter

    content = not arguments.trace_without_content
    with TraceWriter(
        arguments.trace, vantage_point, content=content, on_warning=lambda text: warn(printable(text))
    ) as writer:
        yield writer.record
