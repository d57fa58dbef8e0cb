"""``-v``, ``--log-level`` and ``--log-json`` of every command: what its log lines on standard error say, and how.

Libraries below stay at warnings whatever is chosen: at lower levels some of them write out headers and messages, and
with those access tokens, photos and questions.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from heliograph.cli.text import printable

LEVELS = ("debug", "info", "warning", "error")
_DEFAULT = "warning"
_OURS = "heliograph"


class _MoreVerbose(argparse.Action):
    """``-v``: one level further down with every ``-v``, from whatever was chosen before."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        already = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, "debug" if already in ("info", "debug") else "info")


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """-v, --log-level and --log-json; of -v and --log-level the later one counts."""
    group = parser.add_argument_group("log (standard error)")
    group.add_argument(
        "-v",
        "--verbose",
        dest="log_level",
        action=_MoreVerbose,
        nargs=0,
        default=_DEFAULT,
        help="log more; -vv logs everything",
    )
    group.add_argument(
        "--log-level", choices=LEVELS, default=_DEFAULT, help=f"lowest level that is logged (default: {_DEFAULT})"
    )
    group.add_argument("--log-json", action="store_true", help="log one JSON object per line")


def is_verbose(arguments: argparse.Namespace) -> bool:
    """Whether more than warnings is wanted."""
    return arguments.log_level in ("debug", "info")


def set_up_logging(arguments: argparse.Namespace) -> None:
    """Log as the options say, from now on; a handler of an earlier call is replaced."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _StandardError)]:
        root.removeHandler(handler)
    made = _StandardError()
    made.setFormatter(JsonFormatter() if arguments.log_json else LineFormatter())
    root.addHandler(made)
    logging.getLogger(_OURS).setLevel(arguments.log_level.upper())


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that moment, which a test or a terminal display may have exchanged."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error."""
        return sys.stderr


class LineFormatter(logging.Formatter):
    """``2026-11-29T22:13:47.123Z WARNING heliograph.serving: text``, with control characters written out."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows on lines of its own."""
        line = f"{_time(record)} {record.levelname} {record.name}: {printable(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object in ASCII: ``time``, ``level``, ``logger``, ``message``, ``exception`` of a failure, and whatever
    a record brings along as ``facts``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields | getattr(record, "facts", {}), ensure_ascii=True, default=str)


def _time(record: logging.LogRecord) -> str:
    """When it happened: ISO 8601 with milliseconds, in UTC."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
