"""What somebody else's code raised, in one line for the person at the command line."""

from __future__ import annotations

import os

from heliograph.config import DEBUG_VARIABLE
from heliograph.errors import HeliographError

_MAX_REASON = 240
_FAULTS_OF_CODE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    IndexError,
    NameError,
    NotImplementedError,
    TypeError,
)
"""Errors whose text speaks of names in a program and says nothing to whoever has not written it."""


def reason_of(cause: BaseException) -> str:
    """What a foreign error says, in its first line, without its class; of a named error what its notes say.

    A fault of the foreign program itself is called that: the variable that shows tracebacks shows where it is.
    """
    while isinstance(cause, HeliographError) and not hasattr(cause, "__notes__") and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, HeliographError):
        return " ".join(getattr(cause, "__notes__", [str(cause)])).removesuffix(".")
    return _plain(cause)[:_MAX_REASON]


def _plain(cause: BaseException) -> str:
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        return f"it needs {cause.name}, which is not installed here"
    if isinstance(cause, MemoryError):
        return "there is not enough memory"
    if isinstance(cause, RecursionError):
        return "it nests too deeply"
    if isinstance(cause, KeyError) and cause.args:
        return f"the entry {cause.args[0]!r} is missing"
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause.filename, int):
        where = f"{os.fsdecode(cause.filename)}: " if cause.filename else ""
        return f"{where}{os.strerror(cause.errno)}"
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if lines and not isinstance(cause, _FAULTS_OF_CODE):
        return lines[0]
    return f"its own code fails; {DEBUG_VARIABLE}=1 shows where"
