"""Files that a training writes: there whole or not at all, and a disk that refuses has a name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from heliograph.errors import OutputUnwritableError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; takes its place where all goes well, and is removed where it does not.

    What lay at ``path`` before stays until then, so that a full disk costs the newest state and not the run.

    Raises:
        OutputUnwritableError: the disk refuses; torch tells so by a RuntimeError.
    """
    partial = path.with_name(f"{path.name}.partial{path.suffix}")  # numpy adds a suffix where it misses one
    try:
        yield partial
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutputUnwritableError from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def refusals_named() -> Iterator[None]:
    """A context for writers that choose their own file names: a disk that refuses raises OutputUnwritableError."""
    try:
        yield
    except OSError as error:
        raise OutputUnwritableError from error
