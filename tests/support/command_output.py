"""What a command says on standard error, apart from how far it is."""

from __future__ import annotations

import re

_PROGRESS = re.compile(r" *[\d,.]+ m?s  ")
"""Begins every plain line of the live view: the time since the question was asked."""


def messages(err: str) -> list[str]:
    """The lines that are neither progress nor drafts."""
    return [line for line in err.splitlines() if not _PROGRESS.match(line)]
