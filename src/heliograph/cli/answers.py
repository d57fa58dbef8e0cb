"""An answer on standard output, or why there is none that could be used."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from heliograph.cli.command import say
from heliograph.cli.text import printable
from heliograph.errors import NoAnswerError


class NoUsableAnswerError(NoAnswerError):
    """Something came back, and it answers nothing.

    Attributes:
        facts: what the command would have shown as JSON.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self.facts = facts


class NotEnoughReceivedError(NoUsableAnswerError):
    """What came back is a guess without the photo."""

    name, text = "not-enough-received", "Nothing of the photo but its header was received, so its answer is a guess."


class EmptyAnswerError(NoUsableAnswerError):
    """The model said nothing."""

    name, text = "empty-answer", "The model gave an empty answer."


def say_answer(arguments: argparse.Namespace, text: str, facts: Mapping[str, Any], *, photo_seen: bool = True) -> None:
    """The answer on standard output, or its facts as JSON.

    Raises:
        NotEnoughReceivedError: the photo has no part in it.
        EmptyAnswerError: there is no text.
    """
    if not photo_seen:
        raise NotEnoughReceivedError(facts)
    if not text.strip():
        raise EmptyAnswerError(facts)
    say(arguments, printable(text), facts)
