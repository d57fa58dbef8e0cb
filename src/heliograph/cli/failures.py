"""What the command line says of a failure: its name, what it is about, what is wrong and what to do next; and the exit
code. On standard error as one line, or with ``--json`` as one object on standard output."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from heliograph.cli.advice import Advice, advice_of
from heliograph.cli.answers import NoUsableAnswerError
from heliograph.cli.command import ArgumentError
from heliograph.cli.text import printable, shortened
from heliograph.errors import (
    BundleDamagedError,
    HeliographError,
    QuestionTooLongError,
    StreamDamagedError,
    UnknownNameError,
)
from heliograph.reasons import BundlePart, FileFault, StreamFault
from heliograph.transport.addresses import without_secrets

_MAX_SHOWN = 200
_MIN_TELLING = 4
"""Characters of a value that does not stand in a sentence by chance."""
_POSITIONAL = ("photo", "file", "other")
_NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Failure:
    """One failure as it is shown.

    Attributes:
        name: kebab-case, of the error.
        message: one line.
        exit_code: of the process.
        details: what else ``--json`` shows.
    """

    name: str
    message: str
    exit_code: int
    details: Mapping[str, Any] = field(default_factory=dict)

    def show(self, *, as_json: bool) -> int:
        """Print it and give its exit code."""
        if as_json:
            facts = {"error": self.name, "message": self.message, "exit_code": int(self.exit_code), **self.details}
            print(json.dumps(facts, ensure_ascii=True).replace("\x7f", "\\u007f"), flush=True)
        else:
            print(f"heliograph: {self.name}: {self.message}", file=sys.stderr, flush=True)
        return int(self.exit_code)

    def log(self) -> int:
        """Log it, for whoever reads standard error line by line, and give its exit code."""
        facts = {"error": self.name, "exit_code": int(self.exit_code)}
        logging.getLogger("heliograph").error(self.message, extra={"facts": facts})
        return int(self.exit_code)


def failure_of(error: HeliographError, command: str, arguments: argparse.Namespace | None = None) -> Failure:
    """How a named error is shown.

    Args:
        error: what ended the command.
        command: its name; empty where none was chosen.
        arguments: of the command line; None where it could not be understood.
    """
    given = _NO_ARGUMENTS if arguments is None else vars(arguments)
    details = error.facts if isinstance(error, NoUsableAnswerError) else _NO_ARGUMENTS
    return Failure(error.name, _message(error, command, given), int(error.exit_code), details)


def _message(error: HeliographError, command: str, given: Mapping[str, Any]) -> str:
    notes = [printable(note) for note in getattr(error, "__notes__", ())]
    if isinstance(error, ArgumentError):
        return " ".join([str(error), *notes])
    advice = advice_of(type(error))
    if advice.see_help and notes:
        return f"{' '.join(notes).removesuffix('.')}; see {_help(command)}."
    wrong = notes if notes and _notes_say_all(error, advice) else [_text(error, given), *notes]
    message = " ".join(map(_sentence, filter(None, wrong)))
    subject = shortened(printable(error.subject or _subject(error, advice, given)), _MAX_SHOWN)
    if subject and not _names(" ".join(notes), subject):
        message = f"{subject}: {message}"
    step = _step(error, advice, given)
    return (
        f"{message} {step}" if step and step not in message else message.replace("see --help", f"see {_help(command)}")
    )


def _text(error: HeliographError, given: Mapping[str, Any]) -> str:
    """What is wrong; of a name that was given on the command line as somebody would say it who knows no registry."""
    if not isinstance(error, UnknownNameError) or not given.get(error.kind):
        return printable(str(error))
    near = get_close_matches(str(given[error.kind]), error.choices, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {error.kind} of this name.{hint} Choose one of: {', '.join(error.choices)}."


def _step(error: HeliographError, advice: Advice, given: Mapping[str, Any]) -> str:
    if error.next_step is not None:
        return printable(error.next_step)
    return "" if advice.step_unless_reason and error.reason else advice.step_for(given)


def _names(notes: str, subject: str) -> bool:
    """Whether the notes name the subject already: an option's value may stand there by itself."""
    value = subject.partition(" ")[2] if subject.startswith("--") else subject
    return subject in notes or (len(value) >= _MIN_TELLING and value in notes)


def _notes_say_all(error: HeliographError, advice: Advice) -> bool:
    """A bundle that is not there at all is neither incomplete nor damaged, and a photo is no damaged stream."""
    if isinstance(error, StreamDamagedError):
        return error.fault is StreamFault.NOT_A_STREAM
    if isinstance(error, BundleDamagedError):
        return error.part is BundlePart.BUNDLE and error.fault is FileFault.MISSING
    return advice.notes_say_all


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _subject(error: HeliographError, advice: Advice, given: Mapping[str, Any]) -> str:
    """What the error is about: a path or an address as it is, an option with its value."""
    if isinstance(error, UnknownNameError):
        return _shown(error.kind, given[error.kind]) if given.get(error.kind) else ""
    if isinstance(error, QuestionTooLongError) and isinstance(question := given.get("question"), str):
        return f"this question of {len(question):,} characters"
    name = next((name for name in advice.about if given.get(name) not in (None, "", [])), None)
    return "" if name is None else _shown(name, given[name])


def _shown(name: str, value: object) -> str:
    if name == "server":
        return without_secrets(str(value))
    if name in _POSITIONAL:
        return str(value)
    values = value if isinstance(value, list) else [value]
    option = {"model": "vlm"}.get(name, name).replace("_", "-")
    return f"--{option} {', '.join(map(str, values))}"


def _help(command: str) -> str:
    return f"heliograph {command} --help" if command else "heliograph --help"
