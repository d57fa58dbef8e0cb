"""What every command is, and how it takes arguments and speaks. Standard library only, so that help is instant."""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from heliograph.cli.text import json_text, printable, shortened
from heliograph.errors import UsageError
from heliograph.exit_codes import ExitCode
from heliograph.protocol.limits import MAX_ANSWER_TOKENS

EXIT_DONE = int(ExitCode.DONE)

_MAX_SHOWN = 100
_DAY_S = 86_400
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
_LARGEST = (1 << 63) - 1
"""What seeds and counts of the libraries below can hold."""


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


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Garbage is looked for after many more new objects than usually.

    For commands that import PyTorch and transformers, work and end: a quarter of the time of these imports is spent on
    looking through a million objects, again and again, of which none is garbage.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


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


def _number(text: str, read: Callable[[str], Any], fits: Callable[[Any], bool], form: str) -> Any:
    """``text`` as ``read`` reads it.

    Args:
        text: from the command line.
        read: gives the value, or raises ValueError.
        fits: whether the value is within its bounds.
        form: what was wanted, for people.

    Raises:
        argparse.ArgumentTypeError: says what was given and what was wanted.
    """
    with contextlib.suppress(ValueError):
        if fits(value := read(text)):
            return value
    raise argparse.ArgumentTypeError(f"{shortened(text, _MAX_SHOWN)!r} is not {form}")


def positive_int(text: str) -> int:
    """Argument type: a whole number above 0."""
    return int(_number(text, int, lambda value: 1 <= value <= _LARGEST, "a whole number from 1 to 2^63 - 1"))


def whole_number(text: str) -> int:
    """Argument type: a whole number from 0 up."""
    return int(_number(text, int, lambda value: 0 <= value <= _LARGEST, "a whole number from 0 to 2^63 - 1"))


def bounded_count(most: int) -> Callable[[str], int]:
    """Argument type: a whole number from 1 to ``most``."""

    def read(text: str) -> int:
        return int(_number(text, int, lambda value: 1 <= value <= most, f"a whole number from 1 to {most}"))

    return read


def answer_tokens(text: str) -> int:
    """Argument type: how many tokens an answer may have, as the protocol bounds it."""
    form = f"a number of tokens from 1 to {MAX_ANSWER_TOKENS}"
    return int(_number(text, int, lambda value: 1 <= value <= MAX_ANSWER_TOKENS, form))


def positive_minutes(text: str) -> float:
    """Argument type: minutes above 0, and no more than ten weeks."""
    return float(_number(text, float, lambda value: 0 < value <= 100_000, "a number of minutes above 0, up to 100000"))


def pixel_size(text: str) -> tuple[int, int]:
    """Argument type: width and height in pixels, as in 640x480."""

    def read(text: str) -> tuple[int, int]:
        width, height = map(int, text.lower().split("x"))
        return width, height

    size: tuple[int, int] = _number(
        text, read, lambda size: 1 <= min(size) <= max(size) <= _LARGEST, "a width and height such as 640x480"
    )
    return size


def share(text: str) -> float:
    """Argument type: a number from 0 to 1."""
    return float(_number(text, float, lambda value: 0 <= value <= 1, "a share from 0 to 1, such as 0.95"))


def seconds(text: str) -> float:
    """Argument type: a time above 0 and at most a day."""
    return float(_number(text, float, lambda value: 0 < value <= _DAY_S, "a number of seconds above 0, up to a day"))


def seconds_or_none(text: str) -> float:
    """Argument type: a time from 0 to a day."""
    return float(_number(text, float, lambda value: 0 <= value <= _DAY_S, "a number of seconds from 0 to a day"))


def byte_size(text: str) -> int:
    """Argument type: a number of bytes, or of K, M or G (1024 of one another)."""
    return _bytes_from(0, text, "a number of bytes such as 4096, 64K or 32M")


def room_size(text: str) -> int:
    """Argument type: as :func:`byte_size`, of memory for which less than 64K would leave no room at all."""
    return _bytes_from(64 << 10, text, "a number of bytes from 64K up, such as 32M or 2G")


def _bytes_from(least: int, text: str, form: str) -> int:
    def read(text: str) -> int:
        number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
        return int(number) << {"": 0, "K": 10, "M": 20, "G": 30}.get(unit, -1)

    return int(_number(text, read, lambda value: least <= value < 1 << 50, form))


def port(text: str) -> int:
    """Argument type: a TCP port; 0 lets the system choose."""
    return int(_number(text, int, lambda value: 0 <= value <= 65_535, "a port from 0 to 65535"))


def needs(arguments: argparse.Namespace, option: str, other: str) -> None:
    """Refuse an option that is of no use without another one; both are named as on the command line.

    Raises:
        UsageError: ``option`` was given, and ``other`` was not.
    """
    given, there = (getattr(arguments, name.lstrip("-").replace("-", "_")) for name in (option, other))
    if given is not None and there is None:
        raise UsageError().noted(f"{option} needs {other}.")
