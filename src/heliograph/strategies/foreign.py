"""Programs of other people in a process of their own: what they may take, and what is wrong where they fail.

::

    request --a file as standard input--> program --standard output, up to a bound--> answer

A process keeps their libraries, which may not fit ours, and their faults apart: one that runs for too long, or says
more than it may, is ended. It is no wall against a program that was taken over; see decision 0040.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_MAX_REASON = 240
_MAX_ERROR_BYTES = 1 << 20


class ForeignProgramError(Exception):
    """A program cannot be run, fails, or takes more than it may; the message says which, in a few words."""


@dataclass(frozen=True)
class ForeignProgram:
    """A command with its bounds.

    Attributes:
        command: program and first arguments.
        environment: all variables that it gets.
        patience_s: until it is ended.
        max_answer_bytes: of what it writes to standard output.
        folder: that it runs in; None for ours.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    patience_s: float = 20.0
    max_answer_bytes: int = 1 << 26
    folder: Path | None = None

    def run(self, *arguments: str, request: bytes = b"") -> bytes:
        """What it answers.

        Raises:
            ForeignProgramError: see there.
        """
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as errors:
            asked.write(request)
            asked.seek(0)
            process = self._started(arguments, asked, errors)
            late = threading.Event()

            def end() -> None:
                late.set()
                process.kill()

            clock = threading.Timer(self.patience_s, end)
            clock.start()
            try:
                assert process.stdout is not None
                answer = process.stdout.read(self.max_answer_bytes + 1)
                if len(answer) > self.max_answer_bytes:
                    process.kill()
                process.wait()
            finally:
                clock.cancel()
                process.kill()
                process.communicate()
            if late.is_set():
                raise ForeignProgramError(f"it took over {self.patience_s:g} s")
            if len(answer) > self.max_answer_bytes:
                raise ForeignProgramError("it says more than it may")
            if process.returncode:
                raise ForeignProgramError(_last_line(errors))
            return answer

    def _started(self, arguments: Sequence[str], asked: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [*self.command, *arguments],
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self.folder,
                env=dict(self.environment),
            )
        except OSError as error:
            raise ForeignProgramError(f"{self.command[0]} cannot be run") from error


def _last_line(errors: IO[bytes]) -> str:
    """The last that it wrote to standard error."""
    errors.seek(0, 2)
    errors.seek(max(0, errors.tell() - _MAX_ERROR_BYTES))
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:_MAX_REASON] if lines else "it failed without a word"
