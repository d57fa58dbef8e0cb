"""What every command is, and how it takes arguments and speaks. Standard library only, so that help is instant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from heliograph.cli.text import json_text, printable
from heliograph.errors import UsageError

EXIT_DONE, EXIT_BROKEN, EXIT_ERROR, EXIT_INTERNAL, EXIT_INTERRUPTED = 0, 1, 2, 70, 130


class ArgumentError(UsageError):
    """The command line cannot be understood; says which argument, with control characters written out."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message

    def __str__(self) -> str:
        return printable(self.message)


class Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing usage and leaving."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            ArgumentError: always.
        """
        raise ArgumentError(f"{message}; see {self.prog} --help")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        add_arguments: declares its options.
        run: does the work and gives the exit code; raises HeliographError.
        description: one paragraph.
        examples: shell lines for ``--help``; the tests run them through the parser.
    """

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    description: str
    examples: tuple[str, ...]

    @property
    def epilog(self) -> str:
        """The examples as ``--help`` shows them."""
        return "examples:\n" + "\n".join(f"  {line}" for line in self.examples)


def say(arguments: argparse.Namespace, text: str, data: Any) -> None:
    """The command's result on standard output: ``text`` for people, or ``data`` as JSON with ``--json``."""
    print(json_text(data) if arguments.json else text, flush=True)


def note(arguments: argparse.Namespace, line: str) -> None:
    """One line of progress on standard error; silent with ``--json``."""
    if not arguments.json:
        print(line, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """One line on standard error about what is allowed but dangerous; with ``--json`` as well."""
    print(f"heliograph: warning: {text}", file=sys.stderr, flush=True)


def positive_int(text: str) -> int:
    """Argument type: a whole number above 0."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def positive_minutes(text: str) -> float:
    """Argument type: minutes above 0, and no more than ten weeks."""
    value = float(text)
    if not 0 < value <= 100_000:
        raise ValueError
    return value


def pixel_size(text: str) -> tuple[int, int]:
    """Argument type: width and height in pixels, as in 640x480."""
    width, height = map(positive_int, text.lower().split("x"))
    return width, height


def whole_number(text: str) -> int:
    """Argument type: a whole number from 0 up."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def share(text: str) -> float:
    """Argument type: a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def seconds(text: str) -> float:
    """Argument type: a time above 0 and at most a day."""
    value = float(text)
    if not 0 < value <= 86_400:
        raise ValueError
    return value


def seconds_or_none(text: str) -> float:
    """Argument type: a time from 0 to a day."""
    value = float(text)
    if not 0 <= value <= 86_400:
        raise ValueError
    return value


def byte_size(text: str) -> int:
    """Argument type: a number of bytes, or of K, M or G (1024 of one another)."""
    number, unit = (text[:-1], text[-1:].upper()) if text[-1:].isalpha() else (text, "")
    value = whole_number(number) << {"": 0, "K": 10, "M": 20, "G": 30}.get(unit, -1)
    if value >= 1 << 50:
        raise ValueError
    return value


def port(text: str) -> int:
    """Argument type: a TCP port; 0 lets the system choose."""
    value = int(text)
    if not 0 <= value <= 65_535:
        raise ValueError
    return value
