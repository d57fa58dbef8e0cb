"""What every named error is: :mod:`heliograph.errors` holds the errors themselves.

The bases below say which class of failure an error is, and so which exit code it ends the command line with.
"""

from __future__ import annotations

from typing import ClassVar, Self

from heliograph.exit_codes import ExitCode
from heliograph.reasons import Fault, FileFault


class HeliographError(Exception):
    """Base of every expected failure.

    Attributes:
        code: number on the wire (stable, never reused), 1 to 255.
        name: kebab-case name shown to people and tools.
        text: constant sentence that says what is wrong and, where possible, what to do.
        exit_code: of the command line where this error ends it.
        reason: which of several causes it has, a constant phrase; empty where the text says all, and in an error that
            came as a number from the other end.
        subject: what it is about (a path, an address, an option with its value); it never goes on the wire.
        next_step: what to do about it, where that is known better than from its class; neither does this.
    """

    code: ClassVar[int] = 1
    name: ClassVar[str] = "heliograph-error"
    text: ClassVar[str] = "Heliograph could not go on."
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    reason: str = ""
    subject: str = ""
    next_step: str | None = None

    def __init__(self) -> None:
        super().__init__(self.text)

    def __str__(self) -> str:
        return f"{self.text.removesuffix('.')}: {self.reason}." if self.reason else self.text

    @classmethod
    def received(cls) -> Self:
        """The error as the other end told it: by its number alone, so without a reason."""
        made = cls.__new__(cls)
        HeliographError.__init__(made)
        return made

    def noted(self, note: str) -> Self:
        """The same error with a sentence for the person at the command line; it never goes on the wire."""
        self.add_note(note)
        return self

    def about(self, subject: object, next_step: str | None = None) -> Self:
        """The same error with what it is about and what to do, for the person at the command line; whoever names that
        first knows it best."""
        self.subject = self.subject or str(subject)
        if self.next_step is None:
            self.next_step = next_step
        return self


class FaultyError(HeliographError):
    """Base of errors that are made with their reason.

    Attributes:
        fault: the reason, as programs compare it; None in an error that came from the other end.
    """

    fault: Fault | None = None

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault, self.reason = fault, str(fault)


class FileError(FaultyError):
    """Base of errors about one file that somebody named."""

    exit_code = ExitCode.INPUT

    def __init__(self, fault: FileFault) -> None:
        super().__init__(fault)
        self.reason = f"it {fault}"


class InputError(HeliographError):
    """Base of errors of a photo, a file, a bundle or a model that cannot be used."""

    exit_code = ExitCode.INPUT


class LinkError(HeliographError):
    """Base of errors of link and server after which trying again may help."""

    exit_code = ExitCode.LINK


class RefusedError(HeliographError):
    """Base of errors of two things that do not belong together, one of which refuses the other."""

    exit_code = ExitCode.REFUSED


class NoAnswerError(HeliographError):
    """Base of errors that leave a question without a usable answer."""

    exit_code = ExitCode.NO_ANSWER
