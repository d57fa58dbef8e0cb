"""What somebody else's code raised, in one line for the person at the command line."""

from __future__ import annotations

from heliograph.errors import HeliographError

_MAX_REASON = 240


def reason_of(cause: BaseException) -> str:
    """Kind and first line of a foreign error; of a named error what its notes say, or what is behind it."""
    while isinstance(cause, HeliographError) and not hasattr(cause, "__notes__") and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, HeliographError):
        return " ".join(getattr(cause, "__notes__", [str(cause)])).removesuffix(".")
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0].strip()[:_MAX_REASON]}" if lines else type(cause).__name__
