"""Other processes for tests: one time limit for all, the package under test in their path, and an end with the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import heliograph

LIMIT_S = 600.0
"""No process of a test may take longer; a busy machine needs a good part of it to import torch."""

HELIOGRAPH = (sys.executable, "-m", "heliograph")

Word = str | Path
Finished = subprocess.CompletedProcess[Any]
"""``returncode``, ``stdout``, ``stderr``: text, or bytes where bytes were given."""

Running = subprocess.Popen[str]


def environment(*folders: Path, **more: str) -> dict[str, str]:
    """This process's, with the package under test, and ``folders`` before it, in Python's path."""
    path = [*map(str, folders), str(Path(heliograph.__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}


def run(
    command: Sequence[Word] | str,
    *,
    given: str | bytes = "",
    check: bool = True,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
) -> Finished:
    """A command to its end; as one text, for the shell.

    Args:
        command: program and words.
        given: to its standard input.
        check: a test fails where it ends with another status than 0, and shows what it said.
        cwd: where it runs.
        env: :func:`environment` unless given.
        stdout: a descriptor instead of a text.
    """
    done: Finished = subprocess.run(
        command if isinstance(command, str) else [*map(str, command)],
        shell=isinstance(command, str),
        input=given,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=isinstance(given, str),
        cwd=cwd,
        env=environment() if env is None else env,
        timeout=LIMIT_S,
        check=False,
    )
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def run_python(*words: Word, **how: Any) -> Finished:
    """A fresh interpreter with these words, such as ``"-c", code``; ``how`` as :func:`run`."""
    return run((sys.executable, *words), **how)


@contextmanager
def started(command: Sequence[Word], **more: str) -> Iterator[Running]:
    """A process with pipes for what it says, ended with the block; ``more`` variables in its environment."""
    with subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
        preexec_fn=_heed_interrupts,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _heed_interrupts() -> None:
    """Ctrl-C reaches the child also where a shell runs the tests in the background and has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def first_line(process: Running) -> str:
    """The next line that a process prints, without its end; a test fails where it ends instead, and shows why."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate(timeout=LIMIT_S)[1]
    return line.removesuffix("\n")


def ended(process: Running, signal_number: int | None = None) -> tuple[str, str]:
    """What a process still says until it ends, by itself or at a signal: standard output and error."""
    if signal_number is not None:
        process.send_signal(signal_number)
    return process.communicate(timeout=LIMIT_S)


@contextmanager
def serving(*options: Word) -> Iterator[tuple[str, Running]]:
    """``heliograph serve`` on a free port: its URL and its process."""
    with started((*HELIOGRAPH, "serve", "--json", "--port", "0", *options)) as server:
        yield json.loads(first_line(server))["url"], server


def tracked_files(folder: Path) -> list[str]:
    """Names below a checkout's folder."""
    names: str = run(("git", "ls-files"), cwd=folder).stdout
    return names.split()


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Certificate and key, signed by itself, of this machine's loopback address; skips where there is no openssl."""
    files = folder / "cert.pem", folder / "key.pem"
    words = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    address = ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        run(("openssl", "req", "-x509", *words, *address, "-out", files[0], "-keyout", files[1]))
    except FileNotFoundError:
        pytest.skip("openssl is not there to make a certificate")
    return files


def locked_key(key: Path, locked: Path) -> Path:
    """A copy of a key that a password protects."""
    run(("openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", key, "-out", locked))
    return locked
