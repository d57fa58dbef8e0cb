"""Exit codes of the command line, one for each class of failure. Every named error says which class it belongs to
(``HeliographError.exit_code``); ``docs/exit-codes.md`` and ``heliograph --help`` show this table."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What a shell sees.

    Attributes:
        meaning: what happened, for people.
        remedy: what helps, for people.
    """

    meaning: str
    remedy: str

    DONE = 0, "done: the answer, or whatever was asked for, is there", ""
    INTERNAL = 1, "something is wrong with this installation", "run heliograph doctor"
    USAGE = 2, "the command line cannot be used as it is", "change an argument"
    INPUT = 3, "a photo, a file, a bundle or a model cannot be used", "give another one"
    LINK = 4, "the link or the server failed", "try again"
    REFUSED = 5, "the other end refuses, or two things do not belong together", "change one of the two"
    NO_ANSWER = 6, "there is no usable answer", "send more of the photo, or ask otherwise"
    BUG = 70, "a bug", "set HELIOGRAPH_DEBUG=1 and report it"
    INTERRUPTED = 130, "stopped by Ctrl-C", ""

    def __new__(cls, number: int, meaning: str, remedy: str) -> Self:
        """A code with its meaning and remedy."""
        made = int.__new__(cls, number)
        made._value_ = number
        made.meaning, made.remedy = meaning, remedy
        return made


def exit_code_lines() -> list[str]:
    """The table, a line for each code, as ``heliograph --help`` shows it."""
    return [f"{code:>3}  {code.meaning}" + (f": {code.remedy}" if code.remedy else "") for code in ExitCode]
